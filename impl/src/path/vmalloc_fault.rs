//! `vmalloc_fault` (`arch/x86/mm/fault.c`, 2.6.38).
//!
//! Locks: none, by design: the fault may have hit inside any critical section. Interrupts: as they are. Races
//! benignly with the walk of `vmalloc_sync_all`: both write the same value.

use crate::cpu::{Context, Cpu};
use crate::event::Event;
use crate::machine::Machine;
use crate::page_table::{Entry, init_entry, kernel_entry};
use crate::path::vmalloc_sync_all::set_pgd;

/// Copies the kernel entry from `init_mm` into the own active mm, if it is there and missing here.
pub fn vmalloc_fault<M: Machine, C: Context>(cpu: &mut Cpu<'_, M, C>) {
    let m = cpu.m();
    let Some(mm) = m.tlb_state().active_mm else {
        return;
    };
    let reference = Entry(m.load(init_entry(m))).present();
    m.observe(Event::InitEntryRead { present: reference });
    if !reference {
        return;
    }
    let entry = kernel_entry(m, mm);
    let present = Entry(m.load(entry)).present();
    m.observe(Event::KernelEntryRead { mm, present });
    if !present {
        set_pgd(m, mm);
    }
}
