//! Recording events with one global order and without locks.
//!
//! Each CPU has a ring of records; only its thread writes it (its interrupt handler included, which may hit between
//! reserving a place and filling it), one writer thread drains it. A record is four atomic words, the first of which
//! says for which lap the others are valid: no `unsafe`, and loom can check it as it is.
//!
//! The order is one counter. An event is numbered (`seq`) right *after* it took effect, and carries what the counter
//! said right *before* its door call (`since`): it took effect somewhere in between. So an event with `seq < since` of
//! another certainly came before it, and numbers are dense: a gap is a loss.

use std::boxed::Box;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::vec::Vec;

use crate::event::{Event, Observer};
use crate::host::Host;
use crate::id::CpuId;

/// The atomic operations a ring needs; core's atomics have them, and loom's.
pub trait RingWord {
    /// A word that is zero.
    fn zero() -> Self;
    /// Load (acquire).
    fn get(&self) -> u64;
    /// Store (release).
    fn set(&self, value: u64);
    /// Adds one, answers with the old value.
    fn take(&self) -> u64;
}

impl RingWord for AtomicU64 {
    fn zero() -> Self {
        Self::new(0)
    }
    fn get(&self) -> u64 {
        self.load(Acquire)
    }
    fn set(&self, value: u64) {
        self.store(value, Release);
    }
    fn take(&self) -> u64 {
        self.fetch_add(1, Relaxed)
    }
}

/// One event, as it was recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// Everything numbered below this came before it.
    pub since: u64,
    /// On which CPU.
    pub cpu: CpuId,
    /// Whether in an interrupt handler.
    pub irq: bool,
    /// What.
    pub event: Event,
}

const IRQ: u64 = 1 << 63;

/// A ring with one writing CPU and one reader.
pub struct Ring<W> {
    head: W,
    tail: W,
    slots: Box<[[W; 4]]>,
}

/// The ring is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl<W: RingWord> Ring<W> {
    /// Room for this many records, or a few more: a power of two.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.next_power_of_two();
        let slots = (0..capacity)
            .map(|_| [W::zero(), W::zero(), W::zero(), W::zero()])
            .collect();
        Self {
            head: W::zero(),
            tail: W::zero(),
            slots,
        }
    }

    /// Writes a record, if there is room or if the oldest may be overwritten. Called by the ring's CPU, from its
    /// handlers too.
    pub fn push(&self, record: [u64; 3], overwrite: bool) -> Result<(), Full> {
        let capacity = self.slots.len() as u64;
        if !overwrite && self.head.get() - self.tail.get() >= capacity {
            return Err(Full);
        }
        let at = self.head.take();
        let [stamp, words @ ..] = &self.slots[(at & (capacity - 1)) as usize];
        // Not valid while it is being written (the reader of an overwriting ring looks again at the end).
        stamp.set(0);
        words
            .iter()
            .zip(record)
            .for_each(|(word, value)| word.set(value));
        stamp.set(at + 1);
        Ok(())
    }

    /// The oldest record not read yet. Called by the one reader; not for a ring that overwrites.
    pub fn pop(&self) -> Option<[u64; 3]> {
        let at = self.tail.get();
        let [stamp, words @ ..] = &self.slots[at as usize & (self.slots.len() - 1)];
        if stamp.get() != at + 1 {
            return None;
        }
        let record = [words[0].get(), words[1].get(), words[2].get()];
        self.tail.set(at + 1);
        Some(record)
    }

    /// The last records of a ring that overwrites, oldest first; leaves out any that is being written.
    pub fn last(&self, count: usize) -> Vec<[u64; 3]> {
        let capacity = self.slots.len() as u64;
        let head = self.head.get();
        let first = head.saturating_sub((count as u64).min(capacity));
        let read = |at: u64| {
            let [stamp, words @ ..] = &self.slots[(at & (capacity - 1)) as usize];
            let before = stamp.get();
            let record = [words[0].get(), words[1].get(), words[2].get()];
            (before == at + 1 && stamp.get() == before).then_some(record)
        };
        (first..head).filter_map(read).collect()
    }
}

#[repr(align(128))]
struct CpuBuffer {
    ring: Ring<AtomicU64>,
    since: AtomicU64,
}

/// The recorder of a machine: an observer of all its CPUs.
pub struct Recorder<'h> {
    host: &'h Host,
    buffers: Box<[CpuBuffer]>,
    /// Whether old records may be lost: for a look back after a hang, not for a trace.
    overwrite: bool,
    /// Nothing more is wanted (the disk is full).
    stopped: AtomicBool,
    lost: AtomicU64,
    /// CPUs that wait for the reader.
    blocked: AtomicU64,
}

impl<'h> Recorder<'h> {
    /// Keeps everything until it is read; a CPU whose ring is full waits for the reader.
    pub fn streaming(host: &'h Host, capacity: usize) -> Self {
        Self::new(host, capacity, false)
    }

    /// Keeps the last so many events of each CPU.
    pub fn flight(host: &'h Host, capacity: usize) -> Self {
        Self::new(host, capacity, true)
    }

    fn new(host: &'h Host, capacity: usize, overwrite: bool) -> Self {
        let buffer = |_| CpuBuffer {
            ring: Ring::new(capacity.max(2)),
            since: AtomicU64::new(0),
        };
        Self {
            host,
            buffers: (0..host.env.cpus).map(buffer).collect(),
            overwrite,
            stopped: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
        }
    }

    /// Keeps nothing: for a run that shares its code with recorded ones and wants none.
    pub fn off(host: &'h Host) -> Self {
        let recorder = Self::new(host, 2, true);
        recorder.stop();
        recorder
    }

    /// Records nothing from here on.
    pub fn stop(&self) {
        self.stopped.store(true, SeqCst);
    }

    /// How many events were numbered and then not kept, because the machine was taken down.
    pub fn lost(&self) -> u64 {
        self.lost.load(SeqCst)
    }

    /// Whether a CPU waits for the reader: a slow disk is no hang.
    pub fn is_behind(&self) -> bool {
        self.blocked.load(SeqCst) > 0
    }

    /// The records that can be read now, of all CPUs, in no particular order.
    pub fn drain(&self, mut take: impl FnMut(Record)) {
        for (cpu, buffer) in self.buffers.iter().enumerate() {
            while let Some(words) = buffer.ring.pop() {
                if let Some(record) = decode(cpu, words) {
                    take(record);
                }
            }
        }
    }

    /// The last events of all CPUs, in their order.
    pub fn last(&self, per_cpu: usize) -> Vec<Record> {
        let of = |(cpu, b): (usize, &CpuBuffer)| {
            b.ring
                .last(per_cpu)
                .into_iter()
                .filter_map(move |words| decode(cpu, words))
                .collect::<Vec<_>>()
        };
        let mut records: Vec<Record> = self.buffers.iter().enumerate().flat_map(of).collect();
        records.sort_by_key(|r| r.seq);
        records
    }
}

impl Recorder<'_> {
    /// Waits for room; false if nothing more is wanted. The reader is no CPU: waiting for it cannot deadlock.
    #[cold]
    fn push_late(&self, ring: &Ring<AtomicU64>, record: [u64; 3]) -> bool {
        loop {
            if self.host.aborted() || self.stopped.load(Relaxed) {
                return false;
            }
            std::thread::yield_now();
            if ring.push(record, self.overwrite).is_ok() {
                return true;
            }
        }
    }
}

fn decode(cpu: usize, [seq, since, word]: [u64; 3]) -> Option<Record> {
    let event = Event::unpack(word & !IRQ)?;
    Some(Record {
        seq,
        since,
        cpu: CpuId(cpu as u8),
        irq: word & IRQ != 0,
        event,
    })
}

impl Observer for Recorder<'_> {
    const ACTIVE: bool = true;

    fn before(&self, cpu: CpuId) {
        if self.stopped.load(Relaxed) {
            return;
        }
        self.buffers[cpu.index()]
            .since
            .store(self.host.clock.load(SeqCst), Relaxed);
    }

    fn event(&self, cpu: CpuId, event: Event) {
        // A machine that is taken down does what no kernel would: it is not part of the record.
        if self.stopped.load(Relaxed) || self.host.aborted() {
            return;
        }
        let buffer = &self.buffers[cpu.index()];
        let irq = self.host.cpus[cpu.index()].in_irq.load(Relaxed) != 0;
        let word = event.pack() | if irq { IRQ } else { 0 };
        let since = buffer.since.load(Relaxed);
        let seq = self.host.clock.fetch_add(1, SeqCst);
        let record = [seq, since, word];
        if buffer.ring.push(record, self.overwrite).is_err() {
            self.blocked.fetch_add(1, SeqCst);
            if !self.push_late(&buffer.ring, record) {
                self.lost.fetch_add(1, Relaxed);
            }
            self.blocked.fetch_sub(1, SeqCst);
        }
    }

    fn suspend(&self, cpu: CpuId) -> u64 {
        self.buffers[cpu.index()].since.load(Relaxed)
    }

    fn resume(&self, cpu: CpuId, since: u64) {
        self.buffers[cpu.index()].since.store(since, Relaxed);
    }
}
