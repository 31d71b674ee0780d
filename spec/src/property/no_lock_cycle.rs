//! No cycle of lock waits.

use super::{Decided, Property, WitnessId};
use crate::config::Config;
use crate::id::Context;
use crate::state::{State, Why};

pub(super) const PROPERTY: Property = Property {
    name: "no_lock_cycle",
    promise: "the waits for locks form no cycle, an interrupted context waiting for the handler above it",
    relied_on_by: "the argument that no deadlock is left once the IPI rules hold: it catches \
                   inversions in which no IPI takes part",
    not_covered: "cycles through an acknowledgement: those are the upstream rule's",
    decided: Decided::OnStates(violated),
    witnesses: &[WitnessId::LockContended],
};

fn violated(config: &Config, state: &State) -> bool {
    state.each_context(config).any(|(start, ctx)| {
        ctx.spins_for().is_some() && reaches(config, state, start, start, &mut 0)
    })
}

/// Can `goal` be reached from `from` over lock edges? `seen` is a bit set of context codes.
fn reaches(config: &Config, state: &State, from: Context, goal: Context, seen: &mut u8) -> bool {
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
            e.on == goal || new && reaches(config, state, e.on, goal, seen)
        })
}
