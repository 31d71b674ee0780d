//! Who waits for whom in one state.

use serde::Serialize;
use shootdown_spec::id::{Context, Level};
use shootdown_spec::state::Why;

/// The wait-for graph.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WaitForView {
    /// Every wait.
    pub edges: Vec<EdgeView>,
    /// The contexts of a shortest cycle among those who can never move again, in order.
    pub cycle: Vec<String>,
    /// The deadlock as a sentence.
    pub sentence: Option<String>,
}

/// One wait.
#[derive(Clone, Debug, Serialize)]
pub struct EdgeView {
    /// Who waits: `CPU0`, `CPU0.irq`.
    pub from: String,
    /// For whom.
    pub to: String,
    /// Why.
    pub kind: EdgeKind,
    /// The lock, or the mm whose split is awaited.
    pub on: Option<String>,
    /// A clause without its subject.
    pub label: String,
    /// It is part of the cycle.
    pub in_cycle: bool,
}

/// Why somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// The other holds the lock.
    Lock,
    /// The other is ahead in the lock's queue.
    Queue,
    /// The other's CPU has not acknowledged and cannot take the IPI.
    Ack,
    /// It answered its interrupt without acknowledging.
    LostAck,
    /// The other is the interrupt above it.
    Interrupted,
    /// The other splits the pmd.
    Split,
}

impl EdgeKind {
    /// The kind and what it is about.
    pub fn of(why: Why) -> (EdgeKind, Option<String>) {
        match why {
            Why::Lock(lock) => (EdgeKind::Lock, Some(lock.to_string())),
            Why::QueuedBehind(lock) => (EdgeKind::Queue, Some(lock.to_string())),
            Why::Ack => (EdgeKind::Ack, None),
            Why::LostAck(cpu) => (EdgeKind::LostAck, Some(cpu.to_string())),
            Why::Interrupted => (EdgeKind::Interrupted, None),
            Why::Split(mm) => (EdgeKind::Split, Some(mm.to_string())),
        }
    }
}

/// `CPU0`, or `CPU0.irq` in interrupt context.
pub fn node(context: Context) -> String {
    match context.level {
        Level::Task => context.cpu.to_string(),
        Level::Irq => format!("{}.irq", context.cpu),
    }
}
