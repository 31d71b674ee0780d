//! The upstream rule.

use super::{Decided, Property, WitnessId};
use crate::config::Config;
use crate::id::Context;
use crate::state::{State, Why};

pub(super) const PROPERTY: Property = Property {
    name: "no_irqs_off_wait_for_flush_lock",
    promise: "upstream rule, transitive: no CPU with interrupts off waits, through any chain of lock \
              holders, for a lock that is held across an IPI wait",
    relied_on_by: "mainline since a79e53d85683: page_table_lock is still held across the wait",
    not_covered: "whether the waiting CPU is a target at all: the rule ignores mm_cpumask and so cries \
                  wolf sometimes (B12)",
    decided: Decided::OnStates(violated),
    witnesses: &[WitnessId::AwaitsAcksAlways, WitnessId::LockContended],
};

fn violated(config: &Config, state: &State) -> bool {
    state.each_cpu(config).any(|(cpu, c)| {
        let context = Context {
            cpu,
            level: c.top(),
        };
        !c.irqs_on
            && c.context(context.level).spins_for().is_some()
            && reaches_ipi_wait(config, state, context, &mut 0)
    })
}

/// Does some chain of lock holders lead from `from` to a context that awaits acknowledgements?
fn reaches_ipi_wait(config: &Config, state: &State, from: Context, seen: &mut u8) -> bool {
    state
        .waits_for(config, from)
        .filter(|e| {
            matches!(
                e.why,
                Why::Lock(_) | Why::QueuedBehind(_) | Why::Interrupted
            )
        })
        .any(|e| {
            let new = *seen >> e.on.code() & 1 == 0;
            *seen |= 1 << e.on.code();
            let awaits = state.cpu(e.on.cpu).awaits_acks(config, e.on.level);
            awaits || new && reaches_ipi_wait(config, state, e.on, seen)
        })
}
