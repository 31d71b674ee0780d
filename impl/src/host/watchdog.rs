//! From a hang to a report: who holds, who waits, who has interrupts off, which IPI is pending, and why that is for ever.
//!
//! Everything is read from outside while the CPUs run, so a picture may be torn: a lock seen held by a CPU that gave it
//! back before it was seen waiting for it. What a single picture shows is therefore never believed; [`Watch`] says what
//! a series of pictures must show.

mod hang;
mod watch;

pub use hang::{HangReport, describe};
pub use watch::{Hang, Watch};

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;
use std::vec;
use std::vec::Vec;

use serde::Serialize;

use crate::event::Lock;
use crate::host::Host;
use crate::host::interrupt::vector;
use crate::host::shared::{WANT_ACKS, context};
use crate::id::{CpuId, CpuMask};
use crate::irq::Vector;
use crate::kernel::Loc;
use crate::operation::Operation;

/// A context of a CPU: its base, or the interrupt on top of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct ContextId {
    /// The CPU.
    pub cpu: CpuId,
    /// Whether the interrupt.
    pub irq: bool,
}

impl ContextId {
    fn number(self) -> u8 {
        context(self.cpu, self.irq)
    }
    fn from_number(n: u8) -> Self {
        Self {
            cpu: CpuId(n / 2),
            irq: n % 2 == 1,
        }
    }
}

impl core::fmt::Display for ContextId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.irq {
            write!(f, "{}'s interrupt", self.cpu)
        } else {
            self.cpu.fmt(f)
        }
    }
}

/// What a context waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// A lock.
    Lock(Lock),
    /// Acknowledgements of its flush, from these.
    Acks(CpuMask),
}

/// One CPU of a report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CpuReport {
    /// Which.
    pub cpu: CpuId,
    /// The operation it runs, if any.
    pub running: Option<Operation>,
    /// The interrupt it is in, if any.
    pub in_irq: Option<Vector>,
    /// The interrupt flag.
    pub irqs_on: bool,
    /// The locks its base context and its interrupt hold.
    pub holds: [Vec<Lock>; 2],
    /// What they wait for.
    pub waits: [Option<Wait>; 2],
    /// Interrupts that it has yet to take.
    pub pending: Vec<Vector>,
}

/// Why one context cannot go on before another does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Edge {
    /// Who waits.
    pub from: ContextId,
    /// Whom for.
    pub to: ContextId,
    /// Why.
    pub why: Why,
}

/// The reason of an [`Edge`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The other holds this lock.
    Holds(Lock),
    /// The other CPU has interrupts off and so does not acknowledge.
    NoAck,
    /// The interrupt on top of it must end first.
    Interrupted,
}

/// One look at the machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    /// The CPUs.
    pub cpus: Vec<CpuReport>,
    /// How much each has done: operations, interrupts and waits that are over.
    pub ticks: Vec<u64>,
    /// How long each has run: the processor time of its thread.
    pub ran: Vec<Duration>,
}

fn is_rw(lock: Lock) -> bool {
    matches!(lock, Lock::PgdRead | Lock::PgdWrite)
}

fn lock_at(loc: Loc, write: bool) -> Option<Lock> {
    match loc {
        Loc::PgdLock => Some(Lock::PgdLock),
        Loc::PgdRwLock if write => Some(Lock::PgdWrite),
        Loc::PgdRwLock => Some(Lock::PgdRead),
        Loc::PageTableLock(mm) => Some(Lock::PageTable(mm)),
        Loc::PteLock(mm) => Some(Lock::Pte(mm)),
        _ => None,
    }
}

impl Host {
    /// Looks at all CPUs.
    pub fn picture(&self) -> Picture {
        let cpu_ids = || (0..self.env.cpus).map(CpuId);
        // In this order: `watch` counts on what a wait is read before.
        Picture {
            cpus: cpu_ids().map(|cpu| self.look_at(cpu)).collect(),
            ticks: self.cpus.iter().map(|c| c.ticks.load(SeqCst)).collect(),
            ran: cpu_ids().map(|cpu| self.ran(cpu)).collect(),
        }
    }

    /// The context that holds a lock: by the books; or, for a ticket lock, because its ticket is the one served,
    /// although it may not have noticed (an interrupt sits on it); or because it is just taking or releasing it.
    fn holder(&self, loc: Loc) -> Option<u8> {
        if let Some(booked) = self.holders[loc.index()].load(Relaxed).checked_sub(1) {
            return Some(booked);
        }
        let code = loc.index() as u32 + 1;
        let word = self.word(loc);
        if !matches!(loc, Loc::PgdLock | Loc::PageTableLock(_) | Loc::PteLock(_))
            || (word >> 32) as u32 == word as u32
        {
            return None;
        }
        let contexts = || (0..self.env.cpus).flat_map(|cpu| [(cpu, 0), (cpu, 1)]);
        let its_turn = |&(cpu, irq): &(u8, usize)| {
            let c = &self.cpus[usize::from(cpu)];
            c.want[irq].load(Relaxed) == code && c.ticket[irq].load(Relaxed) == word as u32
        };
        let at_it = |&(cpu, irq): &(u8, usize)| {
            let c = &self.cpus[usize::from(cpu)];
            c.want[irq].load(Relaxed) != code && c.touching[irq].load(Relaxed) == code
        };
        let found = contexts().find(its_turn).or_else(|| {
            // Of several only one has it, and nobody can say which.
            let mut all = contexts().filter(at_it);
            all.next().filter(|_| all.next().is_none())
        })?;
        Some(found.0 * 2 + found.1 as u8)
    }

    fn look_at(&self, cpu: CpuId) -> CpuReport {
        let c = &self.cpus[cpu.index()];
        let holds = |irq| {
            let me = context(cpu, irq);
            let held = Loc::all().filter(|&l| self.holder(l) == Some(me));
            let mut locks: Vec<Lock> = held.filter_map(|l| lock_at(l, true)).collect();
            if self.readers.load(Relaxed) & 1 << me != 0 {
                locks.push(Lock::PgdRead);
            }
            locks
        };
        // Who has been served, and only has not noticed because an interrupt sits on it, does not wait any more.
        let served = |irq: bool, lock: &Wait| match lock {
            Wait::Lock(lock) => holds(irq).contains(lock),
            Wait::Acks(_) => false,
        };
        let wanted = |irq: bool| match c.want[usize::from(irq)].load(Relaxed) {
            0 => None,
            WANT_ACKS => Some(Wait::Acks(CpuMask::from_word(self.word(Loc::Acks(cpu))))),
            code => {
                let loc = Loc::from_index(code as usize - 1)?;
                let running = c
                    .running
                    .load(Relaxed)
                    .checked_sub(1)
                    .and_then(Operation::from_code);
                lock_at(loc, irq || running != Some(Operation::VmallocSyncAll)).map(Wait::Lock)
            }
        };
        let waits = |irq: bool| wanted(irq).filter(|w| !served(irq, w));
        let inbox = c.inbox.load(SeqCst);
        CpuReport {
            cpu,
            running: c
                .running
                .load(Relaxed)
                .checked_sub(1)
                .and_then(Operation::from_code),
            in_irq: c
                .in_irq
                .load(Relaxed)
                .checked_sub(1)
                .map(|bit| vector(bit.into())),
            irqs_on: !c.irqs_off.load(Relaxed),
            holds: [holds(false), holds(true)],
            waits: [waits(false), waits(true)],
            pending: (0..u32::BITS)
                .filter(|bit| inbox >> bit & 1 == 1)
                .map(vector)
                .collect(),
        }
    }
}

impl Picture {
    fn holders(&self, lock: Lock) -> Vec<ContextId> {
        let same = |held: &Lock| match lock {
            Lock::PgdWrite => matches!(held, Lock::PgdRead | Lock::PgdWrite),
            Lock::PgdRead => *held == Lock::PgdWrite,
            _ => *held == lock,
        };
        let contexts = self.cpus.iter().flat_map(|c| [(c, false), (c, true)]);
        contexts
            .filter(|(c, irq)| c.holds[usize::from(*irq)].iter().any(same))
            .map(|(c, irq)| ContextId { cpu: c.cpu, irq })
            .collect()
    }

    /// Who waits for whom.
    pub fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for c in &self.cpus {
            if c.in_irq.is_some() {
                let [from, to] = [false, true].map(|irq| ContextId { cpu: c.cpu, irq });
                edges.push(Edge {
                    from,
                    to,
                    why: Why::Interrupted,
                });
            }
            for irq in [false, true] {
                let from = ContextId { cpu: c.cpu, irq };
                match c.waits[usize::from(irq)] {
                    Some(Wait::Lock(lock)) => {
                        // A CPU that waits for a ticket lock was not seen holding it at the same time: a torn picture.
                        let torn = |to: &ContextId| *to == from && !is_rw(lock);
                        let holders = self.holders(lock).into_iter().filter(|to| !torn(to));
                        edges.extend(holders.map(|to| Edge {
                            from,
                            to,
                            why: Why::Holds(lock),
                        }))
                    }
                    Some(Wait::Acks(from_whom)) => {
                        let deaf = self
                            .cpus
                            .iter()
                            .filter(|t| from_whom.contains(t.cpu) && !t.irqs_on);
                        edges.extend(deaf.map(|t| {
                            let to = ContextId {
                                cpu: t.cpu,
                                irq: t.in_irq.is_some(),
                            };
                            Edge {
                                from,
                                to,
                                why: Why::NoAck,
                            }
                        }));
                    }
                    None => {}
                }
            }
        }
        edges
    }

    /// A circle of waits, if there is one. Alone it is no hang: the picture may be torn.
    pub fn cycle(&self) -> Option<Vec<Edge>> {
        let edges = self.edges();
        let contexts = (0..self.cpus.len() as u8 * 2).map(ContextId::from_number);
        let mut dead_ends = vec![false; self.cpus.len() * 2];
        contexts
            .into_iter()
            .find_map(|start| follow(&edges, start, &mut Vec::new(), &mut dead_ends))
    }
}

fn follow(
    edges: &[Edge],
    at: ContextId,
    path: &mut Vec<Edge>,
    dead_ends: &mut [bool],
) -> Option<Vec<Edge>> {
    if let Some(start) = path.iter().position(|e| e.from == at) {
        return Some(path.split_off(start));
    }
    if dead_ends[at.number() as usize] {
        return None;
    }
    for edge in edges.iter().filter(|e| e.from == at) {
        path.push(*edge);
        if let Some(cycle) = follow(edges, edge.to, path, dead_ends) {
            return Some(cycle);
        }
        path.pop();
    }
    dead_ends[at.number() as usize] = true;
    None
}
