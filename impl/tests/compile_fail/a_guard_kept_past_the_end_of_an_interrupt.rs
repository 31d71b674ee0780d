//! What is taken in an interrupt ends with it.
use shootdown_impl::design::{IrqSave, PgdSpin};
use shootdown_impl::id::MmId;
use shootdown_impl::irq::{Vector, interrupt};
use shootdown_impl::machine::Machine;

fn handler<M: Machine>(machine: &M, mm: MmId) {
    let mut kept = None;
    interrupt(machine, Vector::PgdFree(mm), |mut cpu| {
        kept = Some(cpu.pgd_lock_to_change::<PgdSpin<IrqSave>>());
    });
    drop(kept);
}

fn main() {}
