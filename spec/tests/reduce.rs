//! Reduced searches come to the verdicts of full ones.

use shootdown_ir::explore::{Bounds, Graph, explore_reduced};
use shootdown_ir::machine::Machine;
use shootdown_ir::reduce::{Reducer, Reductions, fill};
use shootdown_ir::system::X;
use shootdown_spec::check::{check, check_reduced, verdicts_reduced};
use shootdown_spec::config::Config;
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::lower::lower;
use shootdown_spec::model::Protocol;
use shootdown_spec::search::Options;
use shootdown_spec::variant::VariantSet;
use shootdown_spec::workload::Workload;

fn config(design: &str, env: &str, workload: &str) -> Config {
    let environment = Environment::named(env).expect("a named environment");
    let workload = Workload::parse(workload, &environment).expect("a workload of it");
    let design = Design::named(design).expect("a named design");
    let config = Config::new(design, environment, workload, VariantSet::NONE);
    config.expect("a configuration that makes sense")
}

/// The same verdicts and witnesses, of fewer states.
fn compare(design: &str, env: &str, which: &[&str]) {
    let protocol = Protocol::new(config(design, env, "everything"));
    let options = Options::threads(2);
    let full = check(&protocol, &options);
    for which in which {
        let which: Reductions = which.parse().expect("reductions");
        let what = format!("{design} {env}, reduced: {which}");
        let reduced = verdicts_reduced(&protocol, &options, which);
        let reduced = reduced.unwrap_or_else(|| panic!("{what}: nothing is"));
        println!(
            "{what}: {} of {}",
            reduced.representatives, full.states.unique
        );
        for (property, (verdict, witnesses)) in full.properties.iter().zip(&reduced.verdicts) {
            assert_eq!(property.verdict, *verdict, "{what}: {}", property.name);
            assert_eq!(property.witnesses, *witnesses, "{what}: {}", property.name);
        }
        assert_eq!(reduced.used, which, "{what}");
        assert!(
            reduced.complete && reduced.representatives < full.states.unique,
            "{what}"
        );
    }
}

#[test]
fn each_reduction_keeps_verdicts_and_witnesses() {
    compare(
        "tracked",
        "nosplit",
        &["dead", "fill", "por", "dead,fill,por"],
    );
    compare("v2.6.36", "xen", &["dead,fill,por"]);
    compare("v2.6.37", "nosplit+thp", &["dead,fill,por"]);
}

#[test]
fn runs_are_those_of_the_full_search() {
    let protocol = Protocol::new(config("v2.6.37", "nosplit", "everything"));
    let options = Options::threads(2);
    let full = check(&protocol, &options);
    let (reduced, used) = check_reduced(&protocol, &options, Reductions::ALL);
    assert!(used.any() && reduced.states.unique < full.states.unique);
    assert!(full.violated().next().is_some(), "something to be shown");
    for (full, reduced) in full.properties.iter().zip(&reduced.properties) {
        assert_eq!(full.verdict, reduced.verdict, "{}", full.name);
        assert_eq!(full.counterexample, reduced.counterexample, "{}", full.name);
    }
}

/// Does the condition hold somewhere?
fn somewhere(machine: &Machine<'_>, graph: &Graph, x: &X) -> bool {
    (0..graph.len() as u32).any(|n| machine.view(graph.state(n)).is(x))
}

/// That a translation is absent is a question that filling at once would answer wrongly, and so it is not done.
#[test]
fn bits_that_somebody_wants_clear_are_not_filled_at_once() {
    let config = config("tracked", "nosplit", "aging");
    let lowered = lower(&config).expect("it can be lowered");
    let system = &lowered.system;
    let mut widened = system.clone();
    let fills = fill::widen(&mut widened, &lowered.asked(None));
    let bit = fills.first().expect("hardware fills").bit;
    // Nothing could be cached that is not yet: wherever the fill could be at once, it has not come.
    let absent = fills[0].at_once.clone();
    let machine = Machine::new(system);
    let full = explore_reduced(&machine, Bounds::default(), None);
    assert!(somewhere(&machine, &full, &absent), "it starts so");

    // The planted error: the question was not considered.
    let which = "fill".parse().expect("a reduction");
    let machine = Machine::new(&widened);
    let reducer = Reducer::new(&machine, &lowered.asked(None), which, &fills);
    let careless = explore_reduced(&machine, Bounds::default(), Some(&reducer));
    assert!(careless.len() < full.len());
    assert!(!somewhere(&machine, &careless, &absent), "it is overlooked");

    // Considered, it rules the bit out.
    let mut asked = lowered.asked(None);
    asked.everywhere.push(absent);
    let fills = fill::widen(&mut system.clone(), &asked);
    assert!(fills.iter().all(|fill| fill.bit != bit));
}
