//! The kernel paths of the 2011 `vmalloc_sync_all` deadlock, as concrete Rust over a small machine.
//!
//! Page aging and unmapping flush other CPUs' TLBs by IPI and wait for every answer; the walk of `pgd_list` takes
//! every mm's `page_table_lock` inside `pgd_lock`, in some kernels with interrupts off. Here is that code as it would
//! be written for a kernel, in every design that was shipped or proposed and in ours, [`design::Tracked`].
//!
//! Reading order: [`id`], [`machine`] (the door), [`kernel`] (what is shared), [`cpu`] (context as values), [`irq`],
//! [`spinlock`], [`pgd_list`], [`mm`], [`page_table`], [`ipi`], [`tlb`], [`flush`] and [`design`] (where the kernels
//! differ), [`syscall`], then [`path`], and [`operation`] to run one.
//!
//! ```text
//! lock order:   pgd_lock  ->  page_table_lock | a pte page's lock  ->  nothing
//! the rule:     IPI acknowledgements are awaited with none of them held and interrupts on
//! ```
//!
//! The core has no dependency, does not allocate and is `no_std`. Two machines run it, each behind a feature: `sim`
//! (one CPU at a time, every operation announced) and `host` (threads and signals); the third is a program of its own,
//! in `impl/bare`. [`live`] is what the host and that one share. `tracing` brings an observer.
//!
//! ```
//! # #[cfg(feature = "sim")] {
//! use shootdown_impl::design::{Tracked, V2_6_37};
//! use shootdown_impl::environment::Environment;
//! use shootdown_impl::id::MmId;
//! use shootdown_impl::operation::{Code, KernelCode, Operation};
//! use shootdown_impl::sim::{Outcome, RandomScheduler, Sim, SimConfig};
//! use shootdown_impl::tlb::Slot;
//!
//! let aging = [Operation::PageReferencedOne(MmId(0), Slot::Huge)];
//! let config = SimConfig::new(Environment::default(), &[&aging, &[Operation::VmallocSyncAll]]);
//! fn hangs(code: impl Code + Copy, config: &SimConfig) -> bool {
//!     (0..200).any(|seed| {
//!         let mut sim = Sim::new(code, config).unwrap();
//!         sim.run(&mut RandomScheduler::new(seed, 10_000), |_, _| {}) == Outcome::Deadlock
//!     })
//! }
//! assert!(hangs(KernelCode::<V2_6_37>::new(), &config));
//! assert!(!hangs(KernelCode::<Tracked>::new(), &config));
//! # }
//! ```
//!
//! Limitations: sequential consistency (x86-TSO is a later step), ticket-fair locks, one flush vector with one slot
//! per sender, one kernel entry, one pte and one huge pmd per mm.
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(feature = "std", test))]
extern crate std;

pub mod cpu;
pub mod design;
mod door;
pub mod environment;
pub mod event;
pub mod flush;
pub mod id;
pub mod ipi;
pub mod irq;
pub mod kernel;
pub mod live;
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
