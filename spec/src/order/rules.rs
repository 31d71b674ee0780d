//! The edges: who may keep what from happening while waiting for what.
//!
//! Each rule is one sentence of the proof in `docs/order.md`. An analysis that leaves one out is
//! wrong; [`Rules::without`] exists so that the tests can show of each that it is needed.

use super::Graph;
use super::node::{Class, Kind, Node, Witness};
use super::walk::{Point, Walk};
use crate::config::Config;
use crate::environment::FlushBackend;
use crate::id::Level;
use crate::program::{Mode, Op, Pc, ProgramId};
use crate::workload::{Placement, Role};
use std::collections::BTreeSet;

/// A rule that makes edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeRule {
    /// A lock held while its holder waits.
    Held,
    /// The wait for acknowledgements is a node at all.
    AckNode,
    /// A context that waits with interrupts off does not acknowledge.
    InterruptsOff,
    /// An interrupt waits on top of a holder that has interrupts on.
    Interrupted,
    /// An interrupt that waits does not acknowledge either.
    Handler,
    /// Readers hold writers back.
    Readers,
    /// Readers hold readers back where a writer queues between them.
    ReadersBehindWriters,
    /// A splitter that waits does not finish.
    Splitting,
    /// A trylock that is repeated until it succeeds is a wait.
    Polling,
}

impl EdgeRule {
    /// Every rule.
    pub const ALL: [EdgeRule; 9] = [
        EdgeRule::Held,
        EdgeRule::AckNode,
        EdgeRule::InterruptsOff,
        EdgeRule::Interrupted,
        EdgeRule::Handler,
        EdgeRule::Readers,
        EdgeRule::ReadersBehindWriters,
        EdgeRule::Splitting,
        EdgeRule::Polling,
    ];
}

/// Which rules an analysis applies: all of them, except to show that one is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    without: Option<EdgeRule>,
}

impl Rules {
    /// Every rule: the analysis that the theorem is about.
    pub const ALL: Rules = Rules { without: None };

    /// All but one: wrong on purpose.
    pub fn without(rule: EdgeRule) -> Rules {
        Rules {
            without: Some(rule),
        }
    }

    fn apply(self, rule: EdgeRule) -> bool {
        self.without != Some(rule)
    }
}

/// A CPU's part in the analysis: what may run on it, at which level.
struct Part<'a> {
    walks: Vec<&'a Walk<'a>>,
    /// May it be in some `mm_cpumask`, and so be sent flush IPIs?
    targeted: bool,
}

/// Everything the programs of a configuration may do, walked.
pub(super) struct Walks<'a> {
    pub(super) tasks: Vec<Walk<'a>>,
    pub(super) handlers: Vec<Walk<'a>>,
    roles: &'a [Role],
}

/// Programs that interrupts run in the environment.
fn handlers(config: &Config) -> impl Iterator<Item = ProgramId> {
    let ipi = config.environment.flush_backend == FlushBackend::Ipi;
    let free = config.environment.pgd_free_in_irq;
    let flush = ipi.then_some(ProgramId::FlushTlbInterrupt);
    flush.into_iter().chain(free.then_some(ProgramId::PgdFree))
}

impl<'a> Walks<'a> {
    pub(super) fn of(config: &'a Config) -> Walks<'a> {
        let roles = &config.workload.roles;
        let started: BTreeSet<ProgramId> = roles
            .iter()
            .flat_map(|r| &r.programs)
            .map(|c| c.program)
            .collect();
        let walk = |level| move |id| Walk::of(config.program(id), level);
        Walks {
            tasks: started.into_iter().map(walk(Level::Task)).collect(),
            handlers: handlers(config).map(walk(Level::Irq)).collect(),
            roles,
        }
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Walk<'a>> {
        self.tasks.iter().chain(&self.handlers)
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.roles.iter().map(|role| {
            let starts = |id| role.programs.iter().any(|c| c.program == id);
            Part {
                walks: self.tasks.iter().filter(|w| starts(w.program.id)).collect(),
                // Only a placement or `switch_mm` ever sets a CPU's bit in a mask.
                targeted: role.placement != Placement::Nowhere || starts(ProgramId::SwitchMm),
            }
        })
    }

    /// The graph.
    pub(super) fn graph(&self, rules: Rules) -> Graph<Node, Witness> {
        let mut edges = Edges {
            graph: Graph::default(),
            awaited: BTreeSet::new(),
            writes: self.writes(),
            rules,
        };
        let waits = self.each().flat_map(|walk| edges.waits(walk));
        edges.awaited = waits.map(|(_, node, _)| node).collect();
        let handlers_wait: Vec<(Node, Witness)> = self
            .handlers
            .iter()
            .flat_map(|walk| edges.waits(walk))
            .map(|(point, node, walk)| {
                let witness = witness(Kind::Handler, walk, None, walk.step(point.pc));
                (node, witness)
            })
            .collect();
        for part in self.parts() {
            for walk in &part.walks {
                edges.held(walk);
                edges.interrupted(walk, &handlers_wait);
                if part.targeted {
                    edges.interrupts_off(walk);
                }
            }
            if part.targeted && rules.apply(EdgeRule::Handler) {
                for &(node, witness) in &handlers_wait {
                    edges.add(Node::Ack, node, witness);
                }
            }
        }
        for walk in &self.handlers {
            edges.held(walk);
        }
        for walk in self
            .each()
            .filter(|w| w.program.id == ProgramId::SplitHugePage)
        {
            edges.splitting(walk, &handlers_wait);
        }
        edges.graph
    }

    /// Lock classes that anybody takes exclusively.
    fn writes(&self) -> BTreeSet<Class> {
        let ops = self
            .each()
            .flat_map(|w| w.points.iter().map(|p| w.program.line(p.pc).op));
        ops.filter_map(|op| match op {
            Op::Lock(lock, Mode::Exclusive) | Op::TryLock { lock, .. } => Some(lock.into()),
            _ => None,
        })
        .collect()
    }
}

fn witness(kind: Kind, walk: &Walk<'_>, withholds: Option<Pc>, waits: super::Step) -> Witness {
    Witness {
        kind,
        withholds: withholds.map(|pc| walk.step(pc)),
        waits,
    }
}

/// A point that waits, and for what.
type WaitAt<'w> = (&'w Point, Node, &'w Walk<'w>);

struct Edges {
    graph: Graph<Node, Witness>,
    /// What anybody waits for at all.
    awaited: BTreeSet<Node>,
    /// Lock classes that anybody takes exclusively.
    writes: BTreeSet<Class>,
    rules: Rules,
}

impl Edges {
    /// An edge from what nobody waits for holds nobody back.
    fn add(&mut self, from: Node, to: Node, witness: Witness) {
        let acks = from == Node::Ack || to == Node::Ack;
        let known = !acks || self.rules.apply(EdgeRule::AckNode);
        if known && self.awaited.contains(&from) {
            self.graph.add(from, to, witness);
        }
    }

    /// Every point of the walk at which it may wait.
    fn waits<'w>(&self, walk: &'w Walk<'w>) -> Vec<WaitAt<'w>> {
        let polling = self.rules.apply(EdgeRule::Polling);
        let node = |point: &Point| match walk.program.line(point.pc).op {
            Op::Lock(lock, mode) => Some(Node::Lock(lock.into(), mode)),
            Op::TryLock { lock, .. } if polling && walk.polls(point.pc) => {
                Some(Node::Lock(lock.into(), Mode::Exclusive))
            }
            Op::AwaitAcks => Some(Node::Ack),
            Op::AwaitNotSplitting => Some(Node::Split),
            _ => None,
        };
        let waits = |p| node(p).map(|n| (p, n, walk));
        walk.points.iter().filter_map(waits).collect()
    }

    /// The modes in which a wait for a lock of the class may be for a holder of this mode: all,
    /// except that readers do not wait for readers unless a writer may queue between them.
    fn held_back_by(&self, class: Class, held: Mode) -> impl Iterator<Item = Mode> + use<> {
        let readers = self.rules.apply(EdgeRule::Readers);
        let behind = self.rules.apply(EdgeRule::ReadersBehindWriters);
        let between = behind && self.writes.contains(&class);
        let waits = move |mode: &Mode| match (mode, held) {
            (Mode::Exclusive, Mode::Shared) => readers,
            (Mode::Shared, Mode::Shared) => readers && between,
            (_, Mode::Exclusive) => true,
        };
        [Mode::Exclusive, Mode::Shared].into_iter().filter(waits)
    }

    /// Every lock held at the point keeps those who wait for it from going on.
    fn hold_back(&mut self, kind: Kind, walk: &Walk<'_>, point: &Point, to: Node, by: super::Step) {
        for held in &point.held {
            let class = held.lock.into();
            for mode in self.held_back_by(class, held.mode) {
                let witness = witness(kind, walk, Some(held.taken), by);
                self.add(Node::Lock(class, mode), to, witness);
            }
        }
    }

    /// A lock held while its holder waits.
    fn held(&mut self, walk: &Walk<'_>) {
        if self.rules.apply(EdgeRule::Held) {
            for (point, node, _) in self.waits(walk) {
                self.hold_back(Kind::Held, walk, point, node, walk.step(point.pc));
            }
        }
    }

    /// A lock held with interrupts on: an interrupt may come and wait. A queue is covered as
    /// well: a context that waits with interrupts on holds with interrupts on from the grant on.
    fn interrupted(&mut self, walk: &Walk<'_>, handlers: &[(Node, Witness)]) {
        if !self.rules.apply(EdgeRule::Interrupted) {
            return;
        }
        for point in walk.points.iter().filter(|p| p.irqs_on) {
            for &(node, handler) in handlers {
                self.hold_back(Kind::Interrupted, walk, point, node, handler.waits);
            }
        }
    }

    /// A wait with interrupts off: this CPU does not acknowledge meanwhile.
    fn interrupts_off(&mut self, walk: &Walk<'_>) {
        if !self.rules.apply(EdgeRule::InterruptsOff) {
            return;
        }
        for (point, node, _) in self.waits(walk) {
            if !point.irqs_on {
                let by = walk.step(point.pc);
                let witness = witness(Kind::InterruptsOff, walk, point.off_since, by);
                self.add(Node::Ack, node, witness);
            }
        }
    }

    /// A context that waits for the end of a split waits for the splitter, wherever that is.
    fn splitting(&mut self, walk: &Walk<'_>, handlers: &[(Node, Witness)]) {
        if !self.rules.apply(EdgeRule::Splitting) {
            return;
        }
        for (point, node, _) in self.waits(walk) {
            let witness = witness(Kind::Splitting, walk, None, walk.step(point.pc));
            self.add(Node::Split, node, witness);
        }
        if walk.points.iter().any(|p| p.irqs_on) {
            for &(node, handler) in handlers {
                let witness = witness(Kind::Splitting, walk, None, handler.waits);
                self.add(Node::Split, node, witness);
            }
        }
    }
}
