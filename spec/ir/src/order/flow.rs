//! What a program may hold at each of its lines: every way through it, whatever others do.
//!
//! Followed exactly: locks held, the interrupt flag and its saved copies, preempt, bottom-half and RCU counts, local
//! variables as far as they are known. Unknown conditions go both ways.

use crate::eval;
use crate::expr::{Binary, Expr, Place, Unary};
use crate::protocol::{
    Csd, IrqOp, Kind, LockId, LockKind, Mode, Op, Pc, Protocol, Set, SourceId, Storage, VarId,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The most states of one program.
const MOST: usize = 50_000;

/// A program at a line, and what it has by then.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The line.
    pub pc: Pc,
    /// Has it queued there already (spinlocks and rwlocks: preemption is off by then)?
    pub queued: bool,
    /// Locks held, how, and the line that took them.
    pub held: Vec<(LockId, Mode, Pc)>,
    /// Interrupts on?
    pub irqs: bool,
    /// The line that turned them off; none in a handler, which starts so.
    pub off_at: Option<Pc>,
    /// Preempt count, relative to the start.
    pub preempt: i64,
    /// Bottom-half count, relative to the start.
    pub bh: i64,
    /// RCU nesting.
    pub rcu: i64,
    /// Sources it has disabled.
    pub masked: Vec<SourceId>,
    /// References it has added to counted variables and not taken back.
    pub refs: BTreeMap<VarId, i64>,
    /// Counted variables that are known to be 0 as long as their lock is held.
    pub zero: BTreeSet<VarId>,
    /// Call data of calls that were not awaited.
    pub calls: Vec<Csd>,
    locals: BTreeMap<(VarId, i64), i64>,
}

/// A source on a CPU, or on any of those that no source names.
#[derive(Debug)]
pub struct Walk {
    /// The source.
    pub source: SourceId,
    /// Its kind.
    pub kind: Kind,
    /// The CPU; `None`: one of those that are not named.
    pub cpu: Option<usize>,
    /// States; the first is the entry.
    pub states: Vec<State>,
    /// By state: those that may follow.
    pub next: Vec<Vec<usize>>,
    /// What it breaks that the proof takes for granted, and at which line.
    pub breaches: Vec<(Pc, String)>,
}

/// Variables that count references: 0 at the start, and every write adds or takes a constant.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Each with the locks that every write is made under.
    pub vars: BTreeMap<VarId, BTreeSet<LockId>>,
}

/// What a write adds: `v = v + c`.
pub fn added(set: &Set) -> Option<i64> {
    if set.when.is_some() || set.place.index.is_some() {
        return None;
    }
    match &set.value {
        Expr::Binary(op, a, b) if **a == Expr::Load(set.place.clone()) => match (op, &**b) {
            (Binary::Add, Expr::Const(c)) => Some(*c),
            (Binary::Sub, Expr::Const(c)) => Some(-c),
            _ => None,
        },
        Expr::Binary(Binary::Add, a, b) if **b == Expr::Load(set.place.clone()) => match **a {
            Expr::Const(c) => Some(c),
            _ => None,
        },
        _ => None,
    }
}

/// The writes of an instruction to variables.
pub fn sets(op: &Op) -> &[Set] {
    match op {
        Op::Update(sets) => sets,
        Op::Await { then, .. } => then,
        _ => &[],
    }
}

/// What is written otherwise than by sets.
pub fn other_write(op: &Op) -> Option<&Place> {
    match op {
        Op::Irq(IrqOp::Save(place)) => Some(place),
        Op::CrossCall {
            csd: Csd::Object(place),
            ..
        } => Some(place),
        _ => None,
    }
}

impl Counted {
    /// Those that look like it, by no lock yet.
    pub fn of(p: &Protocol) -> Counted {
        let mut vars: BTreeMap<VarId, BTreeSet<LockId>> = (0..p.vars.len() as u32)
            .map(VarId)
            .filter(|v| {
                let var = p.var(*v);
                var.storage == Storage::Global
                    && var.len.is_none()
                    && var.init.iter().all(|&i| i == 0)
            })
            .map(|v| (v, BTreeSet::new()))
            .collect();
        for line in p.sources.iter().flat_map(|s| &s.program) {
            for set in sets(&line.op) {
                if !matches!(line.op, Op::Update(_)) || added(set).is_none() {
                    vars.remove(&set.place.var);
                }
            }
            if let Some(place) = other_write(&line.op) {
                vars.remove(&place.var);
            }
        }
        Counted { vars }
    }

    /// Now that the programs were walked: those that nobody takes more from than it gave, each with its locks.
    pub fn settle(&mut self, p: &Protocol, walks: &[Walk]) {
        self.vars.retain(|v, locks| {
            let mut common: Option<BTreeSet<LockId>> = None;
            for walk in walks {
                for state in &walk.states {
                    let line = &p.source(walk.source).program[state.pc];
                    let own = state.refs.get(v).copied().unwrap_or(0);
                    if own < 0 || (matches!(line.op, Op::Return) && own != 0) {
                        return false;
                    }
                    if sets(&line.op).iter().any(|s| s.place.var == *v) {
                        let held = state.exclusive(p).collect();
                        common = Some(match common {
                            None => held,
                            Some(c) => c.intersection(&held).copied().collect(),
                        });
                    }
                }
            }
            *locks = common.unwrap_or_default();
            true
        });
    }
}

impl State {
    /// Single locks held exclusively.
    pub fn exclusive<'a>(&'a self, p: &'a Protocol) -> impl Iterator<Item = LockId> + 'a {
        self.held
            .iter()
            .filter(|(l, m, _)| *m == Mode::Exclusive && p.lock(*l).len.is_none())
            .map(|h| h.0)
    }

    /// The value of an expression, as far as it is known.
    fn value(&self, e: &Expr, cpu: Option<usize>, p: &Protocol) -> Option<i64> {
        let sub = |e: &Expr| self.value(e, cpu, p);
        match e {
            Expr::Const(c) => Some(*c),
            Expr::ThisCpu => cpu.map(|c| c as i64),
            Expr::Load(place) => {
                let index = match &place.index {
                    None => 0,
                    Some(i) => sub(i)?,
                };
                self.locals.get(&(place.var, index)).copied()
            }
            Expr::IrqsDisabled => Some(i64::from(!self.irqs)),
            Expr::InInterrupt | Expr::IsLocked(..) | Expr::IsActive(_) => None,
            Expr::Unary(op, a) => eval::unary(*op, sub(a)?, p.cpus),
            Expr::Binary(Binary::And, a, b) => match (sub(a), sub(b)) {
                (Some(0), _) | (_, Some(0)) => Some(0),
                (Some(_), Some(_)) => Some(1),
                _ => None,
            },
            Expr::Binary(Binary::Or, a, b) => match (sub(a), sub(b)) {
                (Some(a), _) if a != 0 => Some(1),
                (_, Some(b)) if b != 0 => Some(1),
                (Some(_), Some(_)) => Some(0),
                _ => None,
            },
            Expr::Binary(op, a, b) => eval::binary(*op, sub(a)?, sub(b)?),
            Expr::If(c, a, b) => match sub(c)? {
                0 => sub(b),
                _ => sub(a),
            },
        }
    }

    /// The bits that the set of CPUs may have.
    pub fn bits(&self, e: &Expr, cpu: Option<usize>, p: &Protocol) -> i64 {
        if let Some(v) = self.value(e, cpu, p) {
            return v;
        }
        match e {
            Expr::Binary(Binary::BitAnd, a, b) => self.bits(a, cpu, p) & self.bits(b, cpu, p),
            Expr::Binary(Binary::BitOr, a, b) => self.bits(a, cpu, p) | self.bits(b, cpu, p),
            _ => p.all_cpus(),
        }
    }

    fn assign(&mut self, set: &Set, walk: (Option<usize>, &Protocol), counted: &Counted) {
        let (cpu, p) = walk;
        let var = set.place.var;
        let when = set.when.as_ref().map_or(Some(1), |w| self.value(w, cpu, p));
        if when == Some(0) {
            return;
        }
        if !matches!(p.var(var).storage, Storage::Local(_)) {
            self.zero.remove(&var);
            if let (true, Some(by)) = (counted.vars.contains_key(&var), added(set)) {
                *self.refs.entry(var).or_insert(0) += by;
                self.refs.retain(|_, n| *n != 0);
            }
            return;
        }
        let value = self.value(&set.value, cpu, p);
        self.store(&set.place, value.filter(|_| when.is_some()), walk);
    }

    fn store(&mut self, place: &Place, value: Option<i64>, (cpu, p): (Option<usize>, &Protocol)) {
        let index = place
            .index
            .as_ref()
            .map_or(Some(0), |i| self.value(i, cpu, p));
        match (index, value) {
            (None, _) => self.locals.retain(|(v, _), _| *v != place.var),
            (Some(i), None) => {
                self.locals.remove(&(place.var, i));
            }
            (Some(i), Some(value)) if matches!(p.var(place.var).storage, Storage::Local(_)) => {
                self.locals.insert((place.var, i), value);
            }
            _ => {}
        }
    }

    /// What follows from the condition having come out so.
    fn learn(&mut self, cond: &Expr, holds: bool, p: &Protocol, counted: &Counted) {
        match (cond, holds) {
            (Expr::Unary(Unary::Not, a), _) => self.learn(a, !holds, p, counted),
            (Expr::Binary(Binary::And, a, b), true) | (Expr::Binary(Binary::Or, a, b), false) => {
                self.learn(a, holds, p, counted);
                self.learn(b, holds, p, counted);
            }
            (Expr::Binary(Binary::Eq, a, b), true) | (Expr::Binary(Binary::Ne, a, b), false) => {
                if let (Expr::Load(place), Expr::Const(c)) | (Expr::Const(c), Expr::Load(place)) =
                    (&**a, &**b)
                {
                    self.know(place, *c, p, counted);
                }
            }
            (Expr::Load(place), false) => self.know(place, 0, p, counted),
            (Expr::Load(place), true) if p.var(place.var).lo == 0 && p.var(place.var).hi == 1 => {
                self.know(place, 1, p, counted);
            }
            _ => {}
        }
    }

    fn know(&mut self, place: &Place, value: i64, p: &Protocol, counted: &Counted) {
        if place.index.is_some() {
            return;
        }
        if matches!(p.var(place.var).storage, Storage::Local(_)) {
            self.locals.insert((place.var, 0), value);
        } else if let (0, Some(locks)) = (value, counted.vars.get(&place.var))
            && self.exclusive(p).any(|l| locks.contains(&l))
        {
            self.zero.insert(place.var);
        }
    }

    /// Facts whose lock is no longer held are forgotten.
    fn forget(&mut self, p: &Protocol, counted: &Counted) {
        let held: BTreeSet<LockId> = self.exclusive(p).collect();
        self.zero.retain(|v| {
            counted
                .vars
                .get(v)
                .is_some_and(|locks| !locks.is_disjoint(&held))
        });
    }
}

/// Walks the program of a source on a CPU.
pub fn walk(p: &Protocol, source: SourceId, cpu: Option<usize>, counted: &Counted) -> Walk {
    let it = p.source(source);
    let mut locals = BTreeMap::new();
    for (v, var) in p.vars.iter().enumerate() {
        if var.storage == Storage::Local(source) {
            for i in 0..var.len.unwrap_or(1) {
                let init = var.init.get(i).or(var.init.first()).copied().unwrap_or(0);
                locals.insert((VarId(v as u32), i as i64), init);
            }
        }
    }
    let entry = State {
        pc: 0,
        queued: false,
        held: vec![],
        irqs: !matches!(it.kind, Kind::Irq | Kind::Ipi | Kind::Nmi),
        off_at: None,
        preempt: 0,
        bh: 0,
        rcu: 0,
        masked: vec![],
        refs: BTreeMap::new(),
        zero: BTreeSet::new(),
        calls: vec![],
        locals,
    };
    let mut walk = Walk {
        source,
        kind: it.kind,
        cpu,
        states: vec![entry.clone()],
        next: vec![],
        breaches: vec![],
    };
    let mut seen = HashMap::from([(entry, 0usize)]);
    let mut at = 0;
    while at < walk.states.len() {
        if walk.states.len() > MOST {
            walk.breaches
                .push((0, "its program is too large to be walked".into()));
            walk.next.resize(walk.states.len(), vec![]);
            break;
        }
        let state = walk.states[at].clone();
        let mut breaches = Vec::new();
        let mut next = Vec::new();
        for state in step(
            p,
            it.program.len(),
            &state,
            &mut breaches,
            (source, cpu),
            counted,
        ) {
            let fresh = walk.states.len();
            let number = *seen.entry(state.clone()).or_insert(fresh);
            if number == fresh {
                walk.states.push(state);
            }
            next.push(number);
        }
        next.sort_unstable();
        next.dedup();
        walk.next.push(next);
        for breach in breaches {
            let breach = (state.pc, breach);
            if !walk.breaches.contains(&breach) {
                walk.breaches.push(breach);
            }
        }
        at += 1;
    }
    walk
}

fn step(
    p: &Protocol,
    lines: usize,
    from: &State,
    breaches: &mut Vec<String>,
    (source, cpu): (SourceId, Option<usize>),
    counted: &Counted,
) -> Vec<State> {
    let it = p.source(source);
    let mut to = from.clone();
    to.pc += 1;
    to.queued = false;
    let here = (cpu, p);
    let op = &it.program[from.pc].op;
    let task = matches!(it.kind, Kind::Task | Kind::Work);
    if sleeps(p, op) && !(task && from.irqs && from.preempt == 0 && from.bh == 0) {
        breaches.push("it may sleep where it must not".into());
    }
    match op {
        Op::Goto(line) => to.pc = *line,
        Op::Branch { cond, otherwise } => {
            return match from.value(cond, cpu, p) {
                Some(0) => {
                    to.pc = *otherwise;
                    vec![to]
                }
                Some(_) => vec![to],
                None => {
                    let mut no = to.clone();
                    no.pc = *otherwise;
                    to.learn(cond, true, p, counted);
                    no.learn(cond, false, p, counted);
                    vec![to, no]
                }
            };
        }
        Op::Update(sets) => sets.iter().for_each(|s| to.assign(s, here, counted)),
        Op::Await { until, then, .. } => {
            to.learn(until, true, p, counted);
            then.iter().for_each(|s| to.assign(s, here, counted));
        }
        Op::Lock(lock, mode) => {
            let spins = !p.lock(lock.lock).kind.sleeps();
            if spins && !from.queued {
                to.preempt += 1;
                to.pc = from.pc;
                to.queued = true;
                return vec![to];
            }
            to.held
                .push((lock.lock, mode_of(p, lock.lock, *mode), from.pc));
            to.held.sort();
        }
        Op::TryLock {
            lock,
            mode,
            otherwise,
        } => {
            let mut no = to.clone();
            no.pc = *otherwise;
            if !p.lock(lock.lock).kind.sleeps() {
                to.preempt += 1;
            }
            to.held
                .push((lock.lock, mode_of(p, lock.lock, *mode), from.pc));
            to.held.sort();
            return vec![to, no];
        }
        Op::Unlock(lock, mode) => {
            let mode = mode_of(p, lock.lock, *mode);
            let found = to
                .held
                .iter()
                .rposition(|h| h.0 == lock.lock && h.1 == mode);
            match found {
                Some(i) => {
                    to.held.remove(i);
                }
                None => breaches.push(format!(
                    "`{}` is not held here on every way",
                    p.lock(lock.lock).name
                )),
            }
            if !p.lock(lock.lock).kind.sleeps() {
                to.preempt -= 1;
            }
            to.forget(p, counted);
        }
        Op::Downgrade(lock) => {
            for h in &mut to.held {
                if h.0 == lock.lock {
                    h.1 = Mode::Shared;
                }
            }
            to.forget(p, counted);
        }
        Op::Irq(op) => {
            let off = |s: &mut State| {
                if s.irqs {
                    s.off_at = Some(from.pc);
                }
                s.irqs = false;
            };
            let on = |s: &mut State| {
                s.irqs = true;
                s.off_at = None;
            };
            match op {
                IrqOp::Off => off(&mut to),
                IrqOp::On => on(&mut to),
                IrqOp::Save(place) => {
                    to.store(place, Some(i64::from(from.irqs)), here);
                    off(&mut to);
                }
                IrqOp::Restore(place) => match from.value(&Expr::Load(place.clone()), cpu, p) {
                    Some(0) => off(&mut to),
                    Some(_) => on(&mut to),
                    None => {
                        let mut other = to.clone();
                        on(&mut other);
                        off(&mut to);
                        return vec![other, to];
                    }
                },
            }
        }
        Op::BhDisable(on) => to.bh += if *on { 1 } else { -1 },
        Op::PreemptDisable(on) => to.preempt += if *on { 1 } else { -1 },
        Op::RcuRead(on) => {
            to.rcu += if *on { 1 } else { -1 };
            if p.preempt == crate::protocol::Preempt::None {
                to.preempt += if *on { 1 } else { -1 };
            }
        }
        Op::CrossCall { csd, .. } => {
            if !to.calls.contains(csd) {
                to.calls.push(csd.clone());
            }
        }
        Op::AwaitAcks { csd, .. } => to.calls.retain(|c| c != csd),
        Op::Mask(what, true) => to.masked.push(*what),
        Op::Mask(what, false) => match to.masked.iter().position(|m| m == what) {
            Some(i) => {
                to.masked.remove(i);
            }
            None => breaches.push(format!(
                "`{}` is enabled and was not disabled here",
                p.source(*what).name
            )),
        },
        Op::Choose(lines) => {
            return lines.iter().map(|&pc| State { pc, ..to.clone() }).collect();
        }
        Op::Return => {
            let started_on = !matches!(it.kind, Kind::Irq | Kind::Ipi | Kind::Nmi);
            if let Some((lock, ..)) = from.held.first() {
                breaches.push(format!(
                    "`{}` may still be held at its end",
                    p.lock(*lock).name
                ));
            }
            if started_on && !from.irqs {
                breaches.push("interrupts may be off at its end".into());
            }
            if from.preempt != 0 || from.bh != 0 || from.rcu != 0 {
                breaches.push("preempt, bottom-half or RCU counts may not be 0 at its end".into());
            }
            if let Some(what) = from.masked.first() {
                breaches.push(format!(
                    "`{}` may still be disabled at its end",
                    p.source(*what).name
                ));
            }
            return vec![];
        }
        Op::SynchronizeRcu
        | Op::SendIpi { .. }
        | Op::Raise { .. }
        | Op::Cancel(_)
        | Op::Sync { .. }
        | Op::Assert { .. }
        | Op::MightSleep
        | Op::Yield => {}
    }
    if to.preempt < 0 || to.bh < 0 || to.rcu < 0 {
        breaches.push(
            "a preempt, bottom-half or RCU count falls below what it was at the start".into(),
        );
        return vec![];
    }
    if to.pc >= lines {
        breaches.push("its program has no end".into());
        return vec![];
    }
    vec![to]
}

/// May the instruction sleep?
pub fn sleeps(p: &Protocol, op: &Op) -> bool {
    match op {
        Op::Lock(lock, _) => p.lock(lock.lock).kind.sleeps(),
        Op::Await { sleeps, .. } | Op::Sync { sleeps, .. } => *sleeps,
        Op::SynchronizeRcu | Op::Yield => true,
        _ => false,
    }
}

/// A mutex or a spinlock knows one mode.
fn mode_of(p: &Protocol, lock: LockId, mode: Mode) -> Mode {
    match p.lock(lock).kind {
        LockKind::Spin | LockKind::Mutex => Mode::Exclusive,
        LockKind::Rw(_) | LockKind::RwSem => mode,
    }
}

impl Walk {
    /// Strongly connected parts of the states that contain a way round (Kosaraju's algorithm).
    pub fn loops(&self) -> Vec<Vec<usize>> {
        let count = self.states.len();
        let mut back = vec![Vec::new(); count];
        for (from, next) in self.next.iter().enumerate() {
            for &to in next {
                back[to].push(from);
            }
        }
        let mut order = Vec::with_capacity(count);
        let mut seen = vec![false; count];
        for start in 0..count {
            let mut stack = vec![(start, 0)];
            while let Some((s, i)) = stack.pop() {
                if i == 0 && std::mem::replace(&mut seen[s], true) {
                    continue;
                }
                match self.next[s].get(i) {
                    Some(&to) => {
                        stack.push((s, i + 1));
                        if !seen[to] {
                            stack.push((to, 0));
                        }
                    }
                    None => order.push(s),
                }
            }
        }
        let mut part = vec![usize::MAX; count];
        let mut loops = Vec::new();
        for &start in order.iter().rev() {
            if part[start] != usize::MAX {
                continue;
            }
            let (mut members, mut todo) = (Vec::new(), vec![start]);
            while let Some(s) = todo.pop() {
                if part[s] == usize::MAX {
                    part[s] = start;
                    members.push(s);
                    todo.extend(&back[s]);
                }
            }
            if members.len() > 1 || self.next[start].contains(&start) {
                members.sort_unstable();
                loops.push(members);
            }
        }
        loops
    }

    /// States from which one of these may be reached, those included.
    pub fn leads_to(&self, is: impl Fn(&State) -> bool) -> Vec<bool> {
        let mut leads: Vec<bool> = self.states.iter().map(&is).collect();
        let mut changed = true;
        while changed {
            changed = false;
            for s in (0..self.next.len()).rev() {
                if !leads[s] && self.next[s].iter().any(|&n| leads[n]) {
                    leads[s] = true;
                    changed = true;
                }
            }
        }
        leads
    }

    /// Is there no way from the entry to the end, or round for ever, that avoids these?
    pub fn unavoidable(&self, is: impl Fn(&State) -> bool) -> bool {
        let mut seen = BTreeSet::new();
        let mut todo = vec![0];
        while let Some(s) = todo.pop() {
            if is(&self.states[s]) || !seen.insert(s) {
                continue;
            }
            if self.next[s].is_empty() {
                return false;
            }
            todo.extend(&self.next[s]);
        }
        true
    }
}
