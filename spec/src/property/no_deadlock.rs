//! No deadlock.

use super::{Decided, Property, WitnessId};

pub(super) const PROPERTY: Property = Property {
    name: "no_deadlock",
    promise: "no reachable state holds a context that can never move again, whatever anybody does; \
              that includes a CPU spinning in an interrupt for a lock its own interrupted code holds",
    relied_on_by: "everybody: the machine hangs",
    not_covered: "programs that never release what they took, or loop for ever: that is progress",
    decided: Decided::OnStates(|config, state| !state.stuck(config).is_empty()),
    witnesses: &[WitnessId::LockContended, WitnessId::AwaitsAcks],
};
