//! The catalogue of faults: every place exists, every name is new, and what must be noticed is.

use std::collections::HashSet;

use shootdown_refinement::mutants::evidence::{self, Finding, How};
use shootdown_refinement::mutants::{self, Part};
use shootdown_spec::search::Options;
use shootdown_spec::variant::VariantSet;

#[test]
fn the_catalogue_has_at_least_forty_faults_in_every_part_each_with_a_name_and_a_place_of_its_own() {
    let all: Vec<_> = mutants::mutants().collect();
    assert!(all.len() >= 40, "{}", all.len());
    let names: HashSet<_> = all.iter().map(|m| m.name).collect();
    assert_eq!(names.len(), all.len());
    for part in [
        Part::Machine,
        Part::Locks,
        Part::List,
        Part::Flush,
        Part::Order,
        Part::Mapping,
    ] {
        assert!(
            all.iter().filter(|m| m.part == part).count() >= 5,
            "{part:?}"
        );
    }
    for m in all {
        let config = m.place.config(VariantSet::NONE).expect(m.name);
        let _ = m.runnable(&config);
        evidence::types(m).expect(m.name);
    }
}

/// What the project promises to catch, each within 30 steps.
#[test]
fn the_seven_faults_that_must_be_caught_are_caught_in_under_thirty_steps() {
    for name in [
        "unlisting-after-free",
        "ack-before-flush",
        "missing-irq-restore",
        "wrong-cpumask",
        "walk-skips-the-first-pgd",
        "flag-for-counter",
        "request-published-after-the-ipi",
    ] {
        let mutant = mutants::named(name).expect(name);
        let options = Options::default();
        let without = evidence::baseline(&mutant.place, &options).expect(name);
        let found = evidence::refinement(mutant, without, &options).expect(name);
        let run = found.counterexample.expect(name);
        assert!(run.steps < 30, "{name}: {} steps", run.steps);
        assert_eq!(run.lines.len(), run.steps, "{name}");
        assert_ne!(run.how, How::Nondeterministic, "{name}");
    }
}

/// A fault that changes nothing must survive: the evidence can say no.
#[test]
fn what_is_no_fault_survives() {
    let named = mutants::named("nothing").expect("it is in the catalogue");
    let options = Options::default();
    let without = evidence::baseline(&named.place, &options).expect("it fits");
    let found = evidence::refinement(named, without, &options).expect("it is explored");
    assert!(found.counterexample.is_none());
    assert_eq!(evidence::model(named, &options).unwrap(), Finding::NotAsked);
}
