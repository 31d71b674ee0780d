//! `/api/compare`: two runs of one schedule.

use super::run::RunView;
use serde::Serialize;

/// Two runs side by side.
#[derive(Clone, Debug, Serialize)]
pub struct CompareView {
    /// `shootdown/compare/1`.
    pub schema: &'static str,
    /// What the schedule was tried on: a design's name, `spec` or `impl`.
    pub with: String,
    /// The run.
    pub left: RunView,
    /// The same on the other side, as far as it goes.
    pub right: RunView,
    /// By step of the left run, the step of the right one that is it; `null` if it has none.
    pub pairs: Vec<Option<usize>>,
    /// Where they part first; `null` if they do not.
    pub diverges: Option<DivergesView>,
    /// How the left run ends, carried on to its end.
    pub left_ends: EndsView,
    /// How the right run ends, carried on to its end; its steps are part of `right`.
    pub right_ends: EndsView,
}

/// How a run ends if every program that has begun goes on and none begins.
#[derive(Clone, Debug, Serialize)]
pub struct EndsView {
    /// How many steps the schedule led to; those after it were added.
    pub from: usize,
    /// A CPU never moves again.
    pub stuck: bool,
    /// Every program that began is done.
    pub done: bool,
    /// Said as a predicate: the subject is the design.
    pub sentence: String,
}

/// The first divergence.
#[derive(Clone, Debug, Serialize)]
pub struct DivergesView {
    /// The step of the left run, from 1.
    pub step: usize,
    /// The CPU.
    pub cpu: u8,
    /// How they part.
    pub kind: DivergesKind,
    /// The guard that is false on the right, if the step is not possible there.
    pub guard: Option<String>,
    /// Said in a sentence.
    pub sentence: String,
    /// The first step that the right run cannot take, where that comes later.
    pub refused: Option<usize>,
}

/// How two runs part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DivergesKind {
    /// The CPU holds or waits for other locks.
    Locks,
    /// Its interrupt flag is another.
    Interrupts,
    /// The other side executes another statement.
    Statement,
    /// The other side cannot take the step.
    Refused,
}
