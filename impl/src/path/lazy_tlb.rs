//! `enter_lazy_tlb` (`arch/x86/include/asm/mmu_context.h`) and `leave_mm` (`arch/x86/mm/tlb.c`), 2.6.38.
//!
//! Locks: none. Interrupts: as they are. A lazy CPU keeps CR3 and its bit in the mask, so flush IPIs still come; the
//! first one makes it leave the mm. `active_mm` stays until the next `switch_mm`.

use crate::cpu::{Context, Cpu};
use crate::door::Door;
use crate::event::Event;
use crate::id::MmId;
use crate::machine::Machine;

/// A kernel thread borrows the mm that is loaded.
pub fn enter_lazy_tlb<M: Machine, C: Context>(cpu: &mut Cpu<'_, M, C>) {
    let m = cpu.m();
    m.set_lazy();
    m.observe(Event::EnterLazy {});
}

/// A lazy CPU stops borrowing: clears its bit in the mask and loads `swapper_pg_dir`. Nothing if not lazy.
pub fn leave_mm<M: Machine, C: Context>(cpu: &mut Cpu<'_, M, C>) {
    let m = cpu.m();
    let state = m.tlb_state();
    if let (Some(mm), true) = (state.active_mm, state.lazy && state.loaded) {
        leave_loaded_mm(m, mm);
    }
}

/// The two stores of `leave_mm`, one step to everybody else.
pub(crate) fn leave_loaded_mm<M: Machine>(m: Door<'_, M>, mm: MmId) {
    m.leave_mm(&m.kernel().mms[mm.index()].cpumask);
    m.observe(Event::LeaveMm { mm });
}
