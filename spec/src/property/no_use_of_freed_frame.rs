//! No use of a freed frame.

use super::no_stale_tlb_after_return::cached;
use super::{Decided, Property, WitnessId};
use crate::program::Entry;

pub(super) const PROPERTY: Property = Property {
    name: "no_use_of_freed_frame",
    promise: "no CPU can read or write a frame through its TLB after the frame was freed or reused",
    relied_on_by: "the next owner of the page: this is the data corruption that deferral risks",
    not_covered: "dirty data that arrives after the page was seen clean (H 5.5)",
    decided: Decided::OnStates(|config, state| {
        state.each_mm(config).any(|(id, mm)| {
            Entry::ALL
                .iter()
                .any(|&e| mm.frame(e).freed && cached(config, state, id, e))
        })
    }),
    witnesses: &[WitnessId::ClearedWhileCached, WitnessId::FrameFreed],
};
