//! The other checker: Spin or TLC, asked the same questions.

use super::Says;
use crate::cli::error::CliError;
use crate::expectation::Cell;
use crate::spin::{How, Spin};
use crate::tlc::{Question, Tlc};
use clap::ValueEnum;
use shootdown_spec::config::Config;
use shootdown_spec::export::promela::{self, EXTRA_STATES};
use shootdown_spec::export::{Exported, tla};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Who is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum With {
    /// The Spin verifier, on a Promela model
    #[default]
    Spin,
    /// TLC, on a TLA+ module
    Tlc,
}

/// A checker that was found to work.
#[derive(Clone, Debug)]
pub enum Checker {
    /// Spin.
    Spin(Spin),
    /// TLC.
    Tlc(Tlc),
}

/// What the checker says of a cell, and the time it took to get ready and to look.
#[derive(Debug)]
pub struct Answer {
    pub says: Says,
    pub took: [Duration; 2],
}

/// Cells of up to this many states are asked for `progress` as well, where the checker can decide it.
pub const PROGRESS_MOST: u64 = 10_000;

impl With {
    /// States of the largest cells that are compared without being asked for: Spin can do all, TLC
    /// is slow beside it, and starts a Java for every cell. Each claim has a cell of that size.
    pub fn most(self) -> Option<u64> {
        match self {
            With::Spin => None,
            With::Tlc => Some(25_000),
        }
    }

    /// As `most`, for cells whose counterexample tells the story of a claim: what a second opinion
    /// is wanted on most, and few enough to wait for.
    pub fn most_of_told(self) -> Option<u64> {
        match self {
            With::Spin => None,
            With::Tlc => Some(100_000),
        }
    }

    /// Is a cell compared without being asked for?
    pub fn takes(self, cell: &Cell) -> bool {
        let most = match cell.show {
            Some(_) => self.most_of_told(),
            None => self.most(),
        };
        most.is_none_or(|most| cell.states <= most)
    }

    /// The name of its part of docs/second-opinion.md.
    pub fn part(self) -> &'static str {
        match self {
            With::Spin => "spin",
            With::Tlc => "tlc",
        }
    }

    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            With::Spin => "Spin",
            With::Tlc => "TLC",
        }
    }

    /// What has to be said about its numbers.
    pub fn remark(self) -> &'static str {
        match self {
            With::Spin => "Spin's one state before init is taken off",
            With::Tlc => "TLC's numbers are as it printed them",
        }
    }
}

impl Checker {
    /// Looks for the checker.
    ///
    /// # Errors
    /// With what is missing and how to get it.
    pub fn find(with: With, tla2tools: Option<&Path>) -> Result<Checker, CliError> {
        Ok(match with {
            With::Spin => Checker::Spin(Spin::find()?),
            With::Tlc => Checker::Tlc(Tlc::find(tla2tools)?),
        })
    }

    /// Which one it is.
    pub fn with(&self) -> With {
        match self {
            Checker::Spin(_) => With::Spin,
            Checker::Tlc(_) => With::Tlc,
        }
    }

    /// What it calls itself.
    pub fn version(&self) -> &str {
        match self {
            Checker::Spin(spin) => &spin.version,
            Checker::Tlc(tlc) => &tlc.version,
        }
    }

    /// Does it decide `progress` for a cell of this size?
    pub fn decides_progress(&self, states: u64) -> bool {
        matches!(self, Checker::Tlc(_)) && states <= PROGRESS_MOST
    }

    /// The model that it gets.
    pub fn model(&self, config: &Config) -> String {
        match self {
            Checker::Spin(_) => promela::write(config),
            Checker::Tlc(_) => tla::write(config, &tla::module_name(config)),
        }
    }

    /// Asks about a configuration with this model, which `check` found to have `states` states;
    /// for `progress` too, if `check` has looked and it is small enough.
    ///
    /// # Errors
    /// If it gives no verdict.
    pub fn ask(
        &self,
        config: &Config,
        model: String,
        states: u64,
        progress: bool,
        cancel: &AtomicBool,
    ) -> Result<Answer, CliError> {
        let progress = progress && self.decides_progress(states);
        match self {
            Checker::Spin(spin) => by_spin(spin, &model, states, cancel),
            Checker::Tlc(tlc) => by_tlc(tlc, config, model, progress, cancel),
        }
    }
}

fn by_spin(spin: &Spin, model: &str, states: u64, cancel: &AtomicBool) -> Result<Answer, CliError> {
    let how = How {
        reduce: false,
        expected: states,
    };
    let opinion = spin.verify(model, how, cancel)?;
    let p = &opinion.printed;
    let says = Says {
        violated: among(|name| match name {
            "no_deadlock" => p.invalid_end_state,
            _ => p.assertions.contains(name),
        }),
        progress_violated: None,
        states: p.states - EXTRA_STATES,
        transitions: p.transitions - EXTRA_STATES,
    };
    Ok(Answer {
        says,
        took: [opinion.compiling, opinion.verifying],
    })
}

fn by_tlc(
    tlc: &Tlc,
    config: &Config,
    model: String,
    progress: bool,
    cancel: &AtomicBool,
) -> Result<Answer, CliError> {
    let name = tla::module_name(config);
    let (survey, cfg) = tla::survey(config, &name);
    let module = (name.clone(), model);
    let question = Question {
        module: tla::SURVEY.into(),
        cfg,
        modules: vec![module.clone(), (tla::SURVEY.into(), survey)],
    };
    let opinion = tlc.verify(&question, cancel)?;
    let mut took = [Duration::ZERO, opinion.took];
    let mut progress_violated = None;
    if progress {
        let cfg = tla::cfg(config, tla::Question::Progress);
        let cfg = cfg.expect("it does not ask for symmetry");
        let question = Question {
            module: name,
            cfg,
            modules: vec![module],
        };
        let opinion = tlc.verify(&question, cancel)?;
        progress_violated = Some(opinion.printed.progress_violated);
        took[0] = opinion.took;
    }
    let p = &opinion.printed;
    let says = Says {
        violated: among(|name| p.violated.contains(name)),
        progress_violated,
        states: p.states,
        transitions: p.transitions,
    };
    Ok(Answer { says, took })
}

/// Those of the properties of states that are violated.
pub fn among(violated: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let names = Exported::state_properties().map(|p| p.name);
    names.filter(|n| violated(n)).collect()
}
