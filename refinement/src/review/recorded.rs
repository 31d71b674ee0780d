//! A hang that a real kernel's trace recorded, beside the counterexample of the model.

use super::document::Part;

/// The part, where there is a recording to quote. None is read yet.
pub fn part() -> Option<Part> {
    None
}
