//! `/api/run`: the run document.

use super::choice::ChoiceView;
use super::config::ConfigView;
use super::cpu::CpuView;
use super::ipi::IpiView;
use super::memory::{LockView, MmView};
use super::step::StepView;
use super::wait::WaitForView;
use serde::{Deserialize, Serialize};

/// What runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectName {
    /// The specification.
    #[default]
    Spec,
    /// The real code of `impl/`, beside the specification.
    Impl,
}

/// One run: what happened, every state on the way, what could happen next.
#[derive(Clone, Debug, Serialize)]
pub struct RunView {
    /// `shootdown/run/1`.
    pub schema: &'static str,
    /// What runs.
    pub subject: SubjectName,
    /// The run as a schedule, as far as it goes.
    pub schedule: String,
    /// The command that replays it.
    pub replay: String,
    /// What it depends on.
    pub config: ConfigView,
    /// Number of CPUs.
    pub cpus: usize,
    /// Per CPU, the mm it starts on; `null` for none.
    pub start: Vec<Option<String>>,
    /// What happened.
    pub steps: Vec<StepView>,
    /// Every state: one more than there are steps.
    pub states: Vec<StateView>,
    /// Every flush IPI that was sent.
    pub ipis: Vec<IpiView>,
    /// The state that `choices` is about.
    pub at: usize,
    /// What could happen at `at`, and what could not and why.
    pub choices: Vec<ChoiceView>,
    /// What is wrong, where it begins to be wrong, as sentences.
    pub violations: Vec<ViolationView>,
    /// Every program of this configuration, line by line.
    pub programs: Vec<ProgramView>,
    /// The schedule goes further than the run: the step that is not possible.
    pub refused: Option<RefusedView>,
    /// For the code: why the run does not fit the protocol, or what the machine noticed.
    pub misfit: Option<String>,
    /// For a run that repeats for ever: the state it comes back to.
    pub loops_to: Option<usize>,
    /// The first state after which the deadlock cannot be avoided; `null` if there is none or it is not known.
    pub doom: Option<usize>,
    /// Is the explored graph at hand, so that `fate`s and `doom` are known?
    pub fates_known: bool,
    /// The graph was cut off: `fate`s that are not known stay `unknown`.
    pub fates_complete: bool,
    /// The first of the `hashes` given that is not the state's.
    pub mismatch: Option<MismatchView>,
}

/// One state.
#[derive(Clone, Debug, Serialize)]
pub struct StateView {
    /// A check of the state, in hexadecimal.
    pub hash: String,
    /// The CPUs.
    pub cpus: Vec<CpuView>,
    /// The locks there are.
    pub locks: Vec<LockView>,
    /// The mms.
    pub mms: Vec<MmView>,
    /// Listed mms, head first.
    pub pgd_list: Vec<String>,
    /// init_mm's kernel entry is present.
    pub init_entry: bool,
    /// Properties that this state violates.
    pub violated: Vec<&'static str>,
    /// Who waits for whom.
    pub wait_for: WaitForView,
    /// Nothing runs, and nothing more may be started.
    pub finished: bool,
    /// Whether it leads to a deadlock.
    pub fate: FateName,
    /// What can happen here and what not, if it was worked out for every state.
    pub choices: Option<Vec<ChoiceView>>,
}

/// Whether a state leads to a deadlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FateName {
    /// Every run that goes on as long as it can.
    Always,
    /// Some do.
    Maybe,
    /// None does.
    Never,
    /// The graph is not at hand, or was cut off before it could be told.
    Unknown,
}

/// What is wrong from a state on.
#[derive(Clone, Debug, Serialize)]
pub struct ViolationView {
    /// The first state of a stretch that violates it.
    pub state: usize,
    /// The last one.
    pub until: usize,
    /// The property.
    pub property: &'static str,
    /// In capitals.
    pub title: String,
    /// What is wrong.
    pub sentence: String,
}

/// A step that is not possible.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedView {
    /// Its number, from 1; 0 for a placement that does not exist.
    pub step: usize,
    /// The CPU.
    pub cpu: Option<u8>,
    /// The action.
    pub action: String,
    /// The guard that is false.
    pub guard: String,
}

/// A state that is not what a link says it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MismatchView {
    /// Its number.
    pub state: usize,
    /// What the link says.
    pub expected: String,
    /// What it is here; `null` if the run does not get there.
    pub found: Option<String>,
}

/// A program of this configuration.
#[derive(Clone, Debug, Serialize)]
pub struct ProgramView {
    /// Its name.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Its lines, by position.
    pub lines: Vec<LineView>,
}

/// A line of a program.
#[derive(Clone, Debug, Serialize)]
pub struct LineView {
    /// The C statement.
    pub source: &'static str,
    /// The kernel function that contains it.
    pub function: &'static str,
    /// The abstract step.
    pub op: String,
    /// Chooses the next line only and takes no step.
    pub control: bool,
}
