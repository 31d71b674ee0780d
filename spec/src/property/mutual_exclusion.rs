//! Mutual exclusion.

use super::{Decided, Property, WitnessId};
use crate::config::Config;
use crate::id::{LockId, MAX_LOCKS};
use crate::state::State;

pub(super) const PROPERTY: Property = Property {
    name: "mutual_exclusion",
    promise: "a lock has one owner, or readers only; who believes to hold it is who owns it",
    relied_on_by: "every other argument about what a lock guards",
    not_covered: "fairness: ticket order is assumed",
    decided: Decided::OnStates(violated),
    witnesses: &[WitnessId::LockContended],
};

fn violated(config: &Config, state: &State) -> bool {
    (0..MAX_LOCKS).map(LockId::from_index).any(|id| {
        let lock = state.lock(id);
        let mut believers = state
            .each_context(config)
            .filter(|(_, c)| c.held.contains(id));
        let all_own_it = believers.all(|(who, _)| lock.holders().any(|h| h == who));
        !all_own_it || (lock.owner().is_some() && lock.holders().count() > 1)
    })
}
