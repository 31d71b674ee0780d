//! Order: a static proof that no wait cycle exists, for any number of CPUs, mms and
//! operations.
//!
//! The programs are data, so they can be looked at without being run. [`Order::of`] walks every
//! program of a configuration once (`walk.rs`), and draws a graph of what can be waited for: the lock
//! classes, the acknowledgement of a flush IPI, the end of a split (`node.rs`). An edge `a -> b`
//! says that the context that has to bring `a` about may first wait for `b` (`rules.rs`). If no program
//! breaks a rule that the proof takes for granted (`breach.rs`) and the graph has no cycle
//! ([`Graph`]), no context is ever stuck, in the sense of
//! [`State::stuck`](crate::state::State::stuck): `docs/order.md` has the theorem and its proof.
//!
//! Nothing here looks at a state or shares code with the model, so that each can contradict the
//! other: no cell of the matrix may be acyclic and deadlocked. Where there is a cycle, the model is
//! asked whether it happens: `realise.rs`.
//!
//! # Limitations
//! Order sees classes, not instances: two `page_table_lock`s are one node, and which CPUs are in
//! which `mm_cpumask` is known only where a CPU cannot be in any. So a cycle is possible, not
//! certain. Nothing is said about loops (`progress`) or about anything but waiting.

mod breach;
mod node;
mod realise;
mod rules;
mod text;
mod walk;

pub use breach::{Breach, Rule};
pub use node::{Class, Kind, Node, Witness};
pub use realise::{Arc, Realisation, arcs, realise, realised};
pub use rules::{EdgeRule, Rules};
pub use shootdown_graph::{Graph, edges_of};
pub use text::cycle as cycle_text;
pub use walk::{Held, Point, Step, Walk};

use crate::config::{Config, ConfigError};
use crate::environment::Environment;
use crate::workload::Workload;
use rules::Walks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The result of analysing one configuration.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// No cycle: no deadlock, for any number of CPUs, mms and operations.
    #[default]
    Acyclic,
    /// A cycle: a deadlock is possible as far as classes tell.
    Cyclic,
    /// A program breaks a rule that the theorem needs: nothing is said.
    OutOfScope,
}

impl Proof {
    /// The word used everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Proof::Acyclic => "acyclic",
            Proof::Cyclic => "cyclic",
            Proof::OutOfScope => "out of scope",
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The dependencies of a configuration.
#[derive(Clone, Debug)]
pub struct Order {
    /// What may keep what from happening.
    pub graph: Graph<Node, Witness>,
    /// Through every edge on a cycle a shortest one: [`Graph::cycles`].
    pub cycles: Vec<Vec<Node>>,
    /// Where a program breaks what the theorem takes for granted.
    pub breaches: BTreeSet<Breach>,
}

impl Order {
    /// Analyses the programs that the workload names and the interrupts that the environment
    /// has. How many CPUs, mms and operations there are does not matter, with one exception:
    /// see [`for_any_number`].
    pub fn of(config: &Config) -> Order {
        Order::by(config, Rules::ALL)
    }

    /// The same with a choice of rules, all of which are needed.
    pub fn by(config: &Config, rules: Rules) -> Order {
        let walks = Walks::of(config);
        let graph = walks.graph(rules);
        let in_programs = walks.each().flat_map(|w| w.breaches.iter().copied());
        Order {
            cycles: graph.cycles(),
            graph,
            breaches: in_programs.chain(breach::of_the_machine(config)).collect(),
        }
    }

    /// The result.
    pub fn proof(&self) -> Proof {
        match (self.breaches.is_empty(), self.cycles.is_empty()) {
            (false, _) => Proof::OutOfScope,
            (true, false) => Proof::Cyclic,
            (true, true) => Proof::Acyclic,
        }
    }
}

/// The configuration with every program that more mms would bring: with one mm, `everything`
/// leaves `pgd_free` out. What the theorem is about.
///
/// # Errors
/// As [`Config::new`]; a configuration that made sense with one mm makes sense with two.
pub fn for_any_number(config: &Config) -> Result<Config, ConfigError> {
    let environment = Environment {
        mms: config.environment.mms.max(2),
        ..config.environment
    };
    let text = &config.workload.text;
    let workload = Workload::parse(text, &environment).unwrap_or(config.workload.clone());
    Config::new(config.design, environment, workload, config.variants)
}
