//! A cycle in words.

use super::edges::{Because, Machine};
use super::waits::Node;
use crate::protocol::{Mode, Pc, SourceId};
use serde::Serialize;
use std::collections::BTreeMap;

/// A line of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineRef {
    /// The source that stands there, and its CPU.
    pub who: String,
    /// The line of the file, from 1; 0 if it was not read from one.
    pub line: u32,
    /// The statement.
    pub statement: String,
}

/// One wait of a cycle: it lasts because of the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Who waits, and where.
    pub at: LineRef,
    /// For what.
    pub waits_for: String,
    /// Why that does not come.
    pub because: String,
    /// The line that makes it so, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<LineRef>,
}

fn name(m: &Machine<'_>, source: SourceId, cpu: Option<usize>) -> String {
    let it = m.p.source(source);
    match cpu {
        Some(cpu) => format!("{} `{}` on CPU{cpu}", it.kind, it.name),
        None => format!("{} `{}` on another CPU", it.kind, it.name),
    }
}

fn who(m: &Machine<'_>, walk: usize) -> String {
    name(m, m.walks[walk].source, m.walks[walk].cpu)
}

fn line(m: &Machine<'_>, walk: usize, pc: Pc) -> LineRef {
    let line = &m.p.source(m.walks[walk].source).program[pc];
    LineRef {
        who: who(m, walk),
        line: line.span.line,
        statement: line.text.statement.clone(),
    }
}

fn node(m: &Machine<'_>, node: &Node) -> String {
    match node {
        Node::Lock(lock, Mode::Exclusive) => format!("`{}`", m.p.lock(*lock).name),
        Node::Lock(lock, Mode::Shared) => format!("`{}`, to read", m.p.lock(*lock).name),
        Node::Quiet(source, cpu, _) => name(m, *source, *cpu),
        Node::Condition(source, pc) => {
            let it = &m.p.source(*source).program[*pc];
            format!("`{}`", it.text.statement)
        }
        Node::Readers => "a grace period".into(),
    }
}

/// The links of a cycle of points.
pub(super) fn links(
    m: &Machine<'_>,
    cycle: &[usize],
    edges: &[BTreeMap<usize, Because>],
) -> Vec<Link> {
    let next = cycle.iter().cycle().skip(1);
    cycle
        .iter()
        .zip(next)
        .map(|(from, to)| {
            let point = &m.points[*from];
            let end = &m.points[*to];
            let because = &edges[*from][to];
            // Who stands in the way, and who keeps him.
            let (text, in_the_way, since) = match because {
                Because::Holds(w, lock, pc) => {
                    let text = format!("{} holds `{}`", who(m, *w), m.p.lock(*lock).name);
                    (text, *w, Some(line(m, *w, *pc)))
                }
                Because::Ahead(w, lock) => {
                    let text = format!(
                        "{} is before it in the queue of `{}`",
                        who(m, *w),
                        m.p.lock(*lock).name
                    );
                    (text, *w, None)
                }
                Because::Runs(w) => (format!("{} itself waits", who(m, *w)), *w, None),
                Because::IrqsOff(w, pc) => {
                    let text = format!("{} has interrupts off", who(m, *w));
                    (text, *w, pc.map(|pc| line(m, *w, pc)))
                }
                Because::Busy(w) => (format!("{} has that CPU", who(m, *w)), *w, None),
                Because::Disabled(w) => (format!("{} has disabled it", who(m, *w)), *w, None),
                Because::Writes(w, pc) => {
                    let text = format!(
                        "{} has yet to change that, or to start who does",
                        who(m, *w)
                    );
                    (text, *w, Some(line(m, *w, *pc)))
                }
                Because::Reads(w) => {
                    let text = "reads under RCU, or has preemption or interrupts off";
                    (format!("{} {text}", who(m, *w)), *w, None)
                }
            };
            let text = match end.walk == in_the_way {
                true => text,
                false => format!("{text}, and {} keeps it from going on", who(m, end.walk)),
            };
            // Of several things that it waits for, the one that this is about.
            let about = point.nodes.iter().find(|n| match (n, because) {
                (Node::Lock(l, _), Because::Holds(_, lock, _) | Because::Ahead(_, lock)) => {
                    l == lock
                }
                (
                    Node::Quiet(_, cpu, _),
                    Because::IrqsOff(w, _) | Because::Busy(w) | Because::Runs(w),
                ) => *cpu == m.walks[*w].cpu,
                _ => false,
            });
            let about = about.or(point.nodes.first());
            Link {
                at: line(m, point.walk, point.state.pc),
                waits_for: about.map_or_else(String::new, |n| node(m, n)),
                because: text,
                since,
            }
        })
        .collect()
}

/// Are these the same lines, on whatever CPUs?
pub(super) fn alike(a: &[Link], b: &[Link]) -> bool {
    let key = |l: &[Link]| {
        let mut lines: Vec<(u32, String)> = l
            .iter()
            .map(|l| (l.at.line, l.at.statement.clone()))
            .collect();
        lines.sort();
        lines
    };
    key(a) == key(b)
}
