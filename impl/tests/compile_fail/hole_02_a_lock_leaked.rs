//! Hole 2: a guard that was leaked (or forgotten, or put in an `Rc` cycle) left its lock taken behind a whole token.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::IrqSave;
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_mm;

fn leaked<M: Machine + 'static>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let pmd = cpu.with_page_table_lock::<IrqSave, _>(mm, |pmd, _| Box::leak(Box::new(pmd)));
    pmd.test_and_clear_young();
    flush_tlb_mm(cpu, mm);
}

fn leaked_as_before<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    Box::leak(Box::new(cpu.page_table_lock::<IrqSave>(mm)));
    flush_tlb_mm(cpu, mm);
}

fn main() {}
