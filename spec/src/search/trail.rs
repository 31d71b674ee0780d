//! Counterexamples as indices, and how they are turned back into states.

use std::fmt;

use serde::{Deserialize, Serialize};
use stateright::Model;

use super::route::Arrival;

/// A path, as indices: which of `init_states()` it begins in, then which of `actions()` it takes in each state.
///
/// Small, printable, and valid for as long as the model is the same: see [`replay_trail`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Trail {
    /// Index into `init_states()`.
    pub init: usize,
    /// Indices into `actions()` of the states on the way.
    pub actions: Vec<u32>,
}

/// A trail does not fit the model it is replayed on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrailError {
    /// It begins in an initial state the model does not have.
    NoInitialState {
        /// The index asked for.
        init: usize,
        /// How many there are.
        available: usize,
    },
    /// A step takes an action the state does not have.
    NoAction {
        /// The step, counted from 0.
        step: usize,
        /// The index asked for.
        action: u32,
        /// How many actions the state has.
        available: usize,
    },
    /// A step takes an action that `next_state` ignores or that leaves the boundary.
    Refused {
        /// The step, counted from 0.
        step: usize,
        /// The index of the action.
        action: u32,
    },
}

impl fmt::Display for TrailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrailError::NoInitialState { init, available } => {
                write!(
                    f,
                    "initial state {init} is out of range: the model has {available} within its boundary's reach"
                )
            }
            TrailError::NoAction {
                step,
                action,
                available,
            } => {
                write!(
                    f,
                    "step {step} takes action {action}, but the state it is in has {available}"
                )
            }
            TrailError::Refused { step, action } => {
                write!(
                    f,
                    "step {step} takes action {action}, which the model refuses in the state it is in"
                )
            }
        }
    }
}

impl std::error::Error for TrailError {}

/// A replayed path: the initial state with no action, then every action with the state it led to.
pub type Replayed<M> = Vec<(Option<<M as Model>::Action>, <M as Model>::State)>;

/// The actions and states of a trail.
///
/// # Errors
///
/// When the trail does not fit the model, most likely because the model or its configuration has changed since.
pub fn replay_trail<M>(model: &M, trail: &Trail) -> Result<Replayed<M>, TrailError>
where
    M: Model,
    M::Action: Clone,
{
    let mut inits = model.init_states();
    let available = inits.len();
    if trail.init >= available || !model.within_boundary(&inits[trail.init]) {
        return Err(TrailError::NoInitialState {
            init: trail.init,
            available,
        });
    }
    let mut path: Replayed<M> = vec![(None, inits.swap_remove(trail.init))];
    for (step, &action) in trail.actions.iter().enumerate() {
        let next = step_trail(model, &path[step].1, step, action)?;
        path.push(next);
    }
    Ok(path)
}

/// Takes one action by its index: the action and the state it leads to. `step` only labels the error.
///
/// # Errors
///
/// When the state has no such action or the model refuses it.
pub fn step_trail<M>(
    model: &M,
    state: &M::State,
    step: usize,
    action: u32,
) -> Result<(Option<M::Action>, M::State), TrailError>
where
    M: Model,
    M::Action: Clone,
{
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    let available = actions.len();
    let taken = actions.into_iter().nth(action as usize);
    let taken = taken.ok_or(TrailError::NoAction {
        step,
        action,
        available,
    })?;
    match model.next_state(state, taken.clone()) {
        Some(next) if model.within_boundary(&next) => Ok((Some(taken), next)),
        _ => Err(TrailError::Refused { step, action }),
    }
}

/// Every kept arrival of every level: the tree (per last mover) of shortest paths.
#[derive(Default)]
pub(super) struct Routes {
    levels: Vec<Level>,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Routes({} levels)", self.levels.len())
    }
}

struct Level {
    /// The number of the level's first state.
    base: u64,
    /// Segments of arrivals, with the number (within the level) of their first.
    segments: Vec<(u32, Vec<Arrival>)>,
}

impl Routes {
    pub(super) fn push_level(&mut self, base: u64, segments: Vec<(u32, Vec<Arrival>)>) {
        self.levels.push(Level { base, segments });
    }

    /// The path that ends in an arrival of a level.
    pub(super) fn trail(&self, depth: usize, mut arrival: u32) -> Trail {
        let mut trail = Trail::default();
        for level in (0..=depth).rev() {
            let taken = self.levels[level].arrival(arrival);
            if level == 0 {
                trail.init = taken.action() as usize;
            } else {
                trail.actions.push(taken.action());
                arrival = taken.from;
            }
        }
        trail.actions.reverse();
        trail
    }

    /// The depth and the first arrival of a state, if it is known.
    pub(super) fn find(&self, state: u32) -> Option<(usize, u32)> {
        let depth = self
            .levels
            .partition_point(|l| l.base <= u64::from(state))
            .checked_sub(1)?;
        let level = &self.levels[depth];
        let nth = (u64::from(state) - level.base) as usize;
        // Nothing is stored per state to find its arrivals by; this is asked for a handful of states only.
        let arrivals = level.segments.iter().flat_map(|(_, arrivals)| arrivals);
        let first = (0..)
            .zip(arrivals)
            .filter(|(_, a)| a.is_first())
            .nth(nth)?
            .0;
        Some((depth, first))
    }
}

impl Level {
    fn arrival(&self, number: u32) -> Arrival {
        let segment = self.segments.partition_point(|(base, _)| *base <= number) - 1;
        let (base, arrivals) = &self.segments[segment];
        arrivals[(number - base) as usize]
    }
}
