//! The bare-metal machine: `shootdown_impl` on x86-64 under QEMU, with no operating system.
//!
//! The kernel paths and policies are those of the other machines; here the IPIs, the interrupt flag, CR3, `invlpg` and
//! the page tables are the hardware's. `shootdown bare` builds this program and starts it; docs/machines.md compares the
//! three machines.
//!
//! [`cpu`] and [`memory`] are the hardware, [`machine`] is the door to it, [`watchdog`] explains a hang, [`out`] sends
//! records and facts, [`console`] writes for people.
#![no_std]
#![no_main]

mod clock;
mod console;
mod cpu;
mod machine;
mod memory;
mod options;
mod out;
mod port;
mod probe;
mod runtime;
mod start;
mod summary;
mod watchdog;

core::arch::global_asm!(include_str!("boot.s"));
