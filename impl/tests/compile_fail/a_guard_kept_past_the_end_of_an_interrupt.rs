//! What is taken in an interrupt ends with it.
use shootdown_impl::cpu::{Cpu, Cx, NoLock};
use shootdown_impl::design::{IrqSave, PgdSpin};
use shootdown_impl::id::MmId;
use shootdown_impl::irq::InIrq;
use shootdown_impl::machine::Machine;

fn handler<M: Machine>(cpu: &mut Cpu<'_, M, Cx<InIrq, NoLock>>, mm: MmId) {
    let mut kept = None;
    cpu.with_pgd_lock_to_change::<PgdSpin<IrqSave>, _>(|pgd_list, _| kept = Some(pgd_list));
    kept.unwrap().list_del(mm);
}

fn main() {}
