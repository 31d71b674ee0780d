//! The result of a run, in facts.

use core::sync::atomic::Ordering::Relaxed;

use shootdown_impl::id::NR_CPUS;
use shootdown_impl::live::driver::NR_PROGRAMS;

use core::sync::atomic::AtomicU64;

use crate::clock;
use crate::machine::{KEPT, SHARED};
use crate::out::fact_alone;

/// How often each program ran, by CPU.
pub static BY_PROGRAM: [[AtomicU64; NR_PROGRAMS]; NR_CPUS] =
    [const { [const { AtomicU64::new(0) }; NR_PROGRAMS] }; NR_CPUS];
/// When the CPUs began, in microseconds since boot.
pub static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Tells it. No other CPU tells anything at the same time.
pub fn tell(cpus: u8) {
    progress();
    let cpus = || SHARED.cpus.iter().take(cpus.into());
    for bucket in 0..SHARED.cpus[0].latencies.len() {
        let times: u64 = cpus()
            .map(|c| u64::from(c.latencies[bucket].load(Relaxed)))
            .sum();
        if times > 0 {
            fact_alone(format_args!("latency bucket={bucket} times={times}"));
        }
    }
    let violations = SHARED.violations.load(Relaxed);
    fact_alone(format_args!("violations n={violations}"));
    for place in SHARED.first_violations.iter().take(violations.min(KEPT)) {
        fact_alone(format_args!("violation word={}", place.load(Relaxed)));
    }
}

/// Tells how far it is: a run that is interrupted has that much.
pub fn progress() {
    let sum = |of: fn(&crate::machine::PerCpu) -> &AtomicU64| -> u64 {
        SHARED.cpus.iter().map(|c| of(c).load(Relaxed)).sum()
    };
    let us = clock::since_boot_us().saturating_sub(BEGUN.load(Relaxed));
    fact_alone(format_args!(
        "progress us={us} ops={} ipis={}",
        sum(|c| &c.ops),
        sum(|c| &c.ipis)
    ));
    for (n, place) in
        (0..NR_PROGRAMS).map(|n| (n, BY_PROGRAM.iter().map(move |c| c[n].load(Relaxed))))
    {
        let times: u64 = place.sum();
        if times > 0 {
            fact_alone(format_args!("program n={n} times={times}"));
        }
    }
}
