//! A hang that a real kernel's trace recorded, beside the counterexample of the model.

use super::document::Part;
use super::findings::Findings;
use super::runs::Runs;

/// The part, where there is a recording to quote. None is read yet.
pub fn part(_findings: &Findings, _runs: &Runs<'_>) -> Option<Part> {
    None
}
