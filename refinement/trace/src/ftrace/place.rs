//! Where in a trace: the line, the CPU, the task and the time.

use serde::{Serialize, Serializer};
use std::fmt;

/// The name and number of a task, as the trace prints them; a dump cuts names after eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    name: [u8; 16],
    /// Its number; 0 is every CPU's idle task.
    pub pid: u32,
}

impl Task {
    /// A task.
    pub fn new(name: &[u8], pid: u32) -> Task {
        let mut kept = [0; 16];
        let n = name.len().min(kept.len());
        kept[..n].copy_from_slice(&name[..n]);
        Task { name: kept, pid }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self
            .name
            .iter()
            .rposition(|b| *b != 0)
            .map_or(0, |at| at + 1);
        let name = String::from_utf8_lossy(&self.name[..end]);
        write!(f, "{}-{}", printable(&name), self.pid)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Text from a trace, fit for a terminal.
pub fn printable(text: &str) -> String {
    // Names of functions are all plain, and each event that is kept has some.
    if text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return text.into();
    }
    text.chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// What the time column counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds, kept as microseconds.
    Seconds,
    /// Microseconds.
    Micros,
    /// Events, or something else without a unit: only the order means anything.
    Count,
}

/// The time of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Microseconds, or a plain number.
    pub value: u64,
    /// Which.
    pub unit: Unit,
}

impl Time {
    /// How long after another, in words; nothing where the clock has no unit.
    pub fn since(self, earlier: Time) -> Option<String> {
        let micros = self.value.checked_sub(earlier.value)?;
        let same = self.unit == earlier.unit && self.unit != Unit::Count;
        same.then(|| match micros {
            0..1_000 => format!("{micros} us"),
            1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
            _ => format!("{:.2} s", micros as f64 / 1e6),
        })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Seconds => write!(
                f,
                "{}.{:06}",
                self.value / 1_000_000,
                self.value % 1_000_000
            ),
            Unit::Micros => write!(f, "{}us", self.value),
            Unit::Count => write!(f, "{}", self.value),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A line of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The line, from 1.
    pub line: u64,
    /// The CPU.
    pub cpu: u16,
    /// Who ran there.
    pub task: Task,
    /// When.
    pub time: Time,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: CPU{} ({})", self.line, self.cpu, self.task)
    }
}

/// An address as a kernel prints it (hashed, unless the kernel is told otherwise).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u64);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
