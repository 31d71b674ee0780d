//! Whether a state leads to a deadlock: always, maybe, never.
//!
//! The explored graph is kept with the fate of every state with respect to states in which somebody can never move
//! again (what `no_deadlock` is violated by). A deadlock never goes away, so *always* from some step on is the point of
//! no return: whatever anybody does, as long as everybody goes on as long as they can, it ends there. Fairness plays no
//! part, and a CPU that could start another operation does so in the end.
//!
//! A state of a run has no number of its own to be looked up by. It does not need one: the graph has each state's
//! transitions in the order of its actions, so a run is walked through the graph action by action.

use super::subject::{At, Subject};
use super::view::run::FateName;
use shootdown_spec::config::Start;
use shootdown_spec::model::Action;
use shootdown_spec::search::{Fate, Graph, Outcome};

/// A graph with the fate of every state.
pub struct Fates {
    graph: Graph,
    fates: Vec<Fate>,
    /// Every reachable state was seen.
    pub complete: bool,
}

/// Where a run is in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// The state's number.
    pub number: u32,
    /// Its fate.
    pub fate: FateName,
}

impl Fates {
    /// Works the fates out; `deadlock` is the bit of a state's facts that says somebody is stuck. `None` if the
    /// outcome has no graph.
    pub fn new(outcome: Outcome, deadlock: usize) -> Option<Fates> {
        let graph = outcome.graph?;
        let fates = graph.fates(|s| graph.facts(s) >> deadlock & 1 == 1);
        Some(Fates {
            graph,
            fates,
            complete: outcome.complete,
        })
    }

    /// Bytes it is kept in.
    pub fn bytes(&self) -> u64 {
        self.graph.bytes() + (self.fates.capacity() * size_of::<Fate>()) as u64
    }

    /// Distinct states.
    pub fn states(&self) -> u64 {
        self.graph.states().into()
    }

    /// The fate of a state.
    pub fn of(&self, number: u32) -> FateName {
        match self.fates[number as usize] {
            Fate::Always => FateName::Always,
            Fate::Never => FateName::Never,
            Fate::Maybe if self.complete => FateName::Maybe,
            // Where the graph was cut off, anything may follow.
            Fate::Maybe => FateName::Unknown,
        }
    }

    /// The fate of the state to which the nth transition of a state leads.
    pub fn after(&self, number: u32, nth: usize) -> Option<FateName> {
        self.graph.targets(number).get(nth).map(|&s| self.of(s))
    }

    /// Every state of a run; `None` from where the graph was cut off.
    pub fn walk(
        &self,
        subject: &Subject,
        start: &Start,
        actions: &[Action],
    ) -> Vec<Option<Walked>> {
        let starts = subject.config().starts();
        let mut number = starts
            .iter()
            .position(|s| s == start)
            .map(|n| n as u32)
            .filter(|&n| n < self.graph.states());
        let mut at: At = subject.initial(start);
        let mut walked = Vec::with_capacity(actions.len() + 1);
        let here = |number: Option<u32>| {
            number.map(|number| Walked {
                number,
                fate: self.of(number),
            })
        };
        walked.push(here(number));
        for action in actions {
            number = number.and_then(|n| {
                let nth = subject.actions(&at).iter().position(|a| a == action)?;
                self.graph.targets(n).get(nth).copied()
            });
            walked.push(here(number));
            match subject.step(&at, action) {
                Ok(moved) => at = moved.at,
                Err(_) => number = None,
            }
        }
        walked
    }
}
