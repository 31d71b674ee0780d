//! Hole 3: a second `zap_pte_range()` forgot what the first one owed. It merges now (`tests/former_holes.rs` runs it), and
//! code that forgets what is owed has nothing to return with.
use shootdown_impl::design::Tracked;
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;
use shootdown_impl::syscall::{Syscall, UserReturn};

fn zapped_twice<M: Machine>(syscall: Syscall<'_, M>, mm: MmId) -> UserReturn<'_> {
    syscall.tlb_gather_mmu::<Tracked>(mm).zap_pte_range().zap_pte_range().return_to_user()
}

fn forgotten<M: Machine>(syscall: Syscall<'_, M>, mm: MmId) -> UserReturn<'_> {
    core::mem::forget(syscall.tlb_gather_mmu::<Tracked>(mm).zap_pte_range());
    syscall.return_to_user()
}

fn the_return_of_another_call<'s, M: Machine>(
    syscall: Syscall<'s, M>,
    other: Syscall<'_, M>,
    mm: MmId,
) -> UserReturn<'s> {
    core::mem::forget(syscall.tlb_gather_mmu::<Tracked>(mm).zap_pte_range());
    other.return_to_user()
}

fn main() {}
