//! A run of the protocol: where the CPUs start, and every action after that.

use crate::config::{Config, Start};
use crate::model::{Action, Protocol};
use crate::program::{Line, ProgramId};
use crate::search::{Trail, TrailError, replay_trail};
use crate::state::State;
use stateright::Model;
use thiserror::Error;

/// A run, from which every state can be worked out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Where each CPU starts.
    pub start: Start,
    /// The actions, in order.
    pub actions: Vec<Action>,
    /// For a run that goes on for ever: the position to which it returns after its last action.
    pub loops_to: Option<usize>,
}

/// An action that cannot happen where a trace has it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    /// The placement is not one of this configuration's.
    #[error("this configuration does not start with that placement of CPUs on mms")]
    Start,
    /// The action is not possible there.
    #[error("step {step}: {action} is not possible here: {reason}")]
    Refused {
        /// Number of the step, from 1.
        step: usize,
        /// The action.
        action: Action,
        /// The guard that is false.
        reason: String,
    },
}

impl Trace {
    /// The run that a search's trail describes.
    ///
    /// # Errors
    /// If the trail is of another model.
    pub fn from_trail<M>(model: &M, config: &Config, trail: &Trail) -> Result<Trace, TrailError>
    where
        M: Model<Action = Action>,
    {
        let replayed = replay_trail(model, trail)?;
        Ok(Trace {
            start: config.starts()[trail.init],
            actions: replayed
                .into_iter()
                .filter_map(|(action, _)| action)
                .collect(),
            loops_to: None,
        })
    }

    /// Every state on the way: one more than there are actions.
    ///
    /// # Errors
    /// At the first action that is not possible, with the guard that is false.
    pub fn states(&self, protocol: &Protocol) -> Result<Vec<State>, TraceError> {
        if !protocol.config.starts().contains(&self.start) {
            return Err(TraceError::Start);
        }
        let mut states = vec![State::initial(&protocol.config, &self.start)];
        for (i, &action) in self.actions.iter().enumerate() {
            let state = &states[i];
            let next = protocol
                .next_state(state, action)
                .ok_or_else(|| TraceError::Refused {
                    step: i + 1,
                    action,
                    reason: protocol.why_not(state, &action),
                })?;
            states.push(next);
        }
        Ok(states)
    }
}

impl Protocol {
    /// The program and line that an action executes, if it executes one.
    pub fn line(&self, state: &State, action: &Action) -> Option<(ProgramId, &Line)> {
        let Action::Step { cpu } = action else {
            return None;
        };
        let cpu = state.cpu(*cpu);
        let ctx = cpu.context(cpu.top());
        ctx.is_running()
            .then(|| (ctx.program, self.config.program(ctx.program).line(ctx.pc)))
    }

    /// Why an action is not possible in a state: the guard that is false, in words.
    pub fn why_not(&self, state: &State, action: &Action) -> String {
        use crate::id::Context;
        use crate::state::Wait;
        let who = action.cpu();
        if who.index() >= self.config.cpus() {
            return format!("there is no {who}");
        }
        let cpu = state.cpu(who);
        let taken = |what: &str| {
            if cpu.in_irq() {
                format!("{who} is in an interrupt already")
            } else if !cpu.irqs_on {
                format!("{who} has interrupts off")
            } else {
                what.to_string()
            }
        };
        match *action {
            Action::Start { program, mm, .. } => {
                if !self.config.choices(who.index()).contains(&(program, mm)) {
                    format!("the workload does not let {who} start it")
                } else if cpu.context(crate::id::Level::Task).is_running() {
                    format!(
                        "{who} runs {:?} already",
                        cpu.context(crate::id::Level::Task)
                    )
                } else if cpu.in_irq() {
                    format!("{who} is in an interrupt")
                } else if cpu.budget == 0 {
                    format!("{who} has started all its operations")
                } else if !cpu.may_start(program, mm) {
                    format!(
                        "{who} runs {}{}",
                        cpu.active,
                        if cpu.lazy { ", lazily" } else { "" }
                    )
                } else {
                    format!("{mm} does not admit it now (life, references, sleeping locks)")
                }
            }
            Action::Step { .. } => {
                let context = Context {
                    cpu: who,
                    level: cpu.top(),
                };
                match state.blocked_on(&self.config, context) {
                    None => format!("nothing runs on {who}"),
                    Some(Wait::Lock(lock)) => {
                        let holders: Vec<_> =
                            state.lock(lock).holders().map(|h| h.to_string()).collect();
                        format!("{context} spins for {lock}, held by {}", holders.join(", "))
                    }
                    Some(Wait::Acks) => {
                        let out: Vec<_> = cpu.acks.iter().map(|c| c.to_string()).collect();
                        format!("{context} awaits the acknowledgement of {}", out.join(", "))
                    }
                    Some(Wait::Split(mm)) => format!("{context} waits until {mm}'s pmd is split"),
                    Some(Wait::Interrupt) => format!("{context} is interrupted"),
                }
            }
            Action::Ipi { from, .. } => match cpu.pending_ipi(from) {
                None => format!("no IPI of {from} is pending on {who}"),
                Some(_) => taken("it is busy"),
            },
            Action::IrqFree { mm, .. } => {
                if !self.config.environment.pgd_free_in_irq {
                    "no interrupt frees an mm here: pgd_free_in_irq is off".to_string()
                } else {
                    taken(&format!(
                        "{mm} is not there to be freed, or is still referenced"
                    ))
                }
            }
            Action::Fill { entry, .. } => match cpu.loaded_mm() {
                None => format!("{who} has no user page table loaded"),
                Some(mm) if !state.mm(mm).translates(entry) => {
                    format!("{mm}'s {entry} is not present")
                }
                Some(_) => format!("{who} has the {entry} cached already"),
            },
        }
    }
}
