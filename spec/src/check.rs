//! Checks one configuration: every property's verdict from one exploration.

use crate::config::Config;
use crate::lower::NotLowered;
use crate::model::{Action, Protocol};
use crate::program::{PROGRAMS, ProgramId};
use crate::progress::{self, Failure};
use crate::property::{
    Decided, FIRST_IDLE_BIT, FIRST_INTERRUPTED_BIT, FIRST_WITNESS_BIT, PROPERTIES, Property,
    observe,
};
use crate::search::{Hit, Options, Outcome, Scheduled, Stop, search};
use crate::trace::Trace;
use crate::verdict::{Counterexample, PropertyResult, States, Verdict};
use shootdown_ir::keep::{Keep, ResumeError};
use std::io::Read;
use std::time::Duration;

mod memory;
mod packed;
pub use memory::{
    BufferedProperty, BufferedResult, BufferedRun, BufferedStep, Does, NotChecked,
    check_with_store_buffers,
};
mod reduced;
pub(crate) use packed::verdicts;
pub use reduced::{ReducedVerdicts, check_reduced, verdicts_reduced};

/// What a check of one configuration came to.
#[derive(Debug)]
pub struct CheckResult {
    /// Every reachable state was seen.
    pub complete: bool,
    /// Why not, if not.
    pub stopped: Option<Stop>,
    /// How large the space is.
    pub states: States,
    /// Every property, in the order of [`PROPERTIES`].
    pub properties: Vec<PropertyResult>,
    /// Programs inside which no interrupt was ever taken, though they can run here.
    pub never_interrupted: Vec<ProgramId>,
    /// How long it took.
    pub elapsed: Duration,
    /// The most the search held at once.
    pub peak_memory_bytes: u64,
    /// The same per distinct state.
    pub bytes_per_state: f64,
    /// Bound on the odds that a fingerprint collision hid a state. A sweep compares states as a whole.
    pub collision_odds: f64,
    /// It was swept: then there are no levels, and the depth is told as 0.
    pub swept: Option<Swept>,
}

impl CheckResult {
    /// The result for a property, by name.
    pub fn property(&self, name: &str) -> Option<&PropertyResult> {
        self.properties.iter().find(|p| p.name == name)
    }

    /// Names of the violated properties.
    pub fn violated(&self) -> impl Iterator<Item = &'static str> {
        self.properties
            .iter()
            .filter(|p| p.verdict == Verdict::Violated)
            .map(|p| p.name)
    }
}

/// Explores the configuration and judges every property.
///
/// Whatever `options` says of the graph; a bound that cuts the run off makes verdicts *incomplete*, except for what was
/// seen to be violated.
pub fn check(protocol: &Protocol, options: &Options) -> CheckResult {
    check_as(protocol, options, How::default())
        .unwrap_or_else(|_| check_with_paths(protocol, options))
}

/// How to search, besides the bounds: what only the packed engine can do.
#[derive(Default)]
pub struct How<'a> {
    /// Keeps how far it has come.
    pub keep: Option<&'a dyn Keep>,
    /// What was kept earlier, to go on from.
    pub from: Option<&'a mut dyn Read>,
    /// Rank by rank, without remembering what was seen, in place of level by level.
    pub sweep: bool,
}

/// What a sweep took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Ranks that have states.
    pub ranks: u64,
    /// The most states in memory at once.
    pub most_states: u64,
}

/// Why the packed engine does not check a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// With a bound on states or depth.
    #[error("a bound on states or depth is kept by a search that has every path in memory")]
    Bounds,
    /// It cannot be lowered.
    #[error(transparent)]
    NotLowered(#[from] NotLowered),
    /// There may be circles, which only a graph in memory shows.
    #[error(
        "the rank does not fall at every step ({0}), so that a run may go round in circles, which \
             only a search that has every step in memory can tell"
    )]
    Circles(String),
    /// A value does not fit, which is a mistake in what is checked.
    #[error("a value does not fit where it is kept")]
    Misfit,
    /// What was kept is not to be gone on from.
    #[error("{0}")]
    Resume(#[from] ResumeError),
}

/// Explores the configuration on packed states and judges every property.
///
/// # Errors
/// Where that cannot be done, or not from what was kept.
pub fn check_as(
    protocol: &Protocol,
    options: &Options,
    how: How<'_>,
) -> Result<CheckResult, Refused> {
    packed::check(protocol, options, how)
}

/// The same on the host that keeps every path: slower, and what the packed engine is held to.
pub fn check_with_paths(protocol: &Protocol, options: &Options) -> CheckResult {
    let options = Options {
        keep_graph: true,
        ..options.clone()
    };
    let outcome = search(protocol, |p: &Protocol, s| observe(&p.config, s), &options);
    judge(protocol, &protocol.config, &outcome)
}

/// Turns what a search found into verdicts.
///
/// `model` is what was searched, with the bits of [`observe`] as facts: the protocol, or anything else whose runs are
/// told in its actions and begin as the configuration says.
pub fn judge<M>(model: &M, config: &Config, outcome: &Outcome) -> CheckResult
where
    M: Scheduled<Action = Action>,
{
    let stuck = progress_failure(model, config, outcome);
    let properties = PROPERTIES
        .iter()
        .enumerate()
        .map(|(i, property)| {
            let counterexample = match property.decided {
                Decided::OnStates(_) => outcome.hit(i).map(|hit| from_hit(model, config, hit)),
                Decided::OnGraph => stuck.as_ref().map(|f| from_failure(model, config, f)),
            };
            let witnesses: Vec<_> = property
                .witnesses(config)
                .map(|w| {
                    (
                        w.name,
                        outcome.hit(FIRST_WITNESS_BIT + w.id as usize).is_some(),
                    )
                })
                .collect();
            let verdict = verdict(property, outcome, counterexample.is_some(), &witnesses);
            let violating_states = outcome.counts[i];
            PropertyResult {
                name: property.name,
                verdict,
                witnesses,
                violating_states,
                counterexample,
            }
        })
        .collect();
    let interrupted = |id: ProgramId| outcome.hit(FIRST_INTERRUPTED_BIT + id as usize).is_some();
    let startable = |id: ProgramId| config.workload.uses(id);
    CheckResult {
        complete: outcome.complete,
        stopped: outcome.stopped,
        states: States {
            unique: outcome.unique,
            generated: outcome.generated,
            depth: outcome.depth as u64,
        },
        properties,
        never_interrupted: PROGRAMS
            .iter()
            .map(|p| p.id)
            .filter(|&id| startable(id) && !interrupted(id))
            .collect(),
        elapsed: outcome.elapsed,
        peak_memory_bytes: outcome.peak_memory_bytes,
        bytes_per_state: outcome.bytes_per_state,
        collision_odds: outcome.collision_odds,
        swept: None,
    }
}

fn verdict(
    property: &Property,
    outcome: &Outcome,
    violated: bool,
    witnesses: &[(&'static str, bool)],
) -> Verdict {
    let decided = match property.decided {
        Decided::OnStates(_) => outcome.complete,
        Decided::OnGraph => outcome.complete && outcome.graph.is_some(),
    };
    if violated {
        Verdict::Violated
    } else if !decided {
        Verdict::Incomplete
    } else if witnesses.iter().any(|(_, reached)| !reached) {
        Verdict::Vacuous
    } else {
        Verdict::Holds
    }
}

/// A fair run in which some CPU never gets rid of its program.
fn progress_failure<M>(model: &M, config: &Config, outcome: &Outcome) -> Option<Failure>
where
    M: Scheduled<Action = Action>,
{
    let goals = (0..config.cpus())
        .map(|cpu| 1 << (FIRST_IDLE_BIT + cpu))
        .sum();
    match progress::check(model, outcome, goals) {
        Ok(progress::Verdict::Fails(failure)) => Some(failure),
        Ok(progress::Verdict::Holds | progress::Verdict::Unknown) => None,
        // Without a graph nothing is decided; `verdict` says so.
        Err(_) => None,
    }
}

fn from_hit<M>(model: &M, config: &Config, hit: &Hit) -> Counterexample
where
    M: Scheduled<Action = Action>,
{
    let trace = Trace::from_trail(model, config, &hit.trail).expect("the search walked this trail");
    Counterexample {
        trace,
        switches: hit.switches,
    }
}

fn from_failure<M>(model: &M, config: &Config, failure: &Failure) -> Counterexample
where
    M: Scheduled<Action = Action>,
{
    let mut trace = Trace::from_trail(model, config, &failure.unrolled(1))
        .expect("the search walked this trail");
    if !failure.is_end() {
        trace.loops_to = Some(failure.stem.actions.len());
    }
    let movers = trace.actions.iter().filter_map(|a| model.mover(a));
    let movers: Vec<_> = movers.collect();
    let switches = movers.windows(2).filter(|w| w[0] != w[1]).count() as u32;
    Counterexample { trace, switches }
}
