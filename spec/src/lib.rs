//! Executable specification of the pgd_lock / page_table_lock / TLB-flush-IPI protocol.

pub mod progress;
pub mod search;
