//! The wider token is borrowed while the section lasts.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::Plain;
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_mm;

fn clear_flush_young<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_page_table_lock::<Plain, _>(mm, |pmd, _| {
        if pmd.test_and_clear_young() {
            flush_tlb_mm(cpu, mm);
        }
    });
}

fn main() {}
