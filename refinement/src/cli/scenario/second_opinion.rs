//! `second-opinion FILE...`: scenarios once more, by Spin or by TLC.

use super::model::exported;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use crate::spin::{How, Spin};
use crate::tlc::{Question, Tlc};
use shootdown_ir::check::{Verdict, check};
use shootdown_ir::explore::Bounds;
use shootdown_ir::export::{ends, promela, tla};
use shootdown_refinement::scenario::Scenario;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

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
}

/// Compares each file; a difference is exit code 1.
pub fn run(files: &[PathBuf], asked: &Asked) -> Result<ExitCode, CliError> {
    let mut code = ExitCode::AsPromised;
    let mut text = String::new();
    let cancel = output::cancel_on_signals()?;
    for file in files {
        if cancel.load(Ordering::Relaxed) {
            let _ = writeln!(text, "{}: INCOMPLETE: not compared", file.display());
            code = code.max(ExitCode::Incomplete);
            continue;
        }
        let scenario = Scenario::read(file)?;
        let machine = scenario.machine();
        let bounds = Bounds {
            cancel: Some(&cancel),
            ..Bounds::default()
        };
        let outcome = check(&scenario.protocol, &machine, bounds);
        if outcome.cut().is_some() {
            let _ = writeln!(text, "{}: INCOMPLETE: nothing is compared", scenario.file);
            code = code.max(ExitCode::Incomplete);
            continue;
        }
        let exported = exported(&scenario, &machine)?;
        let promised = exported.promised();
        let violated = outcome
            .results
            .iter()
            .filter(|r| r.verdict == Verdict::Violated);
        let mut what: BTreeSet<String> = violated
            .map(|r| r.name.clone())
            .filter(|n| promised.contains(n.as_str()))
            .collect();
        what.extend(ends(&machine, &outcome.graph).then(|| tla::END.to_string()));
        let ours: Says = (outcome.graph.len() as u64, what);
        let theirs: Result<Says, CliError> = match asked {
            Asked::Spin(spin) => {
                let how = How {
                    reduce: false,
                    expected: ours.0,
                };
                let said = spin.verify(&promela::write(&exported), how, &cancel);
                said.map_err(CliError::from).map(|said| {
                    let printed = said.printed;
                    let failed = |n: &&&str| printed.assertions.contains(&promela::asserted(n));
                    let mut what: BTreeSet<String> = promised
                        .iter()
                        .filter(failed)
                        .map(|n| (*n).to_string())
                        .collect();
                    what.extend(printed.invalid_end_state.then(|| tla::END.to_string()));
                    (printed.states - promela::EXTRA_STATES, what)
                })
            }
            Asked::Tlc(tlc) => {
                let question = Question {
                    module: tla::MODULE.into(),
                    cfg: tla::CFG.into(),
                    modules: vec![(tla::MODULE.into(), tla::write(&exported))],
                };
                let said = tlc.verify(&question, &cancel);
                said.map_err(CliError::from)
                    .map(|said| (said.printed.states, said.printed.violated))
            }
        };
        let theirs = match theirs {
            Ok(theirs) => theirs,
            Err(_) if cancel.load(Ordering::Relaxed) => {
                let _ = writeln!(text, "{}: INCOMPLETE: not compared", scenario.file);
                code = code.max(ExitCode::Incomplete);
                continue;
            }
            Err(error) => return Err(error),
        };
        let says = |(states, what): &Says| {
            let what: Vec<&str> = what.iter().map(String::as_str).collect();
            format!(
                "{} states, violated: {}",
                output::count(*states),
                what.join(" ")
            )
        };
        let _ = match ours == theirs {
            true => writeln!(text, "{}: same: {}", scenario.file, says(&ours)),
            false => {
                code = code.max(ExitCode::NotAsExpected);
                writeln!(
                    text,
                    "{}: DIFFERENT: {}; the other: {}",
                    scenario.file,
                    says(&ours),
                    says(&theirs)
                )
            }
        };
    }
    output::print(text)?;
    Ok(code)
}
