//! The door is good for exhaustive search: code is a deterministic function of what it was answered, so it can be run
//! once per new answer and remembered. A small explorer shows it; the real one is in the `refinement` crate.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use shootdown_impl::design::Axes;
use shootdown_impl::environment::Environment;
use shootdown_impl::event::Event;
use shootdown_impl::id::{CpuId, MmId};
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::{Kernel, Loc};
use shootdown_impl::operation::{Code, Operation};
use shootdown_impl::sim::{Op, Port, SimCpu, SimState, Violation};
use shootdown_impl::tlb::{AccessKind, Slot};

/// What code does: an operation or a handler.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Piece {
    Operation(Operation),
    Handler(Vector),
}

/// Answers from a list; announces what comes after it by unwinding. (Coroutines are faster; this needs nothing.)
struct Replay<'a> {
    state: &'a SimState,
    answers: RefCell<std::slice::Iter<'a, u64>>,
    events: RefCell<Vec<Event>>,
}
struct Announced(Op);

impl Port for &Replay<'_> {
    fn call(&self, op: Op) -> u64 {
        let next = self.answers.borrow_mut().next().copied();
        next.unwrap_or_else(|| {
            // Guards that are dropped while unwinding call again.
            if std::thread::panicking() {
                0
            } else {
                resume_unwind(Box::new(Announced(op)))
            }
        })
    }
    fn stable(&self, loc: Loc) -> u64 {
        self.state.word(loc)
    }
    fn event(&self, event: Event) {
        // Only what the last answer led to is new.
        if self.answers.borrow().len() == 0 && !std::thread::panicking() {
            self.events.borrow_mut().push(event);
        }
    }
}

/// Where a piece of code is: what it has been answered so far. Its next operation and the events before it.
#[derive(Clone)]
struct Node {
    next: Option<Op>,
    events: Vec<Event>,
}

#[derive(Default)]
struct Automata {
    nodes: HashMap<(CpuId, Piece, Vec<u64>), Node>,
    runs: usize,
}

impl Automata {
    fn node(
        &mut self,
        axes: Axes,
        state: &SimState,
        cpu: CpuId,
        piece: Piece,
        answers: &[u64],
    ) -> Node {
        if let Some(node) = self.nodes.get(&(cpu, piece, answers.to_vec())) {
            return node.clone();
        }
        self.runs += 1;
        let node = run(axes, state, cpu, piece, answers);
        self.nodes
            .insert((cpu, piece, answers.to_vec()), node.clone());
        node
    }
}

fn run(axes: Axes, state: &SimState, cpu: CpuId, piece: Piece, answers: &[u64]) -> Node {
    let replay = Replay {
        state,
        answers: RefCell::new(answers.iter()),
        events: RefCell::default(),
    };
    let machine = SimCpu {
        port: &replay,
        cpu,
        env: state.env,
    };
    let went = catch_unwind(AssertUnwindSafe(|| match piece {
        Piece::Operation(operation) => axes.operation(&machine, operation),
        Piece::Handler(vector) => axes.interrupt(&machine, vector),
    }));
    let next = match went {
        Ok(()) => None,
        Err(payload) => match payload.downcast::<Announced>() {
            Ok(announced) => Some(announced.0),
            Err(other) => resume_unwind(other),
        },
    };
    Node {
        next,
        events: replay.events.into_inner(),
    }
}

type Frame = Option<(Piece, Vec<u64>)>;

/// Everything: the machine, and per CPU where its base context and its handler are.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Whole {
    state: SimState,
    base: [Frame; 2],
    handler: [Frame; 2],
    todo: [Option<Operation>; 2],
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    states: usize,
    deadlocks: usize,
    violations: Vec<Violation>,
    strict_rule_broken: bool,
    runs: usize,
}

fn explore(axes: Axes, env: Environment, todo: [Operation; 2]) -> Found {
    let on_mm0 = Some(MmId(0));
    let state = SimState::new(env, 1, &[on_mm0, on_mm0]).unwrap();
    let start = Whole {
        state,
        base: [None, None],
        handler: [None, None],
        todo: todo.map(Some),
    };
    let mut automata = Automata::default();
    let (mut seen, mut queue, mut found) = (
        HashSet::from([start.clone()]),
        VecDeque::from([start]),
        Found::default(),
    );
    while let Some(whole) = queue.pop_front() {
        found.states += 1;
        found.strict_rule_broken |= whole.state.strict_rule_broken;
        if let Some(violation) = whole.state.violation {
            found.violations.push(violation);
            continue;
        }
        let next = successors(&mut automata, axes, &whole);
        let busy = whole.base.iter().chain(&whole.handler).any(Option::is_some);
        found.deadlocks += usize::from(next.is_empty() && busy);
        queue.extend(next.into_iter().filter(|w| seen.insert(w.clone())));
    }
    found.runs = automata.runs;
    found
}

fn successors(automata: &mut Automata, axes: Axes, whole: &Whole) -> Vec<Whole> {
    let mut next = Vec::new();
    for cpu in [CpuId(0), CpuId(1)] {
        let i = cpu.index();
        let mut start = |mut w: Whole, piece: Piece| {
            let node = automata.node(axes, &w.state, cpu, piece, &[]);
            node.events.iter().for_each(|&e| w.state.note(cpu, e));
            let frame = Some((piece, Vec::new()));
            match piece {
                Piece::Operation(_) => (w.base[i], w.todo[i]) = (frame, None),
                Piece::Handler(_) => w.handler[i] = frame,
            }
            next.push(w);
        };
        if let (None, None, Some(operation)) = (&whole.base[i], &whole.handler[i], whole.todo[i])
            && whole.state.may_start(cpu, operation)
        {
            start(whole.clone(), Piece::Operation(operation));
        }
        for vector in whole.state.interrupts(cpu) {
            let mut w = whole.clone();
            w.state.enter_interrupt(cpu, vector);
            start(w, Piece::Handler(vector));
        }
        for slot in whole.state.fills(cpu) {
            let mut w = whole.clone();
            w.state.fill(cpu, slot, AccessKind::Load);
            next.push(w);
        }
        let in_handler = whole.handler[i].is_some();
        let Some((piece, answers)) = whole.handler[i].clone().or(whole.base[i].clone()) else {
            continue;
        };
        let Some(op) = automata.node(axes, &whole.state, cpu, piece, &answers).next else {
            continue;
        };
        if !whole.state.enabled(cpu, op) {
            continue;
        }
        let mut w = whole.clone();
        let mut answers = answers;
        answers.push(w.state.apply(cpu, op));
        let node = automata.node(axes, &w.state, cpu, piece, &answers);
        node.events.iter().for_each(|&e| w.state.note(cpu, e));
        let mut frame = Some((piece, answers));
        if node.next.is_none() {
            frame = None;
            if in_handler {
                w.state.apply(cpu, Op::Iret);
            }
        }
        if in_handler {
            w.handler[i] = frame
        } else {
            w.base[i] = frame
        }
        next.push(w);
    }
    next
}

const AGING: Operation = Operation::PageReferencedOne(MmId(0), Slot::Huge);
const WALK: Operation = Operation::VmallocSyncAll;

#[test]
fn exhausting_the_seeds_two_operations_finds_the_deadlock_where_it_is_and_nowhere_else() {
    let _: &Kernel = shootdown_impl::sim::layout();
    for (name, hangs, strict) in [
        ("v2.6.36", false, true),
        ("v2.6.37", true, true),
        ("v2.6.38", false, true),
        ("woodman", false, false),
        ("tracked", false, false),
    ] {
        let found = explore(
            Axes::named(name).unwrap(),
            Environment::default(),
            [AGING, WALK],
        );
        println!("{name}: {found:?}");
        assert_eq!(
            (
                found.deadlocks > 0,
                found.strict_rule_broken,
                found.violations.as_slice()
            ),
            (hangs, strict, &[][..]),
            "{name}"
        );
        // Remembered, not run again: far fewer runs than states.
        assert!(found.states > 10 * found.runs, "{name}: {found:?}");
    }
}

#[test]
fn exhausting_unmap_against_munmap_finds_the_stale_translation_of_naive_deferral() {
    let todo = [Operation::TryToUnmapOne(MmId(0)), Operation::ZapPageRange];
    for (name, stale) in [
        ("v2.6.37", false),
        ("deferred", true),
        ("tracked-plain", false),
        ("tracked", false),
    ] {
        let found = explore(Axes::named(name).unwrap(), Environment::default(), todo);
        println!("{name}: {} states, {} runs", found.states, found.runs);
        assert_eq!(
            found
                .violations
                .iter()
                .any(|v| matches!(v, Violation::StaleTlb { .. })),
            stale,
            "{name}"
        );
        assert_eq!(
            (found.deadlocks, found.violations.is_empty()),
            (0, !stale),
            "{name}"
        );
    }
}

#[test]
fn the_code_is_deterministic() {
    let env = Environment::default();
    let state = SimState::new(env, 1, &[Some(MmId(0)), Some(MmId(0))]).unwrap();
    for axes in Axes::all() {
        let mut answers = Vec::new();
        // The same answers lead to the same announcement, twice, all the way through the walk.
        for _ in 0..40 {
            let [a, b] =
                [0, 1].map(|_| run(axes, &state, CpuId(0), Piece::Operation(WALK), &answers).next);
            assert_eq!(a, b);
            if a.is_none() {
                break;
            }
            answers.push(0);
        }
    }
}
