//! Hole 4: a lock held through one CPU's token, acknowledgements awaited through another's. What runs in a section must be
//! `Send` and tokens are not: neither can the section capture one, nor can one reach this CPU from another.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::IrqSave;
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_mm;

fn held_here_awaited_there<M: Machine>(
    a: &mut Cpu<'_, M, Task>,
    b: &mut Cpu<'_, M, Task>,
    mm: MmId,
) {
    a.with_page_table_lock::<IrqSave, _>(mm, |_, _| flush_tlb_mm(b, mm));
}

fn sent_and_shared<M: Machine>(cpu: Cpu<'_, M, Task>) {
    fn send(_: impl Send) {}
    fn share<T: Sync>(_: &T) {}
    share(&cpu);
    send(cpu);
}

fn main() {}
