//! `page_referenced_one` (`mm/rmap.c`, 2.6.38), with `ptep_clear_flush_young` and `pmdp_clear_flush_young`
//! (`arch/x86/mm/pgtable.c`).
//!
//! Locks: the pte's lock, or `page_table_lock` for a huge page. Interrupts: on; off under the lock where page-table
//! locks are irqsave. Flushes only if ACCESSED was set, before or after the unlock as the design says: flushing
//! before it is CPU1 of the 2011 deadlock.

use crate::cpu::{Cpu, Task};
use crate::design::Design;
use crate::flush::{Young, changed};
use crate::id::MmId;
use crate::machine::Machine;
use crate::tlb::Scope;

/// The pte branch: clears ACCESSED in the pte.
pub fn page_referenced_one<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let owed = cpu.with_pte_lock::<D::PtLock, _>(mm, |pte, cpu| {
        let young = pte.test_and_clear_young();
        young.then(|| changed::<D, Young<D>, _, _, _>(pte, cpu, Scope::Page))
    });
    if let Some(owed) = owed {
        owed.settle(cpu);
    }
}

/// The huge-page branch: clears ACCESSED in a huge pmd that is not being split.
pub fn page_referenced_one_huge<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
    let owed = cpu.with_page_table_lock::<D::PtLock, _>(mm, |pmd, cpu| {
        // page_check_address_pmd(.., PAGE_CHECK_ADDRESS_PMD_FLAG), then !pmd_trans_splitting()
        let old = pmd.read();
        let young = old.trans_huge() && !old.splitting() && pmd.test_and_clear_young();
        young.then(|| changed::<D, Young<D>, _, _, _>(pmd, cpu, Scope::All))
    });
    if let Some(owed) = owed {
        owed.settle(cpu);
    }
}
