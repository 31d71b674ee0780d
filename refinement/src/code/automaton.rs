//! Real code, run once per new answer and remembered.
//!
//! A node is a point in a piece of code between two operations: which operation it announces, and what it reported on
//! the way there. Nodes form a tree, one edge per answer that was ever given. To find the successor of a node for a new
//! answer the code runs from its beginning with the answers that led there; everything it announces on the way must be
//! what it announced before. If not, it is not a function of its answers, and nothing that was explored means
//! anything: [`Automata::nondeterminism`] says so and the run is void.
//!
//! Answers often differ in what the code does not look at: other CPUs' bits of a mask, the DIRTY bit of an entry it
//! removes, whether it had to wait for a lock, whom it had to interrupt for a flush that is over. Points that are
//! reached alike but for that (`is_forgotten`), report the same and announce the same are therefore taken for one,
//! and this is checked as well: from there on the code is run with *every* history that the point stands for. If they
//! ever diverge, [`Automata::diverged`] says that the exploration has to be done again; the next one keeps them apart.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rapidhash::fast::RandomState;
use shootdown_impl::environment::Environment;
use shootdown_impl::event::Event;
use shootdown_impl::id::CpuId;
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::Loc;
use shootdown_impl::operation::{Code, Operation};
use shootdown_impl::sim::{Op, Port, SimCpu, SimState};

/// A piece of code: it runs from its beginning to its end on one CPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Piece {
    /// What a CPU does in process context.
    Operation(Operation),
    /// What it does in an interrupt.
    Handler(Vector),
}

/// A point in a piece of code. The numbers are given in the order of discovery, which depends on the threads: they
/// identify a point within one run of the program and mean nothing outside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeId(u32);

impl NodeId {
    /// Nothing runs.
    pub const NONE: Self = Self(0);

    /// Does something run?
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// What is known about a point.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    /// What the code does next. [`Op::Idle`]: it has returned.
    pub next: Op,
    /// What it reported since the operation before.
    pub events: Box<[Event]>,
    /// It panicked instead of announcing anything.
    pub panicked: Option<Box<str>>,
}

/// How a point is reached.
struct Reached {
    cpu: CpuId,
    piece: Piece,
    /// What was announced on the way here.
    path: Vec<Op>,
    /// The answers to it: every list of answers that leads here.
    histories: Vec<History>,
    /// What follows it, by answer.
    children: Vec<(u64, NodeId)>,
    /// The last point on the way here that is not forgotten.
    since: NodeId,
}

/// Whether code is expected to go on in the same way however the operation was answered, and even if it was left out:
/// waiting for a lock, flushing. Only a guess at what is worth comparing; what is taken for one is checked to be.
fn is_forgotten(op: Op) -> bool {
    matches!(
        op,
        Op::TicketDraw(_)
            | Op::TicketWait(_)
            | Op::ReadLock(_)
            | Op::WriteLock(_)
            | Op::RwWait(_)
            | Op::TlbState
            | Op::FlushTlb(_)
            | Op::LeaveMm(_)
            | Op::Load(Loc::Cpumask(_))
            | Op::Store(Loc::Request(_) | Loc::Acks(_), _)
            | Op::SendIpi(_)
            | Op::AwaitZero(_)
    )
}

/// Points are compared with those that were reached from the same point by the same operation; forgotten ones count
/// as none.
type Kin = (NodeId, Option<Op>);

type History = Box<[u64]>;

/// The most histories one point stands for; further ones get a point of their own.
const MOST_HISTORIES: usize = 64;

/// Histories that look alike for a while and then diverge: they must not be taken for one.
pub type Diverged = std::collections::HashSet<(CpuId, Piece, History)>;

/// Something that can be run on the simulated machine: a design's code, or a mutant of it.
pub trait Runnable: Send + Sync {
    /// Runs a piece on a CPU over `port`, to its end.
    fn run(&self, cpu: &SimCpu<&dyn Port>, piece: Piece);
}

impl<C: Code> Runnable for C {
    fn run(&self, cpu: &SimCpu<&dyn Port>, piece: Piece) {
        match piece {
            Piece::Operation(operation) => self.operation(cpu, operation),
            Piece::Handler(vector) => self.interrupt(cpu, vector),
        }
    }
}

/// The code did not do again what it had done before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nondeterminism {
    /// Where.
    pub cpu: CpuId,
    /// In which piece.
    pub piece: Piece,
    /// After how many operations.
    pub after: usize,
    /// What it announced this time.
    pub announced: String,
    /// What it had announced before.
    pub before: String,
}

/// Everything that is known about the code.
pub struct Automata {
    code: Arc<dyn Runnable>,
    env: Environment,
    /// Where words that never change are read.
    boot: SimState,
    nodes: boxcar::Vec<Node>,
    edges: RwLock<HashMap<(NodeId, u64), NodeId, RandomState>>,
    roots: RwLock<HashMap<(CpuId, Piece), NodeId, RandomState>>,
    /// By number of the point. A thread that discovers points holds it throughout.
    reached: Mutex<Vec<Reached>>,
    kin: Mutex<HashMap<Kin, Vec<NodeId>, RandomState>>,
    runs: AtomicU64,
    /// Whether points may be taken for one at all.
    merge: bool,
    /// Histories that get points of their own.
    apart: Diverged,
    diverged: Mutex<Diverged>,
    has_diverged: Arc<AtomicBool>,
    nondeterminism: Mutex<Option<Nondeterminism>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Automata {
    /// Nothing known yet. `boot` is any state of the machine the code will run on.
    pub fn new(code: Arc<dyn Runnable>, boot: SimState) -> Self {
        let automata = Self {
            code,
            env: boot.env,
            boot,
            nodes: boxcar::Vec::new(),
            edges: RwLock::default(),
            roots: RwLock::default(),
            reached: Mutex::default(),
            kin: Mutex::default(),
            runs: AtomicU64::new(0),
            merge: true,
            apart: Diverged::default(),
            diverged: Mutex::default(),
            has_diverged: Arc::default(),
            nondeterminism: Mutex::new(None),
        };
        // Number 0 stands for "nothing runs".
        let nothing = Node {
            next: Op::Idle,
            events: Box::default(),
            panicked: None,
        };
        let piece = Piece::Operation(Operation::EnterLazyTlb);
        automata.add(
            &mut lock(&automata.reached),
            nothing,
            (CpuId(0), piece),
            Vec::new(),
            Vec::new(),
            None,
        );
        automata
    }

    /// The same code, nothing known, but what has diverged is never taken for one again.
    pub fn again(&self) -> Self {
        let mut again = Self::new(self.code.clone(), self.boot);
        again.runs = AtomicU64::new(self.runs());
        again.merge = self.merge;
        again.apart = self.apart.clone();
        again.apart.extend(self.diverged());
        again
    }

    /// Never takes points for one: more of them, and nothing to be checked about it.
    pub fn keep_apart(&mut self) {
        self.merge = false;
    }

    /// The point.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// How often real code was run.
    pub fn runs(&self) -> u64 {
        self.runs.load(Relaxed)
    }

    /// How many points are known.
    pub fn points(&self) -> usize {
        self.nodes.count() - 1
    }

    /// Whether the code was ever caught doing something else than before.
    pub fn nondeterminism(&self) -> Option<Nondeterminism> {
        lock(&self.nondeterminism).clone()
    }

    /// Histories that were taken for one and turned out not to be: the exploration was of something else than the
    /// code. Empty if all is well.
    pub fn diverged(&self) -> Diverged {
        lock(&self.diverged).clone()
    }

    /// The beginning of a piece.
    pub fn root(&self, cpu: CpuId, piece: Piece) -> NodeId {
        let key = (cpu, piece);
        let known = self.roots.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(&id) = known.get(&key) {
            return id;
        }
        drop(known);
        let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
        *roots.entry(key).or_insert_with(|| {
            let found = self.run_twice(key, &[], &[]);
            let mut reached = lock(&self.reached);
            self.add(
                &mut reached,
                found,
                key,
                Vec::new(),
                vec![Box::default()],
                None,
            )
        })
    }

    /// Where the code goes from a point when its operation is answered so.
    pub fn after(&self, at: NodeId, answer: u64) -> NodeId {
        let key = (at, answer);
        let known = self.edges.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(&id) = known.get(&key) {
            return id;
        }
        drop(known);
        let mut edges = self.edges.write().unwrap_or_else(PoisonError::into_inner);
        *edges
            .entry(key)
            .or_insert_with(|| self.discover(&mut lock(&self.reached), at, answer))
    }

    /// Whether anything has diverged yet.
    pub fn has_diverged(&self) -> Arc<AtomicBool> {
        self.has_diverged.clone()
    }

    fn add(
        &self,
        reached: &mut Vec<Reached>,
        node: Node,
        (cpu, piece): (CpuId, Piece),
        path: Vec<Op>,
        histories: Vec<History>,
        since: Option<NodeId>,
    ) -> NodeId {
        reached.push(Reached {
            since: since.unwrap_or(NodeId(reached.len() as u32)),
            cpu,
            piece,
            path,
            histories,
            children: Vec::new(),
        });
        let id = NodeId(self.nodes.push(node) as u32);
        debug_assert_eq!(
            id.0 as usize + 1,
            reached.len(),
            "points are added one at a time"
        );
        id
    }

    /// Runs real code with every history the point stands for, and this answer.
    fn discover(&self, reached: &mut Vec<Reached>, at: NodeId, answer: u64) -> NodeId {
        let from = &reached[at.0 as usize];
        let key = (from.cpu, from.piece);
        let mut path = from.path.clone();
        path.push(self.node(at).next);
        let histories: Vec<_> = from.histories.iter().map(|h| longer(h, answer)).collect();
        let found = self.run_twice(key, &path, &histories[0]);
        self.must_agree(key, &histories[1..], &found);
        // Reached otherwise, but in nothing that anybody could tell so far?
        let op = self.node(at).next;
        let forgotten = is_forgotten(op);
        let kin = (from.since, (!forgotten).then_some(op));
        let obeyed = matches!(op, Op::Load(Loc::Request(_)));
        let apart = |h: &History| self.apart.contains(&(key.0, key.1, h.clone()));
        let mergeable = self.merge && !obeyed && !histories.iter().any(apart);
        let mut families = lock(&self.kin);
        let family = families.entry(kin).or_default();
        let alike = family.iter().copied().find(|&other| {
            let room =
                reached[other.0 as usize].histories.len() + histories.len() <= MOST_HISTORIES;
            mergeable && room && *self.node(other) == found
        });
        let child = match alike {
            Some(child) => {
                self.stand_for(reached, child, histories);
                child
            }
            None => {
                let since = forgotten.then_some(kin.0);
                let child = self.add(reached, found, key, path, histories, since);
                family.push(child);
                child
            }
        };
        reached[at.0 as usize].children.push((answer, child));
        child
    }

    /// Lets a point stand for more histories; what follows it must follow them as well.
    fn stand_for(&self, reached: &mut Vec<Reached>, at: NodeId, histories: Vec<History>) {
        let Reached {
            cpu,
            piece,
            ref children,
            ..
        } = reached[at.0 as usize];
        for (answer, child) in children.clone() {
            let on: Vec<_> = histories.iter().map(|h| longer(h, answer)).collect();
            self.must_agree((cpu, piece), &on, self.node(child));
            self.stand_for(reached, child, on);
        }
        reached[at.0 as usize].histories.extend(histories);
    }

    /// All these histories must lead to what was found.
    fn must_agree(&self, key: (CpuId, Piece), histories: &[History], found: &Node) {
        for history in histories {
            if self.run(key, history).0 != *found {
                // All prefixes: one of them is where it was taken for something else.
                let prefixes = (1..history.len()).map(|n| (key.0, key.1, history[..n].into()));
                lock(&self.diverged).extend(prefixes);
                self.has_diverged.store(true, Relaxed);
            }
        }
    }

    /// Runs real code twice, since once proves nothing about its being a function, and compares what it announces on
    /// the way with what it announced before.
    fn run_twice(&self, key: (CpuId, Piece), path: &[Op], history: &[u64]) -> Node {
        let (node, announced) = self.run(key, history);
        let (again, _) = self.run(key, history);
        // The `iret` is the hardware's, not the handler's.
        let path = path.strip_suffix(&[Op::Iret]).unwrap_or(path);
        let differs = |after, announced: String, before: String| Nondeterminism {
            cpu: key.0,
            piece: key.1,
            after,
            announced,
            before,
        };
        let parts = path.iter().zip(&announced).position(|(a, b)| a != b);
        let found = if let Some(i) = parts {
            Some(differs(
                i,
                format!("{:?}", announced[i]),
                format!("{:?}", path[i]),
            ))
        } else if announced.len() != path.len() {
            let i = announced.len().min(path.len());
            let op = |ops: &[Op]| {
                ops.get(i)
                    .map_or("its end".to_string(), |op| format!("{op:?}"))
            };
            Some(differs(i, op(&announced), op(path)))
        } else if node != again {
            Some(differs(
                path.len(),
                format!("{again:?}"),
                format!("{node:?}"),
            ))
        } else {
            None
        };
        if let Some(found) = found {
            lock(&self.nondeterminism).get_or_insert(found);
        }
        node
    }

    /// One run of real code with these answers: the point it reaches, and what it announced before.
    fn run(&self, (cpu, piece): (CpuId, Piece), history: &[u64]) -> (Node, Vec<Op>) {
        self.runs.fetch_add(1, Relaxed);
        let replay = Replay {
            boot: &self.boot,
            answers: history,
            given: RefCell::default(),
            events: RefCell::default(),
        };
        let port: &dyn Port = &replay;
        let machine = SimCpu {
            port,
            cpu,
            env: self.env,
        };
        let went = catch_unwind(AssertUnwindSafe(|| self.code.run(&machine, piece)));
        let given = replay.given.take();
        let (mut events, mut panicked) = (Box::from(replay.events.take()), None);
        let next = match (went, piece) {
            (Ok(()), Piece::Operation(_)) => Op::Idle,
            // The handler has returned; the `iret` is still to come, and has come if one more answer was given.
            (Ok(()), Piece::Handler(_)) if given.len() == history.len() => Op::Iret,
            (Ok(()), Piece::Handler(_)) => {
                events = Box::default();
                Op::Idle
            }
            (Err(payload), _) => match payload.downcast::<Announced>() {
                Ok(announced) => announced.0,
                Err(payload) => {
                    panicked = Some(panic_message(&*payload).into());
                    Op::Idle
                }
            },
        };
        let node = Node {
            next,
            events,
            panicked,
        };
        (node, given)
    }
}

fn longer(history: &[u64], answer: u64) -> History {
    history.iter().copied().chain([answer]).collect()
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_string())
}

/// Answers from a list; announces what comes after it by unwinding.
///
/// Unwinding, not a coroutine: a run is made once per new answer, a few hundred times in all, and this needs neither
/// another stack nor `unsafe`.
struct Replay<'a> {
    boot: &'a SimState,
    answers: &'a [u64],
    given: RefCell<Vec<Op>>,
    events: RefCell<Vec<Event>>,
}

struct Announced(Op);

impl Port for Replay<'_> {
    fn call(&self, op: Op) -> u64 {
        // Guards that are dropped on the way out call again: nobody listens any more.
        if std::thread::panicking() {
            return 0;
        }
        let mut given = self.given.borrow_mut();
        match self.answers.get(given.len()) {
            Some(&answer) => {
                given.push(op);
                self.events.borrow_mut().clear();
                answer
            }
            None => {
                drop(given);
                resume_unwind(Box::new(Announced(op)))
            }
        }
    }

    fn stable(&self, loc: Loc) -> u64 {
        self.boot.word(loc)
    }

    fn event(&self, event: Event) {
        if !std::thread::panicking() {
            self.events.borrow_mut().push(event);
        }
    }
}
