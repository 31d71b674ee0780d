//! The order of a scenario, told: as text, as paragraphs of a page, as a graph.

use shootdown_ir::Protocol;
use shootdown_ir::order::{Order, Proof};
use std::fmt::Write as _;

/// What came out, as a sentence.
pub fn verdict(order: &Order) -> String {
    match order.proof() {
        Proof::Acyclic => {
            "ACYCLIC: no deadlock by waiting, for any number of CPUs that run the sources `on any`.".to_string()
        }
        Proof::Cyclic => format!(
            "CYCLIC, so not proven: {}. A deadlock is possible as far as the programs tell; `shootdown check` says \
             whether it happens.",
            super::text::plural(order.cycles.len(), "cycle")
        ),
        Proof::NotProven => {
            "NOT PROVEN: there is no cycle, but what is listed below would have to be taken on trust; `shootdown check` \
             decides it for the CPUs of the file."
                .to_string()
        }
    }
}

/// Each cycle, then what is not understood.
pub fn paragraphs(file: &str, p: &Protocol, order: &Order) -> Vec<String> {
    let mut all = Vec::new();
    for (i, cycle) in order.cycles.iter().enumerate() {
        let mut text = format!("Cycle {}:\n", i + 1);
        for (n, link) in cycle.iter().enumerate() {
            let _ = writeln!(
                text,
                "-> #{n} {} waits for {}:",
                link.at.who, link.waits_for
            );
            let _ = writeln!(text, "      {file}:{}  {}", link.at.line, link.at.statement);
            let _ = writeln!(text, "   {}", link.because);
            if let Some(since) = &link.since {
                let _ = writeln!(text, "      {file}:{}  {}", since.line, since.statement);
            }
        }
        all.push(text);
    }
    if !order.doubts.is_empty() {
        let mut text = "Not understood:\n".to_string();
        for d in &order.doubts {
            let source = p.source(d.source);
            let line = &source.program[d.pc];
            let _ = writeln!(
                text,
                "  {file}:{}  {}  ({})\n      {}",
                line.span.line, line.text.statement, source.name, d.says
            );
        }
        all.push(text);
    }
    all
}

/// The cycles for Graphviz: a box for each wait, an arrow to what keeps it.
pub fn dot(file: &str, name: &str, order: &Order) -> String {
    let quoted = |text: &str| {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{}\"", escaped.replace('\n', "\\n"))
    };
    let mut text = String::from(
        "digraph order {\n  node [shape=box, fontname=\"monospace\"];\n  edge [fontname=\"monospace\", fontsize=10];\n",
    );
    let title = format!("{name}: {}", order.proof().name());
    let _ = writeln!(text, "  label={};", quoted(&title));
    let mut nodes: Vec<String> = Vec::new();
    let mut edges: Vec<String> = Vec::new();
    for cycle in &order.cycles {
        let mut numbers = Vec::new();
        for link in cycle {
            let label = format!(
                "{}\n{file}:{}  {}\nwaits for {}",
                link.at.who, link.at.line, link.at.statement, link.waits_for
            );
            let node = quoted(&label);
            let known = nodes.iter().position(|n| *n == node);
            numbers.push(known.unwrap_or_else(|| {
                nodes.push(node);
                nodes.len() - 1
            }));
        }
        for (i, link) in cycle.iter().enumerate() {
            let to = numbers[(i + 1) % numbers.len()];
            let edge = format!(
                "  w{} -> w{to} [label={}];",
                numbers[i],
                quoted(&link.because)
            );
            if !edges.contains(&edge) {
                edges.push(edge);
            }
        }
    }
    for (i, node) in nodes.iter().enumerate() {
        let _ = writeln!(text, "  w{i} [label={node}];");
    }
    for edge in edges {
        let _ = writeln!(text, "{edge}");
    }
    text + "}\n"
}
