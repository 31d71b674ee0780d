//! `try_to_unmap_one` (`mm/rmap.c`, 2.6.38), with `ptep_clear_flush` (`mm/pgtable-generic.c`).
//!
//! Locks: the pte's lock. Interrupts: on; off under the lock where page-table locks are irqsave. Flushes always when
//! something was mapped, before or after the unlock as the design says; the frame is let go only after the flush.

use crate::cpu::{Cpu, Task};
use crate::design::Design;
use crate::flush::{Unmap, changed};
use crate::id::MmId;
use crate::machine::Machine;
use crate::mm::put_page;
use crate::tlb::Scope;

/// Unmaps the page behind the pte.
pub fn try_to_unmap_one<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let unmapped = cpu.with_pte_lock::<D::PtLock, _>(mm, |pte, cpu| {
        let frame = pte.get_and_clear().frame()?;
        let owed = changed::<D, Unmap<D>, _, _, _>(pte, cpu, Scope::Page);
        Some((frame, owed))
    });
    if let Some((frame, owed)) = unmapped {
        owed.settle(cpu);
        put_page(cpu.m(), frame);
    }
}
