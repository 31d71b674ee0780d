//! `xen_pgd_pin` / `xen_pgd_unpin` as `xen_dup_mmap` and `xen_exit_mmap` call them (`arch/x86/xen/mmu.c`, 2.6.38).
//!
//! Locks: `page_table_lock`, which is what the walk of `vmalloc_sync_all` takes it for. Interrupts: on; off under the
//! lock where page-table locks are irqsave. No CPU has the mm loaded.

use crate::cpu::{Cpu, Task};
use crate::design::Design;
use crate::id::MmId;
use crate::machine::Machine;

/// Makes the pgd page read-only: only the hypervisor may store into it.
pub fn xen_pgd_pin<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_page_table_lock::<D::PtLock, _>(mm, |pmd, _| pmd.set_pinned(true));
}

/// Makes it writable again.
pub fn xen_pgd_unpin<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_page_table_lock::<D::PtLock, _>(mm, |pmd, _| pmd.set_pinned(false));
}
