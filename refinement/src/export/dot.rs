//! Graphs for Graphviz: who waits for whom at the end of a run, and the order of a configuration.

use super::run::Run;
use shootdown_spec::config::Config;
use shootdown_spec::id::{Context, Level};
use shootdown_spec::order::{Node, Order, edges_of};
use shootdown_spec::state::Why;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const FONT: &str = "fontname=\"DejaVu Sans,Arial,sans-serif\", fontsize=10";
const BAD: &str = "#b00020";

/// The wait-for graph of the state that the run ends in: contexts, the locks they hold and spin for, the
/// acknowledgements they await. Contexts that can never move again are red.
pub fn waits(run: &Run) -> String {
    let (config, state) = (&run.protocol.config, run.last());
    let stuck = state.stuck(config);
    let title = format!(
        "{} after step {}: who waits for whom",
        config.design,
        run.trace.actions.len()
    );
    let mut graph = Graph::new("waits", &title);
    for (who, ctx) in state.each_context(config) {
        let cpu = state.cpu(who.cpu);
        let irqs = u8::from(cpu.irqs_on);
        let interrupted = who.level == Level::Task && cpu.in_irq();
        let flag = if interrupted {
            "interrupted".to_string()
        } else {
            format!("IF={irqs}")
        };
        let label = format!("{who}\n{}\n{flag}", ctx.program);
        graph.node(&who.to_string(), &label, "box", stuck.contains(who));
        for lock in ctx.held.iter() {
            let waited_for = state.lock(lock).waiters().any(|(w, _)| stuck.contains(w));
            let bad = stuck.contains(who) && waited_for;
            graph.node(&lock.to_string(), &lock.to_string(), "ellipse", bad);
            graph.edge(&lock.to_string(), &who.to_string(), "held by", bad);
        }
    }
    let mut seen = BTreeSet::new();
    for (who, _) in state.each_context(config) {
        let bad = |on: Context| stuck.contains(who) && stuck.contains(on);
        for edge in state.waits_for(config, who) {
            match edge.why {
                Why::Lock(lock) => {
                    if seen.insert((who, lock.to_string())) {
                        graph.edge(
                            &who.to_string(),
                            &lock.to_string(),
                            "spins for",
                            bad(edge.on),
                        );
                    }
                }
                Why::QueuedBehind(lock) => {
                    let label = format!("queued behind, for {lock}");
                    graph.edge(&who.to_string(), &edge.on.to_string(), &label, bad(edge.on));
                }
                Why::Ack => {
                    let ack = format!("ack of {}", edge.on.cpu);
                    graph.node(&ack, &ack, "diamond", bad(edge.on));
                    if seen.insert((who, ack.clone())) {
                        graph.edge(&who.to_string(), &ack, "awaits", bad(edge.on));
                    }
                    let why = match (edge.on.level, state.cpu(edge.on.cpu).irqs_on) {
                        (Level::Irq, _) => "in an interrupt",
                        (Level::Task, false) => "cannot take the IPI: IF=0",
                        (Level::Task, true) => "not taken yet",
                    };
                    graph.edge(&ack, &edge.on.to_string(), why, bad(edge.on));
                }
                Why::LostAck(cpu) => {
                    let ack = format!("ack of {cpu}");
                    graph.node(&ack, &ack, "diamond", true);
                    graph.edge(&who.to_string(), &ack, "awaits; it will never come", true);
                }
                Why::Interrupted => {
                    graph.edge(
                        &who.to_string(),
                        &edge.on.to_string(),
                        "interrupted by",
                        bad(edge.on),
                    );
                }
                Why::Split(mm) => {
                    let label = format!("waits until {mm}'s pmd is split");
                    graph.edge(&who.to_string(), &edge.on.to_string(), &label, bad(edge.on));
                }
            }
        }
    }
    graph.finish()
}

/// What may keep what from happening, for any number of CPUs ([`Order`]): cycles are red.
pub fn order(config: &Config) -> String {
    let order = Order::of(config);
    let title = format!(
        "{}: what is withheld while what is waited for ({})",
        config.design,
        order.proof()
    );
    let mut graph = Graph::new("order", &title);
    let bad: BTreeSet<(Node, Node)> = order.cycles.iter().flat_map(|c| edges_of(c)).collect();
    let shape = |node: Node| match node {
        Node::Lock(..) => "ellipse",
        Node::Ack => "diamond",
        Node::Split => "hexagon",
    };
    for (from, to) in order.graph.edges() {
        for node in [*from, *to] {
            let on_cycle = bad.iter().any(|(a, b)| *a == node || *b == node);
            graph.node(&node.to_string(), &node.to_string(), shape(node), on_cycle);
        }
        let programs: BTreeSet<&str> = order
            .graph
            .witnesses(from, to)
            .map(|w| w.withholds.unwrap_or(w.waits).program.name())
            .collect();
        let label = programs.into_iter().collect::<Vec<_>>().join("\n");
        graph.edge(
            &from.to_string(),
            &to.to_string(),
            &label,
            bad.contains(&(*from, *to)),
        );
    }
    graph.finish()
}

/// A graph in the DOT language that is being written; a node is written once, red if it ever was.
struct Graph {
    head: String,
    nodes: Vec<(String, String, &'static str, bool)>,
    edges: String,
}

impl Graph {
    fn new(name: &str, title: &str) -> Graph {
        let head = format!(
            "digraph {name} {{\n  graph [label={}, labelloc=t, {FONT}];\n  node [{FONT}];\n  edge [{FONT}];\n",
            quoted(title)
        );
        Graph {
            head,
            nodes: Vec::new(),
            edges: String::new(),
        }
    }

    fn node(&mut self, id: &str, label: &str, shape: &'static str, bad: bool) {
        match self.nodes.iter_mut().find(|n| n.0 == id) {
            Some(node) => node.3 |= bad,
            None => self
                .nodes
                .push((id.to_string(), label.to_string(), shape, bad)),
        }
    }

    fn edge(&mut self, from: &str, to: &str, label: &str, bad: bool) {
        let colour = if bad {
            format!(", color=\"{BAD}\", penwidth=2")
        } else {
            String::new()
        };
        let _ = writeln!(
            self.edges,
            "  {} -> {} [label={}{colour}];",
            quoted(from),
            quoted(to),
            quoted(label)
        );
    }

    fn finish(self) -> String {
        let mut text = self.head;
        for (id, label, shape, bad) in &self.nodes {
            let colour = if *bad {
                format!(", color=\"{BAD}\", penwidth=2")
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "  {} [label={}, shape={shape}{colour}];",
                quoted(id),
                quoted(label)
            );
        }
        text + &self.edges + "}\n"
    }
}

/// A quoted string of the DOT language.
fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}
