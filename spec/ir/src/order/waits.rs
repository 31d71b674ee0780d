//! Where programs wait, and for what.

use super::flow::{State, Walk};
use crate::expr::Expr;
use crate::protocol::{Csd, Fairness, Kind, LockId, LockKind, Mode, Op, Pc, Protocol, SourceId};
use std::collections::BTreeSet;

/// Something that can be waited for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A lock, until nobody holds it who is in the way: `Shared` waits for writers only.
    Lock(LockId, Mode),
    /// The source is quiet on a CPU: no instance runs and, with the flag, none is pending.
    Quiet(SourceId, Option<usize>, bool),
    /// What this line of the source waits for comes true.
    Condition(SourceId, Pc),
    /// RCU readers have left.
    Readers,
}

/// A place where a context waits.
#[derive(Clone, Debug)]
pub struct Point {
    /// The context: an index into the walks.
    pub walk: usize,
    /// What it has there.
    pub state: State,
    /// The states of the walk it stands for: one, or those of a loop.
    pub members: Vec<usize>,
    /// What it waits for: one of these keeps it.
    pub nodes: Vec<Node>,
    /// Does it sleep?
    pub sleeps: bool,
}

/// A condition that somebody waits for.
#[derive(Clone, Debug)]
pub struct Awaited {
    /// The source.
    pub source: SourceId,
    /// The line.
    pub pc: Pc,
    /// What must come true.
    pub until: Expr,
}

/// Every point of the walks, and the conditions.
pub struct Waits {
    /// Points.
    pub points: Vec<Point>,
    /// Conditions, each line once.
    pub conditions: Vec<Awaited>,
    /// Loops without a way out that others or the program can open.
    pub endless: Vec<(SourceId, Pc)>,
}

/// Lock waits in this mode: what they wait for. `None` if nobody is ever in the way.
pub fn lock_node(p: &Protocol, lock: LockId, mode: Mode, kind: Kind, queues: bool) -> Option<Node> {
    let written = p
        .sources
        .iter()
        .flat_map(|s| &s.program)
        .any(|line| match &line.op {
            Op::Lock(l, Mode::Exclusive) => l.lock == lock,
            Op::TryLock {
                lock: l,
                mode: Mode::Exclusive,
                ..
            } => l.lock == lock,
            _ => false,
        });
    let node = |mode| Some(Node::Lock(lock, mode));
    match (p.lock(lock).kind, mode) {
        (LockKind::Spin | LockKind::Mutex, _) => node(Mode::Exclusive),
        (_, Mode::Exclusive) => node(Mode::Exclusive),
        (_, Mode::Shared) if !written => None,
        (LockKind::Rw(Fairness::ReaderPref), Mode::Shared) => node(Mode::Shared),
        (LockKind::Rw(Fairness::Fair), Mode::Shared) if kind >= Kind::Softirq || !queues => {
            node(Mode::Shared)
        }
        // A reader queues behind writers, and they wait for readers.
        _ => node(Mode::Exclusive),
    }
}

/// The CPUs that a set of CPUs may have in it, as the walks know them. More CPUs than are named count, unless it is one.
pub fn targets(
    p: &Protocol,
    walks: &[Walk],
    walk: &Walk,
    state: &State,
    set: &Expr,
) -> Vec<Option<usize>> {
    let bits = state.bits(set, walk.cpu, p);
    let cpus: BTreeSet<Option<usize>> = walks.iter().map(|w| w.cpu).collect();
    cpus.into_iter()
        .filter(|cpu| match cpu {
            Some(cpu) => bits >> cpu & 1 == 1,
            None => {
                bits.count_ones() != 1
                    || !walks
                        .iter()
                        .any(|w| w.cpu == Some(bits.trailing_zeros() as usize))
            }
        })
        .collect()
}

fn same_data(a: &Csd, b: &Csd) -> bool {
    match (a, b) {
        (Csd::Object(a), Csd::Object(b)) => a.var == b.var,
        _ => a == b,
    }
}

/// The handlers that may have a call's data when another call wants it.
fn in_use(p: &Protocol, walks: &[Walk], w: usize, state: &State, csd: &Csd) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (o, other) in walks.iter().enumerate() {
        // Per-CPU data belong to the CPU, those on the stack to the source.
        let shares = match csd {
            Csd::OnStack => other.source == walks[w].source && o == w,
            Csd::Object(_) => true,
            _ => other.cpu == walks[w].cpu,
        };
        if !shares {
            continue;
        }
        let mine = o == w && walks[w].cpu.is_some();
        for at in &other.states {
            let Op::CrossCall {
                to,
                handler,
                csd: theirs,
            } = &p.source(other.source).program[at.pc].op
            else {
                continue;
            };
            // Its own last call: was it awaited, in this run and at the end of the run before?
            let left_over = other.states.iter().any(|s| {
                matches!(p.source(other.source).program[s.pc].op, Op::Return)
                    && s.calls.iter().any(|c| same_data(c, csd))
            });
            let busy = !mine || left_over || state.calls.iter().any(|c| same_data(c, csd));
            let alone =
                other.source == walks[w].source && matches!(csd, Csd::PerTarget | Csd::PerCpu);
            if !same_data(theirs, csd)
                || !busy
                || (alone && !left_over && !state.calls.iter().any(|c| same_data(c, csd)))
            {
                continue;
            }
            for cpu in targets(p, walks, other, at, to) {
                nodes.push(Node::Quiet(*handler, cpu, true));
            }
        }
    }
    nodes.sort();
    nodes.dedup();
    nodes
}

impl Waits {
    /// Collects them.
    pub fn of(p: &Protocol, walks: &[Walk]) -> Waits {
        let mut all = Waits {
            points: vec![],
            conditions: vec![],
            endless: vec![],
        };
        for (w, walk) in walks.iter().enumerate() {
            for (s, state) in walk.states.iter().enumerate() {
                let (nodes, sleeps) = all.at(p, walks, w, state);
                if !nodes.is_empty() {
                    all.points.push(Point {
                        walk: w,
                        state: state.clone(),
                        members: vec![s],
                        nodes,
                        sleeps,
                    });
                }
            }
            for part in walk.loops() {
                all.around(p, walks, w, part);
            }
        }
        all
    }

    fn at(&mut self, p: &Protocol, walks: &[Walk], w: usize, state: &State) -> (Vec<Node>, bool) {
        let walk = &walks[w];
        let line = &p.source(walk.source).program[state.pc];
        match &line.op {
            Op::Lock(lock, mode) => {
                let sleeps = p.lock(lock.lock).kind.sleeps();
                if !sleeps && !state.queued {
                    return (vec![], false);
                }
                (
                    Vec::from_iter(lock_node(p, lock.lock, *mode, walk.kind, true)),
                    sleeps,
                )
            }
            Op::Await { until, sleeps, .. } => {
                if matches!(until, Expr::Const(c) if *c != 0) {
                    return (vec![], false);
                }
                (
                    vec![self.condition(walk.source, state.pc, until.clone())],
                    *sleeps,
                )
            }
            Op::AwaitAcks { from, handler, .. } => {
                let to = targets(p, walks, walk, state, from).into_iter();
                (
                    to.map(|cpu| Node::Quiet(*handler, cpu, true)).collect(),
                    false,
                )
            }
            Op::CrossCall { csd, .. } => (in_use(p, walks, w, state, csd), false),
            Op::Sync {
                sources,
                pending,
                sleeps,
                ..
            } => {
                let on = walks.iter().filter(|o| sources.contains(&o.source));
                (
                    on.map(|o| Node::Quiet(o.source, o.cpu, *pending)).collect(),
                    *sleeps,
                )
            }
            Op::SynchronizeRcu => (vec![Node::Readers], true),
            _ => (vec![], false),
        }
    }

    fn condition(&mut self, source: SourceId, pc: Pc, until: Expr) -> Node {
        if !self
            .conditions
            .iter()
            .any(|c| c.source == source && c.pc == pc)
        {
            self.conditions.push(Awaited { source, pc, until });
        }
        Node::Condition(source, pc)
    }

    /// A loop is a wait for what lets it end, with what is kept all the way round.
    fn around(&mut self, p: &Protocol, walks: &[Walk], w: usize, part: Vec<usize>) {
        let walk = &walks[w];
        let leaves = |s: &usize| walk.next[*s].iter().any(|n| part.binary_search(n).is_err());
        let mut nodes = Vec::new();
        let mut opens = false;
        for &s in part.iter().filter(|s| leaves(s)) {
            let state = &walk.states[s];
            match &p.source(walk.source).program[state.pc].op {
                // It may leave whenever it likes.
                Op::Choose(_) => return,
                Op::TryLock { lock, mode, .. } => {
                    nodes.extend(lock_node(p, lock.lock, *mode, walk.kind, false));
                    opens = true;
                }
                Op::Branch { cond, otherwise } => {
                    opens = true;
                    let out = walk.next[s].iter().find(|n| part.binary_search(n).is_err());
                    let fails = out.is_some_and(|&n| walk.states[n].pc == *otherwise);
                    let until = if fails {
                        cond.clone().not()
                    } else {
                        cond.clone()
                    };
                    if !shrinks(p, walk, &part, cond) {
                        nodes.push(self.condition(walk.source, state.pc, until));
                    }
                }
                // What it leaves by is a step that it takes in any case, or a wait of its own.
                _ => {}
            }
        }
        if !opens {
            self.endless.push((walk.source, walk.states[part[0]].pc));
        }
        if nodes.is_empty() {
            return;
        }
        nodes.sort();
        nodes.dedup();
        let mut state = walk.states[part[0]].clone();
        for &s in &part[1..] {
            let other = &walk.states[s];
            state
                .held
                .retain(|h| other.held.iter().any(|o| o.0 == h.0 && o.1 == h.1));
            state.irqs |= other.irqs;
            state.preempt = state.preempt.min(other.preempt);
            state.bh = state.bh.min(other.bh);
            state.rcu = state.rcu.min(other.rcu);
            state.masked.retain(|m| other.masked.contains(m));
            state.zero.retain(|z| other.zero.contains(z));
            state
                .refs
                .retain(|v, n| other.refs.get(v).is_some_and(|m| m == n));
        }
        // The line that decides is the one to show.
        if let Some(&s) = part.iter().find(|s| leaves(s)) {
            state.pc = walk.states[s].pc;
        }
        state.queued = false;
        self.points.push(Point {
            walk: w,
            state,
            members: part,
            nodes,
            sleeps: false,
        });
    }
}

/// Does the loop end by itself: does it depend on local variables only, which only lose bits or only go one way?
fn shrinks(p: &Protocol, walk: &Walk, part: &[usize], cond: &Expr) -> bool {
    let mut vars = BTreeSet::new();
    let mut local = true;
    cond.each(&mut |e| match e {
        Expr::Load(place) => {
            local &= p.var(place.var).storage == crate::protocol::Storage::Local(walk.source);
            vars.insert(place.var);
        }
        Expr::Const(_) | Expr::ThisCpu | Expr::Unary(..) | Expr::Binary(..) | Expr::If(..) => {}
        _ => local = false,
    });
    let program = &p.source(walk.source).program;
    let lines: BTreeSet<Pc> = part.iter().map(|&s| walk.states[s].pc).collect();
    let writes: Vec<&crate::protocol::Set> = lines
        .iter()
        .flat_map(|&pc| super::flow::sets(&program[pc].op))
        .filter(|s| vars.contains(&s.place.var))
        .collect();
    let masks = |s: &&crate::protocol::Set| match &s.value {
        Expr::Binary(crate::Binary::BitAnd, a, b) => {
            let own = Expr::Load(s.place.clone());
            **a == own || **b == own
        }
        _ => false,
    };
    let steps: Vec<Option<i64>> = writes.iter().map(|s| super::flow::added(s)).collect();
    local
        && !writes.is_empty()
        && (writes.iter().all(masks)
            || steps.iter().all(|s| s.is_some_and(|n| n > 0))
            || steps.iter().all(|s| s.is_some_and(|n| n < 0)))
}
