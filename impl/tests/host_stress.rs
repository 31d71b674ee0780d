//! The kernel code on real threads: clean where it should be, hung and explained where it should be, and every
//! run-time check alive.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use shootdown_impl::design::{Axes, NAMED};
use shootdown_impl::environment::Environment;
use shootdown_impl::fault::Fault;
use shootdown_impl::host::stress::{StressConfig, StressError, StressOutcome, Verdict, run};
use shootdown_impl::host::watchdog::Why;
use shootdown_impl::host::{HostViolation, IrqMode};
use shootdown_impl::id::CpuId;

fn config(design: &str, cpus: u8) -> StressConfig {
    StressConfig {
        axes: Axes::named(design).unwrap(),
        env: Environment {
            cpus,
            mms: 6,
            pgd_free_in_irq: true,
            ..Environment::default()
        },
        // The bound is on operations; the time is only there so that nothing hangs for ever.
        duration: Duration::from_secs(120),
        max_operations: Some(20_000),
        ..StressConfig::default()
    }
}

fn clean(config: &StressConfig) -> StressOutcome {
    let outcome = run(config, None).unwrap();
    if let Verdict::Hung(report) = &outcome.verdict {
        panic!("{}", report.render(120));
    }
    assert_eq!(
        outcome.verdict,
        Verdict::Clean,
        "{:?}",
        outcome.first_violations
    );
    outcome
}

#[test]
fn the_default_design_runs_clean_on_two_and_four_cpus_with_everything_at_once() {
    for cpus in [1, 2, 4] {
        let outcome = clean(&config("tracked", cpus));
        let idle: Vec<_> = outcome.by_program.iter().filter(|(_, n)| *n == 0).collect();
        assert!(idle.is_empty(), "never ran on {cpus} CPUs: {idle:?}");
        assert!(outcome.operations > 10_000);
        assert_eq!(outcome.ipis > 0, cpus > 1);
        assert_eq!(outcome.ipi_latency_ns.is_some(), cpus > 1);
    }
}

#[test]
fn without_split_locks_or_huge_pages_and_with_the_signal_mask_it_does_too() {
    for (split_ptlocks, thp, irq_mode) in [
        (false, true, IrqMode::Soft),
        (true, false, IrqMode::Soft),
        (true, true, IrqMode::SignalMask),
    ] {
        let base = config("tracked", 3);
        clean(&StressConfig {
            env: Environment {
                split_ptlocks,
                thp,
                ..base.env
            },
            irq_mode,
            ..base
        });
    }
}

#[test]
fn designs_that_cannot_deadlock_without_pgd_free_in_irq_run_clean_there() {
    for &(name, _) in NAMED
        .iter()
        .filter(|(n, _)| ["v2.6.36", "v2.6.38", "rwlock", "tracked-plain"].contains(n))
    {
        let base = config(name, 2);
        // madvise against madvise is unsafe before `tracked-plain` (H 5.4): leave it out.
        let programs = [
            "vmalloc_sync_all",
            "page_referenced_one",
            "split_huge_page",
            "pgd_alloc",
            "pgd_free",
            "switch_mm",
        ];
        let programs = programs.map(String::from).into();
        clean(&StressConfig {
            env: Environment {
                pgd_free_in_irq: false,
                ..base.env
            },
            programs,
            ..base
        });
    }
}

#[test]
fn the_kernel_of_the_mail_hangs_and_the_watchdog_says_why() {
    let base = config("v2.6.37", 2);
    let config = StressConfig {
        env: Environment {
            mms: 1,
            pgd_free_in_irq: false,
            ..base.env
        },
        programs: ["page_referenced_one", "vmalloc_sync_all"]
            .map(String::from)
            .into(),
        max_operations: None,
        ..base
    };
    let outcome = run(&config, None).unwrap();
    let Verdict::Hung(report) = outcome.verdict else {
        panic!("did not hang: {:?}", outcome.verdict)
    };
    let whys: Vec<&Why> = report.cycle.iter().map(|e| &e.why).collect();
    assert!(whys.contains(&&Why::NoAck), "{report:?}");
    assert!(
        whys.iter().any(|w| matches!(w, Why::Holds(_))),
        "{report:?}"
    );
    let text = report.render(100);
    assert!(
        text.contains("interrupts OFF") && text.contains("awaits the acknowledgement of"),
        "{text}"
    );
    assert!(text.contains("pending flush IPI from"), "{text}");
    assert!(text.lines().all(|l| l.chars().count() <= 100));
}

#[test]
fn a_plain_pgd_lock_taken_from_an_interrupt_hangs() {
    let base = config("v2.6.38", 2);
    let programs = ["vmalloc_sync_all", "pgd_alloc", "pgd_free", "switch_mm"]
        .map(String::from)
        .into();
    let outcome = run(
        &StressConfig {
            max_operations: None,
            programs,
            ..base
        },
        None,
    )
    .unwrap();
    let Verdict::Hung(report) = outcome.verdict else {
        panic!("did not hang: {:?}", outcome.verdict)
    };
    assert!(
        report.cycle.iter().any(|e| e.why == Why::Interrupted),
        "{report:?}"
    );
}

fn with_fault(fault: Fault) -> StressOutcome {
    let config = StressConfig {
        fault: Some(fault),
        max_operations: None,
        ..config("tracked", 2)
    };
    let outcome = run(&config, None).unwrap();
    assert_eq!(
        outcome.verdict,
        Verdict::Violated,
        "{fault:?} was not caught"
    );
    outcome
}

#[test]
fn a_cpu_that_skips_its_flush_is_caught() {
    let found = with_fault(Fault::SkipFlush(CpuId(1))).first_violations;
    assert!(
        matches!(
            found[0],
            HostViolation::StaleTlb { .. } | HostViolation::FreedFrame { .. }
        ),
        "{found:?}"
    );
}

#[test]
fn freeing_before_the_flush_is_caught() {
    let found = with_fault(Fault::FreeBeforeFlush).first_violations;
    assert!(
        found.iter().any(|v| matches!(
            v,
            HostViolation::StaleTlb { .. }
                | HostViolation::FreedFrame { .. }
                | HostViolation::GupOnReusedPage { .. }
        )),
        "{found:?}"
    );
}

#[test]
fn unlisting_after_the_free_is_caught() {
    let found = with_fault(Fault::UnlistAfterFree).first_violations;
    assert!(
        matches!(found[0], HostViolation::FreedPgd { .. }),
        "{found:?}"
    );
}

#[test]
fn bad_input_is_refused_with_a_reason() {
    let too_many = StressConfig {
        env: Environment {
            cpus: 9,
            ..Environment::default()
        },
        ..StressConfig::default()
    };
    assert_eq!(
        run(&too_many, None).unwrap_err().to_string(),
        "the machine has room for 1 to 8 CPUs, not 9"
    );
    let unknown = StressConfig {
        programs: vec!["vmaloc".into()],
        ..StressConfig::default()
    };
    assert!(
        run(&unknown, None)
            .unwrap_err()
            .to_string()
            .contains("there is no program `vmaloc`")
    );
    let nowhere = StressConfig {
        record: Some("/nonexistent/trace".into()),
        ..StressConfig::default()
    };
    assert!(matches!(run(&nowhere, None), Err(StressError::Record(..))));
}

#[test]
fn a_cancelled_run_ends_with_all_threads_gone() {
    let cancel = AtomicBool::new(true);
    let outcome = run(
        &StressConfig {
            max_operations: None,
            ..config("tracked", 2)
        },
        Some(&cancel),
    )
    .unwrap();
    assert_eq!(outcome.verdict, Verdict::Cancelled);
}
