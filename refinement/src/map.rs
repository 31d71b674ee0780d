//! Between the specification and the implementation: what each calls the same thing.
//!
//! The two crates do not know each other. Whatever names both is here, one file per concept, each opening with its
//! correspondence table. [`agree`] compares a state of the code with a state of the protocol, concept by concept;
//! [`event`] says which step of the protocol an event of the code is.

pub mod agree;
pub mod config;
pub mod cpu;
pub mod event;
pub mod id;
pub mod ipi;
pub mod mm;
pub mod pgd_list;
pub mod program;
pub mod spinlock;
pub mod tlb;
