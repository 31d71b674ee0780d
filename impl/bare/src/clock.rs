//! The time stamp counter, measured once against the ACPI timer.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::port::inl;

/// The ACPI timer of QEMU's `pc`, as its firmware sets it up: 3.579545 MHz, 24 bits.
const PM_TIMER: u16 = 0x608;
const PM_HZ: u64 = 3_579_545;

static KHZ: AtomicU64 = AtomicU64::new(1_000_000);
static BOOT: AtomicU64 = AtomicU64::new(0);

/// The counter.
pub fn cycles() -> u64 {
    // SAFETY: every x86-64 CPU has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Measures the counter's rate for 20 ms. The clock starts here.
pub fn measure() {
    let ticks = || u64::from(inl(PM_TIMER) & 0xff_ffff);
    let (first, begun) = (ticks(), cycles());
    BOOT.store(begun, Relaxed);
    let mut passed = 0;
    while passed < PM_HZ / 50 {
        passed = ticks().wrapping_sub(first) & 0xff_ffff;
    }
    KHZ.store((cycles() - begun) * PM_HZ / passed / 1000, Relaxed);
}

/// The counter's rate.
pub fn khz() -> u64 {
    KHZ.load(Relaxed).max(1)
}

/// So many cycles in nanoseconds; of more than an hour at most that.
pub fn nanoseconds(cycles: u64) -> u64 {
    cycles.saturating_mul(1_000_000) / khz()
}

/// Microseconds since [`measure`].
pub fn since_boot_us() -> u64 {
    cycles().saturating_sub(BOOT.load(Relaxed)) * 1000 / khz()
}

/// Waits.
pub fn delay_us(us: u64) {
    let until = since_boot_us() + us;
    while since_boot_us() < until {}
}
