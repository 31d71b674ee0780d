//! The guard is the only way to an entry, and unlocking consumes it.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::IrqSave;
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;

fn unmap<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let mut ptl = cpu.pte_lock::<IrqSave>(mm);
    let old = ptl.read();
    ptl.unlock();
    if old.present() {
        ptl.get_and_clear();
    }
}

fn main() {}
