//! What `matrix --json` wrote, edited at random, is taken or refused; what was taken executes.

#[path = "../../../../tests/validate/mutate.rs"]
mod mutate;

use super::outcomes;
use crate::cli::matrix;
use crate::expectation::Expectations;
use shootdown_spec::search::Options;

#[test]
fn mutated_matrices_are_taken_or_refused() {
    let mut expectations = Expectations::load();
    expectations.grid.clear();
    expectations.claim.retain(|c| c.id == "C1");
    let cells = matrix::json(expectations, &Options::default()).expect("C1 is checked");
    let whole = serde_json::to_vec(&cells).expect("it is JSON");
    let taken = |bytes: &[u8]| {
        let cells = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        outcomes(cells, &Expectations::load())
    };
    assert!(taken(&whole).is_ok_and(|cells| !cells.is_empty()));
    let spread = serde_json::to_vec_pretty(&cells).expect("it is JSON");
    mutate::each("matrix", &[whole, spread], |bytes| {
        if let Err(reason) = taken(bytes) {
            assert!(!reason.is_empty());
        }
    });
}
