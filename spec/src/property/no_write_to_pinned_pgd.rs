//! No plain store into a pinned pgd.

use super::{Decided, Property, WitnessId};
use crate::program::{Op, Reg};

pub(super) const PROPERTY: Property = Property {
    name: "no_write_to_pinned_pgd",
    promise: "nobody stores into a pgd page while Xen has it pinned, except through the hypervisor",
    relied_on_by: "Xen PV guests: the store faults and the guest dies (617d34d9e5d8)",
    not_covered: "the lower levels of the page table, which are pinned with it",
    decided: Decided::OnStates(|config, state| {
        state.each_context(config).any(|(who, ctx)| {
            match state.cpu(who.cpu).next_op(config, who.level) {
                Some(Op::WriteKernelEntry { of }) => {
                    !ctx.reg(Reg::SeenPinned) && state.mm(ctx.mm_of(of)).pinned
                }
                _ => false,
            }
        })
    }),
    witnesses: &[WitnessId::StoreThroughHypervisor],
};
