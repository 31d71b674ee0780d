//! What a machine has reported so far, and the result.

use super::port::Fact;
use shootdown_impl::event::Lock;
use shootdown_impl::host::recorder::Record;
use shootdown_impl::host::stress::{Disk, Recording};
use shootdown_impl::host::watchdog::{CpuReport, HangReport, Picture, Wait};
use shootdown_impl::id::{CpuId, CpuMask, MmId, NR_CPUS};
use shootdown_impl::irq::Vector;
use shootdown_impl::live::driver::NR_PROGRAMS;
use shootdown_impl::live::latency::{LATENCY_BUCKETS, percentiles};
use shootdown_impl::live::violation::HostViolation;
use shootdown_impl::operation::Operation;
use std::collections::VecDeque;
use std::time::Duration;

/// The first vector of [`CpuReport::pending`]'s word, and what is above it: `impl/bare/src/cpu.rs`.
const FLUSH_BITS: u32 = 16;

/// So far.
pub struct Reported {
    /// The run has begun.
    pub begun: bool,
    /// All was reported.
    pub ended: bool,
    /// Whether a stale translation was seen in use.
    pub stale_seen: Option<bool>,
    stuck_ms: Option<u64>,
    cpus: Vec<CpuReport>,
    summary: Summary,
    buckets: [u64; LATENCY_BUCKETS],
    /// The last records, by CPU.
    last: [VecDeque<Record>; NR_CPUS],
    look_back: usize,
    disk: Option<Disk>,
    disk_full: bool,
}

/// The numbers.
#[derive(Clone, Default)]
pub struct Summary {
    pub us: u64,
    pub ops: u64,
    pub ipis: u64,
    pub by_program: [u64; NR_PROGRAMS],
    pub violations: usize,
    pub first_violations: Vec<HostViolation>,
    pub latency: Option<[u64; 4]>,
}

impl Reported {
    pub fn new(disk: Option<Disk>, look_back: usize) -> Self {
        Self {
            begun: false,
            ended: false,
            stale_seen: None,
            stuck_ms: None,
            cpus: Vec::new(),
            summary: Summary::default(),
            buckets: [0; LATENCY_BUCKETS],
            last: std::array::from_fn(|_| VecDeque::new()),
            look_back,
            disk,
            disk_full: false,
        }
    }

    /// Takes a record.
    pub fn record(&mut self, record: Record) {
        let last = &mut self.last[record.cpu.index()];
        last.push_back(record);
        if last.len() > self.look_back {
            last.pop_front();
        }
        if let Some(disk) = &mut self.disk {
            disk.push(record);
        }
    }

    /// Writes the records. False if the disk has given out.
    pub fn write(&mut self) -> bool {
        self.disk_full |= self.disk.as_mut().is_some_and(|disk| !disk.write());
        !self.disk_full
    }

    pub fn disk_full(&self) -> bool {
        self.disk_full
    }

    /// Takes a fact. One that is not known, or says too little, says nothing.
    pub fn fact(&mut self, fact: &Fact) {
        let number = |name| fact.number(name);
        let small = |name| number(name).and_then(|n| usize::try_from(n).ok());
        match fact.name.as_str() {
            "probe" => self.stale_seen = number("stale").map(|n| n == 1),
            "progress" => {
                self.begun = true;
                let summary = &mut self.summary;
                summary.us = number("us").unwrap_or(summary.us);
                summary.ops = number("ops").unwrap_or(summary.ops);
                summary.ipis = number("ipis").unwrap_or(summary.ipis);
            }
            "program" => {
                let place = small("n").and_then(|n| self.summary.by_program.get_mut(n));
                if let (Some(place), Some(times)) = (place, number("times")) {
                    *place = times;
                }
            }
            "latency" => {
                let place = small("bucket").and_then(|n| self.buckets.get_mut(n));
                if let (Some(place), Some(times)) = (place, number("times")) {
                    *place = times;
                }
            }
            "violations" => self.summary.violations = small("n").unwrap_or(0),
            "violation" => {
                let violation = number("word").and_then(HostViolation::unpack);
                self.summary.first_violations.extend(violation);
            }
            "cpu" => self.cpus.extend(cpu(fact)),
            "end" => {
                self.ended = true;
                self.stuck_ms = number("stuck_ms");
            }
            _ => {}
        }
    }

    /// The numbers, as far as they were reported.
    pub fn summary(&self) -> Summary {
        Summary {
            latency: percentiles(&self.buckets),
            ..self.summary.clone()
        }
    }

    /// The hang, if it is one.
    pub fn hang(&self) -> Option<HangReport> {
        let stuck_for_ms = self.stuck_ms?;
        let cpus = self.cpus.clone();
        let picture = Picture {
            ticks: vec![0; cpus.len()],
            ran: vec![Duration::ZERO; cpus.len()],
            cpus,
        };
        let cycle = picture.cycle().unwrap_or_default();
        let mut last_events: Vec<Record> = self.last.iter().flatten().copied().collect();
        last_events.sort_by_key(|r| r.seq);
        Some(HangReport {
            cpus: picture.cpus,
            cycle,
            stuck_for_ms,
            last_events,
        })
    }

    /// Ends the trace.
    pub fn finish_trace(self, complete: bool) -> Option<Recording> {
        self.disk.map(|disk| disk.finish(complete))
    }
}

fn cpu(fact: &Fact) -> Option<CpuReport> {
    let number = |name: &str| fact.number(name);
    let below = |name: &str| number(name)?.checked_sub(1);
    let irr = number("irr")?;
    let pending = (0..NR_CPUS as u32).filter_map(|n| {
        let flush = irr >> (FLUSH_BITS + n) & 1 == 1;
        flush.then_some(Vector::FlushTlb(CpuId(n as u8)))
    });
    let frees = (0..NR_CPUS as u32)
        .filter(|n| irr >> n & 1 == 1)
        .map(|n| Vector::PgdFree(MmId(n as u8)));
    let in_irq = match number("in_irq")? {
        0 => None,
        vector if vector >= 0xf0 => CpuId::new(vector as usize - 0xf0).map(Vector::FlushTlb),
        vector => MmId::new((vector as usize).checked_sub(0xe0)?).map(Vector::PgdFree),
    };
    Some(CpuReport {
        cpu: CpuId::new(usize::try_from(number("n")?).ok()?)?,
        running: below("running").and_then(|n| Operation::from_code(n as u8)),
        in_irq,
        irqs_on: number("if")? == 1,
        holds: ["holds", "holds_irq"].map(|name| locks(fact.get(name))),
        waits: ["waits", "waits_irq"].map(|name| wait(fact.get(name)?)),
        pending: pending.chain(frees).collect(),
    })
}

fn locks(words: Option<&str>) -> Vec<Lock> {
    words.unwrap_or("").split(',').filter_map(lock).collect()
}

fn lock(word: &str) -> Option<Lock> {
    let mm = |digits: &str| MmId::new(digits.parse().ok()?);
    match word {
        "pgd" => Some(Lock::PgdLock),
        "pgd_read" => Some(Lock::PgdRead),
        "pgd_write" => Some(Lock::PgdWrite),
        _ if word.starts_with("ptl") => mm(&word[3..]).map(Lock::PageTable),
        _ if word.starts_with("pte") => mm(&word[3..]).map(Lock::Pte),
        _ => None,
    }
}

fn wait(word: &str) -> Option<Wait> {
    match word.strip_prefix("acks") {
        Some(mask) => mask.parse().ok().map(|m| Wait::Acks(CpuMask(m))),
        None => lock(word).map(Wait::Lock),
    }
}
