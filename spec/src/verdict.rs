//! Verdicts: the result of checking one configuration.

use crate::trace::Trace;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The verdict on one property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every reachable state was seen, none violates it, and its witnesses were reached.
    Holds,
    /// A reachable state, or a fair run, violates it.
    Violated,
    /// No reachable state violates it, but a witness was not reached: the check means nothing.
    Vacuous,
    /// The run was cut off, and nothing seen until then violates it.
    Incomplete,
}

impl Verdict {
    /// The word used everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Violated => "violated",
            Verdict::Vacuous => "vacuous",
            Verdict::Incomplete => "incomplete",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A run that violates a property, shortest first: fewest steps, then fewest context switches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The run.
    pub trace: Trace,
    /// Context switches in it.
    pub switches: u32,
}

/// One property's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyResult {
    /// The property.
    pub name: &'static str,
    /// What came out.
    pub verdict: Verdict,
    /// Its witnesses and whether each was reached.
    pub witnesses: Vec<(&'static str, bool)>,
    /// How many states violate it (0 for one decided on the graph).
    pub violating_states: u64,
    /// The run that shows a violation.
    pub counterexample: Option<Counterexample>,
}

/// How large a space was, or how far a run got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct States {
    /// Distinct states.
    pub unique: u64,
    /// Initial states and transitions, duplicates included.
    pub generated: u64,
    /// Steps to the farthest state.
    pub depth: u64,
}
