//! The strict rule.

use super::{Decided, Property, WitnessId};
use crate::id::{Level, LockSet};

pub(super) const PROPERTY: Property = Property {
    name: "no_lock_held_across_ipi_wait",
    promise: "strict rule: no context awaits IPI acknowledgements while it, or what it interrupted, \
              holds pgd_lock or a page-table lock",
    relied_on_by: "impl, where it is a type error to break it; the seed mail's closing sentence asks for it",
    not_covered: "whether breaking it can hang anything: Linux breaks it on purpose (H 3.15)",
    decided: Decided::OnStates(|config, state| {
        state.each_cpu(config).any(|(_, cpu)| {
            let held = |level| cpu.context(level).held;
            (cpu.awaits_acks(config, Level::Task) && held(Level::Task) != LockSet::default())
                || (cpu.in_irq()
                    && cpu.awaits_acks(config, Level::Irq)
                    && !held(Level::Task).union(held(Level::Irq)).is_empty())
        })
    }),
    witnesses: &[WitnessId::AwaitsAcksAlways],
};
