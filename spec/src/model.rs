//! The protocol as a message-free [`Model`]: every step's messages are answered on the spot.
//!
//! The same [`Cpu`](crate::cpu::Cpu), [`Lock`](crate::spinlock::Lock), [`Mm`](crate::mm::Mm)
//! and [`PgdList`](crate::pgd_list::PgdList) as the actors of [`crate::actor`], over one flat
//! [`State`]. One action is one atomic step; what the actor model has on its way between two
//! steps, the flush IPI, is the CPUs' inbox here. The tests hold both to the same state counts
//! and verdicts.

use crate::config::Config;
use crate::cpu::{Outbox, PendingIpi};
use crate::id::{Context, CpuId, MmId};
use crate::message::{Addr, ListRequest, Msg};
use crate::mm::MmRequest;
use crate::program::{Entry, ProgramId};
use crate::search::Scheduled;
use crate::spinlock::Acquired;
use crate::state::State;
use crate::trace::Trace;
use crate::variant::Variant;
use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};
use stateright::{Model, Path};
use std::fmt;

/// One atomic step of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A CPU starts a program.
    Start {
        /// The CPU.
        cpu: CpuId,
        /// What it starts.
        program: ProgramId,
        /// On which mm.
        mm: MmId,
    },
    /// A CPU executes the next step of what runs on it.
    Step {
        /// The CPU.
        cpu: CpuId,
    },
    /// A CPU takes a flush IPI.
    Ipi {
        /// The CPU.
        cpu: CpuId,
        /// Who sent it.
        from: CpuId,
    },
    /// An interrupt on a CPU drops the last reference of an mm.
    IrqFree {
        /// The CPU.
        cpu: CpuId,
        /// The mm.
        mm: MmId,
    },
    /// A CPU's hardware walker caches a translation.
    Fill {
        /// The CPU.
        cpu: CpuId,
        /// Of which entry.
        entry: Entry,
    },
}

impl Action {
    /// The CPU on which it happens.
    pub fn cpu(&self) -> CpuId {
        match *self {
            Action::Start { cpu, .. }
            | Action::Step { cpu }
            | Action::Ipi { cpu, .. }
            | Action::IrqFree { cpu, .. }
            | Action::Fill { cpu, .. } => cpu,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Start { cpu, program, mm } if mm.is_some() => {
                write!(f, "{cpu} starts {program}({mm})")
            }
            Action::Start { cpu, program, .. } => write!(f, "{cpu} starts {program}()"),
            Action::Step { cpu } => write!(f, "{cpu} steps"),
            Action::Ipi { cpu, from } => write!(f, "{cpu} takes the flush IPI of {from}"),
            Action::IrqFree { cpu, mm } => {
                write!(f, "{cpu} takes an interrupt that frees {mm}")
            }
            Action::Fill { cpu, entry } => write!(f, "{cpu}'s hardware walker caches the {entry}"),
        }
    }
}

/// The protocol of one configuration.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The configuration.
    pub config: Config,
}

impl Protocol {
    /// The protocol of a configuration.
    pub fn new(config: Config) -> Protocol {
        Protocol { config }
    }

    /// Could the action happen in the state? [`Model::actions`] lists just these.
    #[inline]
    pub fn is_enabled(&self, state: &State, action: &Action) -> bool {
        let config = &self.config;
        if action.cpu().index() >= config.cpus() {
            return false;
        }
        let cpu = state.cpu(action.cpu());
        match *action {
            Action::Start {
                cpu: who,
                program,
                mm,
            } => {
                config.choices(who.index()).contains(&(program, mm))
                    && cpu.may_start(program, mm)
                    && (!mm.is_some() || state.mm(mm).may_begin(program, config.variants))
            }
            Action::Step { cpu: who } => {
                let context = Context {
                    cpu: who,
                    level: cpu.top(),
                };
                cpu.context(context.level).is_running()
                    && state.blocked_on(config, context).is_none()
            }
            Action::Ipi { from, .. } => cpu.takes_interrupts() && cpu.pending_ipi(from).is_some(),
            Action::IrqFree { mm, .. } => {
                config.environment.pgd_free_in_irq
                    && mm.index() < config.slots()
                    && cpu.takes_interrupts()
                    && state.mm(mm).may_begin(ProgramId::PgdFree, config.variants)
            }
            Action::Fill { entry, .. } => {
                !cpu.tlb.contains(entry)
                    && cpu
                        .loaded_mm()
                        .is_some_and(|mm| state.mm(mm).translates(entry))
            }
        }
    }

    /// The state after an enabled action.
    pub fn apply(&self, state: &State, action: &Action) -> State {
        let mut next = *state;
        let me = action.cpu();
        let mut out = Outbox::new();
        let cpu = &mut next.cpus[me.index()];
        match *action {
            Action::Start { program, mm, .. } => cpu.start(&self.config, program, mm, &mut out),
            Action::Step { .. } => cpu.step(&self.config, me, &mut out),
            Action::Ipi { from, .. } => {
                if let Some(ipi) = cpu.pending_ipi(from) {
                    cpu.clear_ipi(from);
                    cpu.take_ipi(&self.config, ipi);
                }
            }
            Action::IrqFree { mm, .. } => cpu.start_pgd_free_in_irq(mm, &mut out),
            Action::Fill { entry, .. } => cpu.fill(entry, &mut out),
        }
        self.settle(&mut next, me, out);
        next
    }

    /// Delivers messages until none is left but IPIs, which wait in their targets' inboxes.
    fn settle(&self, state: &mut State, me: CpuId, out: Outbox) {
        let mut queue: ArrayVec<(Addr, Addr, Msg), 32> = ArrayVec::new();
        queue.extend(out.into_iter().map(|(to, msg)| (Addr::Cpu(me), to, msg)));
        let mut at = 0;
        while at < queue.len() {
            let (from, to, msg) = queue[at];
            at += 1;
            match (to, msg) {
                (Addr::Cpu(cpu), Msg::Ipi(mm, scope)) => {
                    let Addr::Cpu(from) = from else {
                        unreachable!("only CPUs send IPIs")
                    };
                    state.cpus[cpu.index()].post_ipi(PendingIpi { from, mm, scope });
                }
                (Addr::Cpu(cpu), msg) => {
                    let mut out = Outbox::new();
                    state.cpus[cpu.index()].receive(&self.config, cpu, from, msg, &mut out);
                    queue.extend(out.into_iter().map(|(next, msg)| (to, next, msg)));
                }
                (Addr::Lock(lock), msg) => {
                    let Addr::Cpu(cpu) = from else {
                        unreachable!("only CPUs lock")
                    };
                    let lock = &mut state.locks[lock.index()];
                    answer_lock(lock, cpu, msg, &self.config, |cpu, reply| {
                        queue.push((to, Addr::Cpu(cpu), reply));
                    });
                }
                (Addr::Mm(mm), Msg::Mm(request)) => {
                    let Addr::Cpu(cpu) = from else {
                        unreachable!("only CPUs ask an mm")
                    };
                    let mm = &mut state.mms[mm.index()];
                    let reply = mm.handle(cpu, request, self.config.variants);
                    if wants_reply(request) {
                        queue.push((to, from, Msg::MmReply(reply)));
                    }
                }
                (Addr::PgdList, Msg::List(request)) => {
                    if let Some((mm, present)) = answer_list(&mut state.list, request) {
                        queue.push((to, from, Msg::ListReply(mm, present)));
                    }
                }
                _ => unreachable!("{msg:?} is not for {to:?}"),
            }
        }
    }
}

/// What a lock does with a message, for both hosts.
pub(crate) fn answer_lock(
    lock: &mut crate::spinlock::Lock,
    cpu: CpuId,
    msg: Msg,
    config: &Config,
    mut send: impl FnMut(CpuId, Msg),
) {
    let context = |level| Context { cpu, level };
    match msg {
        Msg::Acquire(level, mode) => {
            let broken = config.variants.has(Variant::BrokenSpinlock);
            match lock.acquire(context(level), mode, broken) {
                Acquired::Granted => send(cpu, Msg::Granted(level)),
                Acquired::Queued => send(cpu, Msg::Queued(level)),
            }
        }
        Msg::TryAcquire(level) => {
            let granted = lock.try_acquire(context(level));
            send(
                cpu,
                if granted {
                    Msg::Granted(level)
                } else {
                    Msg::Busy(level)
                },
            );
        }
        Msg::Release(level) => {
            let served = lock.release(context(level));
            send(cpu, Msg::Released(level));
            for next in served {
                send(next.cpu, Msg::Granted(next.level));
            }
        }
        _ => unreachable!("{msg:?} is not for a lock"),
    }
}

/// Requests that are told, not asked.
pub(crate) fn wants_reply(request: MmRequest) -> bool {
    !matches!(request, MmRequest::End(_) | MmRequest::Active(_))
}

/// What `pgd_list` does with a request, for both hosts.
pub(crate) fn answer_list(
    list: &mut crate::pgd_list::PgdList,
    request: ListRequest,
) -> Option<(MmId, bool)> {
    match request {
        ListRequest::SetInitEntry => list.init_entry = true,
        ListRequest::ReadInitEntry => {}
        ListRequest::After(cursor) => return Some((list.after(cursor), list.init_entry)),
        ListRequest::Add(mm) => list.add(mm),
        ListRequest::Del(mm) => list.del(mm),
        ListRequest::WalkReturned => {
            list.synced = true;
            return None;
        }
    }
    Some((MmId::NONE, list.init_entry))
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.config
            .starts()
            .iter()
            .map(|start| State::initial(&self.config, start))
            .collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let config = &self.config;
        for (who, cpu) in state.each_cpu(config) {
            let mut push = |action: Action| {
                if self.is_enabled(state, &action) {
                    actions.push(action);
                }
            };
            push(Action::Step { cpu: who });
            for ipi in cpu.pending_ipis() {
                push(Action::Ipi {
                    cpu: who,
                    from: ipi.from,
                });
            }
            if cpu.budget > 0 && !cpu.context(cpu.top()).is_running() {
                for &(program, mm) in config.choices(who.index()) {
                    push(Action::Start {
                        cpu: who,
                        program,
                        mm,
                    });
                }
            }
            if config.environment.pgd_free_in_irq {
                for mm in 0..config.slots() {
                    push(Action::IrqFree {
                        cpu: who,
                        mm: MmId(mm as u8),
                    });
                }
            }
            if cpu.loaded {
                for entry in Entry::ALL {
                    push(Action::Fill { cpu: who, entry });
                }
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.is_enabled(state, &action)
            .then(|| self.apply(state, &action))
    }

    /// What is decided on states, for Stateright's own checkers.
    fn properties(&self) -> Vec<stateright::Property<Self>> {
        crate::actor::stateright_properties()
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    /// What the step does in kernel words, and the state it leads to.
    fn format_step(&self, last_state: &State, action: Action) -> Option<String> {
        let next = self.next_state(last_state, action)?;
        let what = match self.line(last_state, &action) {
            Some((program, line)) => {
                format!(
                    "{action}: {}  /* {}() of {program} */",
                    line.source, line.function
                )
            }
            None => action.to_string(),
        };
        Some(format!("{what}\n\n{next:#?}"))
    }

    /// The run so far: a lane per CPU and per lock, interrupt state, IPIs.
    fn as_svg(&self, path: Path<State, Action>) -> Option<String> {
        let start = self
            .init_states()
            .iter()
            .position(|s| s == &path.clone().into_states()[0])?;
        let trace = Trace {
            start: self.config.starts()[start],
            actions: path.into_actions(),
            loops_to: None,
        };
        Some(crate::report::svg(self, &trace))
    }
}

impl Scheduled for Protocol {
    fn movers(&self) -> usize {
        self.config.cpus()
    }

    fn mover(&self, action: &Action) -> Option<usize> {
        match action {
            Action::Fill { .. } => None,
            _ => Some(action.cpu().index()),
        }
    }

    /// A pending flush IPI is taken as soon as interrupts are on: one class per target.
    fn urgent(&self, action: &Action) -> Option<usize> {
        matches!(action, Action::Ipi { .. }).then(|| action.cpu().index())
    }
}
