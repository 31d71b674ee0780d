//! Traces on disk: NDJSON, described field by field in `docs/trace-format.md`.

use std::collections::BinaryHeap;
use std::io::{self, BufWriter, Write};
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::design::Axes;
use crate::env::Environment;
use crate::event::Event;
use crate::host::IrqMode;
use crate::host::recorder::Record;
use crate::id::MmId;

/// The schema this crate writes.
pub const SCHEMA: &str = "shootdown/trace/1";

/// The first line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// Which machine: `host`.
    pub machine: String,
    /// The design's name, if it has one.
    pub design: Option<String>,
    /// The design's axes.
    pub axes: Axes,
    /// What the kernel was built with and runs on.
    pub environment: Environment,
    /// How interrupts were turned off.
    pub irq_mode: IrqMode,
    /// How many mms were alive at the start: the first so many, listed newest first.
    pub alive: u8,
    /// On which mm each CPU was at the start.
    pub placement: Vec<Option<MmId>>,
}

/// A line in the middle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// The event's number.
    pub seq: u64,
    /// Everything numbered below this came before it.
    pub since: u64,
    /// On which CPU.
    pub cpu: u8,
    /// Whether in an interrupt handler.
    pub irq: bool,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// The last line: without it the trace was cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Footer {
    /// How many events there are.
    pub events: u64,
    /// Whether the run ended by itself, every operation complete.
    pub complete: bool,
}

#[derive(Serialize)]
struct FooterLine {
    end: Footer,
}

impl From<Record> for Line {
    fn from(r: Record) -> Self {
        Self {
            seq: r.seq,
            since: r.since,
            cpu: r.cpu.0,
            irq: r.irq,
            event: r.event,
        }
    }
}

struct BySeq(Record);
impl PartialEq for BySeq {
    fn eq(&self, other: &Self) -> bool {
        self.0.seq == other.0.seq
    }
}
impl Eq for BySeq {}
impl PartialOrd for BySeq {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for BySeq {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        other.0.seq.cmp(&self.0.seq)
    }
}

/// Puts records in their order and writes them.
pub struct TraceWriter<W: Write> {
    out: BufWriter<W>,
    waiting: BinaryHeap<BySeq>,
    next: u64,
}

impl<W: Write> TraceWriter<W> {
    /// Writes the header.
    pub fn new(out: W, header: &Header) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        serde_json::to_writer(&mut out, header)?;
        out.write_all(b"\n")?;
        out.flush()?;
        Ok(Self {
            out,
            waiting: BinaryHeap::new(),
            next: 0,
        })
    }

    /// Takes a record; it is written when all before it have been.
    pub fn push(&mut self, record: Record) {
        self.waiting.push(BySeq(record));
    }

    /// Writes what is complete.
    pub fn write(&mut self) -> io::Result<()> {
        while self.waiting.peek().is_some_and(|r| r.0.seq == self.next) {
            let Some(BySeq(record)) = self.waiting.pop() else {
                break;
            };
            serde_json::to_writer(&mut self.out, &Line::from(record))?;
            self.out.write_all(b"\n")?;
            self.next += 1;
        }
        Ok(())
    }

    /// How many events have been written.
    pub fn written(&self) -> u64 {
        self.next
    }

    /// Writes what is complete and the last line, and makes sure that it is all out.
    pub fn finish(mut self, complete: bool) -> io::Result<u64> {
        self.write()?;
        let complete = complete && self.waiting.is_empty();
        serde_json::to_writer(
            &mut self.out,
            &FooterLine {
                end: Footer {
                    events: self.next,
                    complete,
                },
            },
        )?;
        self.out.write_all(b"\n")?;
        self.out.flush()?;
        Ok(self.next)
    }
}
