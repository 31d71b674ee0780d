//! Runs with few preemptions, for spaces too large to exhaust.
//!
//! A preemption is a switch away from a CPU that could have gone on (Musuvathi and Qadeer, *Iterative context bounding*,
//! PLDI 2007). Interrupts and the hardware walker are not counted: they are why the protocol exists. What is explored
//! within the bound is explored exhaustively; *holds* then means "with at most so many preemptions".

use shootdown_spec::model::Action;
use shootdown_spec::search::Scheduled;
use stateright::Model;

use super::joint::{Joint, Refinement};

/// The code against the protocol, preemptions bounded.
pub struct Bounded<'a> {
    /// Without the bound.
    pub refinement: &'a Refinement,
    /// The most preemptions of a run.
    pub most: u8,
}

/// A state within the bound.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Within {
    /// The state.
    pub joint: Joint,
    /// Who moved last.
    last: u8,
    /// Preemptions so far.
    used: u8,
}

const NOBODY: u8 = u8::MAX;

impl Bounded<'_> {
    /// The preemptions of a run that goes on with this action.
    fn used(&self, at: &Within, action: &Action) -> u8 {
        let Some(mover) = self.refinement.mover(action) else {
            return at.used;
        };
        let goes_on = |cpu: u8| {
            let cpu = shootdown_spec::id::CpuId(cpu);
            self.refinement
                .code
                .is_enabled(&at.joint.code, &Action::Step { cpu })
        };
        let switched = at.last != NOBODY && usize::from(at.last) != mover;
        at.used + u8::from(switched && goes_on(at.last))
    }
}

impl Model for Bounded<'_> {
    type State = Within;
    type Action = Action;

    fn init_states(&self) -> Vec<Within> {
        let all = self.refinement.init_states().into_iter();
        all.map(|joint| Within {
            joint,
            last: NOBODY,
            used: 0,
        })
        .collect()
    }

    fn actions(&self, at: &Within, actions: &mut Vec<Action>) {
        self.refinement.actions(&at.joint, actions);
        actions.retain(|action| self.used(at, action) <= self.most);
    }

    fn next_state(&self, at: &Within, action: Action) -> Option<Within> {
        let used = self.used(at, &action);
        let last = self.refinement.mover(&action).map_or(at.last, |m| m as u8);
        let joint = self.refinement.next_state(&at.joint, action)?;
        (used <= self.most).then_some(Within { joint, last, used })
    }
}

impl Scheduled for Bounded<'_> {
    fn movers(&self) -> usize {
        self.refinement.movers()
    }

    fn mover(&self, action: &Action) -> Option<usize> {
        self.refinement.mover(action)
    }

    fn urgent(&self, action: &Action) -> Option<usize> {
        self.refinement.urgent(action)
    }
}
