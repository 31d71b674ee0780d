//! A cycle as lockdep would print it, if lockdep knew IPIs: each edge with the lines that make it,
//! then the scenario, a CPU for every edge.

use super::edges_of;
use super::node::{Kind, Node, Witness};
use super::{Graph, Step};
use crate::program::ProgramId;
use std::fmt::Write as _;

/// Columns that a line should keep to; statements are never broken.
const WIDTH: usize = 80;

/// One edge with the witness that tells it, and the programs that make it as well.
struct Told {
    from: Node,
    to: Node,
    witness: Witness,
    likewise: Vec<&'static str>,
}

/// Whose doing a witness is: the program that withholds, in a handler the one that waits.
fn whose(witness: &Witness) -> ProgramId {
    witness.withholds.unwrap_or(witness.waits).program
}

impl Told {
    /// A witness by a program that none of these is; CPUs that run different programs make the
    /// likelier story, since two of one program may need one lock before.
    fn of(graph: &Graph<Node, Witness>, from: Node, to: Node, told: &[ProgramId]) -> Option<Told> {
        let witnesses: Vec<&Witness> = graph.witnesses(&from, &to).collect();
        let mut fresh = witnesses.iter().filter(|w| !told.contains(&whose(w)));
        let witness = **fresh.next().or(witnesses.first())?;
        let mut likewise = Vec::new();
        for other in witnesses {
            let name = whose(other).name();
            if whose(other) != whose(&witness) && !likewise.contains(&name) {
                likewise.push(name);
            }
        }
        Some(Told {
            from,
            to,
            witness,
            likewise,
        })
    }

    fn sentence(&self) -> String {
        let (from, to) = (the(self.from), the(self.to));
        let verb = if self.to.is_lock() {
            "spun for"
        } else {
            "awaited"
        };
        match self.witness.kind {
            Kind::Held => format!("{from} is held while {to} is {verb}"),
            Kind::InterruptsOff => {
                format!("{from} is not given while {to} is {verb} with interrupts off")
            }
            Kind::Interrupted => {
                format!("{from} is held with interrupts on, and an interrupt waits for {to}")
            }
            Kind::Handler => format!("{from} is not given while an interrupt waits for {to}"),
            Kind::Splitting => format!("{from} is not reached while {to} is {verb}"),
        }
    }

    /// The lines with what each does.
    fn lines(&self) -> Vec<(Step, String)> {
        let (from, to) = (self.from, self.to);
        let begins = match self.witness.kind {
            Kind::InterruptsOff => "interrupts go off".to_string(),
            _ => format!("takes {from}"),
        };
        let waits = match to {
            Node::Lock(..) => format!("spins for {to}"),
            Node::Ack | Node::Split => format!("awaits {}", the(to)),
        };
        let waits = match self.witness.kind {
            Kind::Interrupted | Kind::Handler => format!("in an interrupt: {waits}"),
            _ => waits,
        };
        let begins = self.witness.withholds.map(|step| (step, begins));
        begins
            .into_iter()
            .chain([(self.witness.waits, waits)])
            .collect()
    }

    fn text(&self) -> String {
        let mut text = format!("{}:\n", self.sentence());
        let mut program = ProgramId::None;
        for (step, does) in self.lines() {
            if step.program != program {
                let _ = writeln!(text, "  {}, {}", step.program, step.file());
                program = step.program;
            }
            let line = format!("    +{:<2} {}", step.pc, step.source);
            let comment = format!("/* {does} */");
            if line.chars().count() + comment.chars().count() + 9 <= WIDTH {
                let _ = writeln!(text, "{line:<44} {comment}");
            } else {
                let _ = writeln!(text, "{line}\n{:44} {comment}", "");
            }
        }
        if !self.likewise.is_empty() {
            let _ = writeln!(text, "  likewise: {}", self.likewise.join(", "));
        }
        text
    }
}

fn the(node: Node) -> String {
    match node {
        Node::Lock(..) => node.to_string(),
        Node::Ack => "the acknowledgement".into(),
        Node::Split => "the end of the split".into(),
    }
}

/// A cycle: its nodes, its edges with the lines that make them, and the scenario.
pub fn cycle(graph: &Graph<Node, Witness>, cycle: &[Node]) -> String {
    let names: Vec<String> = cycle
        .iter()
        .chain(cycle.first())
        .map(Node::to_string)
        .collect();
    let mut text = format!("{}\n\n", names.join(" -> "));
    let mut story: Vec<Told> = Vec::new();
    for (from, to) in edges_of(cycle) {
        let told: Vec<ProgramId> = story.iter().map(|t| whose(&t.witness)).collect();
        story.extend(Told::of(graph, from, to, &told));
    }
    for (number, told) in story.iter().enumerate() {
        let mut lines = told.text();
        lines = lines.replace('\n', "\n  ");
        let _ = writeln!(text, "-> #{number} {}", lines.trim_end());
    }
    let _ = write!(text, "\n Possible unsafe scenario:\n\n{}", scenario(&story));
    text
}

/// Everybody first takes what he will withhold, then waits: `(CPU, words)`.
fn acts(story: &[Told]) -> Vec<(usize, String)> {
    let interrupt = |w: &Witness| matches!(w.kind, Kind::Handler | Kind::Interrupted);
    let mut acts = Vec::new();
    for (cpu, told) in story.iter().enumerate() {
        let begins = told.witness.withholds.map(|s| s.source.to_string());
        acts.extend(begins.map(|source| (cpu, source)));
        if interrupt(&told.witness) {
            acts.push((cpu, "<interrupt>".into()));
        }
    }
    for (cpu, told) in story.iter().enumerate() {
        let indent = if interrupt(&told.witness) { "  " } else { "" };
        // The wait for acknowledgements is a long line.
        let source = told.witness.waits.source;
        let source = source.strip_suffix(" cpu_relax()").unwrap_or(source);
        acts.push((cpu, format!("{indent}{source}")));
    }
    acts
}

/// In columns, as lockdep has it; where they would be too wide, as a list.
fn scenario(story: &[Told]) -> String {
    let acts = acts(story);
    let widest = acts.iter().map(|(_, words)| words.chars().count()).max();
    let lane = widest.unwrap_or(0) + 2;
    let mut text = String::new();
    if lane * story.len() > WIDTH {
        for (cpu, words) in &acts {
            let _ = writeln!(text, "   CPU{cpu}  {words}");
        }
    } else {
        let head = |rule: bool| {
            let cells = (0..story.len()).map(|cpu| match rule {
                true => format!("{:<lane$}", "----"),
                false => format!("{:<lane$}", format!("CPU{cpu}")),
            });
            cells.collect::<String>()
        };
        let rows = acts
            .iter()
            .map(|(cpu, words)| format!("{}{words}", " ".repeat(cpu * lane)));
        for row in [head(false), head(true)].into_iter().chain(rows) {
            let _ = writeln!(text, "   {}", row.trim_end());
        }
    }
    text.push_str("\n  *** DEADLOCK ***\n");
    text
}
