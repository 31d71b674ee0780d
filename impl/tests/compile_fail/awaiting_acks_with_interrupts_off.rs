//! Two CPUs that both wait like this never answer each other.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_page;

fn flush<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_irqs_off(|cpu| flush_tlb_page(cpu, mm));
}

fn main() {}
