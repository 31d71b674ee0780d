//! `try_to_unmap_one` (`mm/rmap.c`, 2.6.38), with `ptep_clear_flush` (`mm/pgtable-generic.c`).
//!
//! Locks: the pte's lock. Interrupts: on; off under the lock where page-table locks are irqsave. Flushes always when
//! something was mapped, before or after the unlock as the design says; the frame is let go only after the flush.

use crate::cpu::{Cpu, Task};
use crate::design::Design;
use crate::flush::{Flush, Unmap, changed, unlocked};
use crate::id::MmId;
use crate::machine::Machine;
use crate::mm::put_page;
use crate::tlb::Scope;

/// Unmaps the page behind the pte.
pub fn try_to_unmap_one<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let flush = Flush {
        mm,
        scope: Scope::Page,
    };
    let mut ptl = cpu.pte_lock::<D::PtLock>(mm);
    let frame = ptl.get_and_clear().frame();
    if frame.is_some() {
        changed::<D, Unmap<D>, _, _, _>(&mut ptl, flush);
    }
    ptl.unlock();
    if let Some(frame) = frame {
        unlocked::<D, Unmap<D>, _>(cpu, flush);
        put_page(cpu.m(), frame);
    }
}
