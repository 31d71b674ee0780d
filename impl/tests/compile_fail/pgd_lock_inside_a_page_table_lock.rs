//! Lock order: vmalloc_sync_all takes them the other way round.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::{IrqSave, PgdSpin};
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;

fn inverted<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let mut ptl = cpu.page_table_lock::<IrqSave>(mm);
    ptl.cpu().pgd_lock_to_change::<PgdSpin<IrqSave>>().list_del(mm);
}

fn main() {}
