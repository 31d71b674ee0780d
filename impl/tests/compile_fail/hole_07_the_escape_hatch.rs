//! Hole 7: the hatch of designs that flush under a lock, called from the code of another design. Only the file that defines
//! `UnderLock` can name it, and nobody else can make the flush that `Moment` asks for.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::{Design, Tracked};
use shootdown_impl::flush::{Flush, Moment, UnderLock};
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_mm;
use shootdown_impl::tlb::Scope;

fn cheat<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_page_table_lock::<<Tracked as Design>::PtLock, _>(mm, |_, cpu| {
        flush_tlb_mm(&mut UnderLock::pretend_nothing_is_held(cpu), mm);
    });
}

fn through_the_moment<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_irqs_off(|cpu| UnderLock::under_lock(cpu, &Flush { mm, scope: Scope::All }));
}

fn main() {}
