//! Who waits for whom where the trace ends, and whether any of that can still end.
//!
//! | waits for | and so for |
//! |---|---|
//! | a lock (`lock_contended`, no `lock_acquired`) | its holder |
//! | an acknowledgement (`csd_queue_cpu`, no `csd_function_exit`) | what executes on the target, if that waits itself, with interrupts off |
//! | the end of an interrupt on top of it | the interrupt, if that waits |
//!
//! The *stuck* contexts are the greatest set of waiting contexts of which each waits for another member, as in
//! `State::stuck` of the protocol. Those on a cycle are the deadlock; the others, the bystanders, wait for it.
//!
//! # Limitations
//! No event says that a wait for acknowledgements is over, so a sender counts as waiting until it does something else. A
//! holder that took its lock before the trace began, or in a gap, is not known. Either way a hang is missed, not made up.

mod assumed;
mod render;
mod stuck;

pub use render::spins;
pub use stuck::end;

use super::class::Name;
use super::console::Stack;
use super::context::{Off, Request, Told};
use super::line::Level;
use super::place::{Address, Place, Task, Time};
use serde::Serialize;

/// A lock, and since when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LockAt {
    /// Its class.
    pub class: Name,
    /// Its address.
    pub address: Address,
    /// The line.
    pub since: Place,
}

/// What a context waits for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// A lock.
    Lock {
        /// The lock, and where it began to try.
        #[serde(flatten)]
        lock: LockAt,
        /// Where it found it taken.
        contended: Option<Place>,
        /// Who holds it, as far as was seen.
        holders: Vec<String>,
    },
    /// Acknowledgements.
    Acknowledgements {
        /// The requests, answered ones included.
        requests: Vec<Request>,
        /// Where the IPIs were sent.
        sent: Option<Place>,
        /// Where the flush began, if only that is in the trace.
        #[serde(skip_serializing_if = "Option::is_none")]
        told: Option<Told>,
    },
    /// The interrupt on top of it.
    Interrupt,
}

/// A context that waits where the trace ends.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// The CPU it was last seen on.
    pub cpu: u16,
    /// The task.
    pub task: Task,
    /// Its level.
    pub level: Level,
    /// It waits with interrupts off.
    pub irqs_off: bool,
    /// Who turned them off, if that was seen.
    pub off: Option<Off>,
    /// What it holds.
    pub holds: Vec<LockAt>,
    /// What it waits for.
    pub wait: Wait,
    /// For how long, until the trace ends.
    pub waited: Option<String>,
    /// The last line of its CPU.
    pub last: Place,
    /// What the console printed of that CPU's stack.
    pub stack: Option<Stack>,
    /// The stack that the trace has of the attempt, or of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
}

impl Standing {
    /// `CPU1 (wl-65)`.
    pub fn who(&self) -> String {
        who(self.cpu, self.task, self.level)
    }

    /// When the wait began.
    pub fn since(&self) -> Time {
        stuck::began(&self.wait, self.last.time)
    }

    /// Acknowledgements that never came.
    pub fn missing(&self) -> impl Iterator<Item = &Request> {
        let requests = match &self.wait {
            Wait::Acknowledgements { requests, .. } => &requests[..],
            _ => &[],
        };
        requests.iter().filter(|r| r.answered.is_none())
    }
}

fn who(cpu: u16, task: Task, level: Level) -> String {
    match level {
        Level::Task => format!("CPU{cpu} ({task})"),
        Level::Softirq => format!("CPU{cpu} (softirq on {task})"),
        Level::Hardirq => format!("CPU{cpu} (interrupt on {task})"),
        Level::Nmi => format!("CPU{cpu} (NMI on {task})"),
    }
}

/// A row of the columns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// The line of the trace.
    pub line: u64,
    /// Whose column.
    pub cpu: u16,
    /// When.
    pub time: Time,
    /// What happens there.
    pub text: String,
}

/// A hang.
#[derive(Clone, Debug, Serialize)]
pub struct Hang {
    /// Those that wait for each other.
    pub cycle: Vec<Standing>,
    /// Those that wait for them.
    pub bystanders: Vec<Standing>,
    /// The steps that led there, in the order of the trace.
    pub rows: Vec<Row>,
    /// In one sentence.
    pub sentence: String,
    /// What is not in the trace and has to hold: without any of it the deadlock is certain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumes: Vec<String>,
    /// The last time of the trace.
    pub ends: Option<Time>,
}

/// What stands where the trace ends.
#[derive(Clone, Debug, Default, Serialize)]
pub struct End {
    /// A hang, if there is one.
    pub hang: Option<Hang>,
    /// Waits that may still end.
    pub standing: Vec<Standing>,
}
