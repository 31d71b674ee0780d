//! Real code, run once per new answer and remembered.
//!
//! A node is a point in a piece of code between two operations: which operation it announces, and what it reported on
//! the way there. Nodes form a tree, one edge per answer that was ever given. To find the successor of a node for a new
//! answer the code runs from its beginning with the answers that led there; everything it announces on the way must be
//! what it announced before. If not, it is not a function of its answers, and nothing that was explored means
//! anything: [`Automata::nondeterminism`] says so and the run is void.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, RwLock};

use rapidhash::fast::RandomState;
use shootdown_impl::env::Environment;
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
#[derive(Clone, Debug)]
pub struct Node {
    /// What the code does next. [`Op::Idle`]: it has returned.
    pub next: Op,
    /// What it reported since the operation before.
    pub events: Box<[Event]>,
    /// It panicked instead of announcing anything.
    pub panicked: Option<Box<str>>,
    cpu: CpuId,
    piece: Piece,
    /// The node before and the answer that led here.
    from: Option<(NodeId, u64)>,
}

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
    code: Box<dyn Runnable>,
    env: Environment,
    /// Where words that never change are read.
    boot: SimState,
    nodes: boxcar::Vec<Node>,
    edges: RwLock<HashMap<(NodeId, u64), NodeId, RandomState>>,
    roots: RwLock<HashMap<(CpuId, Piece), NodeId, RandomState>>,
    runs: AtomicU64,
    nondeterminism: Mutex<Option<Nondeterminism>>,
}

impl Automata {
    /// Nothing known yet. `boot` is any state of the machine the code will run on.
    pub fn new(code: Box<dyn Runnable>, boot: SimState) -> Self {
        let nodes = boxcar::Vec::new();
        // Number 0 stands for "nothing runs".
        nodes.push(Node {
            next: Op::Idle,
            events: Box::default(),
            panicked: None,
            cpu: CpuId(0),
            piece: Piece::Operation(Operation::EnterLazyTlb),
            from: None,
        });
        Self {
            code,
            env: boot.env,
            boot,
            nodes,
            edges: RwLock::default(),
            roots: RwLock::default(),
            runs: AtomicU64::new(0),
            nondeterminism: Mutex::new(None),
        }
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
        self.nondeterminism
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
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
        *roots
            .entry(key)
            .or_insert_with(|| self.discover(cpu, piece, None))
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
        *edges.entry(key).or_insert_with(|| {
            let Node { cpu, piece, .. } = *self.node(at);
            self.discover(cpu, piece, Some(key))
        })
    }

    /// Runs real code: twice, since once proves nothing about its being a function.
    fn discover(&self, cpu: CpuId, piece: Piece, from: Option<(NodeId, u64)>) -> NodeId {
        let (mut answers, mut expected) = (Vec::new(), Vec::new());
        let mut at = from;
        while let Some((node, answer)) = at {
            answers.push(answer);
            expected.push(self.node(node).next);
            at = self.node(node).from;
        }
        answers.reverse();
        expected.reverse();
        // The `iret` is the hardware's, not the handler's.
        if expected.last() == Some(&Op::Iret) {
            expected.pop();
        }
        let (node, announced) = self.run(cpu, piece, from, &answers);
        let (again, _) = self.run(cpu, piece, from, &answers);
        let differs = |a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug, after| Nondeterminism {
            cpu,
            piece,
            after,
            announced: format!("{a:?}"),
            before: format!("{b:?}"),
        };
        let found = announced
            .iter()
            .zip(&expected)
            .position(|(a, b)| a != b)
            .map(|i| differs(&announced[i], &expected[i], i))
            .or_else(|| {
                (announced.len() < expected.len()).then(|| {
                    let i = announced.len();
                    differs(&"its end", &expected[i], i)
                })
            })
            .or_else(|| {
                ((node.next, &node.events) != (again.next, &again.events)).then(|| {
                    let pair = |n: &Node| (n.next, n.events.clone());
                    differs(&pair(&again), &pair(&node), answers.len())
                })
            });
        if let Some(found) = found {
            self.nondeterminism
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(found);
        }
        NodeId(self.nodes.push(node) as u32)
    }

    /// One run of real code with these answers: the point it comes to, and what it announced before.
    fn run(
        &self,
        cpu: CpuId,
        piece: Piece,
        from: Option<(NodeId, u64)>,
        answers: &[u64],
    ) -> (Node, Vec<Op>) {
        self.runs.fetch_add(1, Relaxed);
        let replay = Replay {
            boot: &self.boot,
            answers,
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
        let mut panicked = None;
        let next = match (went, piece) {
            (Ok(()), Piece::Operation(_)) => Op::Idle,
            // Where the handler of an interrupt has returned, the `iret` is still to come: once.
            (Ok(()), Piece::Handler(_)) if from.is_some_and(|(n, _)| self.node(n).next == Op::Iret) => Op::Idle,
            (Ok(()), Piece::Handler(_)) => Op::Iret,
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
            events: if next == Op::Idle && matches!(piece, Piece::Handler(_)) {
                Box::default()
            } else {
                replay.events.take().into()
            },
            panicked,
            cpu,
            piece,
            from,
        };
        (node, replay.given.take())
    }
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
