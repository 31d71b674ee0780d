//! What a source's text already shows: locks and counts on every way through its lowered program.
//!
//! Everything found here is a warning, because the search decides whether it can happen (see [`crate::diagnostic`]).

use std::collections::{BTreeMap, BTreeSet};

use shootdown_ir::{Expr, IrqOp, Kind, Line, LockId, LockRef, Mode, Op, Protocol, Source, VarId};

use crate::code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Span;

mod report;

/// `lockdep_assert_held()` asks for a lock of the caller's own. An instruction can only ask whether anybody holds it: where
/// this source holds it on no way, the assertion is false, no matter which source does.
pub fn own_locks(p: &mut Protocol) {
    let mut never = Vec::new();
    for (s, source) in p.sources.iter().enumerate() {
        let asks = |line: &Line| line.text.statement.starts_with("lockdep_assert_held");
        if !source.program.iter().any(asks) {
            continue;
        }
        let flow = Flow::of(p, source);
        for (pc, line) in source.program.iter().enumerate() {
            let (
                true,
                Some(state),
                Op::Assert {
                    cond: Expr::IsLocked(lock, index),
                },
            ) = (asks(line), &flow.before[pc], &line.op)
            else {
                continue;
            };
            let lock = LockRef {
                lock: *lock,
                index: index.as_deref().cloned(),
            };
            let held = |mode| {
                key(&lock, mode)
                    .is_none_or(|key| state.locks.get(&key).is_some_and(|held| held.0.max > 0))
            };
            if !held(Mode::Exclusive) && !held(Mode::Shared) {
                never.push((s, pc));
            }
        }
    }
    for (s, pc) in never {
        p.sources[s].program[pc].op = Op::Assert {
            cond: Expr::Const(0),
        };
    }
}

/// Checks every source.
pub fn check(p: &Protocol, out: &mut Diagnostics) {
    let mut reached: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut all: Vec<(usize, usize, String)> = Vec::new();
    for source in &p.sources {
        let flow = Flow::of(p, source);
        flow.report(out);
        for (pc, line) in source.program.iter().enumerate() {
            if matches!(line.op, Op::Goto(_) | Op::Return) {
                continue;
            }
            let place = (line.span.start, line.span.end);
            if flow.before[pc].is_some() {
                reached.insert(place);
            } else {
                all.push((place.0, place.1, line.text.statement.clone()));
            }
        }
    }
    all.sort();
    let mut last_end = 0;
    for (start, end, statement) in all {
        if !reached.contains(&(start, end)) && start >= last_end {
            out.push(Diagnostic::new(
                &code::UNREACHABLE,
                Span::new(start, end),
                format!("no way leads to `{}`", crate::parser::shorten(&statement)),
            ));
            last_end = end;
        }
    }
    nmi_locks(p, out);
}

fn span(line: &Line) -> Span {
    Span::new(line.span.start, line.span.end)
}

/// A lock taken in an NMI and elsewhere.
fn nmi_locks(p: &Protocol, out: &mut Diagnostics) {
    let taken = |source: &Source| -> Vec<(LockId, Span)> {
        let lock = |line: &Line| match &line.op {
            Op::Lock(lock, _) => Some((lock.lock, span(line))),
            _ => None,
        };
        source.program.iter().filter_map(lock).collect()
    };
    for (n, nmi) in p
        .sources
        .iter()
        .enumerate()
        .filter(|(_, source)| source.kind == Kind::Nmi)
    {
        for (lock, at) in taken(nmi) {
            let elsewhere = p
                .sources
                .iter()
                .enumerate()
                .filter(|&(other, _)| other != n)
                .flat_map(|(_, other)| taken(other).into_iter().map(move |found| (other, found)))
                .find(|(_, (other, _))| *other == lock);
            let Some((other, (_, there))) = elsewhere else {
                continue;
            };
            let name = &p.lock(lock).name;
            let mut d = Diagnostic::new(
                &code::NMI_LOCK,
                at,
                format!(
                    "`{name}` is taken in an NMI and in {} `{}`",
                    other.kind, other.name
                ),
            )
            .label("waits for what it interrupted, if that holds it")
            .within(within(nmi))
            .help("use a trylock in the NMI");
            if there != at {
                d = d.also(
                    there,
                    format!("taken here, where {} `{}` can come", nmi.kind, nmi.name),
                );
            }
            out.push(d);
        }
    }
}

fn within(source: &Source) -> String {
    match source.on {
        Some(cpu) => format!("{} {} (CPU{cpu})", source.kind, source.name),
        None => format!("{} {} (any CPU)", source.kind, source.name),
    }
}

/// How often, at least and at most; and where it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Count {
    min: u8,
    max: u8,
    since: Option<Span>,
}

impl Count {
    fn up(&mut self, at: Span) {
        self.since = self.since.or(Some(at));
        self.min = (self.min + 1).min(8);
        self.max = (self.max + 1).min(8);
    }

    fn down(&mut self) {
        self.min = self.min.saturating_sub(1);
        self.max = self.max.saturating_sub(1);
        if self.max == 0 {
            self.since = None;
        }
    }

    fn join(&mut self, other: Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.since = self.since.or(other.since);
    }
}

/// Interrupts of this CPU: off on no way, on some, on every.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Off {
    Never,
    Maybe,
    Always,
}

impl Off {
    fn join(self, other: Self) -> Self {
        if self == other { self } else { Self::Maybe }
    }
}

/// What a variable for flags holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Flags {
    /// Saved on every way.
    surely: bool,
    /// Saved on every way and not restored since.
    pending: bool,
    /// Interrupts were off when it was saved.
    off: Off,
    at: Span,
}

type Key = (LockId, Option<String>, bool);

#[derive(Clone, PartialEq, Eq, Debug)]
struct State {
    locks: BTreeMap<Key, (Count, Off)>,
    irqs: Off,
    irqs_since: Option<Span>,
    preempt: Count,
    bh: Count,
    rcu: Count,
    flags: BTreeMap<VarId, Flags>,
}

impl State {
    fn join(&mut self, other: &Self) {
        let keys: BTreeSet<Key> = self
            .locks
            .keys()
            .chain(other.locks.keys())
            .cloned()
            .collect();
        for key in keys {
            let mine = self
                .locks
                .get(&key)
                .copied()
                .unwrap_or((Count::default(), Off::Never));
            let theirs = other
                .locks
                .get(&key)
                .copied()
                .unwrap_or((Count::default(), Off::Never));
            let mut count = mine.0;
            count.join(theirs.0);
            self.locks.insert(key, (count, mine.1.join(theirs.1)));
        }
        self.irqs = self.irqs.join(other.irqs);
        self.irqs_since = self.irqs_since.or(other.irqs_since);
        self.preempt.join(other.preempt);
        self.bh.join(other.bh);
        self.rcu.join(other.rcu);
        let vars: BTreeSet<VarId> = self
            .flags
            .keys()
            .chain(other.flags.keys())
            .copied()
            .collect();
        for var in vars {
            let joined = match (self.flags.get(&var), other.flags.get(&var)) {
                (Some(a), Some(b)) => Flags {
                    surely: a.surely && b.surely,
                    pending: a.pending && b.pending,
                    off: a.off.join(b.off),
                    at: a.at,
                },
                (Some(one), None) | (None, Some(one)) => Flags {
                    surely: false,
                    pending: false,
                    ..*one
                },
                (None, None) => continue,
            };
            self.flags.insert(var, joined);
        }
    }
}

/// A lock element by what names it; none where it may be another one each time.
fn key(lock: &LockRef, mode: Mode) -> Option<Key> {
    let index = match &lock.index {
        None => None,
        Some(index) => {
            let mut fixed = true;
            index.each(&mut |e| fixed &= !matches!(e, Expr::Load(_)));
            if !fixed {
                return None;
            }
            Some(format!("{index:?}"))
        }
    };
    Some((lock.lock, index, mode == Mode::Shared))
}

struct Flow<'p> {
    p: &'p Protocol,
    source: &'p Source,
    before: Vec<Option<State>>,
}

impl<'p> Flow<'p> {
    fn of(p: &'p Protocol, source: &'p Source) -> Self {
        let mut flow = Self {
            p,
            source,
            before: vec![None; source.program.len()],
        };
        let handler = matches!(source.kind, Kind::Irq | Kind::Ipi | Kind::Nmi);
        let start = State {
            locks: BTreeMap::new(),
            irqs: if handler { Off::Always } else { Off::Never },
            irqs_since: None,
            preempt: Count::default(),
            bh: Count::default(),
            rcu: Count::default(),
            flags: BTreeMap::new(),
        };
        let mut work = vec![(0, start)];
        while let Some((pc, state)) = work.pop() {
            let Some(slot) = flow.before.get_mut(pc) else {
                continue;
            };
            let joined = match slot {
                None => state,
                Some(old) => {
                    let mut joined = old.clone();
                    joined.join(&state);
                    if joined == *old {
                        continue;
                    }
                    joined
                }
            };
            *slot = Some(joined.clone());
            work.extend(flow.after(pc, joined));
        }
        flow
    }

    /// The states behind a line.
    fn after(&self, pc: usize, mut state: State) -> Vec<(usize, State)> {
        let line = &self.source.program[pc];
        let at = span(line);
        let next = pc + 1;
        match &line.op {
            Op::Return => return Vec::new(),
            Op::Goto(to) => return vec![(*to, state)],
            Op::Branch {
                cond: Expr::Const(cond),
                otherwise,
            } => return vec![(if *cond != 0 { next } else { *otherwise }, state)],
            Op::Branch { otherwise, .. } => {
                return vec![(next, state.clone()), (*otherwise, state)];
            }
            Op::Choose(to) => return to.iter().map(|&to| (to, state.clone())).collect(),
            Op::Await {
                until: Expr::Const(0),
                ..
            } => return Vec::new(),
            Op::TryLock {
                lock,
                mode,
                otherwise,
            } => {
                let failed = (*otherwise, state.clone());
                Self::take(&mut state, lock, *mode, at);
                return vec![(next, state), failed];
            }
            Op::Lock(lock, mode) => Self::take(&mut state, lock, *mode, at),
            Op::Unlock(lock, mode) => {
                if let Some((count, _)) = key(lock, *mode).and_then(|key| state.locks.get_mut(&key))
                {
                    count.down();
                }
            }
            Op::Downgrade(lock) => {
                if let Some((count, _)) =
                    key(lock, Mode::Exclusive).and_then(|key| state.locks.get_mut(&key))
                {
                    count.down();
                }
                Self::take(&mut state, lock, Mode::Shared, at);
            }
            Op::Irq(IrqOp::Save(place)) => {
                let flags = Flags {
                    surely: true,
                    pending: true,
                    off: state.irqs,
                    at,
                };
                state.flags.insert(place.var, flags);
                Self::irqs_off(&mut state, at);
            }
            Op::Irq(IrqOp::Restore(place)) => {
                let saved = state.flags.get_mut(&place.var);
                state.irqs = saved.as_ref().map_or(Off::Maybe, |flags| {
                    if flags.surely { flags.off } else { Off::Maybe }
                });
                if let Some(flags) = saved {
                    flags.pending = false;
                }
                if state.irqs == Off::Never {
                    state.irqs_since = None;
                }
            }
            Op::Irq(IrqOp::Off) => Self::irqs_off(&mut state, at),
            Op::Irq(IrqOp::On) => {
                state.irqs = Off::Never;
                state.irqs_since = None;
            }
            Op::BhDisable(true) => state.bh.up(at),
            Op::BhDisable(false) => state.bh.down(),
            Op::PreemptDisable(true) => state.preempt.up(at),
            Op::PreemptDisable(false) => state.preempt.down(),
            Op::RcuRead(true) => state.rcu.up(at),
            Op::RcuRead(false) => state.rcu.down(),
            _ => {}
        }
        vec![(next, state)]
    }

    fn irqs_off(state: &mut State, at: Span) {
        if state.irqs != Off::Always {
            state.irqs_since = Some(at);
        }
        state.irqs = Off::Always;
    }

    fn take(state: &mut State, lock: &LockRef, mode: Mode, at: Span) {
        let irqs = state.irqs;
        if let Some(key) = key(lock, mode) {
            let (count, off) = state.locks.entry(key).or_insert((Count::default(), irqs));
            count.up(at);
            *off = irqs;
        }
    }
}
