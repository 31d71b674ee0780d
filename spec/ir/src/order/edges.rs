//! Who may keep whom waiting.
//!
//! A point `w` waits for an event. Those who must bring it about are at some point of their programs; each may be kept from
//! going on by its own wait, by an interrupt above it, or by a thread that has its CPU. Every wait that can keep one of them
//! is an edge from `w`.

use super::flow::{self, State, Walk};
use super::waits::{Node, Point};
use crate::expr::Expr;
use crate::protocol::{
    Fires, Kind, LockId, LockKind, Mode, Op, Pc, Preempt, Protocol, SourceId, VarId,
};
use std::collections::{BTreeMap, BTreeSet};

/// Why an edge is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// A walk holds the lock, taken at this line.
    Holds(usize, LockId, Pc),
    /// A walk is ahead in the queue of the lock.
    Ahead(usize, LockId),
    /// The handler, work item, ... itself waits.
    Runs(usize),
    /// It cannot start: this walk has interrupts off, since this line if it is one.
    IrqsOff(usize, Option<Pc>),
    /// It cannot start: this walk has its CPU.
    Busy(usize),
    /// It cannot start: this walk has disabled it.
    Disabled(usize),
    /// This walk has yet to get to this line, which changes what is waited for or starts who does.
    Writes(usize, Pc),
    /// This walk reads under RCU.
    Reads(usize),
}

/// Everything that edges are made from.
pub struct Machine<'a> {
    /// The protocol.
    pub p: &'a Protocol,
    /// Contexts.
    pub walks: &'a [Walk],
    /// Points.
    pub points: &'a [Point],
    above: Vec<BTreeMap<(bool, bool), Vec<usize>>>,
}

fn is_thread(kind: Kind) -> bool {
    matches!(kind, Kind::Task | Kind::Work | Kind::Stopper)
}

fn is_hard(kind: Kind) -> bool {
    matches!(kind, Kind::Irq | Kind::Ipi)
}

fn is_soft(kind: Kind) -> bool {
    matches!(kind, Kind::Softirq | Kind::Timer)
}

impl<'a> Machine<'a> {
    /// Prepares.
    pub fn new(p: &'a Protocol, walks: &'a [Walk], points: &'a [Point]) -> Machine<'a> {
        let mut machine = Machine {
            p,
            walks,
            points,
            above: Vec::new(),
        };
        for w in 0..walks.len() {
            let mut by = BTreeMap::new();
            for irqs in [false, true] {
                for open in [false, true] {
                    by.insert((irqs, open), machine.arrivals(w, irqs, open));
                }
            }
            machine.above.push(by);
        }
        machine
    }

    fn same_cpu(&self, a: usize, b: usize) -> bool {
        self.walks[a].cpu == self.walks[b].cpu
    }

    /// What may run above this context where interrupts, and bottom halves, are on or off: with what comes above that.
    fn arrivals(&self, w: usize, irqs: bool, open: bool) -> Vec<usize> {
        let mut all = BTreeSet::new();
        let mut todo = vec![(w, irqs, open)];
        let mut seen = BTreeSet::new();
        while let Some((below, irqs, open)) = todo.pop() {
            if !seen.insert((below, irqs, open)) {
                continue;
            }
            let under = self.walks[below].kind;
            for i in (0..self.walks.len()).filter(|&i| i != below && i != w && self.same_cpu(i, w))
            {
                let comes = match self.walks[i].kind {
                    Kind::Irq | Kind::Ipi => irqs && under != Kind::Nmi,
                    Kind::Softirq | Kind::Timer => irqs && open && is_thread(under),
                    Kind::Nmi => under != Kind::Nmi,
                    _ => false,
                };
                if comes {
                    all.insert(i);
                    todo.extend(self.walks[i].states.iter().map(|s| (i, s.irqs, s.bh == 0)));
                }
            }
        }
        all.into_iter().collect()
    }

    fn points_of(&self, w: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.points.len()).filter(move |&q| self.points[q].walk == w)
    }

    fn preemptible(&self, w: usize, s: &State) -> bool {
        self.p.preempt == Preempt::Full
            && matches!(self.walks[w].kind, Kind::Task | Kind::Work)
            && s.irqs
            && s.preempt == 0
            && s.bh == 0
    }

    /// May the thread be off its CPU here?
    fn switchable(&self, w: usize, s: &State) -> bool {
        let walk = &self.walks[w];
        if !is_thread(walk.kind) {
            return false;
        }
        let line = &self.p.source(walk.source).program[s.pc];
        let sleeps = flow::sleeps(self.p, &line.op);
        sleeps || self.preemptible(w, s) || *s == walk.states[0]
    }

    /// Does a grace period not wait for the CPU while the context is there?
    fn quiescent(&self, w: usize, s: &State) -> bool {
        let line = &self.p.source(self.walks[w].source).program[s.pc];
        let leaves = self.p.preempt == Preempt::None && flow::sleeps(self.p, &line.op);
        leaves || self.preemptible(w, s) && !s.queued
    }

    /// Points at which a thread keeps its CPU from others while it waits.
    fn keeps_cpu(&self, q: usize) -> bool {
        let point = &self.points[q];
        is_thread(self.walks[point.walk].kind)
            && !point.sleeps
            && !self.preemptible(point.walk, &point.state)
    }

    /// What may keep a context that stands at `s` from going on, its own wait aside.
    fn kept(&self, w: usize, s: &State, all: &mut BTreeSet<usize>) {
        let above = &self.above[w][&(s.irqs, s.bh == 0)];
        for &i in above {
            all.extend(self.points_of(i));
        }
        if self.switchable(w, s) {
            self.cpu_taken(w, all);
        }
    }

    /// Points that keep a thread from getting its CPU.
    fn cpu_taken(&self, w: usize, all: &mut BTreeSet<usize>) {
        for q in 0..self.points.len() {
            let other = self.points[q].walk;
            let thread = is_thread(self.walks[other].kind);
            if self.same_cpu(other, w) && other != w && (!thread || self.keeps_cpu(q)) {
                all.insert(q);
            }
        }
    }

    /// What may keep a pending source from starting, and why.
    fn not_started(&self, i: usize, out: &mut Out<'_, '_>) {
        let walk = &self.walks[i];
        for q in 0..self.points.len() {
            let point = &self.points[q];
            let (other, kind) = (point.walk, self.walks[point.walk].kind);
            if !self.same_cpu(other, i) || (other == i && walk.cpu.is_some()) {
                continue;
            }
            let off = Because::IrqsOff(other, point.state.off_at);
            let because = match walk.kind {
                Kind::Irq | Kind::Ipi if !point.state.irqs => off,
                Kind::Irq | Kind::Ipi => continue,
                Kind::Softirq | Kind::Timer if is_thread(kind) && !point.state.irqs => off,
                Kind::Softirq | Kind::Timer if !is_thread(kind) || point.state.bh > 0 => {
                    Because::Busy(other)
                }
                Kind::Softirq | Kind::Timer => continue,
                Kind::Nmi if kind == Kind::Nmi => Because::Busy(other),
                Kind::Nmi => continue,
                Kind::Stopper if kind == Kind::Stopper => Because::Busy(other),
                _ if !is_thread(kind) || self.keeps_cpu(q) => Because::Busy(other),
                _ => continue,
            };
            out.add(q, None, because);
        }
        for (o, other) in self.walks.iter().enumerate() {
            for (n, s) in other
                .states
                .iter()
                .enumerate()
                .filter(|(_, s)| s.masked.contains(&walk.source))
            {
                out.from(o, n, s, true, Because::Disabled(o));
            }
        }
        // A CPU serves its call queue in order.
        if walk.kind == Kind::Ipi {
            for (o, other) in self.walks.iter().enumerate() {
                if o != i
                    && other.kind == Kind::Ipi
                    && self.same_cpu(o, i)
                    && self.called(other.source)
                {
                    self.running(o, out);
                }
            }
        }
    }

    fn called(&self, handler: SourceId) -> bool {
        let lines = self.p.sources.iter().flat_map(|s| &s.program);
        lines
            .into_iter()
            .any(|l| matches!(&l.op, Op::CrossCall { handler: h, .. } if *h == handler))
    }

    /// What may keep an instance that runs.
    fn running(&self, i: usize, out: &mut Out<'_, '_>) {
        for (n, s) in self.walks[i].states.iter().enumerate() {
            out.from(i, n, s, true, Because::Runs(i));
        }
    }

    /// All edges from a point.
    pub fn edges(&self, from: usize) -> BTreeMap<usize, Because> {
        let point = &self.points[from];
        let mut out = Out {
            machine: self,
            from: point,
            found: BTreeMap::new(),
        };
        for node in &point.nodes {
            match node {
                Node::Lock(lock, mode) => self.lock(*lock, *mode, &mut out),
                Node::Quiet(source, cpu, pending) => {
                    for i in self.of(*source, *cpu) {
                        self.running(i, &mut out);
                        if *pending {
                            self.not_started(i, &mut out);
                        }
                    }
                }
                Node::Condition(source, pc) => self.condition(*source, *pc, &mut out),
                Node::Readers => {
                    for (o, other) in self.walks.iter().enumerate() {
                        let reads = |s: &State| s.rcu > 0 || !self.quiescent(o, s);
                        for (n, s) in other.states.iter().enumerate().filter(|(_, s)| reads(s)) {
                            out.from(o, n, s, true, Because::Reads(o));
                        }
                    }
                }
            }
        }
        out.found
    }

    fn of(&self, source: SourceId, cpu: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        (0..self.walks.len())
            .filter(move |&i| self.walks[i].source == source && self.walks[i].cpu == cpu)
    }

    fn lock(&self, lock: LockId, mode: Mode, out: &mut Out<'_, '_>) {
        let sleeps = self.p.lock(lock).kind.sleeps();
        for (o, other) in self.walks.iter().enumerate() {
            for (n, s) in other.states.iter().enumerate() {
                let held = s
                    .held
                    .iter()
                    .find(|h| h.0 == lock && (mode == Mode::Exclusive || h.1 == Mode::Exclusive));
                if let Some(h) = held {
                    out.from(o, n, s, true, Because::Holds(o, lock, h.2));
                }
                // The context ahead has it next, and may not be able to take it.
                let queues = match &self.p.source(other.source).program[s.pc].op {
                    Op::Lock(l, _) => {
                        l.lock == lock
                            && self.p.lock(lock).kind != LockKind::Mutex
                            && (sleeps || s.queued)
                    }
                    _ => false,
                };
                if queues {
                    out.from(o, n, s, false, Because::Ahead(o, lock));
                }
            }
        }
    }

    /// The condition that a line waits for.
    fn until(&self, source: SourceId, pc: Pc) -> Expr {
        match &self.p.source(source).program[pc].op {
            Op::Await { until, .. } => until.clone(),
            Op::Branch { cond, .. } => cond.clone(),
            _ => Expr::Const(0),
        }
    }

    fn condition(&self, source: SourceId, pc: Pc, out: &mut Out<'_, '_>) {
        let until = self.until(source, pc);
        let mut vars: BTreeSet<VarId> = BTreeSet::new();
        until.each(&mut |e| match e {
            Expr::Load(place) => {
                vars.insert(place.var);
            }
            Expr::IsLocked(lock, _) => self.lock(*lock, Mode::Exclusive, out),
            Expr::IsActive(what) => {
                for i in (0..self.walks.len()).filter(|&i| self.walks[i].source == *what) {
                    self.running(i, out);
                    self.not_started(i, out);
                }
            }
            _ => {}
        });
        let chain = chain(self.p, &vars);
        for (o, other) in self.walks.iter().enumerate() {
            let program = &self.p.source(other.source).program;
            let leads = other.leads_to(|s| writes(&program[s.pc].op, &vars, &chain));
            let line = program.iter().position(|l| writes(&l.op, &vars, &chain));
            let Some(line) = line else { continue };
            for (n, s) in other.states.iter().enumerate().filter(|(n, _)| leads[*n]) {
                if !(o == out.from.walk && other.cpu.is_some()) {
                    out.from(o, n, s, true, Because::Writes(o, line));
                }
            }
            let by_itself =
                other.kind == Kind::Task && self.p.source(other.source).fires != Fires::Raised;
            if !by_itself {
                self.not_started(o, out);
            }
        }
    }

    /// Can one context be at `a` and another, or the same, at `b` at the same time?
    fn together(&self, a: (usize, &State, &[usize]), b: (usize, &State, &[usize])) -> bool {
        let ((wa, sa, ma), (wb, sb, mb)) = (a, b);
        let (walk_a, walk_b) = (&self.walks[wa], &self.walks[wb]);
        if wa == wb && walk_a.cpu.is_some() {
            // One context is at one place.
            return ma.iter().any(|m| mb.contains(m));
        }
        let common = sa.held.iter().any(|h| {
            self.p.lock(h.0).len.is_none()
                && sb
                    .held
                    .iter()
                    .any(|o| o.0 == h.0 && (h.1 == Mode::Exclusive || o.1 == Mode::Exclusive))
        });
        let counted = |zero: &State, refs: &State| {
            zero.zero
                .iter()
                .any(|v| refs.refs.get(v).is_some_and(|n| *n > 0))
        };
        if common || counted(sa, sb) || counted(sb, sa) {
            return false;
        }
        if walk_a.cpu.is_none() || walk_a.cpu != walk_b.cpu {
            return true;
        }
        // On one CPU.
        let (ka, kb) = (walk_a.kind, walk_b.kind);
        let closed = |s: &State, kind: Kind| match kind {
            k if is_hard(k) => !s.irqs,
            k if is_soft(k) => !s.irqs || s.bh > 0,
            _ => false,
        };
        match (is_thread(ka), is_thread(kb)) {
            (true, true) => self.switchable(wa, sa) || self.switchable(wb, sb),
            (true, false) => self.switchable(wa, sa) || !closed(sa, kb),
            (false, true) => self.switchable(wb, sb) || !closed(sb, ka),
            (false, false) => !is_hard(ka) || !is_hard(kb) || sa.irqs || sb.irqs,
        }
    }
}

/// Edges found so far from one point.
struct Out<'m, 'a> {
    machine: &'m Machine<'a>,
    from: &'m Point,
    found: BTreeMap<usize, Because>,
}

impl Out<'_, '_> {
    /// An edge to a point, if both, and who stands between, can be where they are at the same time.
    fn add(&mut self, to: usize, via: Option<(usize, &State, &[usize])>, because: Because) {
        let from = (self.from.walk, &self.from.state, &self.from.members[..]);
        let point = &self.machine.points[to];
        let end = (point.walk, &point.state, &point.members[..]);
        let between =
            via.is_none_or(|v| self.machine.together(from, v) && self.machine.together(v, end));
        if between && self.machine.together(from, end) {
            self.found.entry(to).or_insert(because);
        }
    }

    /// Edges to everything that may keep the context, which stands at its state `n`, from going on.
    fn from(&mut self, w: usize, n: usize, s: &State, own: bool, because: Because) {
        let mut kept = BTreeSet::new();
        self.machine.kept(w, s, &mut kept);
        for q in kept {
            self.add(q, Some((w, s, &[n])), because.clone());
        }
        if own {
            let lock = match &because {
                Because::Holds(_, lock, _) => Some(*lock),
                _ => None,
            };
            let points: Vec<usize> = self.machine.points_of(w).collect();
            for q in points {
                let point = &self.machine.points[q];
                // In a loop: if what is withheld is withheld all the way round.
                let throughout = point.members.len() == 1
                    || lock.is_none_or(|l| point.state.held.iter().any(|h| h.0 == l));
                if point.members.contains(&n) && throughout {
                    self.add(q, None, because.clone());
                }
            }
        }
    }
}

/// Sources that write one of the variables, or start one that does.
pub fn chain(p: &Protocol, vars: &BTreeSet<VarId>) -> BTreeSet<SourceId> {
    let mut chain = BTreeSet::new();
    loop {
        let before = chain.len();
        for (s, source) in p.sources.iter().enumerate() {
            if source.program.iter().any(|l| writes(&l.op, vars, &chain)) {
                chain.insert(SourceId(s as u32));
            }
        }
        if chain.len() == before {
            return chain;
        }
    }
}

/// Does the instruction write one of the variables, or start one of the sources?
pub fn writes(op: &Op, vars: &BTreeSet<VarId>, starts: &BTreeSet<SourceId>) -> bool {
    let sets = flow::sets(op).iter().any(|s| vars.contains(&s.place.var));
    let other = flow::other_write(op).is_some_and(|place| vars.contains(&place.var));
    let starts = match op {
        Op::Raise { source, .. } => starts.contains(source),
        Op::SendIpi { handler, .. } | Op::CrossCall { handler, .. } => starts.contains(handler),
        _ => false,
    };
    sets || other || starts
}
