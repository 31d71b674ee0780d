//! An interrupt handler cannot wait for other CPUs either.
use shootdown_impl::id::MmId;
use shootdown_impl::irq::{Vector, interrupt};
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_mm;

fn handler<M: Machine>(machine: &M, mm: MmId) {
    interrupt(machine, Vector::PgdFree(mm), |mut cpu| flush_tlb_mm(&mut cpu, mm));
}

fn main() {}
