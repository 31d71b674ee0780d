//! munmap must not return while anybody can still use the page.
use shootdown_impl::design::Tracked;
use shootdown_impl::id::MmId;
use shootdown_impl::machine::Machine;
use shootdown_impl::syscall::{Syscall, UserReturn};

fn munmap<M: Machine>(syscall: Syscall<'_, M>, mm: MmId) -> UserReturn<'_> {
    syscall.tlb_gather_mmu::<Tracked>(mm).zap_pte_range().return_to_user()
}

fn main() {}
