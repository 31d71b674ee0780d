//! Order: no deadlock by waiting, for any number of CPUs, shown on the programs alone.
//!
//! Every program is walked once, all ways through it (`flow`). A *point* is a place where a context waits (`waits`). An
//! edge says that a wait can last because of another: the context that has to end it stands there, or is below one that does, or
//! cannot get its CPU from who stands there (`edges`). In a deadlock every context that waits has such an edge to another
//! that does; so if no points that can be reached together form a cycle, there is none.
//!
//! Sources `on any` CPU and handlers of IPIs run on every CPU that a source names, and on one more that stands for all
//! others.
//!
//! # What is not covered
//! That a condition comes true once everybody who changes it has got there: `conditions` understands a few forms, and what
//! it does not understand makes the proof [`Proof::NotProven`]. Whether loops end (`progress`). Promises about values.

mod conditions;
mod edges;
mod flow;
mod text;
mod waits;

use crate::protocol::{Kind, Memory, Op, Pc, Protocol, SourceId};
use conditions::Understanding;
use edges::{Because, Machine};
use flow::{Counted, Walk};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
pub use text::{LineRef, Link};
use waits::Waits;

/// The most cycles that are told.
const MOST_CYCLES: usize = 8;

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// No cycle, and every condition is understood: no deadlock, for any number of CPUs.
    Acyclic,
    /// A cycle: a deadlock is possible as far as the programs tell.
    Cyclic,
    /// No cycle, and something is taken on trust that the analysis does not understand.
    NotProven,
}

impl Proof {
    /// The word used everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Proof::Acyclic => "acyclic",
            Proof::Cyclic => "cyclic",
            Proof::NotProven => "not proven",
        }
    }
}

/// What a proof would have to take on trust.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doubt {
    /// The source.
    pub source: SourceId,
    /// The line of its program.
    pub pc: Pc,
    /// What, in words.
    pub says: String,
}

/// The order of a protocol.
#[derive(Clone, Debug)]
pub struct Order {
    /// Cycles, each once, shortest first; of many the first few.
    pub cycles: Vec<Vec<Link>>,
    /// What is not understood.
    pub doubts: Vec<Doubt>,
    /// Where a program waits, and the edges between: for those who count.
    pub points: usize,
    /// The edges.
    pub edges: usize,
}

impl Order {
    /// Analyses the protocol.
    pub fn of(p: &Protocol) -> Order {
        let mut counted = Counted::of(p);
        let first = walks(p, &counted);
        counted.settle(p, &first);
        let walks = walks(p, &counted);
        let waits = Waits::of(p, &walks);
        let machine = Machine::new(p, &walks, &waits.points);
        let edges: Vec<BTreeMap<usize, Because>> =
            (0..waits.points.len()).map(|q| machine.edges(q)).collect();
        let cycles = cycles(&edges);
        let mut told: Vec<Vec<Link>> = Vec::new();
        for cycle in &cycles {
            let links = text::links(&machine, cycle, &edges);
            if !told.iter().any(|t| text::alike(t, &links)) {
                told.push(links);
            }
            if told.len() == MOST_CYCLES {
                break;
            }
        }
        Order {
            cycles: told,
            doubts: doubts(p, &walks, &waits, &counted),
            points: waits.points.len(),
            edges: edges.iter().map(BTreeMap::len).sum(),
        }
    }

    /// The result.
    pub fn proof(&self) -> Proof {
        match (self.cycles.is_empty(), self.doubts.is_empty()) {
            (false, _) => Proof::Cyclic,
            (true, false) => Proof::NotProven,
            (true, true) => Proof::Acyclic,
        }
    }
}

/// Every source on every CPU that is told apart: those that a source names, and one for all others.
fn walks(p: &Protocol, counted: &Counted) -> Vec<Walk> {
    let named: BTreeSet<usize> = p.sources.iter().filter_map(|s| s.on).collect();
    let cpus = named.into_iter().map(Some).chain([None]);
    let mut walks: Vec<Walk> = cpus
        .flat_map(|cpu| {
            (0..p.sources.len() as u32)
                .map(SourceId)
                .filter(move |s| p.source(*s).on.is_none() || p.source(*s).on == cpu)
                .filter(|s| p.source(*s).kind != Kind::StoreBuffer)
                .map(move |s| flow::walk(p, s, cpu, counted))
        })
        .collect();
    // A handler runs only where somebody calls it.
    let called: Vec<bool> = walks
        .iter()
        .map(|w| w.kind != Kind::Ipi || is_called(p, &walks, w))
        .collect();
    let mut called = called.into_iter();
    walks.retain(|_| called.next() == Some(true));
    walks
}

fn is_called(p: &Protocol, walks: &[Walk], it: &Walk) -> bool {
    walks.iter().any(|by| {
        by.states
            .iter()
            .any(|s| match &p.source(by.source).program[s.pc].op {
                Op::CrossCall { to, handler, .. } | Op::SendIpi { to, handler } => {
                    *handler == it.source && waits::targets(p, walks, by, s, to).contains(&it.cpu)
                }
                _ => false,
            })
    })
}

/// Through every point that lies on a cycle a shortest one, short ones first.
fn cycles(edges: &[BTreeMap<usize, Because>]) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = (0..edges.len()).filter_map(|q| back_to(q, edges)).collect();
    all.sort_by_key(Vec::len);
    all
}

fn back_to(start: usize, edges: &[BTreeMap<usize, Because>]) -> Option<Vec<usize>> {
    let mut before: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(q) = queue.pop_front() {
        for &to in edges[q].keys() {
            if to == start {
                let mut path = vec![q];
                while path[path.len() - 1] != start {
                    path.push(before[&path[path.len() - 1]]);
                }
                path.reverse();
                return Some(path);
            }
            if to != start && !before.contains_key(&to) {
                before.insert(to, q);
                queue.push_back(to);
            }
        }
    }
    None
}

fn doubts(p: &Protocol, walks: &[Walk], waits: &Waits, counted: &Counted) -> Vec<Doubt> {
    let understanding = Understanding { p, walks, counted };
    let mut doubts: Vec<Doubt> = Vec::new();
    for it in &waits.conditions {
        let buffered = (p.memory == Memory::Tso).then(|| {
            "the proof takes memory to be sequentially consistent, and this waits for a store"
                .to_string()
        });
        if let Some(says) = understanding.doubt(it).or(buffered) {
            doubts.push(Doubt {
                source: it.source,
                pc: it.pc,
                says,
            });
        }
    }
    for &(source, pc) in &waits.endless {
        doubts.push(Doubt {
            source,
            pc,
            says: "this loop has no way out".into(),
        });
    }
    for walk in walks {
        for (pc, says) in &walk.breaches {
            doubts.push(Doubt {
                source: walk.source,
                pc: *pc,
                says: says.clone(),
            });
        }
    }
    doubts.sort();
    doubts.dedup();
    doubts
}
