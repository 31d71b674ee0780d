//! A configuration searched as it is, and with an edit; where the two differ.

use super::Editable;
use crate::check::verdicts;
use crate::lower::facts::{self, Facts};
use crate::property::PROPERTIES;
use crate::verdict::Verdict;
use shootdown_ir::edit::{Compare, Edits};
use shootdown_ir::levels::{self, Observe, Stopped};
use shootdown_ir::machine::Machine;
use shootdown_ir::packed::Packed;
use shootdown_ir::system::System;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// When a search ends early.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// With more states than this.
    pub states: u64,
    /// After this time.
    pub timeout: Option<Duration>,
    /// When somebody raises this.
    pub cancel: &'a AtomicBool,
}

/// What a search came to: all that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Distinct states.
    pub states: u64,
    /// Transitions, initial states counted as one each.
    pub transitions: u64,
    /// It ended at its limit of states; the rest is what was seen until then.
    pub beyond: bool,
    /// Every property's verdict.
    pub verdicts: Vec<Verdict>,
    /// Every property's witnesses.
    pub witnesses: Vec<Vec<(&'static str, bool)>>,
    /// Steps that could not be carried out, runs in circles.
    pub errors: Vec<String>,
}

/// One thing in which an edit shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Who notices: `verdict`, `witness`, `error`, `states`, `transitions`.
    pub check: &'static str,
    /// Which property or witness.
    pub what: String,
    /// Without the edit.
    pub old: String,
    /// With it.
    pub new: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what.is_empty() {
            true => write!(f, "{}: {}, was {}", self.check, self.new, self.old),
            false => write!(
                f,
                "{} {}: {}, was {}",
                self.check, self.what, self.new, self.old
            ),
        }
    }
}

impl Outcome {
    /// Everything in which an edited run differs from this one, what tells most first.
    pub fn differences(&self, edited: &Outcome) -> Vec<Difference> {
        let mut all = Vec::new();
        let mut add = |check, what: &str, old: String, new: String| {
            all.push(Difference {
                check,
                what: what.to_string(),
                old,
                new,
            });
        };
        let pairs = self.verdicts.iter().zip(&edited.verdicts);
        for (property, (old, new)) in PROPERTIES.iter().zip(pairs) {
            // What was cut off says only what it saw.
            let decided = *new != Verdict::Incomplete;
            if decided && old != new {
                add("verdict", property.name, old.to_string(), new.to_string());
            }
        }
        let said = |reached: bool| if reached { "reached" } else { "not reached" };
        let mut told: Vec<&str> = Vec::new();
        let pairs = self
            .witnesses
            .iter()
            .flatten()
            .zip(edited.witnesses.iter().flatten());
        for ((name, old), (_, new)) in pairs {
            let decided = *new || !edited.beyond && edited.errors.is_empty();
            if decided && old != new && !told.contains(name) {
                told.push(name);
                add("witness", name, said(*old).into(), said(*new).into());
            }
        }
        if self.errors != edited.errors {
            let list = |errors: &[String]| match errors.is_empty() {
                true => "none".to_string(),
                false => errors.join("; "),
            };
            add("error", "", list(&self.errors), list(&edited.errors));
        }
        // A search that an error ended counts nothing to its end.
        if edited.errors.is_empty() {
            let at_least = if edited.beyond { "at least " } else { "" };
            for (check, old, new) in [
                ("states", self.states, edited.states),
                ("transitions", self.transitions, edited.transitions),
            ] {
                if old != new && (!edited.beyond || new > old) {
                    add(check, "", old.to_string(), format!("{at_least}{new}"));
                }
            }
        }
        all
    }
}

/// A configuration as it is, with all its states.
#[derive(Debug)]
pub struct Baseline {
    /// What it comes to.
    pub outcome: Outcome,
    words: usize,
    states: Vec<u64>,
    /// By step: how often it is taken.
    taken: Vec<u64>,
}

/// A search that was cut off: by the time, or by whoever raised the flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cut off")]
pub struct CutOff;

/// What an edit does to the states that are reached without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// States in which somebody stands where the edit is.
    pub at: u64,
    /// A state of them has other successors with it.
    pub differs: bool,
}

/// What came of looking at the reached states.
pub type Scan = Result<Seen, CutOff>;

/// Looks at every state and transition that the engine goes through.
struct Watch<'a> {
    facts: &'a Facts,
    /// Kept only where they are wanted.
    states: Option<Mutex<Vec<u64>>>,
    taken: Vec<AtomicU64>,
}

impl Observe for Watch<'_> {
    type Memory = facts::Memory;

    fn facts(&self, words: &[u64], memory: &mut Self::Memory) -> u64 {
        if let Some(states) = &self.states
            && let Ok(mut states) = states.lock()
        {
            states.extend_from_slice(words);
        }
        self.facts.facts(words, memory)
    }

    fn rank(&self, words: &[u64]) -> u64 {
        self.facts.rank(words)
    }

    fn lowers_rank(&self, step: u32) -> bool {
        // Asked once for each transition.
        if let Some(taken) = self.taken.get(step as usize) {
            taken.fetch_add(1, Relaxed);
        }
        self.facts.lowers_rank(step)
    }

    fn has_work_left(&self, facts: u64) -> bool {
        self.facts.has_work_left(facts)
    }
}

impl Editable<'_> {
    /// Searches the configuration as it is.
    ///
    /// # Errors
    /// If it was cut off.
    pub fn baseline(&self, limits: Limits<'_>) -> Result<Baseline, CutOff> {
        self.search(&self.lowered.system, limits, true)
    }

    /// Searches it with an edit.
    ///
    /// # Errors
    /// If it was cut off, but not by the number of states.
    pub fn outcome(&self, edited: &Edits, limits: Limits<'_>) -> Result<Outcome, CutOff> {
        let edited = edited.applied(&self.lowered.system);
        Ok(self.search(&edited, limits, false)?.outcome)
    }

    fn search(&self, system: &System, limits: Limits<'_>, keep: bool) -> Result<Baseline, CutOff> {
        let machine = Machine::new(system);
        let packed = Packed::new(&machine);
        let facts = Facts::new(&self.lowered, &packed);
        let watch = Watch {
            facts: &facts,
            states: keep.then(Mutex::default),
            taken: match keep {
                true => system.steps.iter().map(|_| AtomicU64::new(0)).collect(),
                false => Vec::new(),
            },
        };
        let (stop, many) = (AtomicBool::new(false), AtomicBool::new(false));
        let tell = |p: &levels::Progress| {
            if p.distinct > limits.states {
                many.store(true, Relaxed);
            }
            if many.load(Relaxed) || limits.cancel.load(Relaxed) {
                stop.store(true, Relaxed);
            }
        };
        let options = levels::Options {
            timeout: limits.timeout,
            cancel: Some(&stop),
            tell: Some(&tell),
            ..levels::Options::default()
        };
        let found = levels::run(&packed, &watch, options).map_err(|_| CutOff)?;
        let beyond = many.load(Relaxed);
        let mut errors = Vec::new();
        match found.stopped {
            None => {}
            Some(Stopped::Misfit(step)) => {
                errors.push(format!("a value does not fit at {}", self.spot_of(step)));
            }
            Some(_) if beyond => {}
            Some(_) => return Err(CutOff),
        }
        if found.not_lowered > 0 {
            errors.push("there may be runs in circles".to_string());
        }
        let (verdicts, witnesses) = verdicts(self.lowered.config, &found).into_iter().unzip();
        let taken = watch.taken.into_iter().map(AtomicU64::into_inner);
        Ok(Baseline {
            outcome: Outcome {
                states: found.distinct,
                transitions: found.generated,
                beyond,
                verdicts,
                witnesses,
                errors,
            },
            words: machine.words(),
            taken: taken.collect(),
            states: match watch.states.map(Mutex::into_inner) {
                Some(Ok(states)) => states,
                _ => Vec::new(),
            },
        })
    }

    /// How often the step of a spot is taken.
    pub fn taken(&self, baseline: &Baseline, spot: &super::Spot) -> u64 {
        let steps = self.spots.get(spot).into_iter().flatten();
        steps.map(|&step| baseline.taken[step as usize]).sum()
    }

    /// Looks whether any state that is reached without the edit has other successors with it, up to the first.
    ///
    /// # Errors
    /// If somebody raised the flag.
    pub fn differs(
        &self,
        baseline: &Baseline,
        edited: &Edits,
        cancel: &AtomicBool,
    ) -> Result<bool, CutOff> {
        let machine = Machine::new(&self.lowered.system);
        let compare = Compare::new(&machine, edited);
        for (i, words) in baseline.states.chunks_exact(baseline.words).enumerate() {
            if i % 4096 == 0 && cancel.load(Relaxed) {
                return Err(CutOff);
            }
            if compare.differ(words) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks at every state that is reached without the edit.
    ///
    /// # Errors
    /// If somebody raised the flag.
    pub fn scan(&self, baseline: &Baseline, edited: &Edits, cancel: &AtomicBool) -> Scan {
        let machine = Machine::new(&self.lowered.system);
        let compare = Compare::new(&machine, edited);
        let mut seen = Seen::default();
        for (i, words) in baseline.states.chunks_exact(baseline.words).enumerate() {
            if i % 4096 == 0 && cancel.load(Relaxed) {
                return Err(CutOff);
            }
            if compare.is_reached(words) {
                seen.at += 1;
                seen.differs = seen.differs || compare.differ(words);
            }
        }
        Ok(seen)
    }
}
