//! The text of a kernel's ftrace, judged by the rules that exclude the deadlock of 2011.
//!
//! [`read`] takes `trace`, `trace_pipe` or a dump on the console, line by line ([`reader`], [`line`](mod@line), [`event`](mod@event)),
//! follows who holds, tries and awaits what ([`watch`], [`context`], [`machine`]), and makes a [`Report`] with
//! four parts:
//!
//! | part | about |
//! |---|---|
//! | [`strict`] | page-table locks and `pgd_lock` held while acknowledgements are awaited |
//! | [`upstream`] | waits with interrupts off for a lock that is held so |
//! | [`order`] | the deadlock that could happen although this run did not hang |
//! | [`hang`] | who waits for whom where the trace ends |
//!
//! and with what the trace cannot show.
//!
//! # Limitations
//! One run was seen, not all: silence is no proof. Locks are told apart by address and class as the trace prints them,
//! and addresses are used again after a free. `docs/ftrace.md` has the rest.

pub mod class;
pub mod console;
pub mod context;
pub mod counts;
pub mod event;
pub mod gaps;
pub mod hang;
pub mod line;
pub mod machine;
pub mod order;
pub mod place;
pub mod reader;
pub mod record;
pub mod report;
pub mod strict;
pub mod text;
pub mod upstream;
pub mod watch;

use line::{Malformed, Parsed, Parser, Shape};
use reader::{Reader, Whole};
use report::{Counts, Report};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::rc::Rc;
use thiserror::Error;
use watch::Watch;

/// Why a trace cannot be read: where and what.
#[derive(Debug, Error)]
#[error("{line}:{column}: {reason}")]
pub struct ReadError {
    /// The line, from 1.
    pub line: u64,
    /// The column in bytes, from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

/// What the recorder of the hang that is kept saw: file 16 of `tests/ftrace`.
const HUNG: &[u8] = include_bytes!("../tests/ftrace/16_hang_console_dump_kswapd.txt.gz");

/// The recorded hang of a Linux 6.12 whose `pgd_lock` was made irqsave again: [`hang::Hang`] has it as data,
/// [`text::hang`] as text.
///
/// # Panics
/// Never, or the tests fail: the recording is part of the program.
pub fn recorded_hang() -> hang::Hang {
    let report = read(HUNG).expect("a recording that tests read");
    report.end.hang.expect("a recording that ends in a hang")
}

/// Reads a trace, to its end or as far as it goes.
///
/// # Errors
/// If there is no event of ftrace's in it; everything else is in the report.
pub fn read(input: impl BufRead) -> Result<Report, ReadError> {
    read_while(input, |_| Ok(()))
}

/// Text in which there is hardly an event is taken for no trace after so many bytes: a device never ends.
const NO_EVENT_SO_FAR: u64 = 1 << 30;

/// Noise reads like an event now and then: one in this many lines that cannot be read is none.
const BY_CHANCE: u64 = 1000;

/// Reads a trace as long as `go_on` agrees. It is asked now and then, with the bytes of text that were read; its error
/// ends the reading as one of the input's would: what was read is in the report, which is incomplete.
///
/// # Errors
/// If there is no event of ftrace's in what was read.
pub fn read_while<'a>(
    input: impl BufRead + 'a,
    go_on: impl FnMut(u64) -> io::Result<()> + 'a,
) -> Result<Report, ReadError> {
    read_noise(input, go_on, NO_EVENT_SO_FAR)
}

fn read_noise<'a>(
    input: impl BufRead + 'a,
    mut go_on: impl FnMut(u64) -> io::Result<()> + 'a,
    most: u64,
) -> Result<Report, ReadError> {
    let mut reading = Reading::default();
    let any_event = Rc::new(Cell::new(false));
    let any = any_event.clone();
    let within_bounds = move |bytes| {
        if bytes > most && !any.get() {
            return Err(io::Error::other(
                "hardly an event of ftrace's in the first GiB",
            ));
        }
        go_on(bytes)
    };
    let mut reader = Reader::new(input, within_bounds).map_err(|error| reading.refuse(&error))?;
    let failed = loop {
        let Counts {
            events, malformed, ..
        } = reading.counts;
        any_event.set(events > malformed / BY_CHANCE);
        match reader.line() {
            Ok(Some((bytes, whole))) => reading.in_order(bytes, whole),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    reading.rest_in_order();
    if reading.counts.events == 0 {
        return Err(match &failed {
            Some(error) => reading.refuse(error),
            None => reading.no_trace(),
        });
    }
    Ok(reading.report(failed.as_ref()))
}

/// What was read so far.
#[derive(Default)]
pub(crate) struct Reading {
    parser: Parser,
    watch: Watch,
    console: console::Console,
    counts: Counts,
    shape: Option<Shape>,
    clock: Option<place::Unit>,
    /// Where the first line stops being text.
    binary: Option<usize>,
    trace_dat: bool,
    /// A text line since the last event: inside a table it is no line of ftrace's.
    ended_inside_line: bool,
    dump: Dump,
    latency: Latency,
    /// Lines whose turn has not come, by time and number; only of a recorder that prints CPU by CPU.
    waiting: Option<BTreeMap<(u64, u64), Vec<u8>>>,
    /// Lines read, those that wait included.
    read: u64,
}

/// So many lines may a recorder print before one that happened earlier.
const OUT_OF_ORDER: usize = 1 << 16;

/// The longest step of a latency tracer.
#[derive(Default)]
struct Latency {
    last: Option<(u64, String)>,
    longest: Option<(u64, String)>,
}

impl Latency {
    fn line(&mut self, line: &line::Line<'_>) {
        let now = line.time.value;
        if let Some((then, what)) = self.last.take() {
            let step = now.saturating_sub(then);
            if self
                .longest
                .as_ref()
                .is_none_or(|(longest, _)| step > *longest)
            {
                self.longest = Some((step, what));
            }
        }
        if line.event == b"(function tracer)" {
            let what = String::from_utf8_lossy(&line.args[..line.args.len().min(160)]);
            self.last = Some((now, place::printable(what.trim())));
        }
    }
}

/// Where in a dump on the console we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Dump {
    /// There is none, or it has not begun.
    #[default]
    Before,
    /// Between its two rules.
    Inside,
    /// Behind the second.
    Behind,
}

/// An event with something before it that is no text: the line is damaged, and no other text.
fn hidden_event(bytes: &[u8]) -> Option<Malformed> {
    let binary = |b: &u8| *b < b' ' && !matches!(b, b'\t' | b'\r' | 0x1b);
    let at = bytes.iter().rposition(binary)?;
    matches!(Parser::default().parse(&bytes[at + 1..]), Parsed::Event(_)).then_some(Malformed {
        column: at + 1,
        reason: "an event with bytes before it that are no text",
    })
}

/// `Dumping ftrace buffer:`, `Dumping ftrace instance x buffer:`.
fn dump_begins(line: &[u8]) -> bool {
    line.ends_with(b"buffer:") && memchr::memmem::find(line, b"Dumping ftrace ").is_some()
}

/// Has the line the name of an event that matters, with its colon?
fn names_event(line: &[u8]) -> bool {
    const EVENTS: &[&str] = &[
        "lock_acquire: ",
        "lock_acquired: ",
        "lock_contended: ",
        "lock_release: ",
        "csd_queue_cpu: ",
        "irq_disable: ",
        "irq_enable: ",
        "tlb_flush: ",
    ];
    memchr::memmem::find(line, b": ").is_some()
        && EVENTS
            .iter()
            .any(|event| memchr::memmem::find(line, event.as_bytes()).is_some())
}

impl Reading {
    /// A line of a log that a dump is in; true if it is the trace's, and not text of the console.
    pub(crate) fn dump_line(&mut self, number: u64, bytes: &[u8], whole: bool) -> bool {
        self.counts.lines = number.saturating_sub(1);
        let text = self.counts.text;
        self.line(bytes, if whole { Whole::Yes } else { Whole::No });
        self.counts.text == text
    }

    /// Behind the second rule of a dump.
    pub(crate) fn dump_is_over(&self) -> bool {
        self.dump == Dump::Behind
    }

    /// What the dump shows; nothing if there was no event in it.
    pub(crate) fn end_of_dump(self) -> Option<Report> {
        (self.counts.events > 0).then(|| self.report(None))
    }

    /// A line, at its turn: bpftrace prints what happened CPU by CPU.
    fn in_order(&mut self, bytes: &[u8], whole: Whole) {
        self.read += 1;
        if self.waiting.is_none() {
            if self.read < 64 && bytes.starts_with(record::HEADER.as_bytes()) {
                self.waiting = Some(BTreeMap::new());
            }
            return self.line(bytes, whole);
        }
        let time = match self.parser.parse(bytes) {
            Parsed::Event(line) if whole == Whole::Yes => line.time.value,
            _ => return self.numbered(self.read, bytes, whole),
        };
        let waiting = self.waiting.get_or_insert_default();
        waiting.insert((time, self.read), bytes.to_vec());
        if waiting.len() > OUT_OF_ORDER
            && let Some(((_, number), bytes)) = waiting.pop_first()
        {
            self.numbered(number, &bytes, Whole::Yes);
        }
    }

    /// The lines whose turn never came.
    fn rest_in_order(&mut self) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        for ((_, number), bytes) in waiting {
            self.numbered(number, &bytes, Whole::Yes);
        }
        self.counts.lines = self.read;
    }

    fn numbered(&mut self, number: u64, bytes: &[u8], whole: Whole) {
        self.counts.lines = number - 1;
        self.line(bytes, whole);
    }

    fn line(&mut self, bytes: &[u8], whole: Whole) {
        self.counts.lines += 1;
        let number = self.counts.lines;
        if number == 1 {
            self.trace_dat = bytes.starts_with(b"\x17\x08\x44tracing");
            self.binary = bytes.iter().position(|b| *b == 0);
        }
        if whole == Whole::TooLong {
            return self.malformed(Malformed {
                column: reader::LONGEST_LINE + 1,
                reason: "the line is longer than any line of ftrace's",
            });
        }
        match self.parser.parse(bytes) {
            Parsed::Event(line) => {
                self.shape.get_or_insert(line.shape);
                if self.parser.legend.latency.is_some() {
                    self.latency.line(&line);
                }
                self.clock.get_or_insert(line.time.unit);
                match event::event(&line) {
                    Ok(_) if whole == Whole::No => self.ended_inside_line = true,
                    Ok(event) => {
                        self.counts.events += 1;
                        if event == event::Event::Unknown {
                            self.counts.unknown(line.event);
                        }
                        self.watch.event(number, &line, &event);
                    }
                    Err(_) if whole == Whole::No => self.ended_inside_line = true,
                    Err(malformed) => self.malformed(malformed),
                }
            }
            Parsed::Malformed(_) if whole == Whole::No => self.ended_inside_line = true,
            Parsed::Malformed(malformed) => self.malformed(malformed),
            Parsed::Lost(cpu, events) => {
                self.counts.lost_markers += 1;
                self.watch.lost(cpu, number, events);
            }
            Parsed::Frame(frame) => {
                self.counts.frames += 1;
                self.watch.frame(frame);
            }
            Parsed::Comment => self.counts.comments += 1,
            Parsed::Entries(buffer, written) => {
                self.counts.comments += 1;
                self.counts.entries = Some((buffer, written));
            }
            Parsed::Text => match hidden_event(bytes) {
                Some(malformed) => self.malformed(malformed),
                None => self.text(number, bytes, whole),
            },
        }
    }

    fn text(&mut self, number: u64, bytes: &[u8], whole: Whole) {
        let text = &bytes[line::prefix::after_printk(bytes)..];
        let trimmed = text.trim_ascii();
        self.dump = match self.dump {
            _ if dump_begins(trimmed) => Dump::Inside,
            Dump::Inside if trimmed.starts_with(b"-----") && self.counts.events > 0 => Dump::Behind,
            dump => dump,
        };
        // A console has other lines between, and so have mails, pages and journals: but none that names an event.
        let strict =
            self.shape.is_some_and(|shape| shape != Shape::Dump) && !self.parser.text_between();
        let damaged = self.shape.is_some() && names_event(trimmed);
        if (strict && !trimmed.is_empty()) || damaged {
            if whole == Whole::No {
                self.ended_inside_line = true;
                return;
            }
            return self.malformed(Malformed {
                column: 1,
                reason: if damaged {
                    "an event whose columns cannot be read"
                } else {
                    "neither an event nor a marker nor a comment"
                },
            });
        }
        self.counts.text += 1;
        self.console.line(number, text);
    }

    fn malformed(&mut self, malformed: Malformed) {
        self.counts.malformed(malformed);
    }

    /// Nothing could be read, or nothing more before there was an event.
    fn refuse(&self, error: &io::Error) -> ReadError {
        ReadError {
            line: self.counts.lines + 1,
            column: 1,
            reason: format!("cannot be read: {error}"),
        }
    }

    fn no_trace(&self) -> ReadError {
        let reason = match (self.counts.lines, self.trace_dat, self.binary) {
            (0, ..) => "it is empty".to_string(),
            (_, true, _) => {
                "this is trace-cmd's binary file: `trace-cmd report -l FILE` writes the text of it"
                    .into()
            }
            (_, _, Some(_)) => "this is no text, so no ftrace".into(),
            (lines, ..) => match self.counts.first_malformed.first() {
                Some(first) => {
                    return ReadError {
                        line: first.line,
                        column: first.column,
                        reason: format!("{}, and no event in {lines} lines", first.reason),
                    };
                }
                None => format!(
                    "no event of ftrace's in {lines} lines: each starts with `TASK-PID [CPU] FLAGS TIME: EVENT:`, or in a dump with `TASK-PID CPUFLAGS TIMEus : EVENT:`"
                ),
            },
        };
        ReadError {
            line: 1,
            column: self.binary.map_or(1, |at| at + 1),
            reason,
        }
    }

    fn report(mut self, failed: Option<&io::Error>) -> Report {
        let mut incomplete = Vec::new();
        if let Some(error) = failed {
            let line = self.counts.lines + 1;
            incomplete.push(format!(
                "the input cannot be read beyond line {line}: {error}"
            ));
        }
        if self.ended_inside_line {
            incomplete.push(format!("the input ends inside line {}", self.counts.lines));
        }
        if self.dump == Dump::Inside {
            incomplete.push("the dump has no end: its second line of dashes is missing".into());
        }
        let mut report = Report::new(
            &mut self.watch,
            self.console,
            self.counts,
            self.shape,
            self.clock,
            &self.parser.legend,
            incomplete,
        );
        report.cannot_show = text::cannot_show(&report);
        report.longest_step = self.latency.longest;
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_in_which_an_event_stands_by_chance_ends_at_the_bound() {
        let event = " 0)               |  schedule() {\n";
        let noise = "\u{1}noise\n".repeat(100_000);
        let end = |text: String| {
            let report = read_noise(text.as_bytes(), |_| Ok(()), 1 << 16);
            let report = report.expect("it has an event");
            report.incomplete.join(";").contains("hardly an event")
        };
        assert!(end(event.to_string() + &noise));
        // As many events as noise: a trace, however damaged.
        assert!(!end((event.to_string() + "\u{1}noise\n").repeat(50_000)));
    }
}
