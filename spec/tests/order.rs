//! The static order against the model: every wait of every explored state is an edge, no cell is
//! acyclic and deadlocked, and leaving any rule out is noticed.

use shootdown_spec::check::{CheckResult, check};
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design, Flush, PgdLock, Ptl};
use shootdown_spec::environment::{ENVIRONMENTS, Environment};
use shootdown_spec::id::{Level, LockId};
use shootdown_spec::model::Protocol;
use shootdown_spec::order::{
    Class, EdgeRule, Kind, Node, Order, Proof, Rule, Rules, Walk, arcs, cycle_text, for_any_number,
    realise,
};
use shootdown_spec::program::{LockRef, Mode, ProgramId};
use shootdown_spec::search::{Options, search};
use shootdown_spec::state::State;
use shootdown_spec::variant::{VARIANTS, Variant, VariantSet};
use shootdown_spec::workload::Workload;
use std::collections::BTreeSet;
use std::sync::Mutex;

mod order {
    mod by_hand;
    mod model;
}

const PGD: Node = Node::Lock(Class::PgdLock, Mode::Exclusive);
const PGD_READ: Node = Node::Lock(Class::PgdLock, Mode::Shared);
const PTL: Node = Node::Lock(Class::PageTableLock, Mode::Exclusive);
const SPLIT_PTL: Node = Node::Lock(Class::SplitPtl, Mode::Exclusive);
const ACK: Node = Node::Ack;

/// A design in an environment with a workload, the bounds as the environment or the workload has them.
fn config(design: Design, env: &str, workload: &str, variants: VariantSet) -> Config {
    let mut environment = Environment::named(env).unwrap();
    let parsed = Workload::parse(workload, &environment).unwrap();
    if let Some(cpus) = parsed.cpus() {
        environment.cpus = cpus as u8;
    }
    Config::new(design, environment, parsed, variants).unwrap()
}

fn named(design: &str, env: &str, workload: &str) -> Config {
    let design = Design::named(design).unwrap();
    config(design, env, workload, VariantSet::NONE)
}

fn deviating(design: &str, env: &str, workload: &str, variant: Variant) -> Config {
    let design = Design::named(design).unwrap();
    config(design, env, workload, VariantSet::only(variant))
}

fn edges(config: &Config) -> Vec<(Node, Node)> {
    let order = Order::of(config);
    assert_eq!(order.breaches, BTreeSet::new());
    order.graph.edges().map(|(a, b)| (*a, *b)).collect()
}

fn run(config: &Config) -> CheckResult {
    let result = check(&Protocol::new(config.clone()), &Options::threads(2));
    assert!(result.complete);
    result
}

fn deadlocks(config: &Config) -> bool {
    run(config).violated().any(|name| name == "no_deadlock")
}
