//! `second-opinion FILE...`: scenarios once more, by Spin or by TLC.

mod faults;

use super::model::exported;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use crate::spin::{How, Spin};
use crate::tlc::{Question, Tlc};
use shootdown_ir::check::{Verdict, check};
use shootdown_ir::explore::Bounds;
use shootdown_ir::export::{Exported, ends, promela, tla};
use shootdown_refinement::scenario::Scenario;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What a checker says: states, what is violated, `end` among it.
type Says = (u64, BTreeSet<String>);

/// Who is asked.
pub enum Asked {
    /// The Spin verifier.
    Spin(Spin),
    /// TLC.
    Tlc(Tlc),
}

impl Asked {
    /// Finds Spin, or TLC.
    pub fn find(with_tlc: bool, jar: Option<&Path>) -> Result<Asked, CliError> {
        Ok(match with_tlc {
            true => Asked::Tlc(Tlc::find(jar)?),
            false => Asked::Spin(Spin::find()?),
        })
    }

    /// The model that it is given.
    fn model(&self, exported: &Exported<'_>) -> String {
        match self {
            Asked::Spin(_) => promela::write(exported),
            Asked::Tlc(_) => tla::write(exported),
        }
    }

    /// What it says of a model that makes these promises; `states` is what to expect.
    fn of(
        &self,
        model: String,
        promised: &BTreeSet<&str>,
        states: u64,
        cancel: &AtomicBool,
    ) -> Result<Says, CliError> {
        match self {
            Asked::Spin(spin) => {
                let how = How {
                    reduce: false,
                    expected: states,
                };
                let printed = spin.verify(&model, how, cancel)?.printed;
                let failed = |n: &&&str| printed.assertions.contains(&promela::asserted(n));
                let mut what: BTreeSet<String> = promised
                    .iter()
                    .filter(failed)
                    .map(|n| (*n).to_string())
                    .collect();
                what.extend(printed.invalid_end_state.then(|| tla::END.to_string()));
                Ok((printed.states.saturating_sub(promela::EXTRA_STATES), what))
            }
            Asked::Tlc(tlc) => {
                let question = Question {
                    module: tla::MODULE.into(),
                    cfg: tla::CFG.into(),
                    modules: vec![(tla::MODULE.into(), model)],
                };
                let printed = tlc.verify(&question, cancel)?.printed;
                Ok((printed.states, printed.violated))
            }
        }
    }
}

/// A scenario and what we say of it; `None` where our search was cut off.
fn ours(
    scenario: &Scenario,
    exported: &Exported<'_>,
    most: Option<u64>,
    cancel: &AtomicBool,
) -> Option<Says> {
    let machine = scenario.machine();
    let bounds = Bounds {
        states: most.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        cancel: Some(cancel),
        ..Bounds::default()
    };
    let outcome = check(&scenario.protocol, &machine, bounds);
    if outcome.cut().is_some() {
        return None;
    }
    let promised = exported.promised();
    let mut what: BTreeSet<String> = outcome
        .results
        .iter()
        .filter(|r| r.verdict == Verdict::Violated && promised.contains(r.name.as_str()))
        .map(|r| r.name.clone())
        .collect();
    what.extend(ends(&machine, &outcome.graph).then(|| tla::END.to_string()));
    Some((outcome.graph.len() as u64, what))
}

fn told((states, what): &Says) -> String {
    let what: Vec<&str> = what.iter().map(String::as_str).collect();
    format!(
        "{} states, violated: {}",
        output::count(*states),
        what.join(" ")
    )
}

/// Compares each file; a difference is exit code 1. With `spoil`, plants faults in the models instead.
pub fn run(
    files: &[PathBuf],
    asked: &Asked,
    most: Option<u64>,
    spoil: bool,
) -> Result<ExitCode, CliError> {
    let cancel = output::cancel_on_signals()?;
    if spoil {
        return faults::run(files, asked, &cancel);
    }
    let mut code = ExitCode::AsPromised;
    // A line for each file as soon as it is known: what fails later loses none.
    for file in files {
        let (line, came) = match cancel.load(Ordering::Relaxed) {
            true => (NOT_COMPARED.to_string(), ExitCode::Incomplete),
            false => opinion(file, asked, most, &cancel)?,
        };
        output::print(format!("{}: {line}\n", file.display()))?;
        code = code.max(came);
    }
    Ok(code)
}

const NOT_COMPARED: &str = "INCOMPLETE: not compared";

/// The line on one file, and what it adds to the exit code.
fn opinion(
    file: &Path,
    asked: &Asked,
    most: Option<u64>,
    cancel: &AtomicBool,
) -> Result<(String, ExitCode), CliError> {
    let scenario = Scenario::read(file)?;
    let machine = scenario.machine();
    let exported = exported(&scenario, &machine)?;
    let Some(ours) = ours(&scenario, &exported, most, cancel) else {
        return Ok((
            "INCOMPLETE: nothing is compared".to_string(),
            ExitCode::Incomplete,
        ));
    };
    let promised = exported.promised();
    let theirs = match asked.of(asked.model(&exported), &promised, ours.0, cancel) {
        Ok(theirs) => theirs,
        Err(_) if cancel.load(Ordering::Relaxed) => {
            return Ok((NOT_COMPARED.to_string(), ExitCode::Incomplete));
        }
        Err(error) => return Err(error),
    };
    Ok(match ours == theirs {
        true => (format!("same: {}", told(&ours)), ExitCode::AsPromised),
        false => (
            format!("DIFFERENT: {}; the other: {}", told(&ours), told(&theirs)),
            ExitCode::NotAsExpected,
        ),
    })
}
