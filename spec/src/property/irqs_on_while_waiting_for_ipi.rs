//! Interrupts are on while acknowledgements are awaited.

use super::{Decided, Property, WitnessId};

pub(super) const PROPERTY: Property = Property {
    name: "irqs_on_while_waiting_for_ipi",
    promise: "no context awaits acknowledgements with its interrupts off",
    relied_on_by: "two CPUs that flush at the same time: each must answer the other \
                   (WARN_ON(irqs_disabled()) in smp_call_function_many)",
    not_covered: "a handler on top of a waiting context: it has interrupts off legitimately, and ends",
    decided: Decided::OnStates(|config, state| {
        state
            .each_cpu(config)
            .any(|(_, cpu)| !cpu.irqs_on && cpu.awaits_acks(config, cpu.top()))
    }),
    witnesses: &[WitnessId::AwaitsAcksAlways],
};
