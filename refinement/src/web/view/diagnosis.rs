//! The diagnosis of a console log, as the page shows it.

use super::wait::WaitForView;
use serde::Serialize;

/// Who waits for whom, and what follows.
#[derive(Clone, Debug, Serialize)]
pub struct DiagnosisView {
    /// `shootdown/page-diagnosis/1`.
    pub schema: &'static str,
    /// `cycle`, `cycle if`, `no cycle` or `not decidable`.
    pub word: &'static str,
    /// The conclusion in sentences.
    pub sentences: Vec<FactView>,
    /// What to get, where it is not decidable.
    pub get: Vec<String>,
    /// The shape that it is known as.
    pub shape: Option<String>,
    /// CPUs and tasks that wait or are awaited; those of the cycle first, in its order.
    pub situations: Vec<SituationView>,
    /// CPUs and tasks that are left out: they run, sleep or idle.
    pub others: usize,
    /// The waits that the log shows.
    pub wait_for: WaitForView,
    /// Why lines may be missing.
    pub incomplete: Vec<String>,
    /// The line of a dump of ftrace's, which was read along.
    pub ftrace: Option<u64>,
    /// The hang as a scenario, where one can be written.
    pub scenario: Option<String>,
    /// What `shootdown diagnose` prints.
    pub report: String,
}

/// A sentence and the line of the log that says it.
#[derive(Clone, Debug, Serialize)]
pub struct FactView {
    /// The sentence.
    pub text: String,
    /// The line, from 1; 0 if no single one says it.
    pub line: u64,
}

/// A CPU or a task.
#[derive(Clone, Debug, Serialize)]
pub struct SituationView {
    /// `CPU1`, `task 42`.
    pub name: String,
    /// `kswapd0/38`.
    pub task: String,
    /// Where its dump begins.
    pub line: u64,
    /// What it does, in a sentence.
    pub said: String,
    /// Interrupts on or off, where the log says so.
    pub irqs_on: Option<bool>,
    /// `task`, `softirq`, `hardirq`, `NMI`.
    pub context: &'static str,
    /// Locks it holds, with how that is known.
    pub holds: Vec<FactView>,
    /// Frames, innermost first; what was interrupted follows after an empty one.
    pub frames: Vec<FactView>,
    /// It is part of the cycle.
    pub in_cycle: bool,
}
