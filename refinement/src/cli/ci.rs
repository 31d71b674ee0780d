//! The flags for machines that collect results, and what each command tells them.

use super::check;
use super::error::CliError;
use super::output;
use clap::ValueHint;
use shootdown_refinement::ci::{Case, Outcome, Report, github, junit, sarif, source};
use shootdown_refinement::export::Run;
use shootdown_spec::check::CheckResult;
use shootdown_spec::model::Protocol;
use shootdown_spec::property::Property;
use shootdown_spec::verdict::{PropertyResult, Verdict};
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Where results go besides stdout.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Results for CI")]
pub struct CiArgs {
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    junit: Option<PathBuf>,
    /// Write what is wrong as SARIF 2.1.0
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    sarif: Option<PathBuf>,
    /// Print GitHub annotations of what is wrong, on stderr
    #[arg(long)]
    github: bool,
}

impl CiArgs {
    /// Was any flag given?
    pub fn is_given(&self) -> bool {
        self.junit.is_some() || self.sarif.is_some() || self.github
    }

    /// Tries whether the files can be written: before the work, not after it.
    pub fn try_out(&self) -> Result<(), CliError> {
        let mut files = self.junit.iter().chain(&self.sarif);
        files.try_for_each(|path| output::try_out(path))
    }

    /// Writes what was asked for; `report` is made only if something was.
    pub fn write(&self, report: impl FnOnce() -> Report) -> Result<(), CliError> {
        if !self.is_given() {
            return Ok(());
        }
        let report = report();
        let file = |path: &Option<PathBuf>, text: &dyn Fn(&Report) -> String| match path {
            None => Ok(()),
            Some(path) => output::write_file(path, text(&report)),
        };
        file(&self.junit, &junit::junit)?;
        file(&self.sarif, &sarif::sarif)?;
        if self.github {
            // A reader that has gone away has what it wanted.
            let _ = io::stderr().write_all(github::github(&report).as_bytes());
        }
        Ok(())
    }
}

/// A case for each property of a configuration.
pub fn properties(protocol: &Protocol, result: &CheckResult) -> Vec<Case> {
    let suite = check::header(&protocol.config).trim().to_string();
    let mut cases: Vec<Case> = result
        .properties
        .iter()
        .map(|p| Case {
            suite: suite.clone(),
            name: p.name.to_string(),
            outcome: outcome(protocol, result, p),
            time: None,
        })
        .collect();
    // One search decides them all.
    if let Some(first) = cases.first_mut() {
        first.time = Some(result.elapsed);
    }
    cases
}

fn outcome(protocol: &Protocol, result: &CheckResult, property: &PropertyResult) -> Outcome {
    match property.verdict {
        Verdict::Holds => Outcome::Passed,
        Verdict::Violated => Outcome::Failed(finding(protocol, property).into_iter().collect()),
        Verdict::Vacuous => {
            let unreached = property.witnesses.iter().filter(|(_, reached)| !reached);
            let unreached: Vec<&str> = unreached.map(|(name, _)| *name).collect();
            Outcome::Skipped(format!("vacuous, never reached: {}", unreached.join(", ")))
        }
        Verdict::Incomplete => Outcome::Undecided(match result.stopped {
            Some(stopped) => format!("incomplete: {stopped}"),
            None => "incomplete".to_string(),
        }),
    }
}

/// The counterexample of a violated property, which must be one of the protocol.
pub fn finding(
    protocol: &Protocol,
    property: &PropertyResult,
) -> Option<shootdown_refinement::ci::Finding> {
    let (_, of) = Property::named(property.name)?;
    let trace = property.counterexample.as_ref()?.trace.clone();
    let run = Run::new(protocol.clone(), trace, Some(property.name)).ok()?;
    Some(source::violation(&run, of))
}
