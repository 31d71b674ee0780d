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
    /// Its first line from which on interrupts are off in every one.
    pub off_since: Option<Place>,
    /// Its last line that shows interrupts on, or turns them on.
    pub last_on: Option<Place>,
    /// The context where no flags say it, and what that interrupted.
    inferred: [Level; 2],
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

/// Functions that hardware interrupts come in by, on x86 and arm64.
fn is_interrupt(function: &str) -> bool {
    const ENTRIES: &[&str] = &[
        "sysvec_",
        "asm_sysvec_",
        "do_IRQ",
        "el1_irq",
        "el1h_64_irq",
        "gic_handle_irq",
        "smp_apic",
        "apic_timer",
    ];
    ENTRIES.iter().any(|entry| function.starts_with(entry))
        || function.contains("_interrupt")
        || function.starts_with("interrupt_entry")
}

fn is_softirq(function: &str) -> bool {
    ["handle_softirqs", "__do_softirq"]
        .iter()
        .any(|f| function.starts_with(f))
}

impl Cpu {
    /// The context of a line without flags, from who turns interrupts off and on, and from the vectors.
    fn infer(&mut self, line: &Line<'_>) -> Level {
        let [now, below] = self.inferred;
        let args = || std::str::from_utf8(line.args).unwrap_or("");
        let place = |key: &str| super::event::field(args(), key).unwrap_or("");
        let vector = |name: &[u8]| {
            let known: [&[u8]; 5] = [
                b"call_function",
                b"reschedule",
                b"local_timer",
                b"irq_handler",
                b"irq_work",
            ];
            known.iter().any(|v| name.starts_with(v))
        };
        self.inferred = match line.event {
            b"irq_disable" if is_interrupt(place("parent")) || is_interrupt(place("caller")) => {
                [Level::Hardirq, now.min(Level::Softirq)]
            }
            b"irq_disable" if now == Level::Softirq && is_softirq(place("caller")) => {
                [Level::Hardirq, Level::Task]
            }
            b"irq_enable" if now == Level::Hardirq && is_softirq(place("caller")) => {
                [Level::Softirq, Level::Task]
            }
            b"irq_enable" if now == Level::Hardirq => [below, Level::Task],
            b"softirq_entry" => [Level::Softirq, now],
            b"softirq_exit" if now == Level::Softirq => [below, Level::Task],
            name if name.ends_with(b"_entry") && vector(name) && now < Level::Hardirq => {
                [Level::Hardirq, now]
            }
            name if name.ends_with(b"_exit") && vector(name) && self.by_events.is_none() => {
                self.inferred = [below, Level::Task];
                return now;
            }
            _ => return now,
        };
        self.inferred[0]
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
        let cpu = self.cpus.entry(line.cpu).or_insert_with(|| Cpu {
            first: place,
            last: place,
            level: Level::Task,
            irqs_off: None,
            off: None,
            off_since: None,
            last_on: None,
            inferred: [Level::Task; 2],
            by_events: None,
            events: 0,
        });
        cpu.last = place;
        cpu.level = match line.flags {
            Some(flags) => flags.level,
            None => cpu.infer(line),
        };
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
        match off {
            Some(false) => (cpu.off, cpu.off_since, cpu.last_on) = (None, None, Some(place)),
            Some(true) => _ = cpu.off_since.get_or_insert(place),
            None => cpu.off_since = None,
        }
        off
    }

    /// `irq_disable` or `irq_enable`.
    pub fn irqs(&mut self, off: bool, place: Place, caller: &str, parent: &str) {
        let Some(cpu) = self.cpus.get_mut(&place.cpu) else {
            return;
        };
        cpu.by_events = Some(off);
        if off {
            cpu.off_since.get_or_insert(place);
        } else {
            (cpu.off_since, cpu.last_on) = (None, Some(place));
        }
        cpu.irqs_off = Some(off);
        cpu.off = off.then(|| Off {
            place,
            caller: super::place::printable(caller),
            parent: super::place::printable(parent),
            stack: Vec::new(),
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
        known.off_since = None;
        known.inferred = [Level::Task; 2];
    }

    /// A frame of the stack of this line, which turned interrupts off.
    pub fn frame(&mut self, cpu: u16, line: u64, frame: &str) {
        let off = self.cpus.get_mut(&cpu).and_then(|cpu| cpu.off.as_mut());
        if let Some(off) = off.filter(|off| off.place.line == line) {
            super::context::push_frame(&mut off.stack, frame);
        }
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
