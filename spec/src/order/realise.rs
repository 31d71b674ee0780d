//! Does a possible cycle happen? The model is asked, within its bounds.

use super::Order;
use super::edges_of;
use super::node::Node;
use crate::config::Config;
use crate::id::{Context, Level};
use crate::model::Protocol;
use crate::program::{Mode, Op};
use crate::search::{Options, Stop, search};
use crate::state::{State, Stuck, Why};
use crate::trace::Trace;
use std::collections::BTreeSet;

/// In a state: a context that waits for a node is kept waiting by one that waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arc {
    /// Who waits.
    pub from: Context,
    /// Who keeps it waiting, and waits itself.
    pub to: Context,
    /// The edge of the graph that this is an instance of.
    pub edge: (Node, Node),
}

/// Every arc of a state: what the lemma in `docs/order.md` says is an edge of the graph.
///
/// A wait in a queue counts as one for the holders; an interrupted context keeps others waiting on
/// account of its own wait and on account of the handler above it.
pub fn arcs(config: &Config, state: &State) -> Vec<Arc> {
    let mut arcs = Vec::new();
    for (from, _) in state.each_context(config) {
        let Some(node) = waits_at(config, state, from) else {
            continue;
        };
        for edge in state.waits_for(config, from) {
            let own = match edge.why {
                Why::Interrupted | Why::LostAck(_) => continue,
                Why::QueuedBehind(_) => None,
                Why::Lock(_) | Why::Ack | Why::Split(_) => Some(edge.on),
            };
            for to in own.into_iter().chain(handler_above(state, edge.on)) {
                if let Some(next) = waits_at(config, state, to) {
                    let edge = (node, next);
                    arcs.push(Arc { from, to, edge });
                }
            }
        }
    }
    arcs
}

/// The interrupt on top of a context, if there is one.
fn handler_above(state: &State, context: Context) -> Option<Context> {
    let interrupted = context.level == Level::Task && state.cpu(context.cpu).in_irq();
    interrupted.then_some(Context {
        level: Level::Irq,
        ..context
    })
}

/// What a context waits for by itself, an interrupt above it aside.
fn waits_at(config: &Config, state: &State, context: Context) -> Option<Node> {
    let cpu = state.cpu(context.cpu);
    let ctx = cpu.context(context.level);
    if let Some(lock) = ctx.spins_for() {
        let queued = state.lock(lock).waiters().find(|(who, _)| *who == context);
        let mode = queued.map_or(Mode::Exclusive, |(_, mode)| mode);
        return Some(Node::Lock(lock.into(), mode));
    }
    match cpu.next_op(config, context.level)? {
        Op::AwaitAcks if !cpu.acks.is_empty() => Some(Node::Ack),
        Op::AwaitNotSplitting if state.mm(ctx.mm).entries[1].splitting => Some(Node::Split),
        _ => None,
    }
}

/// Is the cycle of the graph one of contexts in this state, all of them stuck?
pub fn realised(config: &Config, state: &State, cycle: &[Node]) -> bool {
    let stuck = state.stuck(config);
    !stuck.is_empty() && Stand::of(config, state, stuck).has(cycle)
}

/// The arcs between stuck contexts.
struct Stand {
    arcs: Vec<Arc>,
}

impl Stand {
    fn of(config: &Config, state: &State, stuck: Stuck) -> Stand {
        let mut arcs = arcs(config, state);
        arcs.retain(|a| stuck.contains(a.from) && stuck.contains(a.to));
        Stand { arcs }
    }

    /// Is every wait an edge of the graph, and is there one?
    fn is_in(&self, order: &Order) -> bool {
        let edge = |a: &Arc| order.graph.has(&a.edge.0, &a.edge.1);
        !self.arcs.is_empty() && self.arcs.iter().all(edge)
    }

    /// Do contexts go round in just the edges of this cycle, once or several times?
    fn has(&self, cycle: &[Node]) -> bool {
        let wanted: BTreeSet<(Node, Node)> = edges_of(cycle).collect();
        let mut starts = self.arcs.iter().filter(|a| wanted.contains(&a.edge));
        starts.any(|arc| self.closes(arc.from, &mut vec![*arc], &wanted))
    }

    fn closes(&self, start: Context, way: &mut Vec<Arc>, wanted: &BTreeSet<(Node, Node)>) -> bool {
        let here = way.last().map_or(start, |a| a.to);
        if here == start {
            let made: BTreeSet<_> = way.iter().map(|a| a.edge).collect();
            return made == *wanted;
        }
        for arc in self.arcs.iter().filter(|a| a.from == here) {
            let been = way.iter().any(|a| a.from == arc.to) && arc.to != start;
            if !been && wanted.contains(&arc.edge) {
                way.push(*arc);
                if self.closes(start, way, wanted) {
                    return true;
                }
                way.pop();
            }
        }
        false
    }
}

/// What the model said of the cycles.
#[derive(Clone, Debug)]
pub struct Realisation {
    /// For each cycle the shortest run into it, if there is one.
    pub runs: Vec<Option<Trace>>,
    /// The shortest run into a deadlock over a longer cycle, one that is not listed.
    pub longer: Option<Trace>,
    /// A run into a deadlock with a wait that is no edge of the graph. The theorem says that there
    /// is none: the analysis or the model is wrong.
    pub unexplained: Option<Trace>,
    /// Why not every state was seen, if not.
    pub stopped: Option<Stop>,
    /// Distinct states seen.
    pub states: u64,
}

impl Realisation {
    /// The shortest run into any deadlock.
    pub fn shortest(&self) -> Option<&Trace> {
        let runs = self.runs.iter().chain([&self.longer, &self.unexplained]);
        runs.flatten().min_by_key(|t| t.actions.len())
    }
}

/// Numbers of the facts that the search tells apart; below them the cycles.
const UNEXPLAINED: usize = 63;
const LONGER: usize = 62;

/// Searches the model for each cycle of the order, and for any other deadlock. At most 62 cycles
/// are told apart; protocols as small as this one have a handful.
pub fn realise(protocol: &Protocol, order: &Order, options: &Options) -> Realisation {
    let cycles = &order.cycles[..order.cycles.len().min(LONGER)];
    let observe = |p: &Protocol, state: &State| {
        let stuck = state.stuck(&p.config);
        if stuck.is_empty() {
            return 0;
        }
        let stand = Stand::of(&p.config, state, stuck);
        let facts = cycles.iter().enumerate();
        let known = facts.fold(0, |mask, (i, c)| mask | u64::from(stand.has(c)) << i);
        if !stand.is_in(order) {
            known | 1 << UNEXPLAINED
        } else if known == 0 {
            1 << LONGER
        } else {
            known
        }
    };
    let outcome = search(protocol, observe, options);
    let run = |bit| {
        let hit = outcome.hit(bit)?;
        Some(
            Trace::from_trail(protocol, &protocol.config, &hit.trail)
                .expect("the search walked this trail"),
        )
    };
    Realisation {
        runs: (0..cycles.len()).map(run).collect(),
        longer: run(LONGER),
        unexplained: run(UNEXPLAINED),
        stopped: outcome.stopped,
        states: outcome.unique,
    }
}
