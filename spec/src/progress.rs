//! Does everybody get there, if nobody is forgotten?
//!
//! [`check`] decides progress on the graph a [`search`](crate::search::search) kept. A *goal* is a fact bit ("CPU 2
//! has finished", "nobody waits"). A run makes progress if for each goal it ends in a state that has it or comes back to
//! such states for ever. For a goal that once true stays true, that is "eventually"; for one that comes and goes, it is
//! "again and again".
//!
//! Of all runs only the *fair* ones count, because in the others somebody merely was not given a turn:
//!
//! * **A step that changes nothing is no step.** A transition from a state to itself (a CPU spinning on a lock, say)
//!   neither is a turn taken nor a turn owed, as in TLA, where fairness is about steps that change the variables
//!   (Lamport, *The Temporal Logic of Actions*, 1994). So a CPU that can only spin counts as blocked.
//! * **Movers: weakly fair.** A mover that from some point on could always take a step takes one.
//! * **Urgent hardware actions: strongly fair, per class** ([`Scheduled::urgent`]). If a class is possible again and
//!   again, it happens again and again: a pending interrupt is delivered even if the CPU keeps closing and opening the
//!   window.
//! * **Other steps of the environment: not owed.** Hardware may cache a translation, or never do so. Hence:
//!   * a state in which no mover and no urgent action can change anything is an *end*, even if the environment could
//!     still change something: it may choose not to. All CPUs blocked is a deadlock, however lively the hardware;
//!   * a loop of such steps alone counts for nothing: nobody keeps doing what he is not obliged to, for ever and alone.
//!     If all CPUs are blocked somewhere in it, that state is an end and is reported as one. What is let
//!     pass by this is only a loop in which at every moment some CPU could move and none is owed a turn because the
//!     environment takes it away again, for ever.
//!
//! The strongly connected components of the graph without the states that have the goal (sought within those of the
//! whole graph, which serve every goal) are judged one by one; one
//! in which an urgent class is possible but not taken loses the states where it is possible and is taken apart again
//! (Emerson and Lei, *Modalities for model checking*, 1987). A component that remains and is weakly fair holds a
//! fair loop. This is exact for the graph it is given: neither loops nor joins mislead it, unlike Stateright's
//! `eventually`, which gives loops a pass and remembers one path of those that meet in a state.

use std::fmt;

use crate::search::{Outcome, Scheduled, Trail};

mod fairness;
mod lasso;

/// What [`check`] found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every fair run makes progress.
    Holds,
    /// A fair run does not.
    Fails(Failure),
    /// The search was cut off, and no failure lies in what it saw.
    Unknown,
}

/// A fair run without progress: `stem`, then `cycle` for ever.
///
/// No run without progress has a shorter stem, and the stem has as few context switches as one of that length can have.
/// The cycle is short, but not always the shortest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The goal (its bit) the run leaves unmet.
    pub goal: usize,
    /// The way to [`state`](Self::state).
    pub stem: Trail,
    /// The number of the state where the run ends or its loop begins.
    pub state: u32,
    /// The actions of the loop, each an index into `actions()` of the state it is taken in; empty: the run ends.
    pub cycle: Vec<u32>,
}

impl Failure {
    /// Does the run end (a deadlock) instead of going round in a loop (a livelock or starvation)?
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.cycle.is_empty()
    }

    /// The stem and the cycle `rounds` times, as one trail to replay.
    #[must_use]
    pub fn unrolled(&self, rounds: usize) -> Trail {
        let mut trail = self.stem.clone();
        for _ in 0..rounds {
            trail.actions.extend_from_slice(&self.cycle);
        }
        trail
    }
}

/// The question was put wrongly.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgressError {
    /// The search did not keep its graph.
    NoGraph,
    /// No goal was asked for, so that anything would do.
    NoGoal,
    /// The model does not have a transition the graph has: it is not the model that was searched.
    AnotherModel,
}

impl fmt::Display for ProgressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProgressError::NoGraph => "the search kept no graph: set `keep_graph` in its options",
            ProgressError::NoGoal => "no goal was given: every run would make progress",
            ProgressError::AnotherModel => {
                "the graph has a transition the model lacks: it is of another model"
            }
        })
    }
}

impl std::error::Error for ProgressError {}

/// Does every fair run make progress towards each of `goals`, a mask of fact bits of the search's `observe`?
///
/// `model` must be the one that was searched; it is only used to name the actions of a loop. A model without initial
/// states has no runs, so it [holds](Verdict::Holds); otherwise `Holds` implies that every goal is reached.
///
/// # Errors
///
/// When the outcome has no graph, `goals` is empty, or the model does not fit.
pub fn check<M>(model: &M, outcome: &Outcome, goals: u64) -> Result<Verdict, ProgressError>
where
    M: Scheduled,
    M::Action: Clone,
{
    let graph = outcome.graph.as_ref().ok_or(ProgressError::NoGraph)?;
    if goals == 0 {
        return Err(ProgressError::NoGoal);
    }
    let places = fairness::Places::of(graph);
    let found = (0..64)
        .filter(|goal| goals >> goal & 1 != 0)
        .filter_map(|goal| Some((fairness::first_stop(graph, &places, 1 << goal)?, goal)))
        .min_by_key(|(stop, goal)| (stop.state(), *goal));
    let Some((stop, goal)) = found else {
        return Ok(if outcome.complete {
            Verdict::Holds
        } else {
            Verdict::Unknown
        });
    };
    let state = stop.state();
    let stem = outcome.trail_to(state).ok_or(ProgressError::AnotherModel)?;
    let cycle = match &stop {
        fairness::Stop::End(_) => Vec::new(),
        fairness::Stop::Loop(members) => {
            let rows = lasso::fair_cycle(graph, model.movers(), members);
            lasso::name_actions(model, &stem, &rows)?
        }
    };
    Ok(Verdict::Fails(Failure {
        goal,
        stem,
        state,
        cycle,
    }))
}
