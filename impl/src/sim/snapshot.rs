//! The whole machine as a plain struct: for reports, and for comparing with a specification's state.

use std::vec::Vec;

use crate::id::{CpuId, CpuMask, FrameId, MmId};
use crate::irq::Vector;
use crate::kernel::{Loc, Node};
use crate::mm::Life;
use crate::operation::Operation;
use crate::page_table::Entry;
use crate::sim::SimState;
use crate::sim::door::layout;
use crate::sim::lock::{RW_READERS, RW_WRITER_SHIFT, context_id, queue, rw_queue};
use crate::tlb::{Slot, TlbState};

/// A context of a CPU: base, or in an interrupt.
pub type ContextId = (CpuId, bool);

/// Who holds a lock and who waits for it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LockSnapshot {
    /// The holder of a spinlock, or the writer of an rwlock.
    pub holder: Option<ContextId>,
    /// The readers of an rwlock.
    pub readers: Vec<ContextId>,
    /// Who has drawn a ticket and waits, first come first.
    pub waiters: Vec<ContextId>,
}

/// One CPU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuSnapshot {
    /// The interrupt flag.
    pub irqs_on: bool,
    /// The interrupt it is in.
    pub in_irq: Option<Vector>,
    /// Whose flush IPIs are pending.
    pub ipis: CpuMask,
    /// Who has yet to acknowledge its own flush.
    pub acks: CpuMask,
    /// What it has loaded.
    pub tlb_state: TlbState,
    /// The frames its TLB leads to, by slot.
    pub tlb: [Option<FrameId>; 2],
    /// The operation it runs.
    pub running: Option<Operation>,
}

/// One mm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MmSnapshot {
    /// Fresh, alive or freed.
    pub life: Life,
    /// Whether its kernel entry is there.
    pub kernel_entry: bool,
    /// The pte and the huge pmd.
    pub entries: [Entry; 2],
    /// `mm_cpumask`.
    pub cpumask: CpuMask,
    /// Flushes owed.
    pub pending: u64,
    /// Whether Xen has the pgd page pinned.
    pub pinned: bool,
    /// `page_table_lock`.
    pub page_table_lock: LockSnapshot,
    /// The pte page's lock.
    pub pte_lock: LockSnapshot,
    /// References on its two frames, by slot.
    pub frame_refs: [u64; 2],
    /// Whether its compound page is whole.
    pub compound: bool,
}

/// Everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// `pgd_lock`, whichever kind the design uses.
    pub pgd_lock: LockSnapshot,
    /// Whether `init_mm` has the kernel entry.
    pub init_entry: bool,
    /// The mms on `pgd_list`, in list order; as far as the links can be followed.
    pub pgd_list: Vec<MmId>,
    /// The CPUs.
    pub cpus: Vec<CpuSnapshot>,
    /// The mm slots.
    pub mms: Vec<MmSnapshot>,
}

impl SimState {
    /// The picture of this state.
    pub fn snapshot(&self) -> Snapshot {
        let spin = |loc| {
            let mut contexts = queue(self.word(loc) as u32);
            LockSnapshot {
                holder: contexts.next(),
                readers: Vec::new(),
                waiters: contexts.collect(),
            }
        };
        let mut pgd_lock: LockSnapshot = spin(Loc::PgdLock);
        let rw = self.word(Loc::PgdRwLock) as u32;
        pgd_lock.readers = (0..8)
            .filter(|bit| rw & RW_READERS & 1 << bit != 0)
            .map(|bit: u8| (CpuId(bit / 2), bit % 2 == 1))
            .collect();
        pgd_lock.holder = pgd_lock.holder.or(queue(rw >> RW_WRITER_SHIFT).next());
        pgd_lock
            .waiters
            .extend(rw_queue(self.rw_queue).map(|(who, _)| context_id(who)));
        Snapshot {
            pgd_lock,
            init_entry: Entry(self.word(Loc::InitEntry)).present(),
            pgd_list: self.pgd_list(),
            cpus: self.cpu_ids().map(|cpu| self.cpu_snapshot(cpu)).collect(),
            mms: (0..self.env.mms)
                .map(MmId)
                .map(|mm| MmSnapshot {
                    life: self.life(mm),
                    kernel_entry: Entry(self.word(Loc::KernelEntry(mm))).present(),
                    entries: Slot::ALL.map(|slot| self.entry(mm, slot)),
                    cpumask: CpuMask::from_word(self.word(Loc::Cpumask(mm))),
                    pending: self.word(Loc::FlushPending(mm)),
                    pinned: self.word(Loc::Pinned(mm)) != 0,
                    page_table_lock: spin(Loc::PageTableLock(mm)),
                    pte_lock: spin(Loc::PteLock(mm)),
                    frame_refs: [0, 1].map(|i| self.word(Loc::FrameRefs(FrameId(2 * mm.0 + i)))),
                    compound: self.word(Loc::Compound(FrameId(2 * mm.0 + 1))) != 0,
                })
                .collect(),
        }
    }

    fn cpu_snapshot(&self, cpu: CpuId) -> CpuSnapshot {
        let c = &self.cpus[cpu.index()];
        CpuSnapshot {
            irqs_on: c.irqs_on,
            in_irq: c.in_irq,
            ipis: c.ipis,
            acks: CpuMask::from_word(self.word(Loc::Acks(cpu))),
            tlb_state: c.tlb_state,
            tlb: c.tlb.map(|t| t.map(|t| t.frame)),
            running: c.running,
        }
    }

    /// The listed mms, in list order.
    pub fn pgd_list(&self) -> Vec<MmId> {
        let mut listed = Vec::new();
        let mut at = self.word(Loc::ListNext(Node::Head));
        while let Some(Node::Page(mm)) = layout().node_at(at) {
            if listed.contains(&mm) || mm.0 >= self.env.mms {
                break;
            }
            listed.push(mm);
            at = self.word(Loc::ListNext(Node::Page(mm)));
        }
        listed
    }
}
