//! Acknowledgement after the flush.

use super::{Decided, Property, WitnessId};
use crate::program::{Op, Reg};

pub(super) const PROPERTY: Property = Property {
    name: "ack_after_flush",
    promise: "an acknowledgement implies that the flush happened on that CPU, or that the mm was not \
              loaded there",
    relied_on_by: "every sender of a flush: it frees the page as soon as the masks are clear",
    not_covered: "CPUs that were not asked: that the mask is right is no_stale_tlb_after_return's",
    decided: Decided::OnStates(|config, state| {
        state.each_context(config).any(|(who, ctx)| {
            let cpu = state.cpu(who.cpu);
            cpu.next_op(config, who.level) == Some(Op::Ack)
                && !ctx.reg(Reg::Flushed)
                && cpu.loaded_mm() == Some(ctx.mm)
        })
    }),
    witnesses: &[WitnessId::AckWhileLoaded],
};
