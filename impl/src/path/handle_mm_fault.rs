//! `do_anonymous_page` and `do_huge_pmd_anonymous_page` (`mm/memory.c`, `mm/huge_memory.c`, 2.6.38), much reduced.
//!
//! Locks: the pte's lock, or `page_table_lock` for a huge page. Interrupts: on; off under the lock where page-table
//! locks are irqsave. Not one of the protocol's programs: it keeps long runs supplied with pages to unmap. Each mm
//! slot's own two frames serve as its page allocator: a frame can be mapped again once it is free.

use crate::cpu::{Cpu, Task};
use crate::design::Design;
use crate::event::Event;
use crate::id::FrameId;
use crate::kernel::{compound_frame, small_frame};
use crate::machine::Machine;
use crate::page_table::Entry;
use crate::tlb::Slot;

/// Maps a page behind `slot` of the own mm if nothing is mapped there and its frame is free.
pub fn handle_mm_fault<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, slot: Slot) {
    let Some(mm) = cpu.m().tlb_state().current_mm() else {
        return;
    };
    match slot {
        Slot::Pte => cpu.with_pte_lock::<D::PtLock, _>(mm, |pte, cpu| {
            if pte.read() == Entry::NONE && alloc_page(cpu, small_frame(mm)) {
                pte.set(small_frame(mm));
            }
        }),
        Slot::Huge => cpu.with_page_table_lock::<D::PtLock, _>(mm, |pmd, cpu| {
            // A split page's table is taken down as if all its ptes had been unmapped and flushed long ago.
            let old = pmd.read();
            let split = old.present() && !old.trans_huge();
            let frame = compound_frame(mm);
            if split && reuse_split_page(cpu, frame) {
                pmd.set(frame);
            }
        }),
    }
}

/// Takes the first reference on a free frame.
fn alloc_page<M: Machine, C>(cpu: &mut Cpu<'_, M, C>, frame: FrameId) -> bool {
    let m = cpu.m();
    let refs = &m.kernel().frames[frame.index()].refs;
    if m.load(refs) != 0 {
        return false;
    }
    m.store(refs, 1);
    m.observe(Event::FrameAlloc { frame });
    true
}

/// `khugepaged` in one line: a split page that only its table refers to becomes whole again.
fn reuse_split_page<M: Machine, C>(cpu: &mut Cpu<'_, M, C>, frame: FrameId) -> bool {
    let m = cpu.m();
    let page = &m.kernel().frames[frame.index()];
    if m.load(&page.refs) != 1 {
        return false;
    }
    m.store(&page.compound, 1);
    true
}
