//! One step of a run.

use serde::Serialize;
use shootdown_spec::id::Level;
use shootdown_spec::report::Elsewhere;

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct StepView {
    /// Its number, from 1.
    pub n: usize,
    /// The CPU on which it happens.
    pub cpu: u8,
    /// The action in words.
    pub action: String,
    /// What kind of action.
    pub kind: ActionKind,
    /// Process or interrupt context.
    pub level: Level,
    /// The program it belongs to; none for a fill by the hardware walker.
    pub program: Option<&'static str>,
    /// The kernel function that contains the statement.
    pub function: Option<&'static str>,
    /// The C statement, or in angle brackets what happened instead.
    pub source: String,
    /// Position of the statement in its program.
    pub line: Option<u8>,
    /// The abstract step.
    pub op: Option<String>,
    /// What came of it, in words.
    pub note: Option<String>,
    /// What it meant to other CPUs.
    pub elsewhere: Vec<Elsewhere>,
    /// A reader must see it to follow the run.
    pub matters: bool,
    /// For the code: the operation it had announced.
    pub operation: Option<String>,
    /// For the code: how many steps of the protocol it was.
    pub spec_steps: Option<usize>,
}

/// What kind of action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// A CPU starts a program.
    Start,
    /// It executes the next step of what runs on it.
    Step,
    /// It takes a flush IPI.
    Ipi,
    /// An interrupt on it drops the last reference of an mm.
    IrqFree,
    /// Its hardware walker caches a translation.
    Fill,
}

impl ActionKind {
    /// Of an action.
    pub fn of(action: &shootdown_spec::model::Action) -> ActionKind {
        use shootdown_spec::model::Action;
        match action {
            Action::Start { .. } => ActionKind::Start,
            Action::Step { .. } => ActionKind::Step,
            Action::Ipi { .. } => ActionKind::Ipi,
            Action::IrqFree { .. } => ActionKind::IrqFree,
            Action::Fill { .. } => ActionKind::Fill,
        }
    }
}
