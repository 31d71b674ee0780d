//! Progress.

use super::{Decided, Property, WitnessId};

pub(super) const PROPERTY: Property = Property {
    name: "progress",
    promise: "every IPI is eventually acknowledged and every program finishes, under weak fairness per CPU",
    relied_on_by: "everybody; with no_deadlock it excludes livelock as well",
    not_covered: "how long it takes",
    decided: Decided::OnGraph,
    witnesses: &[WitnessId::Finished],
};
