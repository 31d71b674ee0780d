//! What `prove` tells people.

use super::Proven;
use crate::cli::check::header;
use crate::cli::output;
use shootdown_spec::config::Config;
use shootdown_spec::order::{Breach, Node, Order, Proof, Realisation, cycle_text};
use shootdown_spec::schedule::schedule;
use shootdown_spec::trace::Trace;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The verdict, the dependencies, the cycles with the lines that make them and the runs into
/// them.
pub(super) fn text(proven: &Proven) -> String {
    let config = &proven.protocol.config;
    let order = &proven.order;
    let mut text = header(config);
    let cycles = order.cycles.len() as u64;
    let verdict = match order.proof() {
        Proof::Acyclic => "ACYCLIC: no deadlock, for any number of CPUs, mms and operations. \
             docs/order.md has the theorem, its proof and what it takes for granted."
            .to_string(),
        Proof::Cyclic => format!(
            "CYCLIC, so not proven: {}. A deadlock is possible as far as the classes of what is \
             waited for tell; whether it happens is the model's to say.",
            output::plural(cycles, "cycle")
        ),
        Proof::OutOfScope => "OUT OF SCOPE, so not proven: the theorem takes for granted what \
             does not hold here."
            .to_string(),
    };
    let _ = writeln!(text, "{}", output::wrap(&verdict, output::width(), 0));
    for breach in &order.breaches {
        let _ = writeln!(text, "  {}", broken(breach));
    }
    text += &dependencies(order);
    for (i, cycle) in order.cycles.iter().enumerate() {
        let _ = write!(
            text,
            "\nCycle {} of {cycles}: {}",
            i + 1,
            cycle_text(&order.graph, cycle)
        );
        if let Some(found) = &proven.realisation {
            let run = found.runs.get(i).and_then(Option::as_ref);
            text += &came_of_it(config, run, found);
        }
    }
    if let Some(found) = &proven.realisation {
        text += &beyond(config, found);
    }
    text
}

/// Edges, each with the programs that make it.
fn dependencies(order: &Order) -> String {
    let mut text = String::from("\nWhat may have to wait for what:\n");
    for (from, to) in order.graph.edges() {
        let programs: BTreeSet<&str> = order
            .graph
            .witnesses(from, to)
            .map(|w| w.withholds.unwrap_or(w.waits).program.name())
            .collect();
        let programs: Vec<&str> = programs.into_iter().collect();
        let edge = format!("{from} -> {to}");
        let line = format!("{edge:<42} {}", programs.join(", "));
        let line = output::wrap(&line, output::width() - 2, 45);
        let _ = writeln!(text, "  {line}");
    }
    if order.graph.edges().next().is_none() {
        text += "  nothing for anything\n";
    }
    text
}

fn broken(breach: &Breach) -> String {
    let place = breach
        .step
        .map(|s| format!(": {}+{}, {}", s.program, s.pc, s.file()));
    format!("{}{}", breach.rule, place.unwrap_or_default())
}

/// `2 CPUs, 1 mm, 1 operation each`.
pub(super) fn bounds(config: &Config) -> String {
    let e = &config.environment;
    let count = |n: u8, one: &str| output::plural(n.into(), one);
    format!(
        "{}, {}, {} each",
        count(e.cpus, "CPU"),
        count(e.mms, "mm"),
        count(e.ops_per_cpu, "operation")
    )
}

fn replay(config: &Config, run: &Trace) -> String {
    format!("    shootdown replay '{}'\n", schedule(config, run))
}

fn came_of_it(config: &Config, run: Option<&Trace>, found: &Realisation) -> String {
    let bounds = bounds(config);
    match (run, found.stopped) {
        (Some(run), _) => {
            let steps = output::plural(run.actions.len() as u64, "step");
            let replay = replay(config, run);
            format!("\n  REALISED in {steps}, with {bounds}:\n{replay}")
        }
        (None, None) => {
            let states = output::count(found.states);
            format!("\n  possible, not realised within {bounds} ({states} states)\n")
        }
        (None, Some(stopped)) => {
            format!("\n  possible; INCOMPLETE: no run found with {bounds} before {stopped}\n")
        }
    }
}

/// Deadlocks that are none of the cycles.
fn beyond(config: &Config, found: &Realisation) -> String {
    let mut text = String::new();
    if let Some(run) = &found.longer {
        text += "\nREALISED, a longer cycle over the same edges:\n";
        text += &replay(config, run);
    }
    if let Some(run) = &found.unexplained {
        text += "\nUNSOUND: a deadlock with a wait that is no edge; the analysis or the model is wrong:\n";
        text += &replay(config, run);
    }
    text
}

/// A cycle in one line.
pub(super) fn names(cycle: &[Node]) -> Vec<String> {
    cycle.iter().map(Node::to_string).collect()
}
