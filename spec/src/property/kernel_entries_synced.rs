//! Kernel entries are synced.

use super::{Decided, Property, WitnessId};
use crate::program::{Op, ProgramId};

pub(super) const PROPERTY: Property = Property {
    name: "kernel_entries_synced",
    promise: "when the walk returns, every listed pgd has the kernel entry, and from then on a new pgd \
              is born with it",
    relied_on_by: "code that must not take a vmalloc fault: NMI and die notifiers, the fault path itself",
    not_covered: "entries that go away again: unmapping was not synced before 2019",
    decided: Decided::OnStates(|config, state| {
        let returning = state.each_context(config).any(|(who, ctx)| {
            ctx.program == ProgramId::VmallocSyncAll
                && state.cpu(who.cpu).next_op(config, who.level) == Some(Op::Return)
        });
        (returning || state.list.synced) && state.list.iter().any(|mm| !state.mm(mm).kernel_entry)
    }),
    witnesses: &[WitnessId::WalkReturned],
};
