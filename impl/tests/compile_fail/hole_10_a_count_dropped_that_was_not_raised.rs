//! Hole 10: `tlb_flush_pending` dropped without having been raised. Dropping takes what raising left, and only a path's own
//! change raises.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::flush::{Counter, PendingCounter, PendingRaised};
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;

fn settled<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    PendingCounter::settle(cpu, mm);
    PendingCounter::settle(cpu.m(), PendingRaised(mm));
}

fn main() {}
