//! What a source's flow says about it, as warnings.

use std::collections::{BTreeSet, HashMap};

use shootdown_ir::{Fairness, IrqOp, Kind, Line, LockId, LockKind, LockRef, Mode, Op, VarId};

use super::{Count, Flow, Off, State, key, span, within};
use crate::code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Span;

impl Flow<'_> {
    pub(super) fn report(&self, out: &mut Diagnostics) {
        let mut maybe_released: BTreeSet<LockId> = BTreeSet::new();
        for (pc, line) in self.source.program.iter().enumerate() {
            if let (Some(state), Op::Unlock(lock, mode)) = (&self.before[pc], &line.op) {
                let count = key(lock, *mode)
                    .and_then(|key| state.locks.get(&key))
                    .map_or(Count::default(), |held| held.0);
                if count.min == 0 && count.max > 0 {
                    maybe_released.insert(lock.lock);
                }
            }
        }
        let mut unlocked_before: HashMap<VarId, bool> = HashMap::new();
        for line in &self.source.program {
            if let Op::Irq(IrqOp::Save(place)) = &line.op {
                unlocked_before.insert(place.var, true);
            }
        }
        for (pc, line) in self.source.program.iter().enumerate() {
            let Some(state) = &self.before[pc] else {
                continue;
            };
            let mut add = |d: Diagnostic| out.push(d.within(within(self.source)));
            match &line.op {
                Op::Lock(lock, mode) => {
                    if let Some(d) = self.taken_twice(state, lock, *mode, line) {
                        add(d);
                    }
                    if self.p.lock(lock.lock).kind.sleeps()
                        && let Some(d) = self.sleeps(state, line)
                    {
                        add(d);
                    }
                }
                Op::Await { sleeps: true, .. }
                | Op::Sync { sleeps: true, .. }
                | Op::SynchronizeRcu
                | Op::MightSleep
                | Op::Yield => {
                    if let Some(d) = self.sleeps(state, line) {
                        add(d);
                    }
                }
                Op::Unlock(lock, mode) => {
                    let held = key(lock, *mode)
                        .map(|key| state.locks.get(&key).map_or(0, |held| held.0.max));
                    if held == Some(0) {
                        let name = &self.p.lock(lock.lock).name;
                        let other = if *mode == Mode::Shared {
                            Mode::Exclusive
                        } else {
                            Mode::Shared
                        };
                        let as_other = key(lock, other).is_some_and(|key| {
                            state.locks.get(&key).is_some_and(|held| held.0.min > 0)
                        });
                        let mut d = Diagnostic::new(
                            &code::UNLOCK_UNHELD,
                            span(line),
                            format!("`{name}` is released and not held here"),
                        )
                        .label("not held on any way to here");
                        if as_other {
                            d = d.help("it is held in the other mode: readers and writers have unlocks of their own");
                        }
                        add(d);
                    }
                }
                Op::AwaitAcks { .. } if state.irqs == Off::Always => {
                    let mut d = Diagnostic::new(
                        &code::IPI_IRQS_OFF,
                        span(line),
                        format!(
                            "{} waits for other CPUs' answers with interrupts off",
                            call_name(line)
                        ),
                    )
                    .label("two CPUs that do so at once wait for each other");
                    d = match state.irqs_since {
                        Some(since) if since != span(line) => d
                            .also(since, "interrupts are off from here on")
                            .help("call it after interrupts are on again, or without waiting"),
                        _ => d
                            .note(format!("interrupts are off in every {}", self.source.kind))
                            .help("do it from a work item, or without waiting"),
                    };
                    add(d);
                }
                Op::Irq(IrqOp::Save(place)) => {
                    if let Some(flags) = state
                        .flags
                        .get(&place.var)
                        .filter(|flags| flags.pending && flags.at != span(line))
                    {
                        let name = &self.p.var(place.var).name;
                        add(
                            Diagnostic::new(&code::CROSSED_FLAGS, span(line), format!("`{name}` is saved to again before it is restored"))
                                .also(flags.at, "saved here first: this state is lost")
                                .help("use a second variable, or the call without _irqsave for the inner lock"),
                        );
                    }
                }
                Op::Irq(IrqOp::Restore(place)) => {
                    let surely = state
                        .flags
                        .get(&place.var)
                        .is_some_and(|flags| flags.surely);
                    if !surely && unlocked_before.contains_key(&place.var) {
                        let name = &self.p.var(place.var).name;
                        add(Diagnostic::new(
                            &code::FLAGS_MAYBE_UNSAVED,
                            span(line),
                            format!("`{name}` is not saved on every way to here"),
                        )
                        .help("save it on every way, before the first branch"));
                    }
                }
                Op::Irq(IrqOp::On) => {
                    let inner = state
                        .locks
                        .iter()
                        .find(|(_, (count, off))| count.min > 0 && *off == Off::Always);
                    if let Some(((lock, ..), (count, _))) = inner
                        && !matches!(self.source.kind, Kind::Irq | Kind::Ipi | Kind::Nmi)
                    {
                        let name = &self.p.lock(*lock).name;
                        let mut d = Diagnostic::new(
                            &code::RESTORE_ORDER,
                            span(line),
                            format!("interrupts go on here, and `{name}`, taken with interrupts off, is still held"),
                        )
                        .help("use the call without _irq for the inner lock, or _irqsave and _irqrestore");
                        if let Some(since) = count.since {
                            d = d.also(since, format!("`{name}` taken here"));
                        }
                        add(d);
                    }
                }
                Op::Return => {
                    for d in self.left_over(state, line, &maybe_released) {
                        add(d);
                    }
                }
                _ => {}
            }
        }
    }

    fn taken_twice(
        &self,
        state: &State,
        lock: &LockRef,
        mode: Mode,
        line: &Line,
    ) -> Option<Diagnostic> {
        let declared = self.p.lock(lock.lock);
        let name = &declared.name;
        let held = |mode| {
            let key = key(lock, mode)?;
            state
                .locks
                .get(&key)
                .map(|held| held.0)
                .filter(|count| count.min > 0)
        };
        if let Some(count) =
            held(Mode::Exclusive).or_else(|| held(Mode::Shared).filter(|_| mode == Mode::Exclusive))
        {
            let mut d = Diagnostic::new(
                &code::SELF_DEADLOCK,
                span(line),
                format!("`{name}` is taken here and is already held"),
            )
            .label("waits for itself")
            .help("kernel locks are not recursive: take it once, in the outermost function");
            if let Some(since) = count.since.filter(|&since| since != span(line)) {
                d = d.also(since, format!("`{name}` taken here"));
            }
            return Some(d);
        }
        let count = held(Mode::Shared)?;
        let interrupt = !matches!(self.source.kind, Kind::Task | Kind::Work | Kind::Stopper);
        let queues = match declared.kind {
            LockKind::Rw(Fairness::Strict) | LockKind::RwSem => true,
            LockKind::Rw(Fairness::Fair) => !interrupt,
            _ => false,
        };
        if !queues {
            return None;
        }
        let mut d = Diagnostic::new(
            &code::RECURSIVE_READ,
            span(line),
            format!("`{name}` is read inside of a section that reads it"),
        )
        .label("queues behind a writer that waits for the first section")
        .help("take it once; or declare it `reader_pref` if the kernel's is");
        if let Some(since) = count.since.filter(|&since| since != span(line)) {
            d = d.also(since, "first taken here");
        }
        Some(d)
    }

    fn sleeps(&self, state: &State, line: &Line) -> Option<Diagnostic> {
        let spins = state
            .locks
            .iter()
            .find(|((lock, ..), (count, _))| count.min > 0 && !self.p.lock(*lock).kind.sleeps());
        let call = call_name(line);
        let at = span(line);
        let new = |why: String| {
            Diagnostic::new(
                &code::SLEEP_IN_ATOMIC,
                at,
                format!("{call} may sleep, but {why}"),
            )
            .label("sleeps")
        };
        let since = |d: Diagnostic, since: Option<Span>, text: String| match since {
            Some(since) if since != at => d.also(since, text),
            _ => d,
        };
        if !matches!(self.source.kind, Kind::Task | Kind::Work) {
            let what = if self.source.kind == Kind::Stopper {
                "a stopper"
            } else {
                "an interrupt"
            };
            return Some(new(format!("this is {what}")).help("do it in a task or a work item"));
        }
        if let Some(((lock, ..), (count, _))) = spins {
            let name = &self.p.lock(*lock).name;
            let d = new(format!("`{name}` is held"));
            let d = since(
                d,
                count.since,
                format!("`{name}` taken here: preemption is off from here on"),
            );
            return Some(d.help(format!(
                "call it before `{name}` is taken or after it is released"
            )));
        }
        if state.irqs == Off::Always {
            return Some(since(
                new("interrupts are off".to_owned()),
                state.irqs_since,
                "interrupts are off from here on".to_owned(),
            ));
        }
        for (count, what) in [
            (state.bh, "bottom halves are off"),
            (state.preempt, "preemption is off"),
            (state.rcu, "this is an RCU reader section"),
        ] {
            if count.min > 0 {
                return Some(since(
                    new(what.to_owned()),
                    count.since,
                    format!("{what} from here on"),
                ));
            }
        }
        None
    }

    fn left_over(
        &self,
        state: &State,
        line: &Line,
        maybe_released: &BTreeSet<LockId>,
    ) -> Vec<Diagnostic> {
        let mut list = Vec::new();
        let end = span(line);
        for ((lock, ..), (count, _)) in &state.locks {
            let surely = count.min > 0;
            if surely || count.max > 0 && !maybe_released.contains(lock) {
                let name = &self.p.lock(*lock).name;
                let at = count.since.unwrap_or(end);
                let way = if surely {
                    "at the end"
                } else {
                    "at the end of some ways"
                };
                list.push(
                    Diagnostic::new(
                        &code::LOCK_IMBALANCE,
                        at,
                        format!(
                            "`{name}` is still held {way} of {} `{}`",
                            self.source.kind, self.source.name
                        ),
                    )
                    .label("taken here")
                    .help("release it on every way out"),
                );
            }
        }
        let handler = matches!(self.source.kind, Kind::Irq | Kind::Ipi | Kind::Nmi);
        let irqs = !handler && state.irqs != Off::Never;
        let counts = [
            (irqs, state.irqs_since, "interrupts are off"),
            (state.bh.max > 0, state.bh.since, "bottom halves are off"),
            (
                state.preempt.max > 0,
                state.preempt.since,
                "preemption is off",
            ),
            (
                state.rcu.max > 0,
                state.rcu.since,
                "an RCU reader section is open",
            ),
        ];
        for (left, since, what) in counts {
            if left {
                list.push(
                    Diagnostic::new(
                        &code::CONTEXT_IMBALANCE,
                        since.unwrap_or(end),
                        format!(
                            "{what} at the end of {} `{}`, on some way",
                            self.source.kind, self.source.name
                        ),
                    )
                    .label("since here"),
                );
            }
        }
        list
    }
}

/// The call of a line, for messages: `mutex_lock()`.
fn call_name(line: &Line) -> String {
    let statement = line.text.statement.as_str();
    let name: String = statement
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    let call = statement[name.len()..].trim_start().starts_with('(');
    match name.as_str() {
        "while" | "if" | "do" | "" => "this wait".to_owned(),
        _ if call => format!("{name}()"),
        _ => format!("`{}`", crate::parser::shorten(statement)),
    }
}
