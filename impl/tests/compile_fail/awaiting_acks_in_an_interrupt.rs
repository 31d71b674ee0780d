//! An interrupt handler cannot wait for other CPUs either.
use shootdown_impl::cpu::{Cpu, Cx, NoLock};
use shootdown_impl::id::MmId;
use shootdown_impl::irq::InIrq;
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_mm;

fn handler<M: Machine>(cpu: &mut Cpu<'_, M, Cx<InIrq, NoLock>>, mm: MmId) {
    flush_tlb_mm(cpu, mm);
}

fn main() {}
