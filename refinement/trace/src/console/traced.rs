//! A dump of ftrace's inside the log (`ftrace_dump_on_oops`, sysrq-z), read along: what it says of CPUs, beside what the
//! console says of them.
//!
//! The two name a lock differently: the console by its address in a register, the trace by the hashed address of its
//! `lockdep_map`. Where one CPU spins in both, the two are one.

use super::frame::{Frame, base_name};
use super::log::{Dump, Kind, Log};
use super::situation::{Context, Doing, Holds, How, Irqs, LockName, Situation, Who, of_dump};
use super::target::Target;
use crate::ftrace::Reading;
use crate::ftrace::hang::{LockAt, Standing, Wait, spins};
use crate::ftrace::line::Level;
use crate::ftrace::place::{Time, Unit};
use crate::ftrace::report::Report;
use std::collections::BTreeMap;

/// So many lines without an event end a dump whose second rule is missing.
const PATIENCE: u32 = 4096;

/// A wait that the trace has seen for so long, in microseconds, counts although no hang is proved.
const LONG_WAIT: u64 = 100_000;

/// Reads the dump that is open.
#[derive(Default)]
pub(super) struct Reader {
    open: Option<Box<Reading>>,
    strangers: u32,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("open", &self.open.is_some())
            .finish_non_exhaustive()
    }
}

/// `Dumping ftrace buffer:`, `Dumping ftrace instance x buffer:`.
pub(super) fn begins(text: &str) -> bool {
    text.starts_with("Dumping ftrace ")
}

impl Reader {
    /// A dump is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A dump begins with this line.
    pub(super) fn begin(&mut self, number: u64, text: &str, log: &mut Log) {
        self.end(log);
        let mut reading = Box::<Reading>::default();
        reading.dump_line(number, text.as_bytes(), true);
        self.open = Some(reading);
        self.strangers = 0;
    }

    /// A line; true if it is the trace's and nobody else's.
    pub(super) fn line(&mut self, number: u64, text: &str, whole: bool, log: &mut Log) -> bool {
        let Some(reading) = &mut self.open else {
            return false;
        };
        let taken = reading.dump_line(number, text.as_bytes(), whole);
        self.strangers = if taken { 0 } else { self.strangers + 1 };
        if reading.dump_is_over() || self.strangers > PATIENCE {
            self.end(log);
        }
        taken
    }

    /// The dump ends. Of several the last counts, but none after a hang: nothing ends that.
    pub(super) fn end(&mut self, log: &mut Log) {
        let Some(report) = self.open.take().and_then(|reading| reading.end_of_dump()) else {
            return;
        };
        let hung = log.trace.as_ref().is_some_and(|t| t.end.hang.is_some());
        if !hung {
            log.trace = Some(Box::new(report));
        }
    }
}

/// Adds what the trace says: to the situations, and whose acknowledgements are awaited.
pub(super) fn add(log: &Log, all: &mut Vec<Situation>) -> BTreeMap<Who, Vec<Target>> {
    let mut targets = BTreeMap::new();
    let Some(report) = &log.trace else {
        return targets;
    };
    let mut traced: Vec<(Situation, Vec<Target>)> = Vec::new();
    for standing in waiting(report) {
        let (situation, asked) = of_standing(standing, report, log);
        match traced.iter_mut().find(|(s, _)| s.who == situation.who) {
            // One CPU, two contexts: the upper one is where it is, and the lower ones hold what they hold.
            Some((upper, _)) => upper.holds.extend(situation.holds),
            None => traced.push((situation, asked)),
        }
    }
    let names = one_name(all, &traced);
    for (situation, _) in &mut traced {
        if let Doing::Spins(lock) = &mut situation.doing {
            rename(lock, &names);
        }
    }
    for situation in all.iter_mut() {
        if let Doing::Spins(lock) = &mut situation.doing {
            also_traced(lock, &names);
        }
    }
    for (situation, asked) in traced {
        let who = situation.who;
        let counts = match all.iter().position(|s| s.who == who) {
            None => {
                all.push(situation);
                true
            }
            Some(at) => merge(&mut all[at], situation),
        };
        if counts && !asked.is_empty() {
            targets.insert(who, asked);
        }
    }
    all.sort_by_key(|s| s.who);
    targets
}

/// Those that wait where the trace ends: in a hang, or for long. Interrupts first: they are on top.
fn waiting(report: &Report) -> Vec<&Standing> {
    let latest = report.cpus.iter().filter_map(|cpu| cpu.last_time).max();
    let long = |s: &&Standing| {
        latest.is_some_and(|end: Time| {
            end.unit != Unit::Count && end.value.saturating_sub(s.since().value) >= LONG_WAIT
        })
    };
    let hung = report.end.hang.iter();
    let hung = hung.flat_map(|h| h.cycle.iter().chain(&h.bystanders));
    let mut list: Vec<&Standing> = hung
        .chain(report.end.standing.iter().filter(long))
        .filter(|s| !matches!(s.wait, Wait::Interrupt))
        .collect();
    list.sort_by_key(|s| (s.cpu, std::cmp::Reverse(s.level)));
    list
}

fn of_standing(s: &Standing, report: &Report, log: &Log) -> (Situation, Vec<Target>) {
    let sleeps = matches!(&s.wait, Wait::Lock { lock, .. } if spins(&lock.class) == "sleeps");
    let who = if sleeps {
        Who::Task(s.task.pid)
    } else {
        Who::Cpu(u32::from(s.cpu))
    };
    let (doing, line, asked) = match &s.wait {
        Wait::Lock {
            lock, contended, ..
        } => {
            let line = contended.map_or(lock.since.line, |c| c.line);
            let name = LockName {
                address: None,
                class: Some((lock.class.to_string(), line)),
                taken_by: None,
                traced: Some((lock.address.0, line)),
            };
            let doing = if sleeps {
                Doing::SleepsFor(name)
            } else {
                Doing::Spins(name)
            };
            (doing, line, Vec::new())
        }
        Wait::Acknowledgements { requests, told, .. } => {
            let hung = report.end.hang.as_ref();
            let proved = hung.is_some_and(|h| h.cycle.iter().any(|c| c.cpu == s.cpu));
            let target = |r: &crate::ftrace::context::Request| Target {
                cpu: u32::from(r.target),
                line: r.queued.line,
                how: if r.out_of_sight {
                    How::Inferred(format!(
                        "the trace begins later on CPU{}, and has no answer",
                        r.target
                    ))
                } else {
                    How::Printed
                },
                words: "the trace has the request and no answer".into(),
            };
            let asked = s.missing().filter(|r| proved || !r.out_of_sight);
            let asked: Vec<Target> = asked.map(target).collect();
            let first = requests.first().map(|r| r.queued.line);
            let line = asked.first().map(|t| t.line).or(first);
            let line = line.or(told.as_ref().map(|t| t.place.line));
            (Doing::AwaitsAcks, line.unwrap_or(s.last.line), asked)
        }
        Wait::Interrupt => (Doing::NotShown("interrupted".into()), s.last.line, vec![]),
    };
    let dump = Dump {
        kind: Kind::Registers,
        line,
        comm: s
            .task
            .to_string()
            .rsplit_once('-')
            .map(|(name, _)| name.to_string()),
        pid: Some(s.task.pid),
        ..Dump::default()
    };
    let mut situation = of_dump(who, &dump, log);
    situation.doing = doing;
    situation.frames = frames(s);
    situation.irqs = s.irqs_off.then(|| Irqs {
        on: false,
        line: s.off.as_ref().map_or(line, |off| off.place.line),
        how: How::Printed,
    });
    situation.context = match s.level {
        Level::Task => Context::Task,
        Level::Softirq => Context::Softirq,
        Level::Hardirq => Context::Hardirq,
        Level::Nmi => Context::Nmi,
    };
    situation.holds = s.holds.iter().map(held).collect();
    (situation, asked)
}

fn held(lock: &LockAt) -> Holds {
    Holds {
        map: None,
        lock: lock.class.to_string(),
        traced: Some(lock.address.0),
        line: lock.since.line,
        how: How::Printed,
    }
}

/// The stack that the trace has, else the place where interrupts went off or the request was made.
fn frames(s: &Standing) -> Vec<Frame> {
    let (line, names): (u64, Vec<&str>) = match (&s.wait, &s.off) {
        _ if !s.frames.is_empty() => (s.last.line, s.frames.iter().map(String::as_str).collect()),
        (Wait::Acknowledgements { requests, .. }, _) => requests
            .first()
            .map_or((0, vec![]), |r| (r.queued.line, vec![&*r.callsite])),
        (_, Some(off)) => (off.place.line, vec![&*off.caller, &*off.parent]),
        _ => (0, vec![]),
    };
    let frame = |name: &&str| Frame {
        function: base_name(name.split('+').next().unwrap_or(name)).to_string(),
        certain: true,
        line,
        ..Frame::default()
    };
    names.iter().take(8).map(frame).collect()
}

/// A lock's address by its name in the trace: of CPUs that spin in both.
type Names = BTreeMap<u64, ((u64, u64), Option<(String, u64)>)>;

fn one_name(all: &[Situation], traced: &[(Situation, Vec<Target>)]) -> Names {
    let mut names = Names::new();
    for (in_trace, _) in traced {
        let on_console = all.iter().find(|s| s.who == in_trace.who);
        if let (Doing::Spins(theirs), Some(Doing::Spins(lock))) =
            (&in_trace.doing, on_console.map(|s| &s.doing))
            && let (Some((hashed, _)), Some(address)) = (theirs.traced, lock.address)
        {
            names.insert(hashed, (address, theirs.class.clone()));
        }
    }
    names
}

fn rename(lock: &mut LockName, names: &Names) {
    if let Some((hashed, _)) = lock.traced
        && let Some((address, _)) = names.get(&hashed)
    {
        lock.address.get_or_insert(*address);
    }
}

fn also_traced(lock: &mut LockName, names: &Names) {
    let known = names.iter().find(|(_, ((address, _), _))| {
        lock.address.is_some_and(|(printed, _)| printed == *address)
    });
    if let Some((hashed, ((_, line), class))) = known {
        lock.traced.get_or_insert((*hashed, *line));
        if lock.class.is_none() {
            lock.class.clone_from(class);
        }
    }
}

/// One CPU on the console and in the trace: the console is the later of the two. True if the trace still counts.
fn merge(console: &mut Situation, traced: Situation) -> bool {
    match (&console.doing, &traced.doing) {
        (Doing::NotShown(_) | Doing::Stopped, _) => {
            let (line, samples) = (console.line, console.samples);
            *console = traced;
            (console.line, console.samples) = (line.max(console.line), samples);
            true
        }
        (Doing::Spins(_), Doing::Spins(_)) | (Doing::AwaitsAcks, Doing::AwaitsAcks) => {
            // What the table guesses of a stack gives way to what the trace saw.
            console.holds.retain(|h| h.how == How::Printed);
            console.holds.extend(traced.holds);
            console.irqs = console.irqs.take().or(traced.irqs);
            true
        }
        _ => false,
    }
}
