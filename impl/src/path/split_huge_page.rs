//! `split_huge_page`: `__split_huge_page_splitting`, `__split_huge_page_refcount` and `__split_huge_page_map`
//! (`mm/huge_memory.c`, 2.6.38).
//!
//! Locks: `page_table_lock`, twice; the caller holds the anon_vma lock (a sleeping lock), so one runs per mm.
//! Interrupts: on; off under the lock where page-table locks are irqsave. The first flush is not for the TLB's sake:
//! once it is answered, no fast-GUP walker that saw the page whole is left. The second is for AMD's erratum 383: the
//! pmd is not present while it changes size. Where flushes move after the unlock, SPLITTING stays set meanwhile and
//! the lock is taken again to populate.

use crate::cpu::{Cpu, Task};
use crate::design::Design;
use crate::event::Event;
use crate::flush::{Moment, Unmap, changed};
use crate::id::{FrameId, MmId};
use crate::machine::Machine;
use crate::tlb::Scope;

/// Turns the huge pmd into a table of ptes and its compound page into pages.
pub fn split_huge_page<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    if let Some(frame) = splitting::<D, M>(cpu, mm) {
        split_refcount(cpu, frame);
        map::<D, M>(cpu, mm);
    }
}

/// `__split_huge_page_splitting`: marks the pmd and waits out fast-GUP. The compound page, if there was one.
fn splitting<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) -> Option<FrameId> {
    let (old, owed) = cpu.with_page_table_lock::<D::PtLock, _>(mm, |pmd, cpu| {
        let old = pmd.read();
        let newly = old.trans_huge() && pmd.set_splitting();
        let owed = newly.then(|| changed::<D, Unmap<D>, _, _, _>(pmd, cpu, Scope::All));
        (old, owed)
    });
    if let Some(owed) = owed {
        owed.settle(cpu);
    }
    if old.trans_huge() { old.frame() } else { None }
}

/// `__split_huge_page_refcount`: the compound page becomes pages.
fn split_refcount<M: Machine>(cpu: &mut Cpu<'_, M, Task>, frame: FrameId) {
    let m = cpu.m();
    m.store(&m.kernel().frames[frame.index()].compound, 0);
    m.observe(Event::SplitCompound { frame });
}

/// `__split_huge_page_map`: not present, flush, table.
fn map<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let owed = cpu.with_page_table_lock::<D::PtLock, _>(mm, |pmd, cpu| {
        pmd.make_not_present();
        let owed = changed::<D, Unmap<D>, _, _, _>(pmd, cpu, Scope::All);
        if !<Unmap<D> as Moment>::AFTER_UNLOCK {
            pmd.populate();
        }
        owed
    });
    owed.settle(cpu);
    if <Unmap<D> as Moment>::AFTER_UNLOCK {
        cpu.with_page_table_lock::<D::PtLock, _>(mm, |pmd, _| pmd.populate());
    }
}
