//! The host machine: CPUs are threads, interrupts are POSIX real-time signals, TLBs are software.
//!
//! Kernel code runs at full speed and really spins. An IPI sets a bit in the target's inbox and signals its thread if
//! the inbox was empty; the handler runs on that thread's stack. `cli` is a soft flag (the handler defers, enabling
//! runs what was deferred) or, as the stricter mode, the signal mask. Hits between any two instructions, as on
//! hardware; only the hardware's own actions (a TLB fill, an access through the TLB) are not interrupted.
//!
//! A hang is real, too. Waits poll one abort flag, and unwind when it is set, so that a machine that hung can be
//! reported by [`watchdog`] and then taken down.

mod cpu;
#[expect(
    unsafe_code,
    reason = "signals: the one place that talks to the operating system"
)]
mod interrupt;
pub mod line;
pub mod recorder;
mod shared;
pub mod stress;
pub mod trace;
pub mod watchdog;

pub use crate::live::violation::HostViolation;
pub use cpu::HostCpu;
pub use interrupt::{IrqMode, OnCpu};
pub use shared::Host;
