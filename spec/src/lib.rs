//! Executable specification of the Linux x86 `pgd_lock` / `page_table_lock` / TLB-flush-IPI
//! protocol.
//!
//! In 2011 a CPU that aged a page held `page_table_lock` and awaited the acknowledgement of its
//! TLB-flush IPI, while another, in `vmalloc_sync_all` with interrupts off, held `pgd_lock` and
//! spun for that `page_table_lock`. This crate makes the argument about it executable: every
//! kernel path is a short [`program`], every [`design`] in every [`environment`] is a model
//! whose every interleaving is explored, and every [`property`] gets a verdict with a shortest
//! counterexample.
//!
//! Reading order: [`program`], the files under `path/` beside the C source, [`select`] (where
//! designs differ), the objects [`cpu`], [`spinlock`], [`mm`], [`pgd_list`], [`tlb`] with the
//! [`message`]s between them; then the two hosts, [`actor`] (a Stateright actor model) and
//! [`model`] (the same objects, message-free); then [`property`], [`search`], [`check`];
//! beside all that [`order`], which looks at the programs without running them, and [`export`],
//! which writes a configuration for other checkers.
//!
//! # Limitations
//! Sequential consistency, ticket-fair spinlocks, one flush vector, one kernel entry, one pte
//! and one huge pmd per mm, bounded CPUs, mms and operations: `docs/assumptions.md`.

pub mod actor;
pub mod barrier;
pub mod check;
pub mod config;
pub mod cpu;
pub mod design;
pub mod environment;
pub mod export;
pub mod id;
pub mod lower;
pub mod message;
pub mod mm;
pub mod model;
pub mod order;
mod path;
pub mod pgd_list;
pub mod program;
pub mod progress;
pub mod property;
pub mod report;
pub mod schedule;
pub mod search;
pub mod select;
pub mod spinlock;
pub mod state;
pub mod tlb;
pub mod trace;
pub mod variant;
pub mod verdict;
pub mod workload;
