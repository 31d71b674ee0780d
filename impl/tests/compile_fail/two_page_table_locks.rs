//! One page-table lock at a time.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::Plain;
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;

fn both<M: Machine>(cpu: &mut Cpu<'_, M, Task>, a: MmId, b: MmId) {
    cpu.with_page_table_lock::<Plain, _>(a, |_, cpu| {
        cpu.with_page_table_lock::<Plain, _>(b, |_, _| {});
    });
}

fn main() {}
