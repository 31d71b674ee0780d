//! The 2011 hang on real threads, ended and explained by the watchdog:
//! `cargo run --release -p shootdown-impl --features host --example host_deadlock [design [cpus [seconds [trace]]]]`.

use std::time::Duration;

use shootdown_impl::design::Axes;
use shootdown_impl::environment::Environment;
use shootdown_impl::host::stress::{StressConfig, Verdict, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let design = args.next().unwrap_or("v2.6.37".into());
    let axes = Axes::named(&design).ok_or_else(|| format!("there is no design `{design}`"))?;
    let cpus = args.next().map_or(Ok(2), |n| n.parse())?;
    let seconds = args.next().map_or(Ok(5), |n| n.parse())?;
    let config = StressConfig {
        axes,
        env: Environment {
            cpus,
            mms: 6,
            pgd_free_in_irq: true,
            ..Environment::default()
        },
        duration: Duration::from_secs(seconds),
        record: args.next().map(Into::into),
        ..StressConfig::default()
    };
    let outcome = run(&config, None)?;
    if let Verdict::Hung(report) = &outcome.verdict {
        println!("{}", report.render(100));
    }
    println!(
        "{design} on {cpus} CPUs: {} operations in {:.1} s ({:.0}/s), {} violations {:?}, {} IPIs, latency ns p50/p90/p99/p99.9 {:?}, {:?}",
        outcome.operations,
        outcome.seconds,
        outcome.operations_per_second(),
        outcome.violations,
        outcome.first_violations.first(),
        outcome.ipis,
        outcome.ipi_latency_ns,
        outcome.recording,
    );
    std::process::exit(i32::from(outcome.verdict != Verdict::Clean));
}
