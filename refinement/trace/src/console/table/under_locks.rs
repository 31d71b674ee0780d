//! Functions that run while their caller holds a lock: what a stack without lockdep says about holders.
//!
//! This is an inference and is always said to be one: the table tells the class of the lock, not which lock it is.

/// A function and the lock it runs under.
#[derive(Debug)]
pub struct UnderLock {
    /// The function.
    pub function: &'static str,
    /// The class, in words.
    pub lock: &'static str,
    /// How it is known.
    pub why: &'static str,
}

const PTL: &str = "a page-table lock";

const fn ptl(function: &'static str, why: &'static str) -> UnderLock {
    UnderLock {
        function,
        lock: PTL,
        why,
    }
}

/// The table. Innermost functions first: the first that is in a stack decides.
pub const UNDER_LOCKS: &[UnderLock] = &[
    ptl(
        "ptep_clear_flush",
        "mm/pgtable-generic.c: its callers hold the lock of the pte",
    ),
    ptl("ptep_clear_flush_young", "mm/pgtable-generic.c"),
    ptl(
        "ptep_set_access_flags",
        "mm/pgtable-generic.c: spurious faults are mended under the lock",
    ),
    ptl("pmdp_clear_flush_young", "mm/pgtable-generic.c"),
    ptl("pmdp_huge_clear_flush", "mm/pgtable-generic.c"),
    ptl("pmdp_clear_flush", "mm/pgtable-generic.c, to 4.4"),
    ptl("pmdp_splitting_flush", "mm/pgtable-generic.c, to 4.4"),
    ptl(
        "pmdp_invalidate",
        "mm/pgtable-generic.c: mprotect, madvise and split of a huge pmd",
    ),
    ptl("pmdp_invalidate_ad", "mm/pgtable-generic.c, 5.18 on"),
    ptl("change_huge_pmd", "mm/huge_memory.c: takes pmd_lock"),
    ptl("__split_huge_pmd_locked", "mm/huge_memory.c"),
    ptl("split_huge_pmd_locked", "mm/huge_memory.c, 6.11 on"),
    ptl("__split_huge_page_map", "mm/huge_memory.c, to 4.4"),
    ptl(
        "wp_page_copy",
        "mm/memory.c: flushes under the lock of the pte",
    ),
    ptl(
        "try_to_unmap_one",
        "mm/rmap.c: between page_vma_mapped_walk and its end",
    ),
    ptl("try_to_migrate_one", "mm/rmap.c, 5.14 on"),
    ptl("page_referenced_one", "mm/rmap.c, to 5.17"),
    ptl("folio_referenced_one", "mm/rmap.c, 5.18 on"),
    ptl("page_mkclean_one", "mm/rmap.c"),
    ptl("page_vma_mkclean_one", "mm/rmap.c, 5.18 on"),
    ptl("write_protect_page", "mm/ksm.c"),
    ptl("replace_page", "mm/ksm.c"),
    ptl(
        "move_ptes",
        "mm/mremap.c: flushes before it unlocks, 4.19 on",
    ),
    ptl(
        "collapse_huge_page",
        "mm/khugepaged.c: around pmdp_collapse_flush",
    ),
    ptl("pmdp_collapse_flush", "mm/pgtable-generic.c"),
    ptl("hugetlb_change_protection", "mm/hugetlb.c"),
    ptl("zap_huge_pmd", "mm/huge_memory.c"),
    ptl(
        "tlb_flush_mmu_tlbonly_locked",
        "mm/mmu_gather.c: zap of dirty shared pages, 3.15 on",
    ),
    UnderLock {
        function: "__split_large_page",
        lock: "pgd_lock",
        why: "arch/x86/mm/pat/set_memory.c, 4.20 on: flush_tlb_all under it",
    },
    UnderLock {
        function: "__purge_vmap_area_lazy",
        lock: "vmap_purge_lock",
        why: "mm/vmalloc.c: a mutex since 4.10, a spinlock before",
    },
    UnderLock {
        function: "zone_gc",
        lock: "a zone lock",
        why: "Mach, kern/zalloc.c",
    },
    UnderLock {
        function: "kvm_flush_remote_tlbs",
        lock: "kvm->mmu_lock",
        why: "virt/kvm: most callers hold it",
    },
    UnderLock {
        function: "kvm_mmu_notifier_invalidate_range_start",
        lock: "kvm->mmu_lock",
        why: "virt/kvm/kvm_main.c",
    },
];

/// The lock that a function runs under, if the table has it.
#[must_use]
pub fn under_lock(function: &str) -> Option<&'static UnderLock> {
    UNDER_LOCKS.iter().find(|entry| entry.function == function)
}
