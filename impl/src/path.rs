//! The kernel paths, one file each, named after the kernel function they follow.

pub mod flush_tlb;
pub mod gup_fast;
pub mod handle_mm_fault;
pub mod lazy_tlb;
pub mod page_referenced_one;
pub mod pgd_alloc;
pub mod pgd_free;
pub mod split_huge_page;
pub mod switch_mm;
pub mod try_to_unmap_one;
pub mod user_access;
pub mod vmalloc_fault;
pub mod vmalloc_sync_all;
pub mod xen_pgd_pin;
pub mod zap_page_range;
