//! Hole 9: a token made, or the machine used, by a handler or inside a section. Kernel code has no machine; and code that
//! has one, because it runs kernel code on it, cannot take it into a section.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::cpu::{Cx, NoLock};
use shootdown_impl::design::IrqSave;
use shootdown_impl::id::MmId;
use shootdown_impl::irq::InIrq;
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_mm;

fn handler<M: Machine>(cpu: &mut Cpu<'_, M, Cx<InIrq, NoLock>>, mm: MmId) {
    Cpu::boot(cpu.m(), |whole| flush_tlb_mm(whole, mm));
}

fn waits<M: Machine>(cpu: &mut Cpu<'_, M, Task>) {
    cpu.local_irq_save();
    cpu.await_zero();
}

fn booted_again_in_a_section<M: Machine>(m: &M, cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_page_table_lock::<IrqSave, _>(mm, |_, _| {
        Cpu::boot(m, |whole| flush_tlb_mm(whole, mm));
    });
}

fn the_door_used_beside_the_token<M: Machine>(m: &M, mm: MmId) {
    Cpu::boot(m, |cpu| {
        m.local_irq_save();
        flush_tlb_mm(cpu, mm);
    });
}

fn main() {}
