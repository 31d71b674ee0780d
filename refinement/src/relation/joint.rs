//! Code and protocol side by side: every interleaving of the real code, followed by the protocol.
//!
//! A [`Joint`] state is a state of the code and the one protocol state that agrees with everything the code has
//! reported on the way there. A transition is one of the code's; the protocol follows its events ([`super::step`]),
//! then the two states are compared ([`crate::map::agree`]), and who is stuck on one side must be stuck on the other.
//! Where one of these fails the run ends in a state that says so ([`Fit`]), so that the search finds the shortest such
//! run; [`super::failure`] then works out the details.

use std::sync::Arc;

use shootdown_spec::config::{Config, Start};
use shootdown_spec::model::{Action, Protocol};
use shootdown_spec::property::{Property, observe};
use shootdown_spec::search::Scheduled;
use shootdown_spec::state::State;
use stateright::Model;

use shootdown_impl::id::CpuId;
use shootdown_spec::id::Level;

use super::coverage::Coverage;
use super::step::{Refused, Taken, follow};
use crate::code::automaton::Runnable;
use crate::code::model::{CodeModel, Seen, Watch};
use crate::code::state::{CodeState, Noticed};
use crate::code::stuck::stuck;
use crate::map;
use crate::map::agree::{Disagreement, Sides, agree};

/// A state of both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Joint {
    /// The code's.
    pub code: CodeState,
    /// The protocol's.
    pub spec: State,
    /// Do they still fit?
    pub fit: Fit,
}

/// How a state of the code fits the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Fit {
    /// They agree.
    Agrees = 0,
    /// The protocol could not follow an event: no candidate is left.
    Refused = 1,
    /// It could, but the states differ.
    Disagrees = 2,
    /// Somebody is stuck on one side only.
    StuckDiffers = 3,
}

/// Bit of [`Refinement::facts`]: the machine noticed something that no run may show.
pub const NOTICED_BIT: usize = 61;
/// Bit: somebody is stuck on one side only.
pub const STUCK_DIFFERS_BIT: usize = 62;
/// Bit: the protocol cannot follow, or the states differ.
pub const MISFIT_BIT: usize = 63;

const _: () = assert!(
    shootdown_spec::property::FIRST_INTERRUPTED_BIT + shootdown_spec::program::PROGRAM_COUNT
        <= NOTICED_BIT
);

/// Why a transition of the code does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The protocol cannot follow this event.
    Refused {
        /// On which CPU.
        cpu: CpuId,
        /// At which level.
        level: Level,
        /// What the code did.
        seen: Seen,
        /// Why not.
        refused: Refused,
        /// The protocol's state, the events before this one followed.
        candidate: Box<State>,
    },
    /// The states differ afterwards.
    Disagrees(Disagreement),
    /// Who is stuck differs: contexts of the code, of the protocol.
    Stuck {
        /// Contexts of the code that can never move again, by number.
        code: u8,
        /// Those of the protocol.
        spec: u8,
    },
}

impl Misfit {
    /// The mark in the state.
    pub fn fit(&self) -> Fit {
        match self {
            Self::Refused { .. } => Fit::Refused,
            Self::Disagrees(_) => Fit::Disagrees,
            Self::Stuck { .. } => Fit::StuckDiffers,
        }
    }
}

/// The code of one configuration against its protocol.
pub struct Refinement {
    /// The code.
    pub code: CodeModel,
    /// The protocol.
    pub spec: Protocol,
    /// What the code did so far, in the protocol's words.
    pub coverage: Coverage,
}

struct Follower<'a, T> {
    refinement: &'a Refinement,
    state: State,
    told: T,
}

impl<T: FnMut(Taken)> Watch for Follower<'_, T> {
    type Stop = Misfit;
    fn seen(&mut self, cpu: CpuId, level: Level, seen: Seen) -> Result<(), Misfit> {
        let Refinement { spec, coverage, .. } = self.refinement;
        let told = &mut self.told;
        let mut taken = |state: &State, taken| {
            coverage.note(state, taken);
            told(taken);
        };
        match follow(spec, &self.state, cpu, level, seen, &mut taken) {
            Ok(next) => self.state = next,
            Err(refused) => {
                return Err(Misfit::Refused {
                    cpu,
                    level,
                    seen,
                    refused,
                    candidate: Box::new(self.state),
                });
            }
        }
        Ok(())
    }
}

impl Refinement {
    /// That code against the configuration's protocol.
    pub fn new(config: Config, code: Arc<dyn Runnable>) -> Self {
        Self {
            coverage: Coverage::new(&config),
            spec: Protocol::new(config.clone()),
            code: CodeModel::new(config, code),
        }
    }

    /// What `work` makes of the code, and how often it had to be done again.
    ///
    /// Points of the code that look alike are taken for one until they are seen to part ([`crate::code::automaton`]).
    /// What was worked out on the way is void then, and is worked out again with those points kept apart. The one that runs
    /// the code does it in here, or blames the code for what another history of it would have done.
    pub fn settled<T>(&mut self, mut work: impl FnMut(&Self) -> T) -> (T, u32) {
        let mut repeated = 0;
        loop {
            let done = work(self);
            if self.code.code.diverged().is_empty() {
                return (done, repeated);
            }
            self.start_again();
            repeated += 1;
        }
    }

    /// Forgets everything about the code but what has diverged.
    pub fn start_again(&mut self) {
        self.code.code = self.code.code.again();
        self.coverage = Coverage::new(self.config());
    }

    /// What runs.
    pub fn config(&self) -> &Config {
        &self.spec.config
    }

    /// The state at the start.
    pub fn initial(&self, start: &Start) -> Joint {
        let mut joint = Joint {
            code: self.code.initial(start),
            spec: State::initial(self.config(), start),
            fit: Fit::Agrees,
        };
        if let Err(misfit) = self.compare(&joint) {
            joint.fit = misfit.fit();
        }
        joint
    }

    /// The state after an enabled action, and why it does not fit if it does not.
    pub fn step(&self, joint: &Joint, action: &Action) -> (Joint, Option<Misfit>) {
        self.step_with(joint, action, |_| {})
    }

    /// The same, with the steps that the protocol took.
    pub fn step_translated(
        &self,
        joint: &Joint,
        action: &Action,
    ) -> (Joint, Option<Misfit>, Vec<Taken>) {
        let mut taken = Vec::new();
        let (next, misfit) = self.step_with(joint, action, |step| taken.push(step));
        (next, misfit, taken)
    }

    fn step_with(
        &self,
        joint: &Joint,
        action: &Action,
        told: impl FnMut(Taken),
    ) -> (Joint, Option<Misfit>) {
        let mut follower = Follower {
            refinement: self,
            state: joint.spec,
            told,
        };
        let (code, misfit) = match self.code.step(&joint.code, action, &mut follower) {
            Ok(code) => (code, None),
            Err((code, misfit)) => (code, Some(misfit)),
        };
        let mut next = Joint {
            code,
            spec: follower.state,
            fit: Fit::Agrees,
        };
        let misfit = misfit.or_else(|| self.compare(&next).err());
        // What the protocol itself calls a violation there is no news.
        let excused = |noticed: Noticed| {
            let property = noticed.property().and_then(Property::named);
            property.is_some_and(|(_, p)| {
                p.is_violated(self.config(), &joint.spec)
                    || p.is_violated(self.config(), &next.spec)
            })
        };
        if next.code.noticed.is_some_and(excused) {
            next.code.noticed = None;
        }
        if let Some(misfit) = &misfit {
            next.fit = misfit.fit();
        }
        (next, misfit)
    }

    fn compare(&self, joint: &Joint) -> Result<(), Misfit> {
        agree(Sides {
            config: self.config(),
            automata: &self.code.code,
            code: &joint.code,
            spec: &joint.spec,
        })
        .map_err(Misfit::Disagrees)?;
        let code = stuck(&self.code.code, &joint.code);
        let spec = joint.spec.stuck(self.config()).bits();
        // The protocol sends all IPIs of a flush at once: until the code has sent its last, it may be behind.
        let behind = code & !spec == 0
            && map::ipi::anybody_sends(self.code.config.cpus(), &self.code.code, &joint.code);
        if code == spec || behind {
            Ok(())
        } else {
            Err(Misfit::Stuck { code, spec })
        }
    }

    /// Everything there is to say about a state: the protocol's properties and witnesses, which hold of the code's
    /// state because the two agree, then what only the code can show.
    pub fn facts(&self, joint: &Joint) -> u64 {
        let noticed = u64::from(joint.code.noticed.is_some()) << NOTICED_BIT;
        match joint.fit {
            Fit::Agrees => observe(self.config(), &joint.spec) | noticed,
            Fit::StuckDiffers => 1 << STUCK_DIFFERS_BIT | noticed,
            Fit::Refused | Fit::Disagrees => 1 << MISFIT_BIT | noticed,
        }
    }
}

impl Model for Refinement {
    type State = Joint;
    type Action = Action;

    fn init_states(&self) -> Vec<Joint> {
        let starts = self.config().starts().iter();
        starts.map(|start| self.initial(start)).collect()
    }

    fn actions(&self, joint: &Joint, actions: &mut Vec<Action>) {
        if joint.fit == Fit::Agrees {
            self.code.actions(&joint.code, actions);
        }
    }

    fn next_state(&self, joint: &Joint, action: Action) -> Option<Joint> {
        let possible = joint.fit == Fit::Agrees && self.code.is_enabled(&joint.code, &action);
        possible.then(|| self.step(joint, &action).0)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }
}

impl Scheduled for Refinement {
    fn movers(&self) -> usize {
        self.code.movers()
    }

    fn mover(&self, action: &Action) -> Option<usize> {
        self.code.mover(action)
    }

    fn urgent(&self, action: &Action) -> Option<usize> {
        self.code.urgent(action)
    }
}
