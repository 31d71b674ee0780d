//! The one search engine for everything that is a [`stateright::Model`].
//!
//! [`search`] explores a model breadth first, level by level, on as many threads as it is given, and
//! promises three things Stateright's own checkers do not:
//!
//! * **Shortest.** Of every fact it was asked to look for (`observe`), the occurrence it reports is at
//!   minimal depth. Stateright 0.31's BFS lets a later violation of the same block overwrite an earlier one.
//! * **Fewest context switches.** Among *all* paths of that length to *any* state with that fact, the
//!   reported one changes CPU least often; a counterexample is read by people.
//! * **Deterministic.** Counts, state numbers and counterexamples depend on the model only. State numbers
//!   are those of a textbook queue-based BFS on one thread (initial states in order, then successors in the
//!   order of `actions`); neither the thread count nor the hash function shows.
//!
//! What it shares with them: a state is remembered as a 64-bit fingerprint, so two states with equal
//! fingerprints would be taken for one ([`Outcome::collision_odds`] bounds the odds).
//!
//! How it works is told where it happens: `expand` (a chunk of a level), `merge` (who is new, what is the
//! best way there), `table` (the visited set), `route` (the dynamic programme over the last mover).

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use stateright::Model;

mod chunk;
mod engine;
mod fingerprint;
mod frontier;
mod graph;
mod merge;
mod outcome;
mod prefetch;
mod route;
mod scheduled;
mod table;
mod trail;
mod workers;

pub use fingerprint::fingerprint;
pub use graph::{Components, Edge, Fate, Graph};
pub use outcome::{Hit, Outcome, Stop};
pub use scheduled::{MAX_CLASSES, MAX_MOVERS, Scheduled, Unscheduled};
pub use trail::{Replayed, Trail, TrailError, replay_trail, step_trail};

/// What a progress callback is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Distinct states found so far.
    pub unique: u64,
    /// Transitions taken so far, counted as in [`Outcome::generated`].
    pub generated: u64,
    /// States whose successors have been computed.
    pub expanded: u64,
    /// The level being expanded; initial states are level 0.
    pub depth: usize,
    /// States in that level.
    pub frontier: u64,
    /// Since the search began.
    pub elapsed: Duration,
    /// Bytes held by the search structures (see [`Outcome::peak_memory_bytes`]).
    pub memory_bytes: u64,
    /// Distinct states per second since the search began.
    pub rate: f64,
}

impl Progress {
    /// What the engine on packed states tells.
    pub(crate) fn of_levels(p: &shootdown_ir::levels::Progress, elapsed: Duration) -> Progress {
        Progress {
            unique: p.distinct,
            generated: p.generated,
            expanded: p.distinct.saturating_sub(p.width),
            depth: p.level,
            frontier: p.width,
            elapsed,
            memory_bytes: p.bytes,
            rate: p.distinct as f64 / elapsed.as_secs_f64().max(1e-9),
        }
    }
}

/// Called at the end of every level and about every 100 ms, from whichever thread is at hand, never from two at
/// once. It delays the search, so keep it short.
pub type ProgressFn = Arc<dyn Fn(&Progress) + Send + Sync>;

/// How far, how wide and how observed a search runs. `Options::default()` runs to the end on all cores.
#[derive(Clone)]
pub struct Options {
    /// Worker threads. Changes the time a search takes, nothing else; no more are started than are of use.
    pub threads: NonZeroUsize,
    /// Stop at exactly this many distinct states, the first in the order of their numbers, if there are more. States of
    /// which some successors were left out for that do not count as expanded, and neither do a few dozen before them.
    pub max_states: Option<u64>,
    /// Stop before the search structures hold more than this many bytes. What states own on the heap is not
    /// counted: only the model could tell. A search that gets no more memory from the system stops in the same way.
    pub max_memory: Option<u64>,
    /// Do not expand states of this level or deeper; initial states are level 0. The outcome is incomplete if there are
    /// any.
    pub max_depth: Option<usize>,
    /// Stop after this time.
    pub timeout: Option<Duration>,
    /// Keep the transitions and every state's facts in [`Outcome::graph`]: 5 bytes more a
    /// transition and 16 a state.
    pub keep_graph: bool,
    /// Set it from anywhere to stop the search soon.
    pub cancel: Arc<AtomicBool>,
    /// Told how the search is getting on.
    pub progress: Option<ProgressFn>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            max_states: None,
            max_memory: None,
            max_depth: None,
            timeout: None,
            keep_graph: false,
            cancel: Arc::default(),
            progress: None,
        }
    }
}

impl Options {
    /// The default on this many threads; 0 is taken as 1.
    #[must_use]
    pub fn threads(threads: usize) -> Self {
        Options {
            threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN),
            ..Options::default()
        }
    }

    /// The same, keeping the explored graph.
    #[must_use]
    pub fn keeping_graph(self) -> Self {
        Options {
            keep_graph: true,
            ..self
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("threads", &self.threads)
            .field("max_states", &self.max_states)
            .field("max_memory", &self.max_memory)
            .field("max_depth", &self.max_depth)
            .field("timeout", &self.timeout)
            .field("keep_graph", &self.keep_graph)
            .field("cancel", &self.cancel)
            .field("progress", &self.progress.is_some())
            .finish()
    }
}

/// Explores everything `model` can reach and looks for facts on the way.
///
/// `observe` gives a state's facts as a bit mask (a property violated, a witness reached, whatever the caller
/// numbers so) and is called exactly once for every distinct state, from several threads. The outcome holds, for
/// every bit ever set, how many states have it and the best way to reach one: see [`Hit`].
///
/// As in Stateright, an action for which `next_state` returns `None` does not exist, and neither does a successor
/// outside `within_boundary`. The model must be a function of its arguments: equal states have equal hashes and
/// equal actions in an equal order.
///
/// # Panics
///
/// When [`Scheduled::movers`] exceeds [`MAX_MOVERS`], when an action names a mover or a class out of range, and
/// when the model or `observe` panics.
pub fn search<M, F>(model: &M, observe: F, options: &Options) -> Outcome
where
    M: Scheduled + Sync,
    M::State: Hash + Send + Sync,
    F: Fn(&M, &<M as Model>::State) -> u64 + Sync,
{
    assert!(
        model.movers() <= MAX_MOVERS,
        "a model of {} movers: the search tells at most {MAX_MOVERS} apart",
        model.movers()
    );
    engine::Engine::new(model, &observe, options).run()
}
