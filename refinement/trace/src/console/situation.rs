//! Where a CPU or a task is, what it waits for, and how that is known.

mod locks;
mod of_dump;

pub use of_dump::of_dump;

use super::frame::Frame;
use super::log::{Dump, Kind, Log};
use serde::Serialize;

/// Who it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// A CPU with what runs on it.
    Cpu(u32),
    /// A task that sleeps.
    Task(u32),
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Who::Cpu(cpu) => write!(f, "CPU{cpu}"),
            Who::Task(pid) => write!(f, "task {pid}"),
        }
    }
}

/// How a fact is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// A line says it.
    Printed,
    /// It follows from what lines say, as told.
    Inferred(String),
}

/// Interrupts of a CPU at the place where it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Irqs {
    /// On or off.
    pub on: bool,
    /// The line.
    pub line: u64,
    /// How it is known.
    pub how: How,
}

/// What code runs as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Context {
    /// A task, or the idle loop.
    #[default]
    Task,
    /// A softirq.
    Softirq,
    /// A hard interrupt.
    Hardirq,
    /// An NMI.
    Nmi,
}

impl Context {
    /// In a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Context::Task => "task",
            Context::Softirq => "softirq",
            Context::Hardirq => "hardirq",
            Context::Nmi => "NMI",
        }
    }
}

/// A lock that somebody waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LockName {
    /// Its address, and the line of the register or argument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<(u64, u64)>,
    /// Its class as lockdep names it, and the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<(String, u64)>,
    /// The function that takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<String>,
    /// Its name in a dump of ftrace's, the hashed address of its `lockdep_map`, and the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traced: Option<(u64, u64)>,
}

impl LockName {
    /// As a sentence names it.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.class, &self.address, &self.taken_by) {
            (Some((class, _)), Some((address, _)), _) => {
                format!("the lock {class} at {address:#x}")
            }
            (Some((class, _)), None, _) => match self.traced {
                Some((name, _)) => format!("the lock {class} ({name:016x} in the trace)"),
                None => format!("the lock {class}"),
            },
            (None, Some((address, _)), _) => format!("the lock at {address:#x}"),
            (None, None, Some(function)) => format!("the lock that {function} takes"),
            (None, None, None) => "a lock that is not named".into(),
        }
    }

    /// Surely the same lock.
    #[must_use]
    pub fn same(&self, other: &LockName) -> bool {
        let one = |a: &Option<(u64, u64)>, b: &Option<(u64, u64)>| matches!((a, b), (Some((a, _)), Some((b, _))) if a == b);
        one(&self.address, &other.address) || one(&self.traced, &other.traced)
    }
}

/// What it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// Awaits acknowledgements of an IPI.
    AwaitsAcks,
    /// Spins for a lock.
    Spins(LockName),
    /// Sleeps for a lock.
    SleepsFor(LockName),
    /// Waits until every CPU's stopper, or every CPU in the interrupt, has come.
    Rendezvous {
        /// By stopper threads, which need to be scheduled, and not by an IPI.
        stoppers: bool,
    },
    /// Awaits the end of a handler.
    AwaitsHandler,
    /// Sleeps for something else.
    Sleeps,
    /// Runs user code.
    User,
    /// Idle.
    Idle,
    /// Offline.
    Offline,
    /// Stopped by the panic that followed.
    Stopped,
    /// Prints the report.
    Prints,
    /// Gets on by itself: the reason.
    Runs(String),
    /// A function that the table does not have.
    NotKnown(String),
    /// Nothing says where it is: the reason.
    NotShown(String),
}

impl Doing {
    /// Whether it waits for somebody.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(
            self,
            Doing::AwaitsAcks
                | Doing::Spins(_)
                | Doing::SleepsFor(_)
                | Doing::Rendezvous { .. }
                | Doing::AwaitsHandler
        )
    }
}

/// A lock that a CPU or task holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holds {
    /// The address of its map, if lockdep prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<u64>,
    /// The class, or what the table calls it.
    pub lock: String,
    /// Its name in a dump of ftrace's: see [`LockName::traced`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traced: Option<u64>,
    /// The line.
    pub line: u64,
    /// How it is known.
    pub how: How,
}

/// Everything about one CPU or task.
#[derive(Clone, Debug, Serialize)]
pub struct Situation {
    /// Who.
    pub who: Who,
    /// The task's name and number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<(String, Option<u32>)>,
    /// Where the dump begins.
    pub line: u64,
    /// When, in seconds since boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    /// What it does.
    pub doing: Doing,
    /// The function that says so, and its line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<(String, u64)>,
    /// Frames of its context, innermost first, at most eight.
    pub frames: Vec<Frame>,
    /// Interrupts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub irqs: Option<Irqs>,
    /// As what it runs.
    pub context: Context,
    /// Frames of the contexts that it interrupted.
    pub interrupted: Vec<Vec<Frame>>,
    /// Frames below the interrupt that the unwinder doubts.
    #[serde(skip)]
    pub doubtful: Vec<Frame>,
    /// The page tables: equal on two CPUs means the same mm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mm: Option<u64>,
    /// Locks it holds.
    pub holds: Vec<Holds>,
    /// In how many reports it was at the same place.
    pub samples: u32,
    /// Another task ran on it between two reports.
    pub moved: bool,
    /// It was at the same place in all of them.
    #[serde(skip)]
    pub stays: bool,
    /// The innermost function is here: registers name it and the stack follows, or a debugger numbers it. Without,
    /// lines are missing, and neither what it does nor its interrupts can be taken from what is left.
    #[serde(skip)]
    pub placed: bool,
    /// The stack is there to its end.
    pub whole: bool,
    /// The registers where it waits.
    #[serde(skip)]
    pub registers: super::registers::Registers,
}

/// The situations of all CPUs and tasks of a log.
#[must_use]
pub fn situations(log: &Log) -> Vec<Situation> {
    let mut all: Vec<Situation> = log
        .cpus
        .iter()
        .filter_map(|(cpu, dumps)| of_cpu(*cpu, dumps, log))
        .collect();
    let mut tasks: Vec<Situation> = Vec::new();
    for dump in &log.tasks {
        let (Some(pid), Kind::Task) = (dump.pid, dump.kind) else {
            continue;
        };
        let situation = of_dump(Who::Task(pid), dump, log);
        match tasks.iter().position(|t| t.who == situation.who) {
            Some(at) => tasks[at] = situation,
            None if tasks.len() < 2048 => tasks.push(situation),
            None => {}
        }
    }
    all.extend(tasks);
    all
}

fn of_cpu(cpu: u32, dumps: &[Dump], log: &Log) -> Option<Situation> {
    let usable = |d: &&Dump| d.kind == Kind::Cpu && d.garbled.is_none();
    let Some(last) = dumps.iter().rev().find(usable) else {
        let dump = dumps.last()?;
        let mut situation = of_dump(Who::Cpu(cpu), dump, log);
        situation.holds.clear();
        situation.irqs = None;
        situation.doing = match (dump.kind, dump.garbled) {
            (_, Some(line)) => Doing::NotShown(format!(
                "lines of two CPUs are mixed in its dump (line {line}); CONFIG_PRINTK_CALLER tells them apart"
            )),
            (Kind::TaskDump, _) => Doing::NotShown(
                "only its task was printed (an old stack), not where the CPU is".into(),
            ),
            _ if dump.skipped_idle => Doing::Idle,
            _ => Doing::NotShown("registers alone, without a stack".into()),
        };
        return Some(situation);
    };
    let mut situation = of_dump(Who::Cpu(cpu), last, log);
    // A stack that prints a panic after the report says less than the report.
    if matches!(
        situation.doing,
        Doing::Prints | Doing::Stopped | Doing::NotKnown(_)
    ) || situation.irqs.is_none()
    {
        let better = dumps
            .iter()
            .filter(usable)
            .map(|d| of_dump(Who::Cpu(cpu), d, log))
            .rfind(|s| {
                let same = s.place.as_ref().map(|p| &p.0) == situation.place.as_ref().map(|p| &p.0);
                (matches!(situation.doing, Doing::Prints | Doing::Stopped) && s.doing.waits())
                    || (situation.irqs.is_none() && s.irqs.is_some() && same)
            });
        if let Some(better) = better {
            situation = better;
        }
    }
    // Registers that an emulator printed of this CPU.
    if situation.irqs.is_none()
        && let Some(registers) = dumps.iter().rfind(|d| d.kind == Kind::Registers)
    {
        situation.irqs = of_dump(Who::Cpu(cpu), registers, log).irqs;
    }
    let places: Vec<_> = dumps
        .iter()
        .filter(usable)
        .map(|d| of_dump(Who::Cpu(cpu), d, log))
        .filter(|s| !matches!(s.doing, Doing::Prints | Doing::Stopped))
        .collect();
    let here =
        |s: &&Situation| s.place.as_ref().map(|p| &p.0) == situation.place.as_ref().map(|p| &p.0);
    let same = places.iter().filter(here).count();
    situation.stays = places.len() == same;
    situation.samples = same.max(1) as u32;
    let task = |s: &Situation| s.task.as_ref().and_then(|(_, pid)| *pid);
    // Another function may be another turn of one loop; another task is not.
    let scheduled =
        |s: &Situation| matches!((task(s), task(&situation)), (Some(a), Some(b)) if a != b);
    situation.moved = places.iter().any(scheduled);
    Some(situation)
}
