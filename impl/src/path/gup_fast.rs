//! `get_user_pages_fast` / `gup_pte_range`, `gup_huge_pmd` (`arch/x86/mm/gup.c`, 2.6.38).
//!
//! Locks: none. Interrupts: off between reading the entry and taking the reference; a flush of that entry cannot be
//! answered here meanwhile, so the CPU that removed it cannot free the page yet.

use crate::cpu::{Cpu, Task};
use crate::id::FrameId;
use crate::machine::Machine;
use crate::mm::{get_page, put_page};
use crate::page_table::read_entry_lockless;
use crate::tlb::Slot;

/// Takes a reference on the page behind `slot` of the own mm, and drops it again.
pub fn gup_fast<M: Machine>(cpu: &mut Cpu<'_, M, Task>, slot: Slot) {
    let Some(mm) = cpu.m().tlb_state().current_mm() else {
        return;
    };
    let frame: Option<FrameId> = cpu.with_irqs_off(|cpu| {
        let entry = read_entry_lockless(cpu, mm, slot);
        let frame = if entry.maps(slot) && !entry.splitting() {
            entry.frame()
        } else {
            None
        };
        if let Some(frame) = frame {
            get_page(cpu.m(), frame, slot);
        }
        frame
    });
    if let Some(frame) = frame {
        put_page(cpu.m(), frame);
    }
}
