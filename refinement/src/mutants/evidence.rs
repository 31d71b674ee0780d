//! Who notices a fault: five kinds of evidence, each of them run.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shootdown_impl::host::stress::{self, StressConfig, StressError, Verdict};
use shootdown_spec::check::check;
use shootdown_spec::config::Config;
use shootdown_spec::model::Protocol;
use shootdown_spec::order::{Order, Proof, for_any_number};
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::search::{Hit, Options, Stop, Trail, replay_trail, search};
use shootdown_spec::variant::VariantSet;
use thiserror::Error;

use super::bent::straight;
use super::{Mutant, Place, PlaceError};
use crate::code::automaton::Runnable;
use crate::map;
use crate::relation::joint::{
    Joint, MISFIT_BIT, Misfit, NOTICED_BIT, Refinement, STUCK_DIFFERS_BIT,
};

/// The bits that count against code whatever the protocol does.
const OF_THE_CODE: u64 = 1 << MISFIT_BIT | 1 << STUCK_DIFFERS_BIT | 1 << NOTICED_BIT;

macro_rules! said {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!(
                "../../../impl/tests/compile_fail/",
                $name,
                ".stderr"
            )),
        )
    };
}
/// Every compile-fail test that a fault names, with what the compiler says. A name that is not here is no test.
const COMPILE_FAIL: &[(&str, &str)] = &[
    said!("an_entry_after_its_unlock"),
    said!("an_entry_under_another_lock"),
    said!("awaiting_acks_with_a_lock_held"),
    said!("awaiting_acks_with_interrupts_off"),
    said!("pgd_lock_inside_a_page_table_lock"),
    said!("returning_to_user_with_a_flush_owed"),
    said!("two_page_table_locks"),
];

/// What the compiler says to the same mistake.
pub fn compiler_says(test: &str) -> Option<&'static str> {
    COMPILE_FAIL
        .iter()
        .find(|(name, _)| *name == test)
        .map(|&(_, said)| said)
}

/// Evidence that could not be had.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// The place does not exist.
    #[error("{name}: {error}")]
    Place {
        /// Whose.
        name: &'static str,
        /// What is wrong.
        error: PlaceError,
    },
    /// The code without the fault does not fit there: nothing could be concluded from what the fault does.
    #[error("{0}: the code without a fault does not fit the protocol there: {1}")]
    Baseline(String, String),
    /// The compile-fail test does not exist.
    #[error("{name}: there is no compile-fail test `{test}`")]
    Test {
        /// Whose.
        name: &'static str,
        /// The test.
        test: &'static str,
    },
    /// The search was cut off.
    #[error("{0}: {1}")]
    Stopped(String, Stop),
    /// Real threads could not be had.
    #[error(transparent)]
    Stress(#[from] StressError),
}

/// What one kind of evidence says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "by")]
pub enum Finding {
    /// It was not asked: it does not apply, or was not wanted.
    NotAsked,
    /// It noticed, in these words.
    Killed(String),
    /// It should have noticed, and did not.
    Survived,
}

impl Finding {
    fn of(words: Option<String>) -> Finding {
        words.map_or(Finding::Survived, Finding::Killed)
    }
}

/// How the refinement noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The protocol cannot follow an event.
    Refused,
    /// The states differ.
    Disagrees,
    /// Somebody is stuck on one side only.
    StuckDiffers,
    /// The machine noticed what no run may show.
    Noticed,
    /// A property of the protocol is violated.
    Property,
    /// The code is no function of its answers.
    Nondeterministic,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::Refused => "refused",
            How::Disagrees => "disagrees",
            How::StuckDiffers => "stuck differs",
            How::Noticed => "noticed",
            How::Property => "property",
            How::Nondeterministic => "nondeterministic",
        })
    }
}

/// One line of a counterexample.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What happens.
    pub action: String,
    /// The protocol's line that this is, if it is a step of a program.
    pub protocol: String,
}

/// The shortest run that shows the fault.
#[derive(Clone, Debug, Serialize)]
pub struct Counterexample {
    /// How it was noticed.
    pub how: How,
    /// In words.
    pub reason: String,
    /// Actions to it.
    pub steps: usize,
    /// Context switches on the way.
    pub switches: u32,
    /// The run.
    pub lines: Vec<Line>,
}

/// The result of exploring mutated code.
#[derive(Clone, Debug, Serialize)]
pub struct Refuted {
    /// The run, if it was noticed.
    pub counterexample: Option<Counterexample>,
    /// Distinct joint states.
    pub states: u64,
    /// How often real code was run.
    pub runs: u64,
}

/// Everything that was found about one fault.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// The compile-fail test.
    pub types: Finding,
    /// The order proof of the deviating protocol.
    pub order: Finding,
    /// The exploration of the deviating protocol.
    pub model: Finding,
    /// The exploration of the mutated code.
    pub refinement: Refuted,
    /// Real threads.
    pub stress: Finding,
}

impl Evidence {
    /// Who should have noticed and did not.
    pub fn missed_by(&self) -> Vec<&'static str> {
        let refinement = self.refinement.counterexample.is_none();
        [
            ("types", self.types == Finding::Survived),
            ("order", self.order == Finding::Survived),
            ("model", self.model == Finding::Survived),
            ("refinement", refinement),
            ("stress", self.stress == Finding::Survived),
        ]
        .into_iter()
        .filter_map(|(who, missed)| missed.then_some(who))
        .collect()
    }

    /// Is it as the catalogue says: noticed by everybody who must, or argued to be equivalent and noticed by nobody?
    pub fn as_expected(&self, mutant: &Mutant) -> bool {
        match mutant.equivalent {
            None => self.missed_by().is_empty(),
            // An argument that a counterexample contradicts is wrong.
            Some(_) => self.refinement.counterexample.is_none(),
        }
    }
}

struct Explored {
    refinement: Refinement,
    /// The best occurrence of every fact.
    hits: Vec<Option<Hit>>,
    states: u64,
    stopped: Option<Stop>,
}

fn explore(config: &Config, code: Arc<dyn Runnable>, options: &Options) -> Explored {
    let mut refinement = Refinement::new(config.clone(), code);
    let facts = |r: &Refinement, s: &Joint| r.facts(s);
    let (outcome, _) = refinement.settled(|r| search(r, facts, options));
    Explored {
        refinement,
        states: outcome.unique,
        stopped: outcome.stopped,
        hits: outcome.hits,
    }
}

impl Explored {
    fn bits(&self) -> u64 {
        let hit = |&i: &usize| self.hits[i].is_some();
        (0..64).filter(hit).fold(0, |mask, i| mask | 1 << i)
    }

    /// The shortest run to a state with one of these facts: the code's own first, then properties.
    fn shortest(&self, of: u64) -> Option<(usize, &Hit)> {
        let hits = (0..64).rev().filter(|i| of >> i & 1 == 1);
        let found = hits.filter_map(|i| Some((i, self.hits[i].as_ref()?)));
        found.min_by_key(|(_, hit)| hit.depth)
    }

    fn tell(&self, bit: usize, hit: &Hit) -> Counterexample {
        let (lines, misfit, noticed) = self.lines(&hit.trail);
        let (how, reason) = match bit {
            NOTICED_BIT => (How::Noticed, noticed.unwrap_or_default()),
            MISFIT_BIT | STUCK_DIFFERS_BIT => misfit.map_or_else(
                || (How::StuckDiffers, "at the start".to_string()),
                |m| (how(&m), describe(&m)),
            ),
            _ => {
                let property = PROPERTIES.get(bit).map_or("?", |p| p.name);
                (How::Property, format!("{property} is violated"))
            }
        };
        Counterexample {
            how,
            reason,
            steps: hit.depth,
            switches: hit.switches,
            lines,
        }
    }

    /// The run again, step by step: actions with the protocol's lines, and what the last step showed.
    fn lines(&self, trail: &Trail) -> (Vec<Line>, Option<Misfit>, Option<String>) {
        let r = &self.refinement;
        let path = replay_trail(r, trail).unwrap_or_default();
        let (mut lines, mut misfit, mut noticed) = (Vec::new(), None, None);
        let Some((_, mut last)) = path.first().copied() else {
            return (lines, misfit, noticed);
        };
        for (action, _) in &path[1..] {
            let Some(action) = action else { continue };
            let line = r.spec.line(&last.spec, action);
            lines.push(Line {
                action: action.to_string(),
                protocol: line.map_or(String::new(), |(_, line)| line.source.to_string()),
            });
            let (next, found) = r.step(&last, action);
            noticed = next.code.noticed.map(|n| n.to_string());
            misfit = found;
            last = next;
        }
        (lines, misfit, noticed)
    }
}

fn how(misfit: &Misfit) -> How {
    match misfit {
        Misfit::Refused { .. } => How::Refused,
        Misfit::Disagrees(_) => How::Disagrees,
        Misfit::Stuck { .. } => How::StuckDiffers,
    }
}

fn describe(misfit: &Misfit) -> String {
    match misfit {
        Misfit::Refused { seen, refused, .. } => format!(
            "the code reports {seen:?}; the protocol would have to do {}, but {}",
            refused.wanted, refused.reason
        ),
        Misfit::Disagrees(disagreement) => disagreement.to_string(),
        Misfit::Stuck { code, spec } => {
            format!(
                "the code is stuck in {}, the protocol in {}",
                contexts(*code),
                contexts(*spec)
            )
        }
    }
}

/// `CPU0, CPU1 (irq)`.
fn contexts(bits: u8) -> String {
    let name = |i: u8| format!("CPU{}{}", i / 2, if i % 2 == 1 { " (irq)" } else { "" });
    let names: Vec<_> = (0..8).filter(|i| bits >> i & 1 == 1).map(name).collect();
    if names.is_empty() {
        "nobody".to_string()
    } else {
        names.join(", ")
    }
}

/// The facts that the code without a fault shows in a place.
///
/// # Errors
/// If it does not fit the protocol there, or the search was cut off.
pub fn baseline(place: &Place, options: &Options) -> Result<u64, EvidenceError> {
    let config = place
        .config(VariantSet::NONE)
        .map_err(|error| EvidenceError::Place {
            name: "baseline",
            error,
        })?;
    let axes = map::config::axes(&config.design);
    let explored = explore(&config, straight(axes), options);
    if let Some(stop) = explored.stopped {
        return Err(EvidenceError::Stopped(place.command(), stop));
    }
    if let Some((bit, hit)) = explored.shortest(OF_THE_CODE) {
        let reason = explored.tell(bit, hit).reason;
        return Err(EvidenceError::Baseline(place.command(), reason));
    }
    if let Some(found) = explored.refinement.code.code.nondeterminism() {
        return Err(EvidenceError::Baseline(
            place.command(),
            format!("{found:?}"),
        ));
    }
    Ok(explored.bits())
}

/// Explores the mutated code. `without` are the facts of [`baseline`] in its place.
///
/// # Errors
/// If the search was cut off before anything was noticed.
pub fn refinement(
    mutant: &Mutant,
    without: u64,
    options: &Options,
) -> Result<Refuted, EvidenceError> {
    let config = config(mutant, &mutant.place, VariantSet::NONE)?;
    let explored = explore(&config, mutant.runnable(&config), options);
    let properties = (1 << PROPERTIES.len()) - 1;
    let kills = OF_THE_CODE | properties & !without;
    let found = explored.shortest(kills);
    let counterexample = found.map(|(bit, hit)| explored.tell(bit, hit));
    let nondeterminism = explored.refinement.code.code.nondeterminism();
    let counterexample = counterexample.or_else(|| {
        nondeterminism.map(|found| Counterexample {
            how: How::Nondeterministic,
            reason: format!("{found:?}"),
            steps: 0,
            switches: 0,
            lines: Vec::new(),
        })
    });
    if let (None, Some(stop)) = (&counterexample, explored.stopped) {
        return Err(EvidenceError::Stopped(mutant.name.to_string(), stop));
    }
    Ok(Refuted {
        counterexample,
        states: explored.states,
        runs: explored.refinement.code.code.runs(),
    })
}

fn config(mutant: &Mutant, place: &Place, variants: VariantSet) -> Result<Config, EvidenceError> {
    place
        .config(variants)
        .map_err(|error| EvidenceError::Place {
            name: mutant.name,
            error,
        })
}

/// The protocol with the same deviation, if there is one, and without.
fn deviating(mutant: &Mutant) -> Result<Option<[Config; 2]>, EvidenceError> {
    let place = mutant.model_place.unwrap_or(mutant.place);
    let right = config(mutant, &place, VariantSet::NONE)?;
    let wrong = match (mutant.variant, mutant.design) {
        (Some(variant), _) => config(mutant, &place, VariantSet::only(variant))?,
        (None, Some(design)) => {
            let (environment, workload) = (right.environment, right.workload.clone());
            Config::new(design, environment, workload, VariantSet::NONE).map_err(|error| {
                EvidenceError::Place {
                    name: mutant.name,
                    error: error.into(),
                }
            })?
        }
        (None, None) => return Ok(None),
    };
    Ok(Some([wrong, right]))
}

/// Checks the protocol with the same deviation: it must violate what the protocol does not.
///
/// # Errors
/// If a search was cut off.
pub fn model(mutant: &Mutant, options: &Options) -> Result<Finding, EvidenceError> {
    let Some([wrong, right]) = deviating(mutant)? else {
        return Ok(Finding::NotAsked);
    };
    let violated = |config: Config| {
        let result = check(&Protocol::new(config), options);
        match result.stopped {
            Some(stop) => Err(EvidenceError::Stopped(mutant.name.to_string(), stop)),
            None => Ok(result.violated().collect::<Vec<_>>()),
        }
    };
    let (mut wrong, right) = (violated(wrong)?, violated(right)?);
    wrong.retain(|name| !right.contains(name));
    Ok(Finding::of((!wrong.is_empty()).then(|| wrong.join(", "))))
}

/// Proves the protocol with the same deviation: it must no longer be acyclic.
///
/// # Errors
/// If the place does not exist.
pub fn order(mutant: &Mutant) -> Result<Finding, EvidenceError> {
    let configs = deviating(mutant)?.filter(|_| mutant.order);
    let Some([wrong, right]) = configs else {
        return Ok(Finding::NotAsked);
    };
    let proof = |config: &Config| {
        let config = for_any_number(config).unwrap_or_else(|_| config.clone());
        Order::of(&config).proof()
    };
    let (wrong, right) = (proof(&wrong), proof(&right));
    let noticed = right == Proof::Acyclic && wrong != Proof::Acyclic;
    Ok(Finding::of(noticed.then(|| wrong.name().to_string())))
}

/// Whether there is a compile-fail test of the same mistake; that it fails to compile is the test's to show.
///
/// # Errors
/// If the test does not exist.
pub fn types(mutant: &Mutant) -> Result<Finding, EvidenceError> {
    let name = mutant.name;
    mutant.types.map_or(Ok(Finding::NotAsked), |test| {
        let said = compiler_says(test).ok_or(EvidenceError::Test { name, test })?;
        let first = said.lines().next().unwrap_or_default();
        let message = first.split_once(": ").map_or(first, |(_, m)| m);
        Ok(Finding::of(
            (!message.is_empty()).then(|| message.to_string()),
        ))
    })
}

/// Runs the fault on real threads for so long at most.
///
/// # Errors
/// If the system has no threads to give, or `cancel` was raised before anything was noticed.
pub fn stress(
    mutant: &Mutant,
    duration: Duration,
    cancel: &AtomicBool,
) -> Result<Finding, EvidenceError> {
    let Some(fault) = mutant.stress else {
        return Ok(Finding::NotAsked);
    };
    let config = StressConfig {
        duration,
        fault: Some(fault),
        ..StressConfig::default()
    };
    let outcome = stress::run(&config, Some(cancel))?;
    let words = match &outcome.verdict {
        Verdict::Cancelled => {
            let name = mutant.name.to_string();
            return Err(EvidenceError::Stopped(name, Stop::Cancelled));
        }
        Verdict::Clean => None,
        Verdict::Hung(_) => Some("hangs".to_string()),
        Verdict::Violated => outcome.first_violations.first().map(|v| v.to_string()),
    };
    Ok(Finding::of(words))
}
