//! Concrete code for the kernel paths of the 2011 `vmalloc_sync_all` deadlock, generic over a machine.
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(feature = "std", test))]
extern crate std;

pub mod cpu;
pub mod design;
pub mod env;
pub mod event;
pub mod flush;
pub mod id;
pub mod ipi;
pub mod irq;
pub mod kernel;
pub mod machine;
pub mod mm;
pub mod operation;
pub mod page_table;
pub mod path;
pub mod pgd_list;
pub mod spinlock;
pub mod syscall;
pub mod tlb;

#[cfg(any(feature = "sim", feature = "host"))]
pub mod fault;
#[cfg(feature = "host")]
pub mod host;
#[cfg(any(feature = "sim", feature = "host"))]
mod locate;
#[cfg(feature = "sim")]
pub mod sim;
