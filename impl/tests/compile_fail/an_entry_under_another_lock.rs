//! The pte's lock does not guard the huge pmd: the CPU holds no lock for it.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::IrqSave;
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;

fn split<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_pte_lock::<IrqSave, _>(mm, |pte, _| pte.set_splitting());
}

fn main() {}
