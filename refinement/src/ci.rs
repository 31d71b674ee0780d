//! Results for machines that collect them: JUnit XML, SARIF, GitHub's annotations.
//!
//! A command fills a [`Report`] with [`Case`]s, one for each thing that could have come out otherwise; the writers only
//! choose the form. They repeat a verdict and never make one: the exit code is the command's.
//!
//! | what came out | JUnit | SARIF | GitHub |
//! |---|---|---|---|
//! | [`Outcome::Passed`] | test case | | |
//! | [`Outcome::Failed`] | failure | a result for each finding | `::error` or `::warning` for each finding |
//! | [`Outcome::Undecided`] | error | a result of kind `open` | `::warning` |
//! | [`Outcome::Skipped`] | skipped | | `::notice` |
//! | [`Outcome::Warned`] | test case | a result for each finding | `::warning` for each finding |

pub mod github;
pub mod junit;
pub mod sarif;
pub mod source;
pub mod trace;

use std::time::Duration;

/// The whole result of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The command: `shootdown matrix`.
    pub command: String,
    /// What it judged, in order.
    pub cases: Vec<Case>,
}

/// One thing that was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it belongs to: a configuration, a claim, a file.
    pub suite: String,
    /// What it is: a property, a cell, a trace.
    pub name: String,
    /// What came out.
    pub outcome: Outcome,
    /// How long it took, where it was measured by itself.
    pub time: Option<Duration>,
}

/// What came out of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As promised, or as expected.
    Passed,
    /// Not so, and why: at least one finding.
    Failed(Vec<Finding>),
    /// It could not be decided: a bound, a time-out, a part that is missing.
    Undecided(String),
    /// Nothing was violated, and that means nothing (vacuous).
    Skipped(String),
    /// Nothing is wrong, and something looks like a mistake.
    Warned(Vec<Finding>),
}

/// What is wrong, and where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is broken, as a name that stays the same from run to run: a property, `states`, `trace-rejected`.
    pub rule: String,
    /// The rule as a sentence.
    pub promise: String,
    /// How bad.
    pub level: Severity,
    /// What happened, with the line that replays it where there is one.
    pub message: String,
    /// Where to look first.
    pub place: Option<Place>,
    /// What else took part.
    pub related: Vec<(Place, String)>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It is wrong.
    Error,
    /// It may go wrong in another run.
    Warning,
}

impl Severity {
    /// The word that SARIF and GitHub use.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A line of a file, below the root of the tree or as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, with slashes.
    pub file: String,
    /// The line, from 1.
    pub line: Option<u64>,
}

impl Report {
    /// Every finding, with its case.
    pub fn findings(&self) -> impl Iterator<Item = (&Case, &Finding)> {
        self.cases.iter().flat_map(|case| match &case.outcome {
            Outcome::Failed(findings) | Outcome::Warned(findings) => {
                findings.iter().map(|f| (case, f)).collect()
            }
            _ => Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
