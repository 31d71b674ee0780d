//! The console log of a hung machine: what each CPU waits for, and what follows.
//!
//! | layer | module |
//! |---|---|
//! | bytes to lines: compression, mails, prefixes, lines that cannot matter | [`crate::input`], [`prefix`], `prefilter` |
//! | lines to dumps of CPUs and tasks | `collect`, `header`, `events`, `debugger`, [`lockdep`], [`frame`], [`registers`] |
//! | a dump of ftrace's in the log | `traced`, by [`crate::ftrace`] |
//! | dumps to situations, each fact with its line | [`segment`], [`situation`], [`target`]; [`table`] knows the functions |
//! | situations to a wait-for graph | [`graph`] |
//! | the conclusion, the shape it has, and its text | [`conclude`], [`shape`], [`text`], [`scenario`] |
//!
//! # Limitations
//! `docs/diagnose.md` lists what is never claimed. No log names the holder of a spinlock unless lockdep or debugging
//! spinlocks are built in: then the answer is "cycle if". A function that is not in [`table`] is not known.

pub mod collect;
pub mod conclude;
mod debugger;
mod events;
pub mod frame;
pub mod graph;
mod header;
pub mod lockdep;
pub mod log;
mod prefilter;
pub mod prefix;
pub mod registers;
pub mod scenario;
pub mod segment;
pub mod shape;
pub mod situation;
pub mod table;
pub mod target;
pub mod text;
mod traced;

use crate::input::mail::{Mail, plain};
use crate::input::{Ended, Lines, decompressed};
use collect::Collector;
use conclude::Verdict;
use graph::Waits;
use lockdep::{Edge, Report};
use log::Log;
use serde::Serialize;
use shape::Shape;
use situation::{Doing, Situation, Who, situations};
use std::collections::BTreeMap;
use std::io::BufRead;
use target::{Target, gs_bases, targets};
use thiserror::Error;

/// Why a log cannot be diagnosed at all.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// Bytes that are no text.
    #[error("line {line}: this is no text, so no log of a kernel's{hint}")]
    NoText {
        /// Where.
        line: u64,
        /// What it may be.
        hint: &'static str,
    },
    /// The first read failed.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

/// A fact that a line gives, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The fact.
    pub text: String,
    /// The line, from 1; 0 if it is about the whole log.
    pub line: u64,
}

/// A report of lockdep's or DEPT's, read.
#[derive(Clone, Debug, Serialize)]
pub struct Order {
    /// What was printed.
    #[serde(flatten)]
    pub report: Report,
    /// Its edges: who holds the first may wait for the second.
    pub edges: Vec<Edge>,
    /// What it cannot say about IPIs.
    pub ipis: String,
}

/// The diagnosis of a log.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// Lines read.
    pub lines: u64,
    /// Dumps of CPUs and tasks in them.
    pub dumps: u64,
    /// Boots in the log; the last one is told.
    pub boots: u32,
    /// CPUs and tasks, with what they do.
    pub situations: Vec<Situation>,
    /// Whose acknowledgements are awaited, by CPU.
    pub awaited: BTreeMap<u32, Vec<Target>>,
    /// The conclusion.
    pub verdict: Verdict,
    /// The known shape that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// Reports of lockdep and DEPT.
    pub orders: Vec<Order>,
    /// What else the log says.
    pub notes: Vec<Note>,
    /// Why lines may be missing.
    pub incomplete: Vec<String>,
    /// CPUs reported stuck, with the seconds where they are printed.
    pub stuck: BTreeMap<u32, Option<u64>>,
    /// The line of a dump of ftrace's, which was read along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ftrace: Option<u64>,
}

/// Reads a log to its end and concludes.
///
/// # Errors
/// If nothing can be read, or what is read is no text. Damage further on is told in [`Diagnosis::incomplete`].
pub fn read(input: impl BufRead) -> Result<Diagnosis, Unreadable> {
    let log = collect(input)?;
    Ok(diagnose(&log))
}

/// So many lines are read in full: enough to tell a log from what is no text.
const LOOKED_AT: u64 = 1024;

/// Reads a log to its end.
///
/// # Errors
/// As [`read`].
pub fn collect(input: impl BufRead) -> Result<Log, Unreadable> {
    let mut lines = Lines::new(decompressed(input)?);
    let mut mail = Mail::default();
    let mut collector = Collector::default();
    let (mut number, mut first_of_joined, mut binary) = (0, 0, 0);
    let mut cut = Vec::new();
    loop {
        if number >= LOOKED_AT && mail.is_plain() && first_of_joined == 0 && collector.is_idle() {
            number += lines.skip(prefilter::first).unwrap_or(0);
        }
        let (line, ended) = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) if number == 0 => return Err(error.into()),
            Err(error) => {
                cut.push(format!(
                    "the input cannot be read beyond line {number}: {error}"
                ));
                break;
            }
        };
        number += 1;
        if number == 1 {
            no_text(line)?;
        }
        if ended == Ended::TooLong {
            cut.push(format!(
                "line {number} is longer than any line of a kernel's, and was cut"
            ));
            cut.truncate(8);
        }
        if first_of_joined == 0 {
            first_of_joined = number;
        }
        let Some(line) = mail.line(line) else {
            continue;
        };
        let at = std::mem::take(&mut first_of_joined);
        let line = plain(&line);
        match std::str::from_utf8(&line) {
            Ok(text) => one(&mut collector, at, text, ended),
            Err(_) => {
                binary += 1;
                if binary > 64 && binary * 2 > number {
                    return Err(Unreadable::NoText { line: 1, hint: "" });
                }
                one(&mut collector, at, &String::from_utf8_lossy(&line), ended);
            }
        }
    }
    if let Some(rest) = mail.rest() {
        one(
            &mut collector,
            first_of_joined.max(1),
            &String::from_utf8_lossy(&rest),
            Ended::AtTheEnd,
        );
    }
    if number == 0 {
        return Err(Unreadable::Empty);
    }
    let mut log = collector.end();
    log.lines = number;
    log.cut.extend(cut);
    Ok(log)
}

/// A line, taken out of the record of a log collector if it is in one.
fn one(collector: &mut Collector, number: u64, text: &str, ended: Ended) {
    let whole = ended != Ended::AtTheEnd;
    if let Some(message) = crate::input::record::message(text) {
        for line in message.lines() {
            collector.line(number, line, whole);
        }
        return;
    }
    collector.line(number, text, whole);
}

fn no_text(line: &[u8]) -> Result<(), Unreadable> {
    const KNOWN: [(&[u8], &str); 7] = [
        (
            b"\xff\xfe",
            ": this is UTF-16, as PowerShell writes it; `iconv -f UTF-16 -t UTF-8` converts it",
        ),
        (
            b"\xfe\xff",
            ": this is UTF-16; `iconv -f UTF-16 -t UTF-8` converts it",
        ),
        (
            b"\x17\x08\x44tracing",
            ": this is trace-cmd's binary file, `trace-cmd report` writes its text",
        ),
        (
            b"PERFILE2",
            ": this is perf's binary file, `perf script` writes its text",
        ),
        (
            b"KDUMP   ",
            ": this is a crash dump, `crash` prints its log and `bt -a`",
        ),
        (
            b"\x7fELF",
            ": this is an ELF file; of a vmcore, `crash` prints the log and `bt -a`",
        ),
        (
            b"LPKSHHRH",
            ": this is a journal, `journalctl --file` prints it",
        ),
    ];
    if let Some((_, hint)) = KNOWN.iter().find(|(magic, _)| line.starts_with(magic)) {
        return Err(Unreadable::NoText { line: 1, hint });
    }
    let odd = line
        .iter()
        .take(512)
        .filter(|b| **b < 9 || (14..27).contains(*b))
        .count();
    if odd > 16 && odd * 4 > line.len().min(512) && !line.iter().all(|b| *b == 0) {
        return Err(Unreadable::NoText { line: 1, hint: "" });
    }
    Ok(())
}

/// Concludes from what was collected.
#[must_use]
pub fn diagnose(log: &Log) -> Diagnosis {
    let mut all = situations(log);
    let asked = traced::add(log, &mut all);
    add_those_the_watchdog_names(log, &mut all);
    let bases = gs_bases(&all);
    let targets: BTreeMap<Who, Vec<Target>> = all
        .iter()
        .map(|s| (s.who, targets(s, &bases, log)))
        .map(|(who, found)| match asked.get(&who) {
            Some(asked) if found.is_empty() => (who, asked.clone()),
            _ => (who, found),
        })
        .filter(|(_, t)| !t.is_empty())
        .collect();
    let waits = Waits {
        of: all.iter().map(|s| (s.who, s)).collect(),
        targets,
        log,
    };
    let verdict = conclude::conclude(&waits);
    let shape = shape::shape(&verdict, &waits);
    let notes = conclude::notes(&waits)
        .into_iter()
        .map(|(text, line)| Note { text, line })
        .collect();
    let orders = log
        .splats
        .iter()
        .map(|report| Order {
            edges: report.edges(),
            ipis: shape::beside_ipis(report),
            report: report.clone(),
        })
        .collect();
    let awaited = waits
        .targets
        .iter()
        .filter_map(|(who, targets)| match who {
            Who::Cpu(cpu) => Some((*cpu, targets.clone())),
            Who::Task(_) => None,
        })
        .collect();
    Diagnosis {
        lines: log.lines,
        dumps: log.dumps,
        boots: log.boots.max(1),
        awaited,
        verdict,
        shape,
        orders,
        notes,
        incomplete: log.cut.clone(),
        stuck: log
            .stuck
            .iter()
            .map(|(cpu, stuck)| (*cpu, stuck.seconds))
            .collect(),
        ftrace: log.ftrace,
        situations: all,
    }
}

/// CPUs that the csd watchdog says wait or are awaited, and that have no backtrace.
fn add_those_the_watchdog_names(log: &Log, all: &mut Vec<Situation>) {
    for wait in log.csd.values() {
        let known = |all: &[Situation], cpu| all.iter().position(|s| s.who == Who::Cpu(cpu));
        match known(all, wait.from) {
            // What the watchdog says of a wait is surer than a stack that says nothing.
            Some(at)
                if wait.ended.is_none()
                    && matches!(all[at].doing, Doing::NotShown(_) | Doing::Prints) =>
            {
                all[at].doing = Doing::AwaitsAcks
            }
            None if wait.ended.is_none() => {
                all.push(by_watchdog(wait.from, wait.lines.0, Doing::AwaitsAcks, log))
            }
            _ => {}
        }
        if known(all, wait.to).is_none() {
            let doing = Doing::NotShown("only the csd watchdog names it".into());
            all.push(by_watchdog(wait.to, wait.lines.0, doing, log));
        }
    }
    all.sort_by_key(|s| s.who);
}

fn by_watchdog(cpu: u32, line: u64, doing: Doing, log: &Log) -> Situation {
    let dump = log::Dump {
        line,
        ..log::Dump::default()
    };
    let mut situation = situation::of_dump(Who::Cpu(cpu), &dump, log);
    situation.doing = doing;
    situation
}
