//! What every exporter needs of a run, worked out once.

use shootdown_spec::id::{Context, CpuId, Level, LockId, MmId};
use shootdown_spec::model::{Action, Protocol};
use shootdown_spec::order::Step;
use shootdown_spec::program::{Mode, Op, Scope};
use shootdown_spec::property::{PROPERTIES, Property};
use shootdown_spec::report::{StepRecord, steps};
use shootdown_spec::schedule::schedule;
use shootdown_spec::state::{Edge, State, Why};
use shootdown_spec::trace::{Trace, TraceError};
use std::collections::VecDeque;

/// A run with everything about it that is asked for more than once.
///
/// State 0 is the one at the start, and state *n* the one after step *n*; "at step *n*" means between states *n* - 1
/// and *n*. What is still so after the last step has no end.
#[derive(Clone, Debug)]
pub struct Run {
    /// What it is a run of.
    pub protocol: Protocol,
    /// The actions.
    pub trace: Trace,
    /// One more than there are actions.
    pub states: Vec<State>,
    /// The steps in kernel words.
    pub steps: Vec<StepRecord>,
    /// The property it is a counterexample of: the one asked for, or the first that a state on the way violates.
    pub property: Option<&'static Property>,
    /// The first state that violates it; none for a property that is decided on the graph.
    pub violated_at: Option<usize>,
    /// Every attempt at a lock, in order.
    pub locks: Vec<Attempt>,
    /// Every flush IPI, in order.
    pub ipis: Vec<Ipi>,
}

/// A context asks for a lock, and may get it and let it go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which lock.
    pub lock: LockId,
    /// Who.
    pub who: Context,
    /// As a reader or alone.
    pub mode: Mode,
    /// It could not have waited (`spin_trylock`).
    pub tried: bool,
    /// The program's line.
    pub at: Step,
    /// The step that asked.
    pub asked: usize,
    /// The step with which it was granted, if it was.
    pub granted: Option<usize>,
    /// The step that let it go, if one did.
    pub released: Option<usize>,
}

/// The life of a flush IPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipi {
    /// Who sent it and awaits its acknowledgement.
    pub from: CpuId,
    /// Whom it is for.
    pub to: CpuId,
    /// The mm to flush.
    pub mm: MmId,
    /// How much of it.
    pub scope: Scope,
    /// The step that sent it.
    pub sent: usize,
    /// The line that awaits the acknowledgements, if one does.
    pub awaited: Option<(Context, Step)>,
    /// The step with which the target took it, if it did.
    pub taken: Option<usize>,
    /// The step that acknowledged it, if one did.
    pub acked: Option<usize>,
    /// The step in which the sender saw that all have acknowledged.
    pub seen: Option<usize>,
}

impl Run {
    /// Plays a trace; `property` is the one it is a counterexample of, if that is known.
    ///
    /// # Errors
    /// At the first action that is not possible, with the guard that is false.
    pub fn new(
        protocol: Protocol,
        trace: Trace,
        property: Option<&str>,
    ) -> Result<Run, TraceError> {
        let states = trace.states(&protocol)?;
        let first = |p: &Property| {
            states
                .iter()
                .position(|s| p.is_violated(&protocol.config, s))
        };
        let property = match property.and_then(Property::named) {
            Some((_, property)) => Some(property),
            None => PROPERTIES.iter().find(|p| first(p).is_some()),
        };
        let violated_at = property.and_then(first);
        let steps = steps(&protocol, &trace, property.map(|p| p.name))?;
        let mut run = Run {
            protocol,
            trace,
            states,
            steps,
            property,
            violated_at,
            locks: Vec::new(),
            ipis: Vec::new(),
        };
        for n in 1..run.states.len() {
            run.note_locks(n);
            run.note_ipis(n);
        }
        Ok(run)
    }

    /// The state at the end.
    pub fn last(&self) -> &State {
        self.states
            .last()
            .expect("there is the state at the start at least")
    }

    /// The action of step `n`, from 1.
    pub fn action(&self, n: usize) -> Action {
        self.trace.actions[n - 1]
    }

    /// Who executes step `n`: the level that was on top, the handler for an interrupt that is taken.
    pub fn actor(&self, n: usize) -> Context {
        let cpu = self.action(n).cpu();
        let level = match self.action(n) {
            Action::Ipi { .. } | Action::IrqFree { .. } => Level::Irq,
            _ => self.states[n - 1].cpu(cpu).top(),
        };
        Context { cpu, level }
    }

    /// The line that step `n` executes, if it executes one.
    pub fn line(&self, n: usize) -> Option<Step> {
        match self.action(n) {
            Action::Step { .. } => self.stands_at(n - 1, self.actor(n)),
            _ => None,
        }
    }

    /// The line that a context will execute next in state `i`, if it runs anything.
    pub fn stands_at(&self, i: usize, who: Context) -> Option<Step> {
        let ctx = who.of(&self.states[i].cpus);
        ctx.is_running()
            .then(|| Step::of(self.protocol.config.program(ctx.program), ctx.pc))
    }

    /// The run as one line that `replay` takes.
    pub fn schedule(&self) -> String {
        schedule(&self.protocol.config, &self.trace)
    }

    /// Design, environment, workload and deviations in one line.
    pub fn subject(&self) -> String {
        let config = &self.protocol.config;
        let deviating = if config.variants.is_empty() {
            String::new()
        } else {
            format!(", deviating: {}", config.variants)
        };
        format!(
            "{} | {} | {}{deviating}",
            config.design, config.environment, config.workload
        )
    }

    /// A shortest cycle of waits at the end, among those who can never move again; empty if there is none.
    pub fn cycle(&self) -> Vec<Edge> {
        let (config, state) = (&self.protocol.config, self.last());
        let stuck = state.stuck(config);
        let next = |from: Context| {
            state.waits_for(config, from).filter(move |e| {
                stuck.contains(e.from) && stuck.contains(e.on) && !matches!(e.why, Why::LostAck(_))
            })
        };
        let mut shortest: Vec<Edge> = Vec::new();
        for start in stuck.iter() {
            let mut seen = vec![start];
            let mut paths: VecDeque<Vec<Edge>> = next(start).map(|e| vec![e]).collect();
            while let Some(path) = paths.pop_front() {
                let end = path[path.len() - 1].on;
                if end == start {
                    if shortest.is_empty() || path.len() < shortest.len() {
                        shortest = path;
                    }
                    break;
                }
                if !seen.contains(&end) {
                    seen.push(end);
                    paths.extend(next(end).map(|e| path.iter().copied().chain([e]).collect()));
                }
            }
        }
        shortest
    }

    /// Stretches of states in which something is so, each with what it is: `[first, behind the last)`; one that goes
    /// on after the last state ends one behind it.
    pub fn stretches<T: PartialEq>(
        &self,
        of: impl Fn(&State) -> Option<T>,
    ) -> Vec<(usize, usize, T)> {
        let mut stretches: Vec<(usize, usize, T)> = Vec::new();
        for (i, state) in self.states.iter().enumerate() {
            let Some(value) = of(state) else { continue };
            match stretches.last_mut() {
                Some((_, end, old)) if *end == i && *old == value => *end = i + 1,
                _ => stretches.push((i, i + 1, value)),
            }
        }
        stretches
    }

    fn note_locks(&mut self, n: usize) {
        for code in 0..2 * self.protocol.config.cpus() as u8 {
            let who = Context::from_code(code);
            let (was, is) = (
                *who.of(&self.states[n - 1].cpus),
                *who.of(&self.states[n].cpus),
            );
            for lock in was.held.iter().filter(|&l| !is.held.contains(l)) {
                if let Some(a) = self.open(lock, who) {
                    a.released = Some(n);
                }
            }
            for lock in is.held.iter().filter(|&l| !was.held.contains(l)) {
                if was.spins_for() == Some(lock) {
                    if let Some(a) = self.open(lock, who) {
                        a.granted = Some(n);
                    }
                } else {
                    self.ask(n, who, lock, Some(n));
                }
            }
            if let Some(lock) = is.spins_for().filter(|_| was.spins_for().is_none()) {
                self.ask(n, who, lock, None);
            }
        }
    }

    fn ask(&mut self, n: usize, who: Context, lock: LockId, granted: Option<usize>) {
        let Some(at) = self.stands_at(n - 1, who) else {
            return;
        };
        let op = self.protocol.config.program(at.program).line(at.pc).op;
        let mode = match op {
            Op::Lock(_, mode) => mode,
            _ => Mode::Exclusive,
        };
        self.locks.push(Attempt {
            lock,
            who,
            mode,
            tried: !matches!(op, Op::Lock(..)),
            at,
            asked: n,
            granted,
            released: None,
        });
    }

    /// The attempt of a context at a lock that is not over yet.
    fn open(&mut self, lock: LockId, who: Context) -> Option<&mut Attempt> {
        let mut attempts = self.locks.iter_mut().rev();
        attempts.find(|a| a.lock == lock && a.who == who && a.released.is_none())
    }

    fn note_ipis(&mut self, n: usize) {
        let (before, after) = (self.states[n - 1], self.states[n]);
        let actor = self.actor(n);
        for (to, cpu) in after.each_cpu(&self.protocol.config) {
            for ipi in cpu.pending_ipis() {
                if before.cpu(to).pending_ipi(ipi.from).is_none() {
                    let waits = self.stands_at(n, actor).filter(|at| {
                        let program = self.protocol.config.program(at.program);
                        program.line(at.pc).op == Op::AwaitAcks
                    });
                    self.ipis.push(Ipi {
                        from: ipi.from,
                        to,
                        mm: ipi.mm,
                        scope: ipi.scope,
                        sent: n,
                        awaited: waits.map(|at| (actor, at)),
                        taken: None,
                        acked: None,
                        seen: None,
                    });
                }
            }
        }
        let all_acked = self.line(n).is_some_and(|at| {
            self.protocol.config.program(at.program).line(at.pc).op == Op::AwaitAcks
        });
        for ipi in &mut self.ipis {
            if self.trace.actions[n - 1]
                == (Action::Ipi {
                    cpu: ipi.to,
                    from: ipi.from,
                })
            {
                ipi.taken.get_or_insert(n);
            }
            let out = |s: &State| s.cpu(ipi.from).acks.contains(ipi.to);
            if out(&before) && !out(&after) {
                ipi.acked.get_or_insert(n);
            }
            if all_acked && actor.cpu == ipi.from && ipi.acked.is_some() {
                ipi.seen.get_or_insert(n);
            }
        }
    }
}
