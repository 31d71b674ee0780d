//! The watchdog's report as a Linux console has it, so that whoever reads such logs can read this one.

use crate::kernel_log;
use crate::watchdog::Parked;
use shootdown_impl::id::CpuId;

/// Prints where every CPU is.
pub fn report<'p>(stuck_ms: u32, cpus: impl Iterator<Item = (CpuId, &'p Parked)>) {
    kernel_log!("watchdog: nothing has moved for {stuck_ms} ms");
    for (cpu, parked) in cpus {
        let rip = parked.rip.load(core::sync::atomic::Ordering::Relaxed);
        kernel_log!("CPU{}: rip {rip:#x}", cpu.0);
    }
}
