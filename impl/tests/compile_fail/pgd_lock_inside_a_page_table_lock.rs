//! Lock order: vmalloc_sync_all takes them the other way round.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::{IrqSave, PgdSpin};
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;

fn inverted<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_page_table_lock::<IrqSave, _>(mm, |_, cpu| {
        cpu.with_pgd_lock_to_change::<PgdSpin<IrqSave>, _>(|pgd_list, _| pgd_list.list_del(mm));
    });
}

fn main() {}
