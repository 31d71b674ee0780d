//! The section is the only way to an entry, and nothing of it is left at its end.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::IrqSave;
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;

fn unmap<M: Machine + 'static>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let pte = cpu.with_pte_lock::<IrqSave, _>(mm, |pte, _| pte);
    if pte.read().present() {
        pte.get_and_clear();
    }
}

fn main() {}
