#![forbid(unsafe_code)]
//! Hole 12: what a section lends, on another thread. It stays on the CPU that holds the lock, also where the machine is
//! `Sync`.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::{IrqSave, PgdSpin};
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;

fn an_entry<M: Machine + Sync>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_pte_lock::<IrqSave, _>(mm, |pte, _| {
        std::thread::scope(|s| {
            s.spawn(|| pte.get_and_clear());
        });
    });
}

fn a_list<M: Machine + Sync>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_pgd_lock_to_change::<PgdSpin<IrqSave>, _>(|list, cpu| {
        cpu.with_page_table_lock::<IrqSave, _>(mm, |_, _| list.list_del(mm));
    });
}

fn main() {}
