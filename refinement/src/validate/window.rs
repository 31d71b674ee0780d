//! The events that are read and not judged yet, with the interval in which each took effect.
//!
//! The recorder's `since` is sharpened here by what one thread's program order says: an event without a door call of
//! its own, and every event of a handler, came after the line before it on its CPU. Only an event of the base context
//! that an interrupt overtook did not: it came after the last line of the base context.
//!
//! `tlb_evicted` shares the door call of the access that found it out, so that both took effect between the same two
//! moments, the access often long before the line of the eviction was numbered. So the eviction is judged with the next
//! event of its context ([`Recorded::evicted`]), and its own line says nothing.

use std::collections::VecDeque;

use shootdown_impl::event::Event;
use shootdown_impl::host::trace::{Header, Line};
use shootdown_impl::id::{CpuId, MmId};

use super::footprint::footprint;

/// Contexts: two per CPU.
pub const CONTEXTS: usize = 8;

/// A context's number.
pub fn context(cpu: u8, irq: bool) -> usize {
    usize::from(cpu) * 2 + usize::from(irq)
}

/// An event with the interval in which it took effect: after everything numbered below `since`, before everything
/// whose `since` is above `seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its number; its line is two further down.
    pub seq: u64,
    /// Everything numbered below came before it.
    pub since: u64,
    /// On which CPU.
    pub cpu: CpuId,
    /// Whether in an interrupt handler.
    pub irq: bool,
    /// What.
    pub event: Event,
    /// What it concerns.
    pub footprint: u64,
    /// A `tlb_evicted` that took effect right before it, in the same interval.
    pub evicted: Option<Event>,
}

impl Recorded {
    /// The context it belongs to.
    pub fn context(&self) -> usize {
        context(self.cpu.0, self.irq)
    }

    /// Whether it is judged with the next event of its context. One that another is judged with is judged itself.
    pub fn is_eviction(&self) -> bool {
        let evicted = matches!(self.event, Event::TlbEvicted { .. });
        evicted && !self.irq && self.evicted.is_none()
    }

    /// The line it stands on, from 1.
    pub fn line(&self) -> u64 {
        self.seq + 2
    }
}

/// Events read and not judged, per context and in order.
#[derive(Clone, Debug)]
pub struct Window {
    all: VecDeque<Recorded>,
    /// Numbers of each context's events in the window, evictions aside.
    waiting: [VecDeque<u64>; CONTEXTS],
    /// Per context, one more than the number of its last line read, evictions aside.
    after: [u64; CONTEXTS],
    /// The eviction that waits for the next event of the base context, by CPU, and what it concerns.
    evicted: [Option<(Event, u64)>; CONTEXTS / 2],
    active: [Option<MmId>; CONTEXTS / 2],
}

impl Window {
    /// An empty window at the start of a trace.
    pub fn new(header: &Header) -> Self {
        let mut active = [None; CONTEXTS / 2];
        for (at, mm) in header.placement.iter().enumerate() {
            active[at] = *mm;
        }
        Self {
            all: VecDeque::new(),
            waiting: [const { VecDeque::new() }; CONTEXTS],
            after: [0; CONTEXTS],
            evicted: [None; CONTEXTS / 2],
            active,
        }
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes the next line in.
    pub fn push(&mut self, line: &Line) {
        let (cpu, k) = (usize::from(line.cpu), context(line.cpu, line.irq));
        let [base, irq] = [self.after[2 * cpu], self.after[2 * cpu + 1]];
        let at_least = if line.irq { base.max(irq) } else { base };
        let concerned = footprint(CpuId(line.cpu), self.active[cpu], &line.event);
        let evicted = match line.irq {
            true => None,
            false => self.evicted[cpu].take(),
        };
        let item = Recorded {
            seq: line.seq,
            since: line.since.max(at_least),
            cpu: CpuId(line.cpu),
            irq: line.irq,
            event: line.event,
            footprint: concerned | evicted.map_or(0, |(_, footprint)| footprint),
            evicted: evicted.map(|(event, _)| event),
        };
        if let Event::LoadCr3 { mm } = line.event {
            self.active[cpu] = Some(mm);
        }
        if item.is_eviction() {
            self.evicted[cpu] = Some((line.event, concerned));
        } else {
            self.after[k] = line.seq + 1;
            self.waiting[k].push_back(line.seq);
        }
        self.all.push_back(item);
    }

    /// The event with the lowest number, taken out.
    pub fn pop(&mut self) -> Option<Recorded> {
        let item = self.all.pop_front()?;
        if !item.is_eviction() {
            self.waiting[item.context()].pop_front();
        }
        Some(item)
    }

    /// The context's next event.
    pub fn next_of(&self, context: usize) -> Option<&Recorded> {
        let seq = *self.waiting[context].front()?;
        let first = self.all.front()?.seq;
        self.all.get((seq - first) as usize)
    }

    /// Whether the base context of every one of the first so many CPUs has an event here. Then every event is here
    /// that may have come before the lowest-numbered one: what comes later on a CPU came after that event.
    pub fn sees(&self, cpus: u8) -> bool {
        (0..cpus).all(|cpu| !self.waiting[context(cpu, false)].is_empty())
    }

    /// The first CPU other than `but` of which nothing more is known.
    pub fn unknown(&self, cpus: u8, but: CpuId) -> Option<CpuId> {
        (0..cpus)
            .map(CpuId)
            .find(|&cpu| cpu != but && self.waiting[context(cpu.0, false)].is_empty())
    }

    /// The next so many events.
    pub fn upcoming(&self, n: usize) -> impl Iterator<Item = &Recorded> {
        self.all.iter().take(n)
    }
}
