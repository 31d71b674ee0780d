//! Traces on disk: NDJSON, described field by field in `docs/trace-format.md`.

use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::design::Axes;
use crate::environment::Environment;
use crate::event::Event;
use crate::host::IrqMode;
use crate::host::recorder::Record;
use crate::id::MmId;

/// The schema this crate writes.
pub const SCHEMA: &str = "shootdown/trace/1";

/// How a machine turned interrupts off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IrqsOffBy {
    /// [`IrqMode::Soft`].
    #[default]
    Soft,
    /// [`IrqMode::SignalMask`].
    SignalMask,
    /// The instruction: on bare metal.
    Cli,
}

impl From<IrqMode> for IrqsOffBy {
    fn from(mode: IrqMode) -> Self {
        match mode {
            IrqMode::Soft => Self::Soft,
            IrqMode::SignalMask => Self::SignalMask,
        }
    }
}

/// The first line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// Which machine: `host` or `bare`.
    pub machine: String,
    /// The design's name, if it has one.
    pub design: Option<String>,
    /// The design's axes.
    pub axes: Axes,
    /// What the kernel was built with and runs on.
    pub environment: Environment,
    /// How interrupts were turned off.
    pub irq_mode: IrqsOffBy,
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

/// Puts records in their order and writes them, many at a time.
pub struct TraceWriter<W: Write> {
    out: W,
    waiting: BinaryHeap<BySeq>,
    next: u64,
    /// Lines that are not written yet, and where each ends.
    buffer: Vec<u8>,
    ends: Vec<usize>,
    whole: Whole,
}

/// The whole lines that the output has.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Whole {
    /// Events among them.
    pub events: u64,
    /// Their length in bytes; what follows is a part of a line.
    pub bytes: u64,
}

/// So many bytes are written at a time.
const AT_A_TIME: usize = 1 << 16;

impl<W: Write> TraceWriter<W> {
    /// Writes the header.
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        let mut line = serde_json::to_vec(header)?;
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()?;
        Ok(Self {
            out,
            waiting: BinaryHeap::new(),
            next: 0,
            buffer: Vec::with_capacity(2 * AT_A_TIME),
            ends: Vec::new(),
            whole: Whole {
                events: 0,
                bytes: line.len() as u64,
            },
        })
    }

    /// Takes a record; it is written when all before it have been.
    pub fn push(&mut self, record: Record) {
        self.waiting.push(BySeq(record));
    }

    /// Writes what is complete; up to `AT_A_TIME` bytes wait for more.
    pub fn write(&mut self) -> io::Result<()> {
        while self.waiting.peek().is_some_and(|r| r.0.seq == self.next) {
            let Some(BySeq(record)) = self.waiting.pop() else {
                break;
            };
            self.line(&Line::from(record))?;
            self.next += 1;
            self.ends.push(self.buffer.len());
            if self.buffer.len() >= AT_A_TIME {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        Ok(())
    }

    /// Writes the buffer, and knows how much of it is out whatever happens.
    fn flush(&mut self) -> io::Result<()> {
        let mut out = 0;
        let result = loop {
            if out == self.buffer.len() {
                break self.out.flush();
            }
            match self.out.write(&self.buffer[out..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => out += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let lines = self.ends.partition_point(|end| *end <= out);
        let bytes = lines.checked_sub(1).map_or(0, |last| self.ends[last]);
        self.whole.events += lines as u64;
        self.whole.bytes += bytes as u64;
        self.buffer.clear();
        self.ends.clear();
        result
    }

    /// The whole lines that are out, and nothing else: after an error, what the output is good for.
    pub fn whole(&self) -> Whole {
        self.whole
    }

    /// Writes what is complete and the last line, and makes sure that it is all out. How many events there are.
    pub fn finish(&mut self, complete: bool) -> io::Result<u64> {
        self.write()?;
        let complete = complete && self.waiting.is_empty();
        let events = self.next;
        self.line(&FooterLine {
            end: Footer { events, complete },
        })?;
        self.flush()?;
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CpuId;
    use std::vec;

    /// Takes so many bytes, in small pieces.
    struct Disk {
        room: usize,
        has: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.room).min(1000);
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= n;
            self.has.extend_from_slice(&bytes[..n]);
            Ok(n)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn header() -> Header {
        Header {
            schema: SCHEMA.into(),
            machine: "host".into(),
            design: None,
            axes: Axes::default(),
            environment: Environment::default(),
            irq_mode: IrqsOffBy::Soft,
            alive: 1,
            placement: vec![],
        }
    }

    #[test]
    fn of_a_full_disk_it_knows_how_many_whole_events_it_has() {
        let header_length = serde_json::to_vec(&header()).unwrap().len() + 1;
        for room in [header_length, header_length + 1, 5_000, 70_000, 200_001] {
            let has = Vec::new();
            let mut writer = TraceWriter::new(Disk { room, has }, &header()).unwrap();
            for seq in 0..10_000 {
                writer.push(Record {
                    seq,
                    since: seq,
                    cpu: CpuId(0),
                    irq: false,
                    event: Event::WalkDone {},
                });
            }
            writer.finish(true).expect_err("there is no room");
            let Whole { events, bytes } = writer.whole();
            let has = &writer.out.has;
            let lines = has.iter().filter(|b| **b == b'\n').count();
            assert_eq!(events, lines as u64 - 1, "room for {room}");
            let last = has.iter().rposition(|b| *b == b'\n').unwrap() + 1;
            assert_eq!(bytes, last as u64, "room for {room}");
        }
    }
}
