//! Lines to dumps: which line belongs to which CPU's dump.
//!
//! CPUs print at the same time. Where printk says who printed (`CONFIG_PRINTK_CALLER`), each caller has a stream of its
//! own; otherwise a line belongs to the last `CPU:` line, and a dump that then says a thing twice is marked as garbled.

mod part;

use super::log::{Dump, Item, Kind, LONGEST_DUMP, Log, MOST};
use super::prefix::{Caller, Cleaned, strip};
use super::{debugger, events, header, lockdep, traced};
use part::{of_some_dump, part_of_dump};
use std::collections::HashMap;

/// Lines of no dump that end one: what follows belongs to nobody.
const PATIENCE: u32 = 400;
/// The same behind the end of its stack.
const PATIENCE_BEHIND: u32 = 8;

/// Collects a log line by line.
#[derive(Debug, Default)]
pub struct Collector {
    /// What there is so far.
    pub log: Log,
    streams: HashMap<Option<Caller>, Stream>,
    locks: lockdep::Reader,
    trace: traced::Reader,
    /// The last line left something open.
    busy: bool,
}

/// What one caller prints.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) dump: Option<Dump>,
    /// A CPU that was named and whose dump is to come.
    pub(super) expected: Option<u32>,
    /// The line of a warning or an oops whose dump is to come.
    pub(super) oops: Option<u64>,
    in_trace: bool,
    /// The number of a debugger's next frame.
    pub(super) next_frame: u32,
    /// The last line if it stopped short.
    open: Option<String>,
    strangers: u32,
}

impl Stream {
    /// Starts a dump; the one before is finished.
    pub(super) fn begin(&mut self, dump: Dump, log: &mut Log) {
        // Two heads of the same CPU without anything between are one: `NMI backtrace for cpu 3`, `CPU: 3 PID: ...`.
        if let Some(open) = &mut self.dump
            && open.items.is_empty()
            && open.cpu == dump.cpu
            && open.kind == dump.kind
        {
            open.comm = dump.comm.or(open.comm.take());
            open.pid = dump.pid.or(open.pid);
            return;
        }
        // A head with nothing behind it, and another CPU's head at once: their lines will be mixed.
        let mixed = self.dump.as_ref().is_some_and(|open| {
            open.items.is_empty()
                && !open.skipped_idle
                && open.kind == Kind::Cpu
                && open.line + 2 >= dump.line
                && open.cpu != dump.cpu
        });
        self.finish(log);
        self.in_trace = false;
        self.next_frame = 0;
        self.strangers = 0;
        self.expected = None;
        let mut dump = dump;
        dump.oops = self
            .oops
            .take()
            .filter(|line| line + 60 > dump.line && dump.kind == Kind::Cpu);
        if mixed {
            dump.garbled = Some(dump.line);
        }
        self.dump = Some(dump);
    }

    pub(super) fn finish(&mut self, log: &mut Log) {
        if let Some(dump) = self.dump.take()
            && (!dump.items.is_empty() || dump.skipped_idle)
        {
            log.keep(dump);
        }
        self.in_trace = false;
    }

    fn item(&mut self, item: Item) {
        if let Some(dump) = &mut self.dump
            && dump.items.len() < LONGEST_DUMP
        {
            dump.items.push(item);
        }
        self.strangers = 0;
    }
}

impl Collector {
    /// A line, decompressed and out of its mail. `whole` is false for the last line of a file without a line feed.
    pub fn line(&mut self, number: u64, text: &str, whole: bool) {
        self.log.lines = self.log.lines.max(number);
        if self.trace.line(number, text, whole, &mut self.log) {
            return;
        }
        let mut cleaned = strip(text);
        if cleaned.time.is_none() {
            cleaned = resync(cleaned);
        }
        if cleaned.text.is_empty() {
            return;
        }
        if traced::begins(cleaned.text) {
            self.log.ftrace.get_or_insert(number);
            self.trace.begin(number, cleaned.text, &mut self.log);
        }
        let key = match cleaned.caller {
            key if self.streams.len() < MOST || self.streams.contains_key(&key) => key,
            _ => None,
        };
        let Collector {
            log,
            streams,
            locks,
            ..
        } = self;
        let stream = streams.entry(key).or_default();
        // A cut line tells nothing, except by the words that stand before the cut.
        match stream.open.take() {
            Some(before) => {
                let joined = format!("{before} {}", cleaned.text);
                let line = Cleaned {
                    text: &joined,
                    ..cleaned
                };
                read(number, line, stream, locks, log, whole);
            }
            None => read(number, cleaned, stream, locks, log, whole),
        }
        self.busy = stream.dump.is_some() || stream.open.is_some() || locks.is_open();
    }

    /// Nothing is open that the next line could belong to.
    pub fn is_idle(&self) -> bool {
        !self.busy
            && !self.trace.is_open()
            && !self.locks.is_open()
            && self
                .streams
                .values()
                .all(|s| s.dump.is_none() && s.open.is_none())
    }

    /// The end.
    #[must_use]
    pub fn end(mut self) -> Log {
        let mut streams: Vec<_> = self.streams.into_values().collect();
        streams.sort_by_key(|s| s.dump.as_ref().map(|d| d.line));
        for mut stream in streams {
            stream.finish(&mut self.log);
        }
        self.locks.end(&mut self.log);
        self.trace.end(&mut self.log);
        self.log
    }
}

/// A line of one caller's.
fn read(
    number: u64,
    line: Cleaned<'_>,
    stream: &mut Stream,
    locks: &mut lockdep::Reader,
    log: &mut Log,
    whole: bool,
) {
    let text = line.text;
    if whole && wraps(text) {
        stream.open = Some(text.to_string());
        return;
    }
    if locks.line(number, line, log) {
        return;
    }
    if header::read(number, line, stream, log) || debugger::read(number, text, stream, log) {
        return;
    }
    if stream.dump.is_none()
        && let Some(Caller::Cpu(cpu)) = line.caller
        && (text.starts_with("RIP: ") || text.starts_with("pc : "))
    {
        let dump = Dump {
            cpu: Some(cpu),
            line: number,
            time: line.time,
            ..Dump::default()
        };
        stream.begin(dump, log);
    }
    if stream.dump.is_some() && part_of_dump(number, text, stream, log) {
        return;
    }
    if stream.dump.is_none() && log.orphan.is_none() && of_some_dump(text, number) {
        log.orphan = Some(number);
    }
    events::read(number, line, stream, log);
    if log.unread.is_none() && says_a_cpu_hangs(text) && !log.tells_of_a_hang_at(number) {
        log.unread = Some(number);
    }
    if stream.dump.is_some() {
        stream.strangers += 1;
        let closed = stream
            .dump
            .as_ref()
            .is_some_and(|d| d.closed && d.oops.is_none());
        let patience = if closed { PATIENCE_BEHIND } else { PATIENCE };
        if stream.strangers > patience {
            stream.finish(log);
        }
    }
}

/// A lockup's report, behind whatever stands before it.
fn says_a_cpu_hangs(text: &str) -> bool {
    ["soft lockup - CPU#", "hard LOCKUP on cpu "]
        .iter()
        .any(|words| memchr::memmem::find(text.as_bytes(), words.as_bytes()).is_some())
}

/// A logger's prefix that is not known, before printk's time.
fn resync(cleaned: Cleaned<'_>) -> Cleaned<'_> {
    let head = cleaned.text.as_bytes();
    let Some(at) = memchr::memchr(b'[', &head[..head.len().min(120)]) else {
        return cleaned;
    };
    if at == 0 || !cleaned.text.is_char_boundary(at) {
        return cleaned;
    }
    let behind = strip(&cleaned.text[at..]);
    if behind.time.is_some() {
        behind
    } else {
        cleaned
    }
}

/// A line that a mailer or a narrow terminal broke inside a value; and s390's words before an address that is no frame.
fn wraps(text: &str) -> bool {
    text.len() < 200
        && (text.ends_with("EFLAGS:")
            || text.ends_with("RIP: 0010:")
            || text.ends_with("RIP:")
            || text.ends_with("CPU:")
            || text.ends_with(" PID:")
            || text.ends_with(" GS:")
            || text.ends_with("CR3:")
            || text.ends_with("RDI:")
            || text == "Last Breaking-Event-Address:")
}
