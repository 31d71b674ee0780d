//! The pte's lock does not guard the huge pmd: the CPU holds no guard for it.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::IrqSave;
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;

fn split<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let mut ptl = cpu.pte_lock::<IrqSave>(mm);
    ptl.set_splitting();
}

fn main() {}
