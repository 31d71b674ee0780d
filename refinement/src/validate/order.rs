//! The deadlock that a run did not have: what it waited for while holding what, put together.
//!
//! The graph is that of `docs/order.md` ([`shootdown_spec::order`]), fed with events in place of program lines: an
//! edge `a -> b` says that the context that had to bring `a` about took, or awaited, `b` first. A run that took every lock at
//! once has the edges all the same. A cycle is a deadlock that another schedule of the same operations may have.
//!
//! Only what the run did is seen: no cycle is no proof (`shootdown prove` is). Classes are not instances: a cycle
//! through two mms' locks may be impossible.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use shootdown_impl::event::{Event, Lock};
use shootdown_spec::order::{Class, Graph, Kind, Node, edges_of};
use shootdown_spec::program::Mode;

use super::window::Recorded;
use crate::map;

/// The trace lines that make an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lines {
    /// Which rule.
    pub kind: Kind,
    /// Where what is waited for begins to be withheld, if there is such a line.
    pub withholds: Option<Told>,
    /// The line that takes or awaits.
    pub waits: Told,
}

/// A line of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Told {
    /// The line, from 1.
    pub line: u64,
    /// On which CPU.
    pub cpu: u8,
    /// What it did there.
    pub what: What,
    /// The operation, by its program's name; in an interrupt, the interrupt's.
    pub program: &'static str,
}

/// What a line did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Took a lock, or began to wait for it.
    Took(Node),
    /// Began to await acknowledgements.
    AwaitsAcks,
    /// Turned interrupts off.
    IrqsOff,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Predicted {
    /// Every edge, as `from -> to`.
    pub edges: Vec<String>,
    /// Cycles, short ones first.
    pub cycles: Vec<Cycle>,
}

/// One cycle.
#[derive(Clone, Debug, Serialize)]
pub struct Cycle {
    /// Its nodes.
    pub nodes: Vec<String>,
    /// For each, the edge to the next.
    pub edges: Vec<CycleEdge>,
}

/// An edge of a cycle with the first lines of the trace that make it.
#[derive(Clone, Debug, Serialize)]
pub struct CycleEdge {
    /// What is withheld.
    pub from: String,
    /// What is waited for meanwhile.
    pub to: String,
    /// The lines.
    pub lines: Lines,
}

#[derive(Clone, Copy)]
struct Held {
    lock: Lock,
    node: (Class, Mode),
    told: Told,
}

#[derive(Default)]
struct Context {
    held: Vec<Held>,
    program: &'static str,
}

struct OneCpu {
    contexts: [Context; 2],
    off_since: Option<Told>,
    irqs_on: bool,
}

/// The dependencies seen so far.
pub struct Dependencies {
    cpus: Vec<OneCpu>,
    /// Edges with the first lines that make them, by kind: bounded, however long the trace is.
    edges: BTreeMap<(Node, Node, Kind), Lines>,
    /// Locks that were held with interrupts on, and where first.
    open: BTreeMap<(Class, Mode), Told>,
    /// What handlers waited for, and where first.
    handlers: BTreeMap<Node, Told>,
    /// Locks that somebody took, and how.
    taken: BTreeSet<Node>,
}

impl Dependencies {
    /// Of a machine with so many CPUs.
    pub fn new(cpus: u8) -> Self {
        let one = |_| OneCpu {
            contexts: Default::default(),
            off_since: None,
            irqs_on: true,
        };
        Self {
            cpus: (0..cpus).map(one).collect(),
            edges: BTreeMap::new(),
            open: BTreeMap::new(),
            handlers: BTreeMap::new(),
            taken: BTreeSet::new(),
        }
    }

    /// Takes an event in; those of one CPU in their order.
    pub fn feed(&mut self, item: &Recorded) {
        let (at, level) = (item.cpu.index(), usize::from(item.irq));
        let program = self.cpus[at].contexts[level].program;
        let told = |what| Told {
            line: item.line(),
            cpu: item.cpu.0,
            what,
            program,
        };
        match item.event {
            Event::Begin { operation } => self.cpus[at].contexts[0].program = operation.program(),
            Event::IrqEnter { vector } => {
                self.cpus[at].contexts[1].program = match vector {
                    shootdown_impl::irq::Vector::FlushTlb(_) => "flush_tlb_interrupt",
                    shootdown_impl::irq::Vector::PgdFree(_) => "pgd_free",
                };
            }
            Event::IrqSave { enabled: true } if !item.irq => {
                self.cpus[at].irqs_on = false;
                self.cpus[at].off_since = Some(told(What::IrqsOff));
            }
            Event::IrqRestore { enabled: true } if !item.irq => {
                self.cpus[at].irqs_on = true;
                self.cpus[at].off_since = None;
                // What is held on with interrupts on from here.
                let held = self.cpus[at].contexts[0].held.iter();
                let held: Vec<_> = held.map(|h| (h.node, h.told)).collect();
                held.into_iter()
                    .for_each(|(node, told)| self.held_open(node, told));
            }
            Event::LockWait { lock } => {
                let (node, told) = taking(item, lock, program);
                self.waits(item, node, told);
                self.taken.insert(node);
            }
            Event::LockAcquired { lock } => self.took(item, lock, program),
            Event::LockReleased { lock } => self.cpus[at].contexts[level]
                .held
                .retain(|h| h.lock != lock),
            Event::MaskRead { targets, .. } if !targets.is_empty() => {
                self.waits(item, Node::Ack, told(What::AwaitsAcks));
            }
            _ => {}
        }
    }

    fn held_open(&mut self, node: (Class, Mode), told: Told) {
        self.open.entry(node).or_insert(told);
    }

    fn took(&mut self, item: &Recorded, lock: Lock, program: &'static str) {
        let (node, told) = taking(item, lock, program);
        self.waits(item, node, told);
        self.taken.insert(node);
        let Node::Lock(class, mode) = node else {
            return;
        };
        let cpu = &mut self.cpus[item.cpu.index()];
        cpu.contexts[usize::from(item.irq)].held.push(Held {
            lock,
            node: (class, mode),
            told,
        });
        if cpu.irqs_on && !item.irq {
            self.held_open((class, mode), told);
        }
    }

    fn add(&mut self, from: Node, to: Node, kind: Kind, withholds: Option<Told>, waits: Told) {
        let lines = Lines {
            kind,
            withholds,
            waits,
        };
        self.edges.entry((from, to, kind)).or_insert(lines);
    }

    /// This context may wait here.
    fn waits(&mut self, item: &Recorded, to: Node, waits: Told) {
        let cpu = &self.cpus[item.cpu.index()];
        let held = &cpu.contexts[usize::from(item.irq)].held;
        let held: Vec<_> = held.iter().map(|h| (h.node, h.told)).collect();
        let (off, on) = (cpu.off_since, cpu.irqs_on);
        for ((class, mode), told) in held {
            self.add(Node::Lock(class, mode), to, Kind::Held, Some(told), waits);
        }
        if item.irq {
            self.handlers.entry(to).or_insert(waits);
            self.add(Node::Ack, to, Kind::Handler, None, waits);
        } else if !on {
            self.add(Node::Ack, to, Kind::InterruptsOff, off, waits);
        }
    }

    /// Puts everything together.
    pub fn predict(mut self) -> Predicted {
        let (open, handlers) = (
            std::mem::take(&mut self.open),
            std::mem::take(&mut self.handlers),
        );
        for (&(class, mode), &told) in &open {
            for (&to, &waits) in &handlers {
                self.add(
                    Node::Lock(class, mode),
                    to,
                    Kind::Interrupted,
                    Some(told),
                    waits,
                );
            }
        }
        let mut graph: Graph<Node, Lines> = Graph::default();
        for ((from, to, _), lines) in self.edges {
            for from in held_back(from, &self.taken) {
                graph.add(from, to, lines);
            }
        }
        let cycle = |nodes: Vec<Node>| Cycle {
            nodes: nodes.iter().map(Node::to_string).collect(),
            edges: edges_of(&nodes)
                .filter_map(|(from, to)| edge(&graph, from, to))
                .collect(),
        };
        Predicted {
            edges: graph
                .edges()
                .map(|(from, to)| format!("{from} -> {to}"))
                .collect(),
            cycles: graph.cycles().into_iter().map(cycle).collect(),
        }
    }
}

/// What is taken, and the line.
fn taking(item: &Recorded, lock: Lock, program: &'static str) -> (Node, Told) {
    let class = Class::from(map::spinlock::lock(lock));
    let mode = if lock == Lock::PgdRead {
        Mode::Shared
    } else {
        Mode::Exclusive
    };
    let node = Node::Lock(class, mode);
    let told = Told {
        line: item.line(),
        cpu: item.cpu.0,
        what: What::Took(node),
        program,
    };
    (node, told)
}

/// Who waits for a holder: for an exclusive one everybody; for a reader writers, and readers behind a writer.
fn held_back(held: Node, taken: &BTreeSet<Node>) -> Vec<Node> {
    let Node::Lock(class, mode) = held else {
        return vec![held];
    };
    let [write, read] = [Mode::Exclusive, Mode::Shared].map(|mode| Node::Lock(class, mode));
    let written = taken.contains(&write);
    let waits = [write, read]
        .into_iter()
        .filter(|node| taken.contains(node));
    waits
        .filter(|_| mode == Mode::Exclusive || written)
        .collect()
}

fn edge(graph: &Graph<Node, Lines>, from: Node, to: Node) -> Option<CycleEdge> {
    let lines = *graph
        .witnesses(&from, &to)
        .min_by_key(|l| (l.waits.line, l.kind))?;
    Some(CycleEdge {
        from: from.to_string(),
        to: to.to_string(),
        lines,
    })
}
