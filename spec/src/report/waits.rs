//! Who waits for whom in one state, as data: what a picture of the wait-for graph needs.

use super::cycle;
use crate::config::Config;
use crate::id::Context;
use crate::state::{Edge, State, Why};

/// The wait-for graph of one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitGraph {
    /// Every wait, with the clause that says what for.
    pub edges: Vec<(Edge, String)>,
    /// A shortest cycle among those who can never move again, in order; empty if there is none.
    pub cycle: Vec<Edge>,
    /// The deadlock as a sentence, with the contexts that wait for it; `None` if nobody is stuck.
    pub sentence: Option<String>,
}

/// The wait-for graph of a state.
pub fn wait_graph(config: &Config, state: &State) -> WaitGraph {
    let contexts: Vec<Context> = state.each_context(config).map(|(who, _)| who).collect();
    let edges = contexts
        .into_iter()
        .flat_map(|who| state.waits_for(config, who))
        .map(|edge| (edge, cycle::waits(state, &edge)))
        .collect();
    let stuck = state.stuck(config);
    let among = |e: &Edge| stuck.contains(e.from) && stuck.contains(e.on);
    let lost = |e: &Edge| matches!(e.why, Why::LostAck(_));
    WaitGraph {
        edges,
        cycle: cycle::shortest(config, state, |e| among(e) && !lost(e)).unwrap_or_default(),
        sentence: cycle::deadlock(config, state),
    }
}

/// What a context waits for, as a clause without its subject: `spins for ..., held by ...`.
pub fn wait(config: &Config, state: &State, who: Context) -> Option<String> {
    cycle::wait(config, state, who)
}
