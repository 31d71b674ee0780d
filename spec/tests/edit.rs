//! Edits of the lowered protocol: the checker of generated faults is itself checked.

use shootdown_spec::config::Config;
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::lower::edit::{Change, Editable, Limits, Spot};
use shootdown_spec::lower::lower;
use shootdown_spec::property::Property;
use shootdown_spec::variant::VariantSet;
use shootdown_spec::verdict::Verdict;
use shootdown_spec::workload::Workload;
use std::sync::atomic::AtomicBool;

fn config(design: &str, env: &str, workload: &str) -> Config {
    let mut environment = Environment::named(env).expect("a named environment");
    let workload = Workload::parse(workload, &environment).expect("a workload of it");
    environment.cpus = workload.cpus().unwrap_or(2) as u8;
    let design = Design::named(design).expect("a named design");
    Config::new(design, environment, workload, VariantSet::NONE).expect("it makes sense")
}

static NEVER: AtomicBool = AtomicBool::new(false);

const ALWAYS: Limits<'static> = Limits {
    states: 1_000_000,
    timeout: None,
    cancel: &NEVER,
};

fn aging() -> Config {
    config("v2.6.38", "split", "mm0=page_referenced_one/mm0=idle")
}

fn spot<'a>(editable: &'a Editable<'_>, program: &str, statement: &str) -> &'a Spot {
    let mut spots = editable.spots();
    let found = spots.find(|s| s.program == program && s.statement == statement);
    found.unwrap_or_else(|| panic!("{program} has no `{statement}`"))
}

/// Who notices first; `None` where no reached state has other successors.
fn first(editable: &Editable<'_>, spot: &Spot, change: &Change) -> Option<String> {
    let baseline = editable.baseline(ALWAYS).expect("it is not cut off");
    let edited = editable
        .edited(spot, change)
        .expect("there is such a thing");
    let seen = editable
        .scan(&baseline, &edited, &NEVER)
        .expect("it is not cut off");
    let outcome = editable
        .outcome(&edited, ALWAYS)
        .expect("it is not cut off");
    let differences = baseline.outcome.differences(&outcome);
    if !seen.differs {
        assert_eq!(
            differences,
            [],
            "{spot}: {change}: no state differs, and yet the run does"
        );
        return None;
    }
    Some(
        differences
            .first()
            .map_or("survived".into(), ToString::to_string),
    )
}

#[test]
fn an_acknowledgement_that_is_never_given_is_caught_by_a_verdict() {
    let config = aging();
    let editable = Editable::new(lower(&config).expect("it can be lowered"));
    let ack = spot(
        &editable,
        "flush_tlb_interrupt",
        "cpumask_clear_cpu(cpu, f->flush_cpumask)",
    );
    let caught = first(&editable, ack, &Change::Skip);
    assert_eq!(
        caught.as_deref(),
        Some("verdict no_deadlock: violated, was vacuous")
    );
}

#[test]
fn an_edit_that_changes_nothing_is_equivalent_wherever_it_is_made() {
    let config = aging();
    let editable = Editable::new(lower(&config).expect("it can be lowered"));
    for spot in editable.spots().filter(|s| s.op != "Gate") {
        assert_eq!(first(&editable, spot, &Change::Nothing), None, "{spot}");
    }
}

/// Interrupts of CPU 0 are never sent to: nobody else flushes.
#[test]
fn a_statement_that_is_not_reached_is_never_counted_as_caught() {
    let config = config("v2.6.38", "split", "none=page_referenced_one@mm0/none=idle");
    let editable = Editable::new(lower(&config).expect("it can be lowered"));
    let baseline = editable.baseline(ALWAYS).expect("it is not cut off");
    let ack = spot(
        &editable,
        "flush_tlb_interrupt",
        "cpumask_clear_cpu(cpu, f->flush_cpumask)",
    );
    assert_eq!(editable.taken(&baseline, ack), 0);
    let edited = editable
        .edited(ack, &Change::Skip)
        .expect("the program is there");
    let seen = editable
        .scan(&baseline, &edited, &NEVER)
        .expect("it is not cut off");
    assert_eq!((seen.at, seen.differs), (0, false));
    assert_eq!(first(&editable, ack, &Change::Skip), None);
}

/// And the other way round: what differs in no reached state comes out the same, and every edit that is listed can be made.
#[test]
fn every_edit_that_is_listed_can_be_made_and_is_judged_as_its_search_says() {
    let config = config("tracked", "split", "mm0=try_to_unmap_one/mm0=idle");
    let editable = Editable::new(lower(&config).expect("it can be lowered"));
    let baseline = editable.baseline(ALWAYS).expect("it is not cut off");
    let (mut caught, mut same) = (0, 0);
    for spot in editable.spots() {
        for change in editable.changes(spot).iter().step_by(7) {
            let Some(edited) = editable.edited(spot, change) else {
                let may_be_the_same = matches!(change, Change::Operand { .. } | Change::Swap(..));
                assert!(may_be_the_same, "{spot}: {change}");
                continue;
            };
            let seen = editable
                .scan(&baseline, &edited, &NEVER)
                .expect("not cut off");
            let outcome = editable.outcome(&edited, ALWAYS).expect("not cut off");
            let differs = !baseline.outcome.differences(&outcome).is_empty();
            assert!(seen.differs || !differs, "{spot}: {change}");
            caught += usize::from(differs);
            same += usize::from(!seen.differs);
        }
    }
    assert!(caught > 40 && same > 10, "{caught} caught, {same} the same");
}

/// Who believes to hold a lock is compared with its owner in every state, not only where the lock is asked for.
#[test]
fn a_lock_that_lets_a_second_one_in_violates_mutual_exclusion() {
    let both = "mm0=page_referenced_one/mm0=page_referenced_one";
    let config = config("v2.6.38", "split", both);
    let editable = Editable::new(lower(&config).expect("it can be lowered"));
    let at_once = |spot: &&Spot| spot.op == "Lock" && !spot.when.contains('!');
    let mut tried = 0;
    for spot in editable.spots().filter(at_once) {
        for change in editable.clauses(spot) {
            let clause = change.clause().expect("it is one");
            if !clause.starts_with("owner of") {
                continue;
            }
            let edited = editable.edited(spot, &change).expect("it is there");
            let outcome = editable
                .outcome(&edited, ALWAYS)
                .expect("it is not cut off");
            let (index, _) = Property::named("mutual_exclusion").expect("it is one");
            assert_eq!(
                outcome.verdicts[index],
                Verdict::Violated,
                "{spot}: {change}"
            );
            tried += 1;
        }
    }
    assert!(tried > 0);
}

/// What nothing depends on makes no difference negated either; what is always true where it matters does.
#[test]
fn a_clause_is_negated_where_it_is_always_true() {
    let config = aging();
    let editable = Editable::new(lower(&config).expect("it can be lowered"));
    let baseline = editable.baseline(ALWAYS).expect("it is not cut off");
    let start = spot(&editable, "page_referenced_one_pte", "start");
    let alive = "mm->life == 2".to_string();
    let differs = |change: &Change| {
        let edited = editable.edited(start, change).expect("it is there");
        let differs = editable.differs(&baseline, &edited, &NEVER);
        differs.expect("it is not cut off")
    };
    let (of, clause) = (None, alive.clone());
    assert!(!differs(&Change::Clause { of, clause }));
    let (of, clause) = (None, alive);
    assert!(differs(&Change::Opposite { of, clause }));
}
