//! Kernel words: every layout as it is printed, and that none passes for a kernel's log.

use super::{
    ANSWERED, INVERSION, INVERSION_IRQ_LAST, KNOWN, READER, SEED, SELF_DEADLOCK, STALE, run,
};
use shootdown_refinement::export::markdown::markdown;
use shootdown_refinement::export::splat::{Flavour, splat};

fn told(schedule: &str, flavour: Flavour) -> String {
    splat(&run(schedule), flavour).expect("there is something to report")
}

#[test]
fn the_seed_in_lockdeps_words_of_today() {
    insta::assert_snapshot!(told(SEED, Flavour::Modern));
}

#[test]
fn the_seed_in_the_words_of_2_6_38() {
    insta::assert_snapshot!(told(SEED, Flavour::V2_6_38));
}

#[test]
fn the_seed_in_depts_words() {
    insta::assert_snapshot!(told(SEED, Flavour::Dept));
}

#[test]
fn a_self_deadlock_is_an_inconsistent_lock_state() {
    insta::assert_snapshot!(told(SELF_DEADLOCK, Flavour::Modern));
    let old = told(SELF_DEADLOCK, Flavour::V2_6_38);
    assert!(old.contains("[ INFO: inconsistent lock state ]"), "{old}");
    let dept = told(SELF_DEADLOCK, Flavour::Dept);
    assert!(
        dept.contains("*** AA DEADLOCK ***") && dept.contains("<hardirq interrupt>"),
        "{dept}"
    );
    let reader = told(READER, Flavour::Modern);
    assert!(
        reader.contains("inconsistent {HARDIRQ-ON-R} -> {IN-HARDIRQ-W} usage."),
        "{reader}"
    );
}

#[test]
fn an_inversion_without_an_ipi_is_a_wrong_lock_order() {
    insta::assert_snapshot!(told(INVERSION, Flavour::Modern));
    insta::assert_snapshot!(told(INVERSION_IRQ_LAST, Flavour::Modern));
}

#[test]
fn the_seed_as_markdown() {
    insta::assert_snapshot!(markdown(&run(SEED)));
}

#[test]
fn every_text_says_that_it_is_no_kernel_log_and_how_to_run_it_again() {
    for schedule in KNOWN {
        for flavour in [Flavour::Modern, Flavour::V2_6_38, Flavour::Dept] {
            let Some(text) = splat(&run(schedule), flavour) else {
                continue;
            };
            let first = text.lines().next().unwrap_or_default();
            assert!(first.contains("NOT A KERNEL LOG"), "{text}");
            assert!(
                text.contains(&format!("shootdown replay '{}'", run(schedule).schedule())),
                "{text}"
            );
            assert!(!text.contains("ffff"), "addresses would be made up: {text}");
        }
    }
}

#[test]
fn the_pseudo_lock_is_owned_up_to_where_it_is_needed() {
    let needed = told(SEED, Flavour::Modern);
    assert!(
        needed.contains("lockdep has no node") && needed.contains("pseudo lock"),
        "{needed}"
    );
    assert!(needed.contains("CSD lock (#1) unresponsive"), "{needed}");
    let not = told(SELF_DEADLOCK, Flavour::Modern);
    assert!(
        not.contains("lockdep sees this one") && !not.contains("ipi_ack"),
        "{not}"
    );
    assert!(!not.contains("CSD"), "{not}");
}

/// The frame of each kind of report is as long as lockdep's.
#[test]
fn the_rules_have_lockdeps_lengths() {
    for (schedule, flavour, title, length) in [
        (
            SEED,
            Flavour::Modern,
            "WARNING: possible circular locking dependency detected",
            54,
        ),
        (
            SEED,
            Flavour::V2_6_38,
            "[ INFO: possible circular locking dependency detected ]",
            55,
        ),
        (
            SELF_DEADLOCK,
            Flavour::Modern,
            "WARNING: inconsistent lock state",
            32,
        ),
        (
            SELF_DEADLOCK,
            Flavour::V2_6_38,
            "[ INFO: inconsistent lock state ]",
            33,
        ),
        (
            INVERSION,
            Flavour::Modern,
            "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
            53,
        ),
        (
            INVERSION_IRQ_LAST,
            Flavour::Modern,
            "WARNING: possible irq lock inversion dependency detected",
            56,
        ),
    ] {
        let text = told(schedule, flavour);
        let lines: Vec<&str> = text.lines().collect();
        let at = lines
            .iter()
            .position(|l| *l == title)
            .unwrap_or_else(|| panic!("no {title} in {text}"));
        assert_eq!(lines[at - 1], "=".repeat(length));
        assert_eq!(lines[at + 2], "-".repeat(length));
    }
}

#[test]
fn a_run_with_nothing_to_report_has_no_splat() {
    for schedule in [STALE, ANSWERED] {
        for flavour in [Flavour::Modern, Flavour::V2_6_38, Flavour::Dept] {
            assert_eq!(splat(&run(schedule), flavour), None);
        }
    }
}
