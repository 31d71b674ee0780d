//! What runs: the specification, or the real code beside it. One door for both.

use super::view::run::SubjectName;
use shootdown_refinement::map;
use shootdown_refinement::relation::failure::operation;
use shootdown_refinement::relation::joint::{Joint, Refinement};
use shootdown_spec::config::{Config, Start};
use shootdown_spec::id::{Context, CpuId};
use shootdown_spec::model::{Action, Protocol};
use shootdown_spec::search::fingerprint;
use shootdown_spec::state::State;
use shootdown_spec::trace::Trace;
use stateright::Model as _;
use std::sync::Arc;

/// What runs.
pub enum Subject {
    /// The specification.
    Spec(Protocol),
    /// The real code, step by step beside the specification.
    Code(Box<Refinement>),
}

/// Where it is.
#[expect(
    clippy::large_enum_variant,
    reason = "a run has some thousand at most, all of one kind; a box would cost the Copy"
)]
#[derive(Clone, Copy)]
pub enum At {
    /// A state of the specification.
    Spec(State),
    /// A state of both.
    Code(Joint),
}

/// What one action came to.
pub struct Moved {
    /// Where it led.
    pub at: At,
    /// The steps of the protocol that it was.
    pub told: Vec<Action>,
    /// For the code: it does not fit the protocol, or the machine noticed something.
    pub misfit: bool,
}

impl At {
    /// The protocol's state.
    pub fn state(&self) -> &State {
        match self {
            At::Spec(state) => state,
            At::Code(joint) => &joint.spec,
        }
    }

    /// A check of the state, in hexadecimal: the same in every process of the same build.
    ///
    /// Where the code stands is left out, for points of the code have no numbers that mean anything outside one
    /// exploration; what its machine holds is in.
    pub fn hash(&self) -> String {
        let print = match self {
            At::Spec(state) => fingerprint(state),
            At::Code(joint) => fingerprint(&(joint.spec, joint.code.machine, joint.code.budget)),
        };
        format!("{:08x}", print.get() >> 32)
    }
}

impl Subject {
    /// What runs in a configuration.
    ///
    /// # Errors
    /// If the code cannot be run in it; the message says why.
    pub fn new(name: SubjectName, config: Config) -> Result<Subject, String> {
        match name {
            SubjectName::Spec => Ok(Subject::Spec(Protocol::new(config))),
            SubjectName::Impl if !config.variants.is_empty() => Err(format!(
                "the code has no deviation {}: only the specification can be explored with one",
                config.variants
            )),
            SubjectName::Impl => {
                let code = Arc::new(map::config::axes(&config.design));
                Ok(Subject::Code(Box::new(Refinement::new(config, code))))
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> SubjectName {
        match self {
            Subject::Spec(_) => SubjectName::Spec,
            Subject::Code(_) => SubjectName::Impl,
        }
    }

    /// The protocol.
    pub fn protocol(&self) -> &Protocol {
        match self {
            Subject::Spec(protocol) => protocol,
            Subject::Code(refinement) => &refinement.spec,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.protocol().config
    }

    /// The state at the start.
    pub fn initial(&self, start: &Start) -> At {
        match self {
            Subject::Spec(p) => At::Spec(State::initial(&p.config, start)),
            Subject::Code(r) => At::Code(r.initial(start)),
        }
    }

    /// Everything that can happen, in the order in which a search takes it.
    pub fn actions(&self, at: &At) -> Vec<Action> {
        let mut actions = Vec::new();
        match (self, at) {
            (Subject::Spec(p), At::Spec(state)) => p.actions(state, &mut actions),
            (Subject::Code(r), At::Code(joint)) => r.actions(joint, &mut actions),
            _ => unreachable!("a subject is asked about its own states"),
        }
        actions
    }

    /// Takes an action; the guard that is false if it is not possible.
    ///
    /// # Errors
    /// The guard.
    pub fn step(&self, at: &At, action: &Action) -> Result<Moved, String> {
        match (self, at) {
            (Subject::Spec(p), At::Spec(state)) => match p.next_state(state, *action) {
                Some(next) => Ok(Moved {
                    at: At::Spec(next),
                    told: vec![*action],
                    misfit: false,
                }),
                None => Err(p.why_not(state, action)),
            },
            (Subject::Code(r), At::Code(joint)) => {
                if r.next_state(joint, *action).is_none() {
                    return Err(self.code_guard(r, joint, action));
                }
                let (next, misfit, taken) = r.step_translated(joint, action);
                Ok(Moved {
                    misfit: misfit.is_some() || next.code.noticed.is_some(),
                    at: At::Code(next),
                    told: taken.iter().map(|t| t.action).collect(),
                })
            }
            _ => unreachable!("a subject is asked about its own states"),
        }
    }

    /// Why the code cannot do it: the protocol's guard, or what the machine does not let happen.
    fn code_guard(&self, r: &Refinement, joint: &Joint, action: &Action) -> String {
        if !r.spec.is_enabled(&joint.spec, action) {
            let runs = |cpu: CpuId| {
                let level = joint.spec.cpu(cpu).top();
                joint
                    .spec
                    .blocked_on(r.config(), Context { cpu, level })
                    .is_some()
            };
            // The code announces operations where the protocol has no step left to wait with.
            if !matches!(action, Action::Step { .. }) || runs(action.cpu()) {
                return r.spec.why_not(&joint.spec, action);
            }
        }
        match r.describe(joint, action).op {
            Some(op) => format!("{}: {} does not return yet", action.cpu(), operation(op)),
            None => r.spec.why_not(&joint.spec, action),
        }
    }

    /// What the code has announced and would do.
    pub fn operation(&self, at: &At, action: &Action) -> Option<String> {
        match (self, at) {
            (Subject::Code(r), At::Code(joint)) => r.describe(joint, action).op.map(operation),
            _ => None,
        }
    }

    /// Why a run of the code does not fit, at length.
    pub fn explain(&self, run: &Trace) -> Option<String> {
        match self {
            Subject::Spec(_) => None,
            Subject::Code(r) => r.explain(run).map(|failure| failure.text(r)),
        }
    }

    /// True if what was just worked out has to be worked out again, because histories of the code that looked alike
    /// diverged; it is ready for that then.
    pub fn must_start_again(&mut self) -> bool {
        match self {
            Subject::Spec(_) => false,
            Subject::Code(r) if r.code.code.diverged().is_empty() => false,
            Subject::Code(r) => {
                r.start_again();
                true
            }
        }
    }
}
