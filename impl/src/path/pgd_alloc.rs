//! `pgd_alloc` / `pgd_ctor` (`arch/x86/mm/pgtable.c`, 2.6.38).
//!
//! Locks: `pgd_lock`, for writing. Interrupts: on at entry; off inside where `pgd_lock` is irqsave. The clone and the
//! `list_add` happen under one hold: no walk can fall between them and miss the new pgd.

use crate::cpu::{Cpu, Task};
use crate::design::Design;
use crate::event::Event;
use crate::id::MmId;
use crate::machine::Machine;
use crate::mm::Life;
use crate::page_table::{Entry, init_entry, kernel_entry};

/// Gives birth to the mm in a fresh slot: clones the kernel half from `swapper_pg_dir` and lists the pgd.
pub fn pgd_alloc<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    cpu.with_pgd_lock_to_change::<D::PgdLock, _>(|pgd_list, cpu| {
        let m = cpu.m();
        // clone_pgd_range(pgd + KERNEL_PGD_BOUNDARY, swapper_pg_dir + KERNEL_PGD_BOUNDARY, ..): the entry that varies
        let entry = Entry(m.load(init_entry(m)));
        m.observe(Event::InitEntryRead {
            present: entry.present(),
        });
        m.store(kernel_entry(m, mm), entry.0);
        m.store(&m.kernel().mms[mm.index()].life, Life::Alive as u64);
        m.observe(Event::MmBorn { mm });
        pgd_list.list_add(mm);
    });
}
