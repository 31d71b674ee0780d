//! What the streams send: the data of server-sent events.

use serde::Serialize;
use shootdown_refinement::review::word::Word;
use shootdown_spec::order::Proof;
use shootdown_spec::search::Progress;
use shootdown_spec::verdict::Verdict;

/// `progress`: how a search is getting on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProgressView {
    /// What is searched.
    pub what: String,
    /// Distinct states so far.
    pub states: u64,
    /// Transitions so far.
    pub transitions: u64,
    /// The level being expanded.
    pub depth: usize,
    /// States in that level.
    pub frontier: u64,
    /// Distinct states per second.
    pub rate: u64,
    /// Bytes held.
    pub memory_bytes: u64,
    /// Since it began.
    pub elapsed_ms: u64,
    /// Share of the states that are expected, where a number is: an estimate, as a promise would be.
    pub fraction: Option<f64>,
}

impl ProgressView {
    /// Of a search; `expected` is the number of states written down for it, if one is.
    pub fn new(what: &str, progress: &Progress, expected: Option<u64>) -> ProgressView {
        ProgressView {
            what: what.to_string(),
            states: progress.unique,
            transitions: progress.generated,
            depth: progress.depth,
            frontier: progress.frontier,
            rate: progress.rate as u64,
            memory_bytes: progress.memory_bytes,
            elapsed_ms: progress.elapsed.as_millis() as u64,
            fraction: expected.map(|n| (progress.expanded as f64 / n.max(1) as f64).min(1.0)),
        }
    }
}

/// `snapshot`: every cell as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct MatrixView {
    /// `shootdown/matrix-live/1`.
    pub schema: &'static str,
    /// Every cell, in the order of `expectations.toml`.
    pub cells: Vec<CellView>,
    /// Cells that are done.
    pub done: usize,
}

/// `cell`: one cell of the matrix.
#[derive(Clone, Debug, Serialize)]
pub struct CellView {
    /// Its position in the snapshot.
    pub index: usize,
    /// The design.
    pub design: String,
    /// The environment.
    pub environment: String,
    /// The workload.
    pub workload: String,
    /// How far it is.
    pub state: CellState,
    /// The worst of its properties' verdicts; `null` until it is done.
    pub verdict: Option<Verdict>,
    /// Every property's.
    pub properties: Vec<CellProperty>,
    /// Distinct states found.
    pub states: Option<u64>,
    /// Why it was cut off, if it was.
    pub stopped: Option<String>,
    /// A schedule of it without actions.
    pub config: String,
    /// What is written down for it.
    pub expected: ExpectedView,
    /// It came out as written; `null` until it is done to its end.
    pub as_expected: Option<bool>,
    /// What the static order proves, for any number of CPUs; `null` until it is done.
    pub proof: Option<Proof>,
    /// How many steps the farthest state is away; `null` until it is done.
    pub depth: Option<u64>,
    /// Its colour and what is said of it beside the violated properties; `null` until it is done.
    pub word: Option<Word>,
}

/// How far a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// It was not begun.
    Waiting,
    /// It is being checked.
    Running,
    /// It is finished.
    Done,
}

/// A property in a cell.
#[derive(Clone, Debug, Serialize)]
pub struct CellProperty {
    /// Its name.
    pub name: &'static str,
    /// The name in tables.
    pub short: &'static str,
    /// What came out.
    pub verdict: Verdict,
    /// What is written down.
    pub expected: Verdict,
    /// The shortest run that violates it.
    pub schedule: Option<String>,
    /// How long that is.
    pub steps: Option<usize>,
    /// Witnesses that were never reached.
    pub unreached: Vec<&'static str>,
}

/// What is written down for a cell.
#[derive(Clone, Debug, Serialize)]
pub struct ExpectedView {
    /// Distinct states.
    pub states: u64,
    /// Properties that must be violated.
    pub violated: Vec<String>,
    /// Properties that must be vacuous.
    pub vacuous: Vec<String>,
}

/// `found`: what a search for one property came to.
#[derive(Clone, Debug, Serialize)]
pub struct FoundView {
    /// `shootdown/found/1`.
    pub schema: &'static str,
    /// What was explored.
    pub subject: super::run::SubjectName,
    /// The property.
    pub property: &'static str,
    /// What came out.
    pub verdict: Verdict,
    /// The shortest run that violates it.
    pub schedule: Option<String>,
    /// How long that is.
    pub steps: Option<usize>,
    /// Witnesses that were never reached.
    pub unreached: Vec<&'static str>,
    /// Distinct states.
    pub states: u64,
    /// Why it was cut off, if it was.
    pub stopped: Option<String>,
}

/// `done` of `/api/fates`: from now on run documents of the configuration carry fates.
#[derive(Clone, Debug, Serialize)]
pub struct FatesView {
    /// `shootdown/fates/1`.
    pub schema: &'static str,
    /// Distinct states.
    pub states: u64,
    /// Every reachable state was seen.
    pub complete: bool,
    /// Why not, if not.
    pub stopped: Option<String>,
    /// Bytes it is kept in; 0 if it did not fit into the budget.
    pub bytes: u64,
}

/// `problem`: why a stream has nothing more to say.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemView {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}
