//! Where a CPU or a task is, what it waits for, and how that is known.

use super::frame::{Frame, Marker};
use super::log::{CsdState, Dump, Kind, Log};
use super::segment::{Contexts, Segment, contexts};
use super::table::{Does, UnderLock, does, under_lock};
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
}

impl LockName {
    /// As a sentence names it.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.class, &self.address, &self.taken_by) {
            (Some((class, _)), Some((address, _)), _) => {
                format!("the lock {class} at {address:#x}")
            }
            (Some((class, _)), None, _) => format!("the lock {class}"),
            (None, Some((address, _)), _) => format!("the lock at {address:#x}"),
            (None, None, Some(function)) => format!("the lock that {function} takes"),
            (None, None, None) => "a lock that is not named".into(),
        }
    }

    /// Surely the same lock.
    #[must_use]
    pub fn same(&self, other: &LockName) -> bool {
        matches!((&self.address, &other.address), (Some((a, _)), Some((b, _))) if a == b)
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
    /// It moved between reports: the functions.
    pub moved: bool,
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
    situation.samples = same.max(1) as u32;
    situation.moved = places.len() > same;
    Some(situation)
}

/// The situation that one dump shows.
#[must_use]
pub fn of_dump(who: Who, dump: &Dump, log: &Log) -> Situation {
    let Contexts {
        segments,
        interrupted_at,
        reports,
    } = contexts(dump);
    let empty = Segment::default();
    let first = segments.first().unwrap_or(&empty);
    let context = context_of(first, segments.len() > 1);
    let (mut doing, place) = doing(first, dump, reports);
    if let Doing::Spins(lock) | Doing::SleepsFor(lock) = &mut doing {
        *lock = lock_name(first, dump, log);
    }
    let cpu = match who {
        Who::Cpu(cpu) => Some(cpu),
        Who::Task(_) => None,
    };
    let irqs = irqs(first, context, interrupted_at, &doing, cpu, log);
    let mm = first
        .registers
        .get("CR3")
        .map(|cr3| cr3 & !0x1fff & !(1 << 63));
    let interrupted: Vec<Vec<Frame>> = segments[1.min(segments.len())..]
        .iter()
        .filter(|s| !s.user && !s.frames.is_empty())
        .map(|s| s.frames.clone())
        .collect();
    let doubtful = segments
        .get(1)
        .map(|s| s.doubtful.clone())
        .unwrap_or_default();
    let mut holds = Vec::new();
    held_by_lockdep(dump, &doing, log, &mut holds);
    // Whoever spins may spin for the very lock that the function takes.
    if matches!(
        doing,
        Doing::AwaitsAcks | Doing::AwaitsHandler | Doing::Rendezvous { .. }
    ) {
        held_by_table(first, &interrupted, &mut holds);
    }
    Situation {
        who,
        task: dump.comm.clone().map(|comm| (comm, dump.pid)),
        line: dump.line,
        time: dump.time,
        doing,
        place,
        frames: first.frames.iter().take(8).cloned().collect(),
        irqs,
        context,
        interrupted,
        doubtful,
        mm,
        holds,
        samples: 1,
        moved: false,
        whole: dump.ended,
        registers: first.registers.clone(),
    }
}

fn context_of(segment: &Segment, above: bool) -> Context {
    let hard = [
        "do_IRQ",
        "handle_irq_event",
        "__common_interrupt",
        "common_interrupt",
        "generic_handle_irq",
        "hrtimer_interrupt",
        "generic_smp_call_function_interrupt",
        "generic_smp_call_function_single_interrupt",
        "__flush_smp_call_function_queue",
        "flush_smp_call_function_queue",
        "smp_call_function_interrupt",
        "do_handle_IPI",
        "handle_domain_irq",
        "local_apic_timer_interrupt",
    ];
    if segment.marker == Some(Marker::Nmi) {
        return Context::Nmi;
    }
    // The innermost of the two decides, for a softirq may be interrupted.
    for frame in &segment.frames {
        match does(&frame.function) {
            Some(Does::Softirq)
                if frame.function != "irq_exit" && frame.function != "run_ksoftirqd" =>
            {
                return Context::Softirq;
            }
            _ if hard.contains(&&*frame.function) => return Context::Hardirq,
            _ => {}
        }
    }
    match segment.marker {
        Some(Marker::Softirq) => Context::Softirq,
        Some(Marker::Irq) if above || !segment.frames.is_empty() => {
            // The stack of interrupts, and no frame tells which.
            if segment.irqs.is_some_and(|(on, _)| on) {
                Context::Softirq
            } else {
                Context::Hardirq
            }
        }
        _ => Context::Task,
    }
}

/// What the innermost frames do.
fn doing(segment: &Segment, dump: &Dump, reports: Option<u64>) -> (Doing, Option<(String, u64)>) {
    if reports.is_some() || dump.oops.is_some() {
        return (
            Doing::Prints,
            segment.frames.first().map(|f| (f.function.clone(), f.line)),
        );
    }
    if segment.frames.is_empty() {
        return match (segment.user, dump.skipped_idle) {
            (_, true) => (Doing::Idle, None),
            (true, _) => (Doing::User, None),
            _ => (Doing::NotShown("its stack is not in the log".into()), None),
        };
    }
    let mut delay = None;
    for frame in &segment.frames {
        let at = Some((frame.function.clone(), frame.line));
        let first = Some((segment.frames[0].function.clone(), segment.frames[0].line));
        let doing = match does(&frame.function) {
            Some(Does::Helper | Does::SendsIpi) => continue,
            Some(Does::Delays) => {
                delay.get_or_insert(frame);
                continue;
            }
            Some(Does::AwaitsAcks) => Doing::AwaitsAcks,
            Some(does) if does.spins() => Doing::Spins(LockName::default()),
            Some(Does::SleepsForLock) => Doing::SleepsFor(LockName::default()),
            Some(Does::Sleeps) => return (sleeping(segment), at),
            Some(Does::AwaitsStoppers) => Doing::Rendezvous { stoppers: true },
            Some(Does::AwaitsEverybody) => Doing::Rendezvous { stoppers: false },
            Some(Does::AwaitsHandler) => Doing::AwaitsHandler,
            Some(Does::Idle) => Doing::Idle,
            Some(Does::Offline) => Doing::Offline,
            Some(Does::Stopped) => Doing::Stopped,
            Some(Does::Reports | Does::ReportsInInterrupt) => Doing::Prints,
            Some(Does::Runs) => {
                return (
                    Doing::Runs(format!("{} gets on by itself", frame.function)),
                    at,
                );
            }
            Some(Does::Softirq) => return (Doing::Runs("it runs softirqs".into()), at),
            // A delay by itself ends, unless its caller's name says that it waits for something.
            None => match delay {
                Some(delay) if !sounds_like_a_wait(&frame.function) => {
                    let why = format!(
                        "{}, called by {}, counts time",
                        delay.function, frame.function
                    );
                    return (Doing::Runs(why), Some((delay.function.clone(), delay.line)));
                }
                _ => return (Doing::NotKnown(frame.function.clone()), first),
            },
            Some(Does::InterruptEntry) => return (Doing::NotKnown(frame.function.clone()), first),
            Some(_) => Doing::NotKnown(frame.function.clone()),
        };
        return (doing, at);
    }
    let first = &segment.frames[0];
    (
        Doing::NotKnown(first.function.clone()),
        Some((first.function.clone(), first.line)),
    )
}

fn sounds_like_a_wait(function: &str) -> bool {
    let name = function.to_ascii_lowercase();
    [
        "lock",
        "wait",
        "spin",
        "sync",
        "acquire",
        "rendezvous",
        "barrier",
        "poll",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// Below `schedule`: a lock, or something else.
fn sleeping(segment: &Segment) -> Doing {
    let known = segment
        .frames
        .iter()
        .find(|f| !matches!(does(&f.function), Some(Does::Sleeps | Does::Helper)));
    match known.and_then(|f| does(&f.function)) {
        Some(Does::SleepsForLock) => Doing::SleepsFor(LockName::default()),
        _ => Doing::Sleeps,
    }
}

fn irqs(
    segment: &Segment,
    context: Context,
    interrupted_at: Option<u64>,
    doing: &Doing,
    cpu: Option<u32>,
    log: &Log,
) -> Option<Irqs> {
    let inferred = |on, line, why: &str| {
        Some(Irqs {
            on,
            line,
            how: How::Inferred(why.into()),
        })
    };
    if let Some((on, line)) = segment.irqs {
        return Some(Irqs {
            on,
            line,
            how: How::Printed,
        });
    }
    if segment.user {
        return inferred(true, 0, "user mode");
    }
    if let Some(line) = interrupted_at {
        return inferred(
            true,
            line,
            "the report came by an interrupt, which was taken",
        );
    }
    let cpu = cpu?;
    if let Some(csd) = log.csd.values().find(|c| c.to == cpu && c.ended.is_none())
        && let Some((CsdState::HandlingThis | CsdState::HandlingPrior, line)) = csd.state
    {
        return inferred(false, line, "it is in the handler of an IPI");
    }
    if let Some(stuck) = log.stuck.get(&cpu).filter(|s| s.hard) {
        return inferred(
            false,
            stuck.line,
            "a hard lockup: no timer interrupt was taken",
        );
    }
    if context == Context::Hardirq
        && let Some(frame) = segment.frames.first()
    {
        return inferred(false, frame.line, "a hard interrupt");
    }
    if matches!(doing, Doing::Spins(_))
        && let Some(frame) = segment
            .frames
            .iter()
            .find(|f| f.function.contains("lock_irqsave") || f.function.ends_with("lock_irq"))
    {
        return inferred(false, frame.line, "the lock is taken with interrupts off");
    }
    None
}

/// Addresses of the kernel's half.
fn kernel_address(value: u64) -> bool {
    (0xff00_0000_0000_0000..0xffff_ffff_ffff_0000).contains(&value)
}

fn lock_name(segment: &Segment, dump: &Dump, log: &Log) -> LockName {
    let mut name = LockName::default();
    let last = segment.frames.iter().position(|f| !matches!(does(&f.function), Some(d) if d.spins() || matches!(d, Does::Helper | Does::Delays | Does::SleepsForLock | Does::Sleeps)));
    let taker = last.and_then(|at| segment.frames.get(at));
    name.taken_by = taker.map(|f| f.function.clone());
    let at_lock = segment
        .frames
        .first()
        .is_some_and(|f| does(&f.function).is_some_and(Does::spins));
    if at_lock
        && let Some(address) = segment.registers.get("RDI")
        && kernel_address(address)
    {
        name.address = Some((address, segment.registers.line("RDI").unwrap_or(dump.line)));
    }
    // A debugger's first argument that is an address.
    for frame in segment
        .frames
        .iter()
        .take_while(|f| does(&f.function).is_some_and(Does::spins))
    {
        if let Some(arguments) = &frame.arguments
            && let Some(address) = hex_argument(arguments)
        {
            name.address.get_or_insert((address, frame.line));
        }
    }
    // lockdep lists the lock that is waited for last, with the place where it is being taken.
    if let Some(held) = dump
        .pid
        .and_then(|pid| log.held.get(&pid))
        .and_then(|list| list.last())
    {
        let here = segment
            .frames
            .iter()
            .any(|f| Some(&f.function) == held.at.as_ref());
        let fits = name
            .address
            .is_none_or(|(address, _)| held.map.is_none() || held.is_at(address));
        if here && fits {
            name.class = Some((held.class.clone(), held.line));
            if let (None, Some(map)) = (name.address, held.map) {
                name.address = Some((map, held.line));
            }
        }
    }
    name
}

/// `l=0xc0251a40`: the first argument that is an address of the kernel.
fn hex_argument(arguments: &str) -> Option<u64> {
    for argument in arguments.split(", ") {
        let value = argument.split_once('=').map_or(argument, |(_, v)| v);
        let value = value.rsplit(' ').next()?.strip_prefix("0x");
        if let Some(value) = value.and_then(|v| {
            u64::from_str_radix(v.trim_end_matches(|c: char| !c.is_ascii_hexdigit()), 16).ok()
        }) && value >= 0x1000
        {
            return Some(value);
        }
    }
    None
}

fn held_by_lockdep(dump: &Dump, doing: &Doing, log: &Log, holds: &mut Vec<Holds>) {
    let Some(list) = dump
        .pid
        .filter(|pid| *pid != 0)
        .and_then(|pid| log.held.get(&pid))
    else {
        return;
    };
    let awaited = match doing {
        Doing::Spins(lock) | Doing::SleepsFor(lock) => lock.class.as_ref().map(|(_, line)| *line),
        _ => None,
    };
    for held in list {
        // The lock waited for is in the list, too. A task that sleeps for a lock sleeps for the last, even if the
        // place does not tell.
        let last = list.last().is_some_and(|l| l.line == held.line);
        if Some(held.line) == awaited
            || (last && matches!(doing, Doing::SleepsFor(_) | Doing::Spins(_)))
        {
            continue;
        }
        holds.push(Holds {
            map: held.map,
            lock: held.class.clone(),
            line: held.line,
            how: How::Printed,
        });
    }
}

fn held_by_table(segment: &Segment, interrupted: &[Vec<Frame>], holds: &mut Vec<Holds>) {
    let all = segment.frames.iter().chain(interrupted.iter().flatten());
    for frame in all {
        if let Some(UnderLock {
            function,
            lock,
            why,
        }) = under_lock(&frame.function)
        {
            let how = How::Inferred(format!("{function} runs under it ({why})"));
            if !holds.iter().any(|h| h.lock == *lock) {
                holds.push(Holds {
                    map: None,
                    lock: (*lock).to_string(),
                    line: frame.line,
                    how,
                });
            }
        }
    }
}
