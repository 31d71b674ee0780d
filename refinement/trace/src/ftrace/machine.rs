//! The recorded CPUs, and what a trace does not show of them.

use super::context::Off;
use super::line::{Level, Line};
use super::place::{Place, Time};
use serde::Serialize;
use std::collections::BTreeMap;

/// How many places of a kind are kept to be shown.
const SHOWN: usize = 4;

/// Events of a CPU that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The line that says so.
    pub line: u64,
    /// How many, if it says.
    pub events: Option<u64>,
}

/// A CPU.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Its first line.
    pub first: Place,
    /// Its last line.
    pub last: Place,
    /// In which context that was.
    pub level: Level,
    /// Interrupts are off after it, as far as is known.
    pub irqs_off: Option<bool>,
    /// Who turned them off, if that was seen.
    pub off: Option<Off>,
    /// What `irq_disable` and `irq_enable` said last.
    by_events: Option<bool>,
    /// Its events.
    pub events: u64,
}

/// A CPU, as it is reported.
#[derive(Clone, Debug, Serialize)]
pub struct CpuRecord {
    /// Which.
    pub cpu: u16,
    /// Its first line, if it has any.
    pub first_line: Option<u64>,
    /// When that was.
    pub first_time: Option<Time>,
    /// Its last line.
    pub last_line: Option<u64>,
    /// When that was.
    pub last_time: Option<Time>,
    /// Its events.
    pub events: u64,
    /// Events lost before its first line: the record starts later, but has no gap for it.
    pub lost_before: u64,
    /// Gaps.
    pub gaps: u64,
    /// Events lost in them, those whose number is known.
    pub lost_in_gaps: u64,
    /// The first gaps.
    pub first_gaps: Vec<Loss>,
}

/// Something that was counted, with the first places.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Noted {
    /// How often.
    pub count: u64,
    /// The first places.
    pub first: Vec<Place>,
}

impl Noted {
    /// Counts one.
    pub fn add(&mut self, place: Place) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(place);
        }
    }
}

#[derive(Debug, Default)]
struct Losses {
    before: u64,
    gaps: u64,
    in_gaps: u64,
    first: Vec<Loss>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Machine {
    cpus: BTreeMap<u16, Cpu>,
    losses: BTreeMap<u16, Losses>,
    latest: Option<Time>,
    /// The flags say one thing of interrupts, the events another.
    pub contradictions: Noted,
    /// The time is before that of an earlier line.
    pub backwards: Noted,
}

impl Machine {
    /// An event's line: are interrupts off there?
    pub fn line(&mut self, line: &Line<'_>, place: Place) -> Option<bool> {
        let level = line.flags.map_or(Level::Task, |flags| flags.level);
        let cpu = self.cpus.entry(line.cpu).or_insert_with(|| Cpu {
            first: place,
            last: place,
            level,
            irqs_off: None,
            off: None,
            by_events: None,
            events: 0,
        });
        cpu.last = place;
        cpu.level = level;
        cpu.events += 1;
        let by_flags = line.flags.and_then(|flags| flags.irqs_off);
        let switches = matches!(line.event, b"irq_disable" | b"irq_enable");
        if let (Some(flags), Some(events), false) = (by_flags, cpu.by_events, switches)
            && flags != events
        {
            self.contradictions.add(place);
        }
        if self.latest.is_some_and(|latest| latest > place.time) {
            self.backwards.add(place);
        } else {
            self.latest = Some(place.time);
        }
        // The flags are read from the processor; what turns interrupts off need not print an event.
        let off = by_flags.or(cpu.by_events);
        cpu.irqs_off = off;
        if off == Some(false) {
            cpu.off = None;
        }
        off
    }

    /// `irq_disable` or `irq_enable`.
    pub fn irqs(&mut self, off: bool, place: Place, caller: &str, parent: &str) {
        let Some(cpu) = self.cpus.get_mut(&place.cpu) else {
            return;
        };
        cpu.by_events = Some(off);
        cpu.irqs_off = Some(off);
        cpu.off = off.then(|| Off {
            place,
            caller: super::place::printable(caller),
            parent: super::place::printable(parent),
        });
    }

    /// Events of a CPU are lost here.
    pub fn lost(&mut self, cpu: u16, line: u64, events: Option<u64>) {
        let losses = self.losses.entry(cpu).or_default();
        let Some(known) = self.cpus.get_mut(&cpu) else {
            losses.before += events.unwrap_or(0);
            return;
        };
        losses.gaps += 1;
        losses.in_gaps += events.unwrap_or(0);
        if losses.first.len() < SHOWN {
            losses.first.push(Loss { line, events });
        }
        known.irqs_off = None;
        known.by_events = None;
        known.off = None;
    }

    /// A CPU that has a line.
    pub fn get(&self, cpu: u16) -> Option<&Cpu> {
        self.cpus.get(&cpu)
    }

    /// The latest time.
    pub fn latest(&self) -> Option<Time> {
        self.latest
    }

    /// Events of this CPU were lost after its first line.
    pub fn has_gap(&self, cpu: u16) -> bool {
        self.losses.get(&cpu).is_some_and(|l| l.gaps > 0)
    }

    /// Gaps in the record of any CPU.
    pub fn gaps(&self) -> u64 {
        self.losses.values().map(|l| l.gaps).sum()
    }

    /// For the report.
    pub fn records(&self) -> Vec<CpuRecord> {
        let mut all: Vec<u16> = self
            .cpus
            .keys()
            .chain(self.losses.keys())
            .copied()
            .collect();
        all.sort_unstable();
        all.dedup();
        let none = Losses::default();
        all.into_iter()
            .map(|cpu| {
                let known = self.cpus.get(&cpu);
                let losses = self.losses.get(&cpu).unwrap_or(&none);
                CpuRecord {
                    cpu,
                    first_line: known.map(|k| k.first.line),
                    first_time: known.map(|k| k.first.time),
                    last_line: known.map(|k| k.last.line),
                    last_time: known.map(|k| k.last.time),
                    events: known.map_or(0, |k| k.events),
                    lost_before: losses.before,
                    gaps: losses.gaps,
                    lost_in_gaps: losses.in_gaps,
                    first_gaps: losses.first.clone(),
                }
            })
            .collect()
    }
}
