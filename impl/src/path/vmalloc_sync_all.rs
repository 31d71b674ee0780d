//! `vmalloc_sync_all` / `sync_global_pgds` (`arch/x86/mm/fault.c`, `arch/x86/mm/init_64.c`, 2.6.37: 617d34d9e5d8).
//!
//! Locks: `pgd_lock` as the design takes it, inside it each mm's `page_table_lock` if the design's walk takes it (for
//! Xen, which may be pinning the very page). Interrupts: on at entry; off in the walk where `pgd_lock` is irqsave.
//! With irqsave this is the CPU that never answers the flush IPI in the 2011 deadlock.

use crate::cpu::{Cpu, HoldsPgdLock, Task};
use crate::design::Design;
use crate::door::Door;
use crate::event::Event;
use crate::id::MmId;
use crate::machine::Machine;
use crate::page_table::{Entry, KERNEL_ENTRY, init_entry, kernel_entry};

/// Sets `init_mm`'s kernel entry; when it returns every listed pgd has it too.
pub fn vmalloc_sync_all<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>) {
    let m = cpu.m();
    // The mapping that the caller wants synced (set_pgd by the vmalloc).
    m.store(init_entry(m), KERNEL_ENTRY.0);
    m.observe(Event::InitEntrySet {});
    cpu.with_pgd_lock_to_walk::<D::PgdLock, _>(|pgd_list, cpu| {
        pgd_list.for_each(cpu, |cpu, mm| {
            if D::WALK_TAKES_PTL {
                cpu.with_page_table_lock::<D::PtLock, _>(mm, |_, cpu| vmalloc_sync_one(cpu, mm));
            } else {
                vmalloc_sync_one(cpu, mm);
            }
        });
    });
}

/// `vmalloc_sync_one`: copies the kernel entry where it is missing.
fn vmalloc_sync_one<M: Machine, C: HoldsPgdLock>(cpu: &mut Cpu<'_, M, C>, mm: MmId) {
    let m = cpu.m();
    let entry = kernel_entry(m, mm);
    let present = Entry(m.load(entry)).present();
    m.observe(Event::KernelEntryRead { mm, present });
    if !present {
        set_pgd(m, mm);
    }
}

/// `set_pgd(pgd, *pgd_ref)`: stores the kernel entry. `xen_set_pgd` looks at `PagePinned` first and traps into the
/// hypervisor only if it has to.
pub(crate) fn set_pgd<M: Machine>(m: Door<'_, M>, mm: MmId) {
    let entry = kernel_entry(m, mm);
    let pinned = m.env().xen_pin && {
        let pinned = m.load(&m.kernel().pgd_pages[mm.index()].pinned) != 0;
        m.observe(Event::PinnedRead { mm, pinned });
        pinned
    };
    if pinned {
        m.hypervisor_store(entry, KERNEL_ENTRY.0);
    } else {
        m.store(entry, KERNEL_ENTRY.0);
    }
    m.observe(Event::KernelEntrySet {
        mm,
        hypervisor: pinned,
    });
}
