//! Scenarios: what is wrong with a text, what a check of it came to, and its runs.
//!
//! A run has the fields that the picture reads of [`super::run::RunView`], so that one picture draws both. What only the
//! designs have (mms, translations, fates) is left out.

use super::wait::WaitForView;
use serde::Serialize;

/// What is wrong with a text, found without a search.
#[derive(Clone, Debug, Serialize)]
pub struct TextView {
    /// `shootdown/scenario-text/1`.
    pub schema: &'static str,
    /// It can be checked.
    pub readable: bool,
    /// The scenario's title; empty if it cannot be read.
    pub title: String,
    /// `2 CPUs, 2 tasks, 1 lock`; empty if it cannot be read.
    pub size: String,
    /// Errors and warnings, in the order of the lines.
    pub diagnostics: Vec<DiagnosticView>,
    /// There are more errors than are told.
    pub more: bool,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct DiagnosticView {
    /// The check that found it.
    pub code: &'static str,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub at: LabelView,
    /// Places that belong to the story.
    pub also: Vec<LabelView>,
    /// The source in which it happens.
    pub within: Option<String>,
    /// More to know, a line each.
    pub notes: Vec<String>,
    /// What to write instead, a line each.
    pub help: Vec<String>,
    /// The long form: what `shootdown explain CODE` says.
    pub explain: &'static str,
}

/// A place in the text.
#[derive(Clone, Debug, Serialize)]
pub struct LabelView {
    /// Its line, from 1; 0 if it is the whole file.
    pub line: u32,
    /// Its column in characters, from 1.
    pub column: u32,
    /// Where it starts, in UTF-16 units from the start of the text, as a page counts.
    pub start: usize,
    /// The unit behind its last.
    pub end: usize,
    /// What is to be said about it, possibly nothing.
    pub text: String,
}

/// What a check came to.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedView {
    /// `shootdown/scenario/1`.
    pub schema: &'static str,
    /// What the text shows.
    pub text: TextView,
    /// The result; none for a text that cannot be read.
    pub result: Option<ResultView>,
}

/// The result of a search.
#[derive(Clone, Debug, Serialize)]
pub struct ResultView {
    /// `as_expected`, `violated`, `unexpected` or `incomplete`.
    pub word: &'static str,
    /// What it came to, as a sentence.
    pub sentence: String,
    /// What the file expects.
    pub expect: Option<String>,
    /// Why the search was cut off, if it was: what is not violated so far may still be.
    pub cut: Option<String>,
    /// Distinct states.
    pub states: usize,
    /// Transitions.
    pub transitions: usize,
    /// Since it began.
    pub elapsed_ms: u64,
    /// Every property.
    pub properties: Vec<PropertyView>,
    /// What never happened, so that nothing is said about it.
    pub unreached: Vec<String>,
    /// The property whose run is told first.
    pub first: Option<String>,
    /// The order of waits for any number of CPUs.
    pub order: OrderView,
}

/// A property.
#[derive(Clone, Debug, Serialize)]
pub struct PropertyView {
    /// Its name.
    pub name: String,
    /// What it promises.
    pub promise: String,
    /// `holds`, `violated`, `vacuous` or `incomplete`.
    pub verdict: &'static str,
    /// The shortest run that violates it.
    pub run: Option<ScenarioRunView>,
}

/// The order of waits.
#[derive(Clone, Debug, Serialize)]
pub struct OrderView {
    /// `acyclic`, `cyclic` or `not proven`.
    pub proof: &'static str,
    /// Each cycle, a line for each wait.
    pub cycles: Vec<Vec<LinkView>>,
    /// What would have to be taken on trust.
    pub doubts: Vec<LinkView>,
}

/// A line of the text and what is to be said about it.
#[derive(Clone, Debug, Serialize)]
pub struct LinkView {
    /// The line, from 1.
    pub line: u32,
    /// The sentence.
    pub text: String,
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioRunView {
    /// `shootdown/scenario-run/1`.
    pub schema: &'static str,
    /// Who takes the steps, as `replay` takes it.
    pub schedule: String,
    /// The command that replays it.
    pub replay: String,
    /// What happened.
    pub steps: Vec<ScenarioStepView>,
    /// Every state: one more than there are steps.
    pub states: Vec<ScenarioStateView>,
    /// Everything that was sent, raised, queued or armed for another context.
    pub ipis: Vec<SentView>,
    /// What is wrong at the end.
    pub violations: Vec<WrongView>,
    /// For a run that repeats for ever: the state it comes back to.
    pub loops_to: Option<usize>,
    /// Variables that change in the run.
    pub variables: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioStepView {
    /// Its number, from 1.
    pub n: usize,
    /// The CPU.
    pub cpu: usize,
    /// `start` or `step`.
    pub kind: &'static str,
    /// `task` for a thread, `irq` for whatever interrupts one.
    pub level: &'static str,
    /// The source it belongs to.
    pub program: String,
    /// The function that contains the statement.
    pub function: String,
    /// The statement, or in angle brackets what started.
    pub source: String,
    /// The line of the text; 0 if there is none.
    pub line: u32,
    /// What came of it.
    pub note: Option<String>,
    /// What it changed.
    pub changes: Vec<String>,
    /// The wait that begins with it.
    pub waits: Option<String>,
    /// A reader must see it to follow the run: always.
    pub matters: bool,
}

/// One state.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioStateView {
    /// The CPUs.
    pub cpus: Vec<ScenarioCpuView>,
    /// The locks.
    pub locks: Vec<ScenarioLockView>,
    /// Values of the run's `variables`.
    pub values: Vec<String>,
    /// Properties that this state violates.
    pub violated: Vec<String>,
    /// Who waits for whom.
    pub wait_for: WaitForView,
}

/// A CPU.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioCpuView {
    /// `CPU0`.
    pub name: String,
    /// `IF`.
    pub irqs_on: bool,
    /// Something that is no thread runs.
    pub in_irq: bool,
    /// Counts that keep others out: `preempt_count=1`.
    pub counts: Vec<String>,
    /// What has begun and not ended, the executing context first.
    pub contexts: Vec<ScenarioContextView>,
    /// What waits to be taken.
    pub pending: Vec<ScenarioPendingView>,
}

/// Something that runs, or sleeps.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioContextView {
    /// `task` for a thread, `irq` for whatever interrupts one.
    pub level: &'static str,
    /// The source.
    pub program: String,
    /// The function of its next statement.
    pub function: String,
    /// Its next statement.
    pub source: String,
    /// The line of that statement.
    pub line: u32,
    /// Locks it holds.
    pub holds: Vec<String>,
    /// What it waits for.
    pub waits: Option<ScenarioWaitView>,
    /// It can never move again.
    pub stuck: bool,
    /// It executes, or would if it did not wait.
    pub on_top: bool,
}

/// What a context waits for.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioWaitView {
    /// `lock`, `acks`, `condition`, `interrupt` or `cpu`.
    pub kind: &'static str,
    /// The lock.
    pub on: Option<String>,
    /// A clause without its subject, with who could end it.
    pub text: String,
}

/// Something that is pending on a CPU.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioPendingView {
    /// Who sent, raised, queued or armed it.
    pub from: String,
    /// `IPI flush`.
    pub what: String,
    /// Why it is not taken; `null` if it is about to be.
    pub why_not_taken: Option<String>,
}

/// A lock, or an element of an array of them.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioLockView {
    /// Its name.
    pub name: String,
    /// Who holds it.
    pub owners: Vec<String>,
    /// Who waits for it.
    pub waiters: Vec<String>,
}

/// Something that was sent, by step numbers.
#[derive(Clone, Debug, Serialize)]
pub struct SentView {
    /// The CPU of the sender.
    pub from: usize,
    /// The CPU of the handler.
    pub to: usize,
    /// `IPI flush`.
    pub what: String,
    /// The step that sent it.
    pub sent: usize,
    /// The step in which it was taken.
    pub delivered: Option<usize>,
    /// The step in which its handler returned.
    pub acked: Option<usize>,
    /// Why it is still pending at the end of the run.
    pub why_pending: Option<String>,
}

/// What is wrong at the end of a run.
#[derive(Clone, Debug, Serialize)]
pub struct WrongView {
    /// The state.
    pub state: usize,
    /// The same.
    pub until: usize,
    /// The property.
    pub property: String,
    /// In capitals.
    pub title: String,
    /// What is wrong.
    pub sentence: String,
}

/// Two scenarios side by side.
#[derive(Debug, Serialize)]
pub struct BesideView {
    /// `shootdown/scenario-beside/1`.
    pub schema: &'static str,
    /// What the texts show.
    pub before: TextView,
    /// What the texts show.
    pub after: TextView,
    /// The comparison; none if one of them cannot be read.
    pub comparison: Option<shootdown_refinement::scenario::compare::Comparison>,
    /// The outcome of each, as `check` says it on one line.
    pub outcomes: Vec<String>,
    /// The run that parts, as far as each side goes along: before, after.
    pub runs: Vec<Option<ScenarioRunView>>,
}

/// What an editor needs to know before anything is typed.
#[derive(Clone, Debug, Serialize)]
pub struct EditorView {
    /// `shootdown/scenario-editor/1`.
    pub schema: &'static str,
    /// Words that are no calls.
    pub keywords: Vec<&'static str>,
    /// The kernel's calls: group, how each is written, what it does.
    pub calls: Vec<CallView>,
    /// A commented scenario to start from.
    pub template: String,
    /// Most bytes of a text.
    pub largest: usize,
    /// The scenarios that come along.
    pub corpus: Vec<CorpusView>,
}

/// A call of the kernel.
#[derive(Clone, Debug, Serialize)]
pub struct CallView {
    /// Its name.
    pub name: &'static str,
    /// How it is written.
    pub written: String,
    /// What it does.
    pub doc: &'static str,
    /// Its group.
    pub group: &'static str,
}

/// A scenario that comes along.
#[derive(Clone, Debug, Serialize)]
pub struct CorpusView {
    /// Its file.
    pub name: String,
    /// Its title.
    pub title: String,
    /// The comment it begins with: a commit or another source, then a sentence.
    pub about: Vec<String>,
    /// What it expects: `ok` or `violated NAME`.
    pub expect: String,
}
