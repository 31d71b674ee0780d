//! Scenarios on states that stand for others: the verdicts of the full search.

use shootdown_ir::check::{Outcome, Verdict, asked, check, check_reduced};
use shootdown_ir::compile::compile;
use shootdown_ir::explore::{Bounds, explore_reduced};
use shootdown_ir::machine::Machine;
use shootdown_ir::reduce::{Reducer, Reductions};
use shootdown_ir::system::{System, What};
use shootdown_lang::{Checked, parse};
use std::path::Path;

/// States a file may have to be compared here; `check --reduce` compares the others.
const MOST: usize = 5_000;

fn read(name: &str, text: &str) -> Checked {
    match parse(text, name) {
        Ok(checked) => checked,
        Err(errors) => panic!("{}", errors.render(false)),
    }
}

fn verdicts(outcome: &Outcome) -> Vec<(&str, Verdict)> {
    let results = outcome.results.iter();
    results.map(|r| (r.name.as_str(), r.verdict)).collect()
}

/// The same verdicts, and the same things that never happen, with each reduction and with all.
fn compare(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut full_states, mut reduced_states, mut files) = (0, 0, 0);
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_none_or(|extension| extension != "sd") {
            continue;
        }
        let name = path.display().to_string();
        let scenario = read(
            &name,
            &std::fs::read_to_string(&path).expect("a readable file"),
        );
        let system = compile(&scenario.protocol).expect("it compiles");
        let machine = Machine::new(&system);
        let bounds = Bounds {
            states: Some(MOST),
            ..Bounds::default()
        };
        let full = check(&scenario.protocol, &machine, bounds);
        if full.cut().is_some() {
            continue;
        }
        for which in ["dead", "por", "dead,por"] {
            let which: Reductions = which.parse().expect("reductions");
            let (reduced, used) = check_reduced(&scenario.protocol, &machine, bounds, which);
            assert_eq!(
                verdicts(&reduced),
                verdicts(&full),
                "{name}, reduced: {which}"
            );
            assert_eq!(
                reduced.unreached, full.unreached,
                "{name}, reduced: {which}"
            );
            assert!(reduced.graph.len() <= full.graph.len(), "{name}");
            if which.dead && which.por && used.any() {
                full_states += full.graph.len();
                reduced_states += reduced.graph.len();
                files += 1;
            }
        }
    }
    println!("{files} files: {reduced_states} states stand for {full_states}");
    assert!(files > 0 && reduced_states < full_states);
}

#[test]
fn the_corpus_comes_out_alike() {
    compare("../corpus");
}

#[test]
fn each_class_comes_out_alike() {
    compare("tests/classes");
}

/// An interrupt that must not come before `ready` is set, and can: the first step turns interrupts off, too late.
const EARLY: &str = "scenario \"early\";
cpus 2;
expect violated assertion;
int ready in 0..1;
irq device on CPU0 times 1 { assert(ready == 1); }
task setup on CPU0 {
    local_irq_disable();
    WRITE_ONCE(ready, 1);
    local_irq_enable();
}
task other on CPU1 { cpu_relax(); cpu_relax(); }
";

fn holds(system: &System, steps_from: &System) -> bool {
    let (machine, other) = (Machine::new(system), Machine::new(steps_from));
    let which = "por".parse().expect("a reduction");
    let reducer = Reducer::new(&other, &asked(&other), which, &[]);
    let graph = explore_reduced(&machine, Bounds::default(), Some(&reducer));
    graph.failed.is_empty()
}

#[test]
fn a_step_is_not_taken_at_once_where_an_interrupt_may_come_before_it() {
    let scenario = read("early", EARLY);
    let system = compile(&scenario.protocol).expect("it compiles");
    assert!(!holds(&system, &system), "the interrupt comes too early");
    // Steps found as if no interrupt could come: the planted error.
    let mut deaf = system.clone();
    for step in &mut deaf.steps {
        let context = &deaf.contexts[step.context.index()];
        if step.what == What::Start && context.kind == shootdown_ir::Kind::Irq {
            step.ready = shootdown_ir::system::X::FALSE;
        }
    }
    assert!(
        holds(&system, &deaf),
        "taken at once, it hides the interrupt"
    );
    let machine = Machine::new(&system);
    let (outcome, _) = check_reduced(
        &scenario.protocol,
        &machine,
        Bounds::default(),
        Reductions::ALL,
    );
    let assertion = outcome.result("assertion").expect("it is checked");
    assert_eq!(assertion.verdict, Verdict::Violated);
}
