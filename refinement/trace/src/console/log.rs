//! What was collected from a log: dumps of CPUs and tasks, and what the kernel said beside them.

use super::frame::{Frame, Marker};
use super::lockdep::{Held, Report};
use super::registers::Registers;
use std::collections::{BTreeMap, BTreeSet};

/// How many dumps are kept of a CPU: the first, and the last of the rest.
pub const DUMPS_PER_CPU: usize = 6;
/// How many CPUs and tasks are kept at all.
pub const MOST: usize = 8192;
/// How many frames and registers' lines are kept of a dump.
pub const LONGEST_DUMP: usize = 192;

/// What a dump is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A CPU as it was when it was asked or caught.
    #[default]
    Cpu,
    /// The task of a CPU that did not answer: its stack is an old one.
    TaskDump,
    /// A task that does not run.
    Task,
    /// Registers alone, from an emulator.
    Registers,
}

/// A piece of a dump, in the order of the lines.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Where the registers say it is; `true` in user mode.
    At(Option<Frame>, bool),
    /// Interrupts on or off, with the line.
    Irqs(bool, u64),
    /// A frame of the stack.
    Frame(Frame),
    /// A change of stack.
    Marker(Marker, u64),
    /// The words before the stack.
    Trace,
    /// Registers of the last place.
    Registers(Registers),
}

/// A dump of a CPU or a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dump {
    /// Of what.
    pub kind: Kind,
    /// The CPU.
    pub cpu: Option<u32>,
    /// The task's name.
    pub comm: Option<String>,
    /// The task's number.
    pub pid: Option<u32>,
    /// Where it begins.
    pub line: u64,
    /// When, in seconds since boot.
    pub time: Option<f64>,
    /// What it says.
    pub items: Vec<Item>,
    /// "skipped: idling": no stack was printed because there is none worth it.
    pub skipped_idle: bool,
    /// The line of a warning or an oops that this dump belongs to: no sample of a hang.
    pub oops: Option<u64>,
    /// The line from which on another CPU's lines seem to be mixed in.
    pub garbled: Option<u64>,
    /// The stack was printed to its end.
    pub ended: bool,
    /// The stack was printed to an end behind which nothing of this CPU follows.
    pub closed: bool,
    /// A debugger numbered the frames, and the first is here.
    pub numbered: bool,
}

/// The states that the watchdog of `CONFIG_CSD_LOCK_WAIT_DEBUG` reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsdState {
    /// Not running a callback.
    Unresponsive,
    /// In an earlier request.
    HandlingPrior,
    /// In this request.
    HandlingThis,
}

/// A wait that the csd watchdog reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Csd {
    /// The number of the wait.
    pub number: u64,
    /// Who waits.
    pub from: u32,
    /// For whom.
    pub to: u32,
    /// What it shall run.
    pub function: Option<String>,
    /// How long, in nanoseconds, when last reported.
    pub waited_ns: u64,
    /// The first line, and the last that says it waits.
    pub lines: (u64, u64),
    /// What the target did.
    pub state: Option<(CsdState, u64)>,
    /// The line that says that it ended.
    pub ended: Option<u64>,
    /// Sequence counters: requests queued, IPIs sent, and interrupts taken since, with lines.
    pub counters: Counters,
}

/// What the sequence counters of the csd watchdog (5.12 on) show of one wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// `queue`: sequence and line.
    pub queued: Option<(u64, u64)>,
    /// `ipi`.
    pub sent: Option<(u64, u64)>,
    /// The last `gotipi` of the target.
    pub taken: Option<(u64, u64)>,
}

/// A lockup report.
#[derive(Clone, Debug, PartialEq)]
pub struct Stuck {
    /// The CPU.
    pub cpu: u32,
    /// For how long, where it says so.
    pub seconds: Option<u64>,
    /// A hard lockup: no timer interrupt was taken.
    pub hard: bool,
    /// An RCU stall.
    pub stall: bool,
    /// The line.
    pub line: u64,
    /// When.
    pub time: Option<f64>,
}

/// A task that `khungtaskd` reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hung {
    /// Its name.
    pub comm: String,
    /// Its number.
    pub pid: u32,
    /// The line.
    pub line: u64,
    /// "is blocked on a mutex likely owned by task": name, number, line (6.16 on).
    pub owner: Option<(String, u32, u64)>,
}

/// What `CONFIG_DEBUG_SPINLOCK` says of a lock that it finds locked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The lock.
    pub address: Option<u64>,
    /// The CPU that took it.
    pub cpu: u32,
    /// The CPU that spins.
    pub spinner: Option<u32>,
    /// The line.
    pub line: u64,
}

/// Everything that was collected.
#[derive(Debug, Default)]
pub struct Log {
    /// Lines read.
    pub lines: u64,
    /// Dumps of CPUs, by CPU.
    pub cpus: BTreeMap<u32, Vec<Dump>>,
    /// Dumps of sleeping tasks.
    pub tasks: Vec<Dump>,
    /// Dumps seen, kept or not.
    pub dumps: u64,
    /// csd waits, by waiter and number.
    pub csd: BTreeMap<(u32, u64), Csd>,
    /// Lockups, the last of each CPU.
    pub stuck: BTreeMap<u32, Stuck>,
    /// How often each CPU was reported stuck.
    pub reports: BTreeMap<u32, u32>,
    /// CPUs that went offline, with the line.
    pub offline: BTreeMap<u32, u64>,
    /// CPUs that did not answer an NMI, with the line.
    pub silent: BTreeMap<u32, u64>,
    /// CPUs that were asked for a backtrace, and who asked.
    pub asked: BTreeSet<u32>,
    /// Who asked: it runs.
    pub askers: BTreeSet<u32>,
    /// How many CPUs there are, and the line that says so.
    pub number_of_cpus: Option<(u32, u64)>,
    /// A line that says that this is a guest.
    pub guest: Option<u64>,
    /// Kernel version.
    pub version: Option<(u32, u32)>,
    /// A line that says where a CPU is, and no line says which.
    pub orphan: Option<u64>,
    /// The highest CPU that a debugger listed: those below it are there, too.
    pub listed: Option<u32>,
    /// That list is there to its end.
    pub list_ended: bool,
    /// A line that says that a CPU hangs, in a shape that is not known.
    pub unread: Option<u64>,
    /// A line that says that everything stopped: a panic.
    pub panic: Option<u64>,
    /// Tasks that `khungtaskd` reports.
    pub hung: BTreeMap<u32, Hung>,
    /// Locks that tasks hold, by pid.
    pub held: BTreeMap<u32, Vec<Held>>,
    /// Names of the tasks of `held`.
    pub names: BTreeMap<u32, String>,
    /// Owners of spinlocks, as debugging spinlocks print them.
    pub owners: Vec<Owner>,
    /// Reports of lockdep and DEPT.
    pub splats: Vec<Report>,
    /// A dump of ftrace's in the log.
    pub ftrace: Option<u64>,
    /// What that dump shows.
    pub trace: Option<Box<crate::ftrace::report::Report>>,
    /// Why the end of the input may be missing.
    pub cut: Vec<String>,
    /// Boots: lines of `Linux version`.
    pub boots: u32,
    /// Another host's words that the machine stalled: `rcu ... starved`, clock trouble.
    pub host_hints: Vec<u64>,
}

impl Log {
    /// Keeps a dump.
    pub fn keep(&mut self, dump: Dump) {
        self.dumps += 1;
        let list = match (dump.kind, dump.cpu) {
            (Kind::Task, _) | (_, None) => {
                if self.tasks.len() < MOST {
                    self.tasks.push(dump);
                }
                return;
            }
            (_, Some(cpu)) => {
                if self.cpus.len() >= MOST && !self.cpus.contains_key(&cpu) {
                    return;
                }
                self.cpus.entry(cpu).or_default()
            }
        };
        if list.len() >= DUMPS_PER_CPU {
            list.remove(1);
        }
        list.push(dump);
    }

    /// A debugger lists this CPU.
    pub fn list(&mut self, cpu: u32) {
        self.listed = self.listed.max(Some(cpu));
        self.list_ended = false;
    }

    /// This line was read as the report of a lockup.
    #[must_use]
    pub fn tells_of_a_hang_at(&self, line: u64) -> bool {
        self.stuck.values().any(|stuck| stuck.line == line)
    }

    /// A new boot: what was before is another machine's life.
    pub fn reboot(&mut self) {
        let fresh = Log {
            lines: self.lines,
            boots: self.boots + 1,
            splats: std::mem::take(&mut self.splats),
            ..Log::default()
        };
        *self = fresh;
    }
}
