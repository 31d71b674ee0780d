//! `switch_mm` (`arch/x86/include/asm/mmu_context.h`), with the order of 831d52bc153 (Feb 2011): the old mm's bit is
//! cleared after CR3 has been loaded. 2.6.37 cleared it first, and a flush could then miss this CPU.
//!
//! Locks: none (the run-queue lock in the kernel). Interrupts: off.

use crate::cpu::{Cpu, Task};
use crate::event::Event;
use crate::id::{CpuMask, MmId};
use crate::irq::IrqsAreOff;
use crate::machine::Machine;

/// Makes `next` the mm of this CPU.
pub fn switch_mm<M: Machine>(cpu: &mut Cpu<'_, M, Task>, next: MmId) {
    cpu.with_irqs_off(|cpu| switch_mm_irqs_off(cpu, next));
}

fn switch_mm_irqs_off<M: Machine, C: IrqsAreOff>(cpu: &mut Cpu<'_, M, C>, next: MmId) {
    let m = cpu.m();
    let me = CpuMask::of(m.this_cpu());
    let prev = m.tlb_state().active_mm;
    let next_mask = &m.kernel().mms[next.index()].cpumask;
    if prev != Some(next) {
        m.fetch_or(next_mask, me.word());
        m.observe(Event::MaskSet { mm: next });
        m.load_cr3(next);
        m.observe(Event::LoadCr3 { mm: next });
        if let Some(prev) = prev {
            m.fetch_and(&m.kernel().mms[prev.index()].cpumask, !me.word());
            m.observe(Event::MaskCleared { mm: prev });
        }
    } else {
        m.clear_lazy();
        m.observe(Event::LeaveLazy {});
        // cpumask_test_and_set_cpu(): if leave_mm() ran meanwhile, come back.
        let was_in = CpuMask::from_word(m.fetch_or(next_mask, me.word())).contains(m.this_cpu());
        m.observe(Event::MaskSet { mm: next });
        if !was_in {
            m.load_cr3(next);
            m.observe(Event::LoadCr3 { mm: next });
        }
    }
}
