//! The lines of a trace, one after the other, in bounded memory.
//!
//! Everything a line can get wrong on its own is found here, with its place: what is not JSON, what is no event, ids
//! that the first line has no room for, numbers out of order. Nothing here knows the protocol.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;
use shootdown_impl::environment::Environment;
use shootdown_impl::event::{Event, Lock};
use shootdown_impl::host::trace::{Footer, Header, Line, SCHEMA};
use shootdown_impl::id::{CpuId, CpuMask, FrameId, MmId};
use shootdown_impl::irq::Vector;
use thiserror::Error;

/// The longest line, in bytes. The longest that is ever written has a few hundred.
pub const LONGEST_LINE: usize = 64 << 10;

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

/// How a trace ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With its last line.
    Whole(Footer),
    /// Without one: where, and how.
    CutOff(String),
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Line),
    /// Nothing more.
    End(End),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FooterLine {
    end: Footer,
}

/// Reads a trace.
pub struct Reader<R> {
    input: R,
    header: Header,
    buffer: Vec<u8>,
    /// The line in the buffer, from 1.
    line: u64,
    /// Number of the next event.
    next: u64,
}

/// How a line ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    /// With a newline.
    Yes,
    /// With the end of the input.
    No,
    /// There is none.
    Nothing,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// If it is not the first line of a trace of this version.
    pub fn new(input: R) -> Result<Self, ReadError> {
        let mut reader = Self {
            input,
            header: Header {
                schema: String::new(),
                machine: String::new(),
                design: None,
                axes: Default::default(),
                environment: Environment::default(),
                irq_mode: Default::default(),
                alive: 0,
                placement: Vec::new(),
            },
            buffer: Vec::new(),
            line: 0,
            next: 0,
        };
        if reader.read_line()? == Whole::Nothing {
            reader.line = 1;
            return Err(reader.wrong(1, "the file is empty, not even a first line"));
        }
        reader.header = reader.parse_header()?;
        Ok(reader)
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// An objection to the first line.
    pub fn refuse_header(&self, reason: String) -> ReadError {
        ReadError {
            line: 1,
            column: 1,
            reason,
        }
    }

    /// The next line.
    ///
    /// # Errors
    /// If it is no event of this trace and not its end.
    pub fn read(&mut self) -> Result<Item, ReadError> {
        let whole = self.read_line()?;
        if whole == Whole::Nothing {
            let reason = format!(
                "it has no last line: it was cut off after line {}",
                self.line
            );
            return Ok(Item::End(End::CutOff(reason)));
        }
        match serde_json::from_slice::<Line>(&self.buffer) {
            Ok(line) => {
                self.check(&line)?;
                self.next += 1;
                Ok(Item::Event(line))
            }
            Err(error) => self.other(whole, &error),
        }
    }

    /// Fills the buffer with a line, without its newline.
    fn read_line(&mut self) -> Result<Whole, ReadError> {
        self.buffer.clear();
        self.line += 1;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let column = self.buffer.len() + 1;
                    return Err(self.wrong(column, format!("cannot be read: {error}")));
                }
            };
            if chunk.is_empty() {
                if self.buffer.is_empty() {
                    self.line -= 1;
                    return Ok(Whole::Nothing);
                }
                return Ok(Whole::No);
            }
            let newline = memchr::memchr(b'\n', chunk);
            let taken = newline.unwrap_or(chunk.len());
            if self.buffer.len() + taken > LONGEST_LINE {
                let reason =
                    format!("the line is longer than {LONGEST_LINE} bytes; no line of a trace is");
                return Err(self.wrong(LONGEST_LINE + 1, reason));
            }
            self.buffer.extend_from_slice(&chunk[..taken]);
            self.input.consume(taken + usize::from(newline.is_some()));
            if newline.is_some() {
                return Ok(Whole::Yes);
            }
        }
    }

    fn wrong(&self, column: usize, reason: impl Into<String>) -> ReadError {
        ReadError {
            line: self.line,
            column,
            reason: reason.into(),
        }
    }

    /// What serde_json objects to, at its column and without repeating it.
    fn malformed(&self, error: &serde_json::Error) -> ReadError {
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or(&text);
        let column = error.column().max(1);
        if let Some(at) = self.buffer.iter().position(|b| *b < 0x20 || *b == 0x7f) {
            return self.wrong(at + 1, "a control character: this is no text, so no trace");
        }
        if let Err(utf8) = std::str::from_utf8(&self.buffer) {
            return self.wrong(utf8.valid_up_to() + 1, "not UTF-8, so no trace");
        }
        self.wrong(column, what)
    }

    fn parse_header(&self) -> Result<Header, ReadError> {
        let value: Value =
            serde_json::from_slice(&self.buffer).map_err(|error| self.malformed(&error))?;
        match value.get("schema").and_then(Value::as_str) {
            Some(SCHEMA) => {}
            Some(other) => {
                let reason = if other.starts_with("shootdown/trace/") {
                    format!("the trace's schema is `{other}`; this program reads `{SCHEMA}`")
                } else {
                    format!("not a trace: its schema is `{other}`, not `{SCHEMA}`")
                };
                return Err(self.wrong(1, reason));
            }
            None => {
                let reason =
                    format!("the first line has no `schema`: a trace begins with `{SCHEMA}`");
                return Err(self.wrong(1, reason));
            }
        }
        serde_json::from_slice(&self.buffer).map_err(|error| self.malformed(&error))
    }

    /// A line that is no event: the end, or what is wrong with it.
    fn other(&mut self, whole: Whole, error: &serde_json::Error) -> Result<Item, ReadError> {
        if let Ok(FooterLine { end }) = serde_json::from_slice(&self.buffer) {
            return self.ended(end);
        }
        let value: Value = match serde_json::from_slice(&self.buffer) {
            Ok(value) => value,
            Err(error) if whole == Whole::No && error.is_eof() => {
                let (line, column) = (self.line, self.buffer.len());
                let reason = format!("it was cut off in line {line}, after column {column}");
                return Ok(Item::End(End::CutOff(reason)));
            }
            Err(error) => return Err(self.malformed(&error)),
        };
        let column = |needle: &str| {
            let text = String::from_utf8_lossy(&self.buffer);
            text.find(needle).map_or(1, |at| at + 1)
        };
        if value.get("schema").is_some() {
            return Err(self.wrong(1, "a second first line: a trace has one"));
        }
        let Some(fields) = value.as_object() else {
            return Err(self.wrong(1, "not an event: an event is a JSON object"));
        };
        for field in ["seq", "since", "cpu", "irq", "event"] {
            if !fields.contains_key(field) {
                return Err(self.wrong(1, format!("an event without `{field}`")));
            }
        }
        if let Some(event) = value["event"].as_str()
            && error.to_string().contains("unknown variant")
            && error.to_string().contains(&format!("`{event}`"))
        {
            return Err(self.wrong(column("\"event\""), format!("there is no event `{event}`")));
        }
        Err(self.malformed(error))
    }

    fn ended(&mut self, end: Footer) -> Result<Item, ReadError> {
        if end.events != self.next {
            let (says, are) = (end.events, self.next);
            let reason = format!("the last line says there are {says} events, but there are {are}");
            return Err(self.wrong(1, reason));
        }
        match self.read_line()? {
            Whole::Nothing => Ok(Item::End(End::Whole(end))),
            _ => Err(self.wrong(1, "something comes after the last line")),
        }
    }

    fn check(&self, line: &Line) -> Result<(), ReadError> {
        let at = |field: &str| {
            let text = String::from_utf8_lossy(&self.buffer);
            text.find(&format!("\"{field}\"")).map_or(1, |at| at + 1)
        };
        if line.seq != self.next {
            let reason = format!(
                "event {} where event {} should be: events are numbered 0, 1, 2, ... and come in that order",
                line.seq, self.next
            );
            return Err(self.wrong(at("seq"), reason));
        }
        if line.since > line.seq {
            let reason = format!("`since` is {}, after the event itself", line.since);
            return Err(self.wrong(at("since"), reason));
        }
        let env = &self.header.environment;
        if line.cpu >= env.cpus {
            let reason = format!(
                "there is no CPU{}: the first line says {} CPUs",
                line.cpu, env.cpus
            );
            return Err(self.wrong(at("cpu"), reason));
        }
        match foreign(&line.event, env) {
            Some(reason) => Err(self.wrong(at("event"), reason)),
            None => Ok(()),
        }
    }
}

/// What the event names that the environment does not have.
fn foreign(event: &Event, env: &Environment) -> Option<String> {
    let mm = |mm: MmId| {
        (mm.0 >= env.mms).then(|| format!("there is no {mm}: the first line says {} mms", env.mms))
    };
    let frame = |frame: FrameId| {
        (frame.0 >= 2 * env.mms).then(|| {
            format!(
                "there is no {frame}: {} mms have {} frames",
                env.mms,
                2 * env.mms
            )
        })
    };
    let cpu = |cpu: CpuId| {
        (cpu.0 >= env.cpus)
            .then(|| format!("there is no {cpu}: the first line says {} CPUs", env.cpus))
    };
    let cpus = |mask: CpuMask| mask.iter().find_map(cpu);
    let lock = |lock: Lock| match lock {
        Lock::PageTable(of) | Lock::Pte(of) => mm(of),
        Lock::PgdLock | Lock::PgdRead | Lock::PgdWrite => None,
    };
    match *event {
        Event::Begin { operation } | Event::End { operation } => operation.names().and_then(mm),
        Event::IrqEnter { vector } | Event::IrqExit { vector } => match vector {
            Vector::FlushTlb(from) => cpu(from),
            Vector::PgdFree(of) => mm(of),
        },
        Event::LockWait { lock: l }
        | Event::LockAcquired { lock: l }
        | Event::LockReleased { lock: l } => lock(l),
        Event::GetAndClear {
            mm: of, frame: f, ..
        } => mm(of).or_else(|| f.and_then(frame)),
        Event::EntrySet {
            mm: of, frame: f, ..
        } => mm(of).or_else(|| frame(f)),
        Event::UserAccess { frame: f, .. } => f.and_then(frame),
        Event::SplitCompound { frame: f }
        | Event::FrameGet { frame: f, .. }
        | Event::FramePut { frame: f, .. }
        | Event::FrameAlloc { frame: f } => frame(f),
        Event::MaskRead { mm: of, targets } => mm(of).or_else(|| cpus(targets)),
        Event::AcksSet { targets } => cpus(targets),
        Event::IpiSent { to } => cpu(to),
        Event::RequestRead { from, mm: of } | Event::FlushHandled { from, mm: of, .. } => {
            mm(of).or_else(|| cpu(from))
        }
        Event::Acked { from } => cpu(from),
        Event::WalkAt { mm: of }
        | Event::KernelEntryRead { mm: of, .. }
        | Event::KernelEntrySet { mm: of, .. }
        | Event::PinnedRead { mm: of, .. }
        | Event::ListAdd { mm: of }
        | Event::ListDel { mm: of }
        | Event::MmBorn { mm: of }
        | Event::MmFreed { mm: of }
        | Event::EntryRead { mm: of, .. }
        | Event::ClearYoung { mm: of, .. }
        | Event::SetSplitting { mm: of, .. }
        | Event::PmdNotPresent { mm: of }
        | Event::PmdPopulate { mm: of }
        | Event::PendingRaised { mm: of }
        | Event::PendingDropped { mm: of }
        | Event::PendingRead { mm: of, .. }
        | Event::FlushLocal { mm: of, .. }
        | Event::RequestPublished { mm: of, .. }
        | Event::HypercallFlush { mm: of, .. }
        | Event::MaskSet { mm: of }
        | Event::MaskCleared { mm: of }
        | Event::LoadCr3 { mm: of }
        | Event::LeaveMm { mm: of }
        | Event::TlbFill { mm: of, .. }
        | Event::TlbEvicted { mm: of, .. }
        | Event::Pinned { mm: of }
        | Event::Unpinned { mm: of } => mm(of),
        Event::IrqSave { .. }
        | Event::IrqRestore { .. }
        | Event::InitEntrySet {}
        | Event::InitEntryRead { .. }
        | Event::WalkDone {}
        | Event::AcksComplete {}
        | Event::EnterLazy {}
        | Event::LeaveLazy {}
        | Event::ReturnToUser {} => None,
    }
}
