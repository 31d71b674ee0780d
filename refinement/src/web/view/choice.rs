//! What could happen next, and what not.

use super::run::FateName;
use super::step::ActionKind;
use serde::Serialize;

/// One choice.
#[derive(Clone, Debug, Serialize)]
pub struct ChoiceView {
    /// The CPU.
    pub cpu: u8,
    /// The action in words.
    pub action: String,
    /// What kind of action.
    pub kind: ActionKind,
    /// The statement that would be executed, or what would happen instead.
    pub label: String,
    /// The program it belongs to.
    pub program: Option<&'static str>,
    /// The kernel function that contains the statement.
    pub function: Option<&'static str>,
    /// For the code: the operation it has announced.
    pub operation: Option<String>,
    /// Can it happen?
    pub enabled: bool,
    /// The guard that is false, if it cannot.
    pub guard: Option<String>,
    /// The run that goes on with it.
    pub schedule: Option<String>,
    /// A check of the state it leads to.
    pub hash: Option<String>,
    /// Whether that state leads to a deadlock.
    pub fate: FateName,
    /// The run goes on with it.
    pub taken: bool,
}
