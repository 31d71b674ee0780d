//! The small lockdep: what it reports of known runs, and what it must and must not report of random ones.

use super::{
    ANSWERED, INVERSION, INVERSION_IRQ_LAST, READER, SEED, SELF_DEADLOCK, STALE, THREE, configs,
    random_run, run,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use shootdown_refinement::export::lockdep::{Bit, Class, Kind, watch};
use shootdown_spec::order;
use shootdown_spec::schedule::Schedule;
use shootdown_spec::state::Why;

#[test]
fn the_seed_is_a_circle_that_only_the_pseudo_lock_closes() {
    let report = watch(&run(SEED)).expect("it deadlocks");
    assert!(report.needs_acks());
    let Kind::Circular { holding, chain } = &report.kind else {
        panic!("{report:?}");
    };
    // By hand: CPU1 held page_table_lock and awaited CPU0; CPU0 had interrupts off when it took pgd_lock; now it asks
    // for page_table_lock, holding pgd_lock.
    assert_eq!(holding.class, Class::Lock(order::Class::PgdLock));
    assert_eq!(report.by.class, Class::Lock(order::Class::PageTableLock));
    let ends: Vec<String> = chain.iter().map(|l| format!("{:?}", l.to)).collect();
    assert_eq!(ends, ["Ack(CpuId(0))", "Lock(PgdLock)"]);
    assert_eq!(report.by.place.n, 11);
}

#[test]
fn an_interrupt_that_takes_what_it_interrupted_is_an_inconsistent_state() {
    for (schedule, old) in [(SELF_DEADLOCK, Bit::HardirqOnW), (READER, Bit::HardirqOnR)] {
        let report = watch(&run(schedule)).expect("it deadlocks");
        let Kind::Inconsistent { old: (bit, _), new } = report.kind else {
            panic!("{report:?}");
        };
        assert_eq!((bit, new), (old, Bit::InHardirqW));
        assert!(!report.needs_acks());
    }
}

#[test]
fn the_inversion_is_told_from_whichever_side_came_last() {
    let report = watch(&run(INVERSION)).expect("it deadlocks");
    let Kind::SafeUnsafe { safe, not_safe, .. } = &report.kind else {
        panic!("{report:?}");
    };
    assert_eq!(safe.0, Class::Lock(order::Class::PgdLock));
    assert_eq!(not_safe.0, Class::Lock(order::Class::PageTableLock));
    let report = watch(&run(INVERSION_IRQ_LAST)).expect("it deadlocks");
    assert!(
        matches!(report.kind, Kind::Inversion { forwards: true, .. }),
        "{report:?}"
    );
    assert!(!report.needs_acks());
}

#[test]
fn three_cpus_make_one_circle_too() {
    let report = watch(&run(THREE)).expect("it deadlocks");
    assert!(
        matches!(report.kind, Kind::Circular { .. }) && report.needs_acks(),
        "{report:?}"
    );
}

#[test]
fn a_run_without_waits_in_a_circle_is_not_reported() {
    for schedule in [STALE, ANSWERED] {
        assert_eq!(watch(&run(schedule)), None, "{schedule}");
    }
}

/// The random runs below would mean nothing if none of them hung.
#[test]
fn random_runs_do_deadlock_with_and_without_acknowledgements() {
    let mut runner = TestRunner::deterministic();
    let picks = proptest::collection::vec(any::<u16>(), 0..80);
    let (mut by_acks, mut by_locks) = (0, 0);
    for i in (0..configs().len()).cycle().take(400) {
        let picks = picks.new_tree(&mut runner).expect("it makes one").current();
        let run = random_run(&configs()[i], &picks);
        let cycle = run.cycle();
        if cycle.iter().any(|e| e.why == Why::Ack) {
            by_acks += 1;
        } else if !cycle.is_empty() {
            by_locks += 1;
        }
    }
    assert!(
        by_acks > 0 && by_locks > 0,
        "{by_acks} and {by_locks} of 400"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    /// Every context that hangs on locks and acknowledgements was reported, at the latest when it began to.
    #[test]
    fn no_deadlock_goes_unreported(i in 0..configs().len(), picks in proptest::collection::vec(any::<u16>(), 0..80)) {
        let run = random_run(&configs()[i], &picks);
        let cycle = run.cycle();
        let known = cycle.iter().all(|e| !matches!(e.why, Why::Split(_)));
        if !cycle.is_empty() && known {
            prop_assert!(watch(&run).is_some(), "{}", run.schedule());
        }
    }

    /// The order of the tracked design is acyclic for any number of CPUs: no run of it has anything to report.
    #[test]
    fn a_design_with_an_acyclic_order_is_never_reported(picks in proptest::collection::vec(any::<u16>(), 0..80)) {
        let text = "tracked;cpus=3,mms=2,pgd_free_in_irq=on;workload=everything;start=mm0,mm0,mm0;;";
        let config = text.parse::<Schedule>().expect("it is one").config;
        let run = random_run(&config, &picks);
        prop_assert_eq!(watch(&run), None, "{}", run.schedule());
    }
}
