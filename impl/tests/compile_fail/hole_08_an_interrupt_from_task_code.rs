//! Hole 8: `interrupt()` called by task code lent an in-interrupt token with interrupts on.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::id::{CpuId, MmId};
use shootdown_impl::irq::{Vector, interrupt};
use shootdown_impl::machine::Machine;
use shootdown_impl::operation::handle;

fn pretends<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let _ = (interrupt, handle);
    let _ = (cpu.m(), Vector::FlushTlb(CpuId(0)), mm);
}

fn main() {}
