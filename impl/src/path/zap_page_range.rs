//! `zap_page_range` as `munmap` and `madvise(MADV_DONTNEED)` use it (`mm/memory.c`, 2.6.38), with `struct mmu_gather`.
//!
//! Locks: the pte's lock; the flush comes after the unlock in every design, once for all (mmu_gather), and the frames
//! are let go after the flush. Interrupts: on. The types of [`crate::syscall`] see to it that the flush comes before
//! the return to user mode. `munmap` holds `mmap_sem` for writing, so one runs at a time per mm; `madvise` holds it for
//! reading only, so several may.

use crate::design::Design;
use crate::machine::Machine;
use crate::syscall::{Syscall, UserReturn};

/// Unmaps the page behind the own pte, flushes if anything calls for it, and returns to user mode.
pub fn zap_page_range<D: Design, M: Machine>(syscall: Syscall<'_, M>) -> UserReturn<'_> {
    let Some(mm) = syscall.current_mm() else {
        return syscall.return_to_user();
    };
    syscall
        .tlb_gather_mmu::<D>(mm)
        .zap_pte_range()
        .tlb_flush_mmu()
        .return_to_user()
}

/// `madvise_dontneed`: the same.
pub fn madvise_dontneed<D: Design, M: Machine>(syscall: Syscall<'_, M>) -> UserReturn<'_> {
    zap_page_range::<D, M>(syscall)
}
