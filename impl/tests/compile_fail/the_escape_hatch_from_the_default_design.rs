//! Every moment at which the default design flushes is `AfterUnlock`, which has no hatch.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::{Design, FlushPolicy, Tracked};
use shootdown_impl::flush::BreaksTheRule;
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_mm;

type Young = <<Tracked as Design>::Flush as FlushPolicy>::Young;
type Unmap = <<Tracked as Design>::Flush as FlushPolicy>::Unmap;

fn cheat<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let mut ptl = cpu.page_table_lock::<<Tracked as Design>::PtLock>(mm);
    flush_tlb_mm(&mut <Young as BreaksTheRule>::pretend_nothing_is_held(ptl.cpu()), mm);
    flush_tlb_mm(&mut <Unmap as BreaksTheRule>::pretend_nothing_is_held(ptl.cpu()), mm);
}

fn main() {}
