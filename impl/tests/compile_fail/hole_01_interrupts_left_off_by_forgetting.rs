//! Hole 1: `mem::forget(cpu.local_irq_save())` left interrupts off behind a whole token. There is no guard to forget; what a
//! section lends can be forgotten, and the section ends all the same. Flushing inside it by the outer token is refused.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_page;

fn forgotten<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    core::mem::forget(cpu.local_irq_save());
    flush_tlb_page(cpu, mm);
}

fn never_left<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_irqs_off(|irqs_off| {
        core::mem::forget(irqs_off);
        flush_tlb_page(cpu, mm);
    });
}

fn main() {}
