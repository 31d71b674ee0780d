//! The deadlock that a recorded kernel did not have: the graph of the order proof, over the lock classes of a trace.
//!
//! The graph and its cycles are those of the proof ([`shootdown_graph`]); the rules are those of `docs/order.md`,
//! fed with events of a kernel in place of program lines:
//!
//! | rule | edge | made by |
//! |---|---|---|
//! | Held | lock → lock | `lock_acquire` (no trylock) while the context holds the first |
//! | Held | lock → acknowledgement | `csd_queue_cpu` of an awaited function while the context holds it |
//! | InterruptsOff | acknowledgement → lock | `lock_acquire` with interrupts off |
//! | InterruptsOff | acknowledgement → acknowledgement | `csd_queue_cpu` of an awaited function with interrupts off |
//! | Handler | acknowledgement → what a hardirq takes or awaits | either, in a hardirq |
//! | Interrupted | lock → what an interrupt takes or awaits | held with interrupts on (for softirqs, bottom halves too) at any time, by class |
//! | Readers | readers hold back readers only if somebody takes the class to write | |
//!
//! Nesting within a class (`Held` from a class to itself) is listed and makes no cycle: kernels nest page-table locks of
//! different tables, and the annotation that excuses it (`spin_lock_nested`) is not in a trace.
//!
//! A cycle is judged if the acknowledgement is on it, or if it consists of page-table locks and `pgd_lock`. Other cycles
//! are listed only: they are lockdep's subject, and it knows the annotations.

use super::class::{ClassId, Classes};
use super::context::{Context, Mode, Off};
use super::line::Level;
use super::place::{Address, Place};
use serde::Serialize;
use shootdown_graph::{Graph, edges_of};
use std::collections::{BTreeMap, BTreeSet};

/// Why an edge is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The lock is held while its holder waits.
    Held,
    /// Somebody waits with interrupts off, and so does not acknowledge.
    InterruptsOff,
    /// The lock is held with interrupts on, and an interrupt there waits.
    Interrupted,
    /// An interrupt handler waits, and meanwhile its CPU does not acknowledge.
    Handler,
}

/// Something that can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A lock of a class, to be taken in a mode.
    Lock(ClassId, Mode),
    /// Another CPU's acknowledgement. lockdep has no such node.
    Ack,
}

/// What a line did.
#[derive(Clone, Debug)]
enum What {
    Takes(ClassId, Address),
    Awaits(u16, Address, String),
    Flushes,
    IrqsOff(String, String),
}

#[derive(Clone, Debug)]
struct Told {
    place: Place,
    what: What,
}

#[derive(Clone, Debug)]
struct Seen {
    withholds: Option<Told>,
    waits: Told,
    times: u64,
}

/// A line that makes an edge, in words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Line {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What it did.
    pub what: String,
}

/// An edge with the first lines that make it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Edge {
    /// What is withheld.
    pub from: String,
    /// What is waited for meanwhile.
    pub to: String,
    /// By which rule.
    pub kind: Kind,
    /// Where it begins to be withheld, if a line says so.
    pub withholds: Option<Line>,
    /// The line that waits, or might have to.
    pub waits: Line,
    /// How often it was seen.
    pub times: u64,
}

/// Why a cycle is judged, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    /// The acknowledgement is on it.
    Acknowledgement,
    /// Page-table locks and `pgd_lock` only.
    PageTableLocks,
    /// Other locks: listed, not judged.
    OtherLocks,
}

/// A deadlock that another schedule may have.
#[derive(Clone, Debug, Serialize)]
pub struct Cycle {
    /// What it goes through.
    pub through: Through,
    /// Its nodes.
    pub nodes: Vec<String>,
    /// For each, the edge to the next.
    pub edges: Vec<Edge>,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Order {
    /// Every edge.
    pub edges: Vec<Edge>,
    /// Cycles, those that are judged first, short ones first.
    pub cycles: Vec<Cycle>,
    /// Classes of which a context took two locks, with the first time.
    pub nested: Vec<Edge>,
}

impl Order {
    /// The cycles that are judged.
    pub fn judged(&self) -> impl Iterator<Item = &Cycle> {
        self.cycles
            .iter()
            .filter(|c| c.through != Through::OtherLocks)
    }

    /// Is a deadlock predicted?
    pub fn cyclic(&self) -> bool {
        self.judged().next().is_some()
    }
}

/// A context that may have to wait.
#[derive(Clone, Copy)]
pub struct Waiter<'a> {
    /// The context, with what it holds.
    pub context: &'a Context,
    /// Its level.
    pub level: Level,
    /// Its interrupts are off.
    pub irqs_off: bool,
    /// Who turned them off, if that was seen.
    pub off: Option<&'a Off>,
    /// This line.
    pub place: Place,
}

/// Collects.
#[derive(Debug, Default)]
pub struct Collect {
    edges: BTreeMap<(Node, Node, Kind), Seen>,
    /// Those of flushes of which only `tlb_flush` or the IPI is there.
    told: BTreeMap<(Node, Node, Kind), Seen>,
    nested: BTreeMap<ClassId, Seen>,
    /// Locks that were held with interrupts on, and with bottom halves on as well.
    open: [BTreeMap<(ClassId, Mode), Told>; 2],
    /// What hardirqs waited for; what softirqs did.
    handlers: [BTreeMap<Node, Told>; 2],
    /// Locks that somebody took, and how.
    taken: BTreeSet<Node>,
    /// The kernel says when bottom halves are off.
    pub tells_bh: bool,
}

impl Collect {
    /// A context takes a lock, for which it may have to wait.
    pub fn takes(&mut self, who: &Waiter<'_>, class: ClassId, mode: Mode, address: Address) {
        let node = Node::Lock(class, mode);
        self.taken.insert(node);
        self.waits(who, node, || What::Takes(class, address));
    }

    /// A trylock had succeeded: nobody waited, but those that come wait for the holder.
    pub fn took(&mut self, class: ClassId, mode: Mode) {
        self.taken.insert(Node::Lock(class, mode));
    }

    /// A context awaits an acknowledgement.
    pub fn awaits(&mut self, who: &Waiter<'_>, target: u16, csd: Address, callsite: &str) {
        self.waits(who, Node::Ack, || {
            What::Awaits(target, csd, callsite.to_string())
        });
    }

    /// A context begins a flush, of which only `tlb_flush` or the IPI is there.
    pub fn flushes(&mut self, who: &Waiter<'_>) {
        let edges = std::mem::take(&mut self.edges);
        let handlers = std::mem::take(&mut self.handlers);
        std::mem::swap(&mut self.edges, &mut self.told);
        self.waits(who, Node::Ack, || What::Flushes);
        self.told = std::mem::replace(&mut self.edges, edges);
        self.handlers = handlers;
    }

    /// There are csd events, so what was told without them counts twice.
    pub fn forget_told(&mut self) {
        self.told.clear();
    }

    /// A lock is held with interrupts on; with bottom halves on too.
    pub fn open(&mut self, class: ClassId, mode: Mode, address: Address, since: Place, bh: bool) {
        let told = || Told {
            place: since,
            what: What::Takes(class, address),
        };
        for open in &mut self.open[..1 + usize::from(bh)] {
            open.entry((class, mode)).or_insert_with(told);
        }
    }

    fn waits(&mut self, who: &Waiter<'_>, to: Node, what: impl Fn() -> What) {
        let waits = || Told {
            place: who.place,
            what: what(),
        };
        for held in &who.context.held {
            let from = Node::Lock(held.lock.class, held.mode);
            let taken = || {
                Some(Told {
                    place: held.since,
                    what: What::Takes(held.lock.class, held.lock.address),
                })
            };
            match to {
                Node::Lock(class, _) if class == held.lock.class => {
                    note(self.nested.entry(class), taken, waits);
                }
                _ => note(self.edges.entry((from, to, Kind::Held)), taken, waits),
            }
        }
        let handler = match who.level {
            Level::Task => None,
            Level::Softirq => Some(1),
            Level::Hardirq | Level::Nmi => Some(0),
        };
        if let Some(handler) = handler {
            self.handlers[handler].entry(to).or_insert_with(waits);
        }
        if who.level >= Level::Hardirq {
            note(
                self.edges.entry((Node::Ack, to, Kind::Handler)),
                || None,
                waits,
            );
        } else if who.irqs_off {
            let off = || {
                who.off.map(|off| Told {
                    place: off.place,
                    what: What::IrqsOff(off.caller.clone(), off.parent.clone()),
                })
            };
            note(
                self.edges.entry((Node::Ack, to, Kind::InterruptsOff)),
                off,
                waits,
            );
        }
    }

    /// Puts everything together.
    pub fn finish(mut self, classes: &Classes) -> Order {
        for (edge, seen) in std::mem::take(&mut self.told) {
            let times = seen.times;
            let known = self.edges.entry(edge);
            known
                .and_modify(|known| known.times += times)
                .or_insert(seen);
        }
        let softirqs = usize::from(self.tells_bh);
        for level in 0..=softirqs {
            for (&(class, mode), taken) in &self.open[level] {
                for (&to, waits) in &self.handlers[level] {
                    let from = Node::Lock(class, mode);
                    note(
                        self.edges.entry((from, to, Kind::Interrupted)),
                        || Some(taken.clone()),
                        || waits.clone(),
                    );
                }
            }
        }
        let names = Names { classes };
        let awaited: BTreeSet<Node> = self.edges.keys().map(|(_, to, _)| *to).collect();
        let mut graph: Graph<Node, Edge> = Graph::default();
        for ((from, to, kind), seen) in &self.edges {
            for from in held_back(*from, &self.taken) {
                // What nobody waits for holds nobody back.
                if from == Node::Ack && !awaited.contains(&Node::Ack) {
                    continue;
                }
                graph.add(from, *to, names.edge(from, *to, *kind, seen));
            }
        }
        let first = |from: &Node, to: &Node| {
            graph
                .witnesses(from, to)
                .min_by_key(|edge| (edge.kind, edge.waits.place.line))
                .cloned()
        };
        let mut cycles: Vec<Cycle> = graph
            .cycles()
            .iter()
            .map(|nodes| Cycle {
                through: names.through(nodes),
                nodes: nodes.iter().map(|node| names.node(*node)).collect(),
                edges: edges_of(nodes)
                    .filter_map(|(from, to)| first(&from, &to))
                    .collect(),
            })
            .collect();
        cycles.sort_by_key(|cycle| cycle.through);
        Order {
            edges: graph
                .edges()
                .filter_map(|(from, to)| first(from, to))
                .collect(),
            cycles,
            nested: self
                .nested
                .iter()
                .map(|(class, seen)| {
                    let node = Node::Lock(*class, Mode::Exclusive);
                    names.edge(node, node, Kind::Held, seen)
                })
                .collect(),
        }
    }
}

/// Counts an edge; what it is told by is made for the first one only.
fn note<K: Ord>(
    entry: std::collections::btree_map::Entry<'_, K, Seen>,
    withholds: impl FnOnce() -> Option<Told>,
    waits: impl FnOnce() -> Told,
) {
    entry
        .and_modify(|seen| seen.times += 1)
        .or_insert_with(|| Seen {
            withholds: withholds(),
            waits: waits(),
            times: 1,
        });
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

struct Names<'a> {
    classes: &'a Classes,
}

impl Names<'_> {
    fn node(&self, node: Node) -> String {
        match node {
            Node::Lock(class, Mode::Exclusive) => self.classes.get(class).name.clone(),
            Node::Lock(class, Mode::Shared) => format!("{}(read)", self.classes.get(class).name),
            Node::Ack => "IPI acknowledgement".into(),
        }
    }

    fn through(&self, nodes: &[Node]) -> Through {
        let watched = |node: &Node| match node {
            Node::Lock(class, _) => self.classes.get(*class).part.watched(),
            Node::Ack => true,
        };
        if nodes.contains(&Node::Ack) {
            Through::Acknowledgement
        } else if nodes.iter().all(watched) {
            Through::PageTableLocks
        } else {
            Through::OtherLocks
        }
    }

    fn line(&self, told: &Told) -> Line {
        let what = match &told.what {
            What::Takes(class, address) => {
                format!("takes {} {address}", self.classes.get(*class).name)
            }
            What::Awaits(target, csd, callsite) => {
                format!("awaits CPU{target}, csd {csd}, in {callsite}")
            }
            What::Flushes => "awaits CPUs that are not named: tlb_flush, remote ipi send".into(),
            What::IrqsOff(caller, parent) => {
                format!("turns interrupts off in {caller}, from {parent}")
            }
        };
        Line {
            place: told.place,
            what,
        }
    }

    fn edge(&self, from: Node, to: Node, kind: Kind, seen: &Seen) -> Edge {
        Edge {
            from: self.node(from),
            to: self.node(to),
            kind,
            withholds: seen.withholds.as_ref().map(|told| self.line(told)),
            waits: self.line(&seen.waits),
            times: seen.times,
        }
    }
}
