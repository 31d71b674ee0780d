//! Two CPUs that both wait like this never answer each other.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_page;

fn flush<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let mut irqs_off = cpu.local_irq_save();
    flush_tlb_page(irqs_off.cpu(), mm);
}

fn main() {}
