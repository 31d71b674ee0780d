//! What a search found.

use std::time::Duration;

use super::graph::Graph;
use super::trail::{Routes, Trail};

/// Why a search ended before it had seen everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// [`super::Options::max_states`], or the 2^31 states an index can tell apart.
    MaxStates,
    /// [`super::Options::max_memory`], or what the system has.
    MaxMemory,
    /// [`super::Options::max_depth`].
    MaxDepth,
    /// [`super::Options::timeout`].
    Timeout,
    /// [`super::Options::cancel`].
    Cancelled,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stop::MaxStates => "the limit on states was reached",
            Stop::MaxMemory => "the limit on memory was reached",
            Stop::MaxDepth => "the limit on depth was reached",
            Stop::Timeout => "the time was up",
            Stop::Cancelled => "it was cancelled",
        })
    }
}

/// The best occurrence of a fact.
///
/// Minimal depth; among all paths of that length to any state with the fact the fewest context switches (two
/// successive steps by different movers, steps of the environment ignored); among those the state with the lowest
/// number. In a run that was cut off, the depth still is minimal, but a path with fewer switches (and so another
/// state) may not have been seen if the fact is in the deepest level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Steps from an initial state.
    pub depth: usize,
    /// Context switches on the way.
    pub switches: u32,
    /// The number of the state.
    pub state: u32,
    /// The path.
    pub trail: Trail,
}

/// What a search found. All but the times, and rates derived from them, depend on the model and the bounds alone
/// (and, for a run cut off by time or from outside, on luck).
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Everything reachable was seen. If not, no "never" follows from this outcome.
    pub complete: bool,
    /// Why it is not complete.
    pub stopped: Option<Stop>,
    /// Distinct states found.
    pub unique: u64,
    /// Distinct states whose successors were computed; all of them in a complete run.
    pub expanded: u64,
    /// Initial states and transitions, duplicates included: what Stateright calls `state_count`. (Stateright expands
    /// an initial state that is named twice twice, so there it counts more.)
    pub generated: u64,
    /// The deepest level reached; initial states are level 0 (Stateright's `max_depth` is one more).
    pub depth: usize,
    /// Distinct states of each level.
    pub levels: Vec<u64>,
    /// Expanded states without successors.
    pub terminal: u64,
    /// The best occurrence of each of the 64 facts.
    pub hits: Vec<Option<Hit>>,
    /// How many states have each of the 64 facts.
    pub counts: Vec<u64>,
    /// The transitions, if they were to be kept.
    pub graph: Option<Graph>,
    /// How long it took.
    pub elapsed: Duration,
    /// The most that tables, paths, frontiers, buffers and graph held at once. Not counted: what states own on the
    /// heap, and stacks.
    pub peak_memory_bytes: u64,
    /// [`peak_memory_bytes`](Self::peak_memory_bytes) per distinct state.
    pub bytes_per_state: f64,
    /// Bound on the odds that two distinct states had equal fingerprints, so that one was lost: n^2 / 2^65.
    pub collision_odds: f64,
    pub(super) routes: Routes,
}

impl Outcome {
    /// The best occurrence of fact `bit`; `None` as well if there is no such bit.
    #[must_use]
    pub fn hit(&self, bit: usize) -> Option<&Hit> {
        self.hits.get(bit)?.as_ref()
    }

    /// A shortest path to a state, of those the one with the fewest context switches. `None`: no such state.
    #[must_use]
    pub fn trail_to(&self, state: u32) -> Option<Trail> {
        let (depth, arrival) = self.routes.find(state)?;
        Some(self.routes.trail(depth, arrival))
    }

    /// The level of a state. `None`: no such state.
    #[must_use]
    pub fn depth_of(&self, state: u32) -> Option<usize> {
        Some(self.routes.find(state)?.0)
    }

    /// Distinct states per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.unique as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}
