//! The run that is exported: a schedule, of the protocol or of the code, or the shortest counterexample of a
//! configuration.

use super::write;
use crate::cli::bounds::Bounds;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output::{self, ProgressLine};
use crate::cli::subject::Subject;
use crate::cli::{check, refine, replay, scenario};
use shootdown_refinement::export::Run;
use shootdown_spec::check::{CheckResult, check};
use shootdown_spec::config::Config;
use shootdown_spec::model::Protocol;
use shootdown_spec::schedule::Schedule;
use shootdown_spec::trace::Trace;
use shootdown_spec::verdict::Verdict;
use std::path::PathBuf;

/// Where the run comes from, and where the text goes to.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// A schedule, a file that holds one, or `-` for stdin, as `replay` takes it, or a scenario file; without one the
    /// shortest counterexample of the configuration below
    #[arg(conflicts_with_all = ["Subject", "DesignArgs", "EnvironmentArgs"])]
    schedule: Option<String>,
    /// The run of that scenario, as `check` prints it; without one its shortest counterexample
    #[arg(value_name = "STRING", requires = "schedule")]
    string: Option<String>,
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    bounds: Bounds,
    /// The property that the run is a counterexample of [default: the first that is violated]
    #[arg(long, value_name = "NAME")]
    property: Option<String>,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What there is to export.
pub enum Wanted {
    /// A run.
    Run(Box<Run>),
    /// A configuration that was not explored.
    Config(Box<Config>),
    /// Nothing; stderr says why.
    Nothing(ExitCode),
}

impl RunArgs {
    /// Writes what comes of the run; nothing to write is exit code 1.
    pub fn export(&self, text: impl Fn(&Run) -> Option<String>) -> Result<ExitCode, CliError> {
        let run = match self.wanted()? {
            Wanted::Run(run) => run,
            Wanted::Config(config) => match self.shortest(*config)? {
                Ok(run) => run,
                Err(code) => return Ok(code),
            },
            Wanted::Nothing(code) => return Ok(code),
        };
        match text(&run) {
            Some(text) => write(&self.output, text),
            None => {
                output::complain!(
                    "error: nothing in this run that would be reported: no wait without end, no order that \
                     could deadlock\n  `export markdown` tells any run"
                );
                Ok(ExitCode::NotAsExpected)
            }
        }
    }

    /// The scenario whose run is wanted, if it is one's.
    pub fn scenario(&self) -> Option<scenario::export::Wanted<'_>> {
        let one = self.schedule.as_deref()?;
        let (file, string) = scenario::replay::arguments(one, self.string.as_deref())?;
        Some(scenario::export::Wanted {
            file,
            string,
            property: self.property.as_deref(),
            output: &self.output,
            bounds: &self.bounds,
        })
    }

    /// The run of the schedule, or the configuration.
    pub fn wanted(&self) -> Result<Wanted, CliError> {
        check::known(self.property.as_deref())?;
        let Some(argument) = &self.schedule else {
            let config = self.subject.config("tracked", "everything")?;
            return Ok(Wanted::Config(Box::new(config)));
        };
        if self.bounds.is_given() {
            return Err(CliError::NothingToBound);
        }
        let (source_name, text) = replay::read(argument)?;
        let text = text.trim();
        let of_code = text.strip_prefix(refine::CODE);
        let schedule = Schedule::parse(of_code.unwrap_or(text).trim()).map_err(|error| {
            let behind = if of_code.is_some() {
                format!(", after `{}`", refine::CODE)
            } else {
                String::new()
            };
            CliError::Schedule {
                source_name: format!("{source_name}{behind}"),
                error,
            }
        })?;
        let trace = match of_code {
            Some(_) => match translated(&schedule)? {
                Ok(trace) => trace,
                Err(step) => {
                    output::complain!(
                        "error: {source_name}: the code does not do this, or the protocol cannot follow it: step {step}\n  \
                         `shootdown replay` says why"
                    );
                    return Ok(Wanted::Nothing(ExitCode::NotAsExpected));
                }
            },
            None => schedule.trace,
        };
        let protocol = Protocol::new(schedule.config);
        let run = match Run::new(protocol, trace, self.property.as_deref()) {
            Ok(run) => run,
            Err(error) => {
                output::complain!("error: {source_name}: the schedule does not fit: {error}");
                return Ok(Wanted::Nothing(ExitCode::NotAsExpected));
            }
        };
        if let Some(to) = run.trace.loops_to
            && run.states.get(to) != run.states.last()
        {
            output::complain!(
                "error: {source_name}: the loop does not close: after the last step things are not as before step {}",
                to + 1
            );
            return Ok(Wanted::Nothing(ExitCode::NotAsExpected));
        }
        Ok(Wanted::Run(Box::new(run)))
    }

    /// The shortest counterexample; if there is none, how to exit.
    fn shortest(&self, config: Config) -> Result<Result<Box<Run>, ExitCode>, CliError> {
        self.output
            .iter()
            .try_for_each(|path| output::try_out(path))?;
        let protocol = Protocol::new(config);
        let mut options = self.bounds.options(output::cancel_on_signals()?)?;
        let progress = ProgressLine::new("exploring");
        options.progress = Some(progress.callback());
        let result = check(&protocol, &options);
        progress.finish();
        let wanted = |name: &str| self.property.as_deref().is_none_or(|p| p == name);
        let mut violated = check::violated(&result).filter(|p| wanted(p.name));
        if let Some(property) = violated.next()
            && let Some(found) = &property.counterexample
        {
            let run = Run::new(protocol, found.trace.clone(), Some(property.name));
            return Ok(Ok(Box::new(run.expect("the search walked this run"))));
        }
        output::complain!(
            "error: no counterexample: {}",
            self.why_none(&protocol, &result)
        );
        Ok(Err(match result.complete {
            true => ExitCode::NotAsExpected,
            false => ExitCode::Incomplete,
        }))
    }

    fn why_none(&self, protocol: &Protocol, result: &CheckResult) -> String {
        let subject = check::header(&protocol.config);
        let which = self.property.as_deref().unwrap_or("no property");
        let others: Vec<&str> = result.violated().collect();
        let verdict = match self.property.as_deref().and_then(|p| result.property(p)) {
            Some(p) if p.verdict != Verdict::Violated => format!("{which} {}", word(p.verdict)),
            _ if result.complete => "nothing is violated".to_string(),
            _ => "the search was cut off".to_string(),
        };
        let hint = match others.as_slice() {
            [] => {
                "another design or environment: `shootdown matrix` has those that violate something"
                    .to_string()
            }
            others => format!("violated here: {}", others.join(", ")),
        };
        format!("{verdict} in {}\n  {hint}", subject.trim())
    }
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Incomplete => "is undecided, the search was cut off,".to_string(),
        Verdict::Vacuous => "is vacuous".to_string(),
        verdict => verdict.to_string(),
    }
}

/// A run of the code in the protocol's steps, or the first step that it does not have.
fn translated(schedule: &Schedule) -> Result<Result<Trace, usize>, CliError> {
    use stateright::Model as _;
    let mut refinement = refine::refinement(schedule.config.clone())?;
    let run = &schedule.trace;
    let (translated, _) = refinement.settled(|refinement| {
        let mut at = refinement.initial(&run.start);
        for (i, action) in run.actions.iter().enumerate() {
            let Some(next) = refinement.next_state(&at, *action) else {
                return Err(i + 1);
            };
            at = next;
        }
        let translated = refinement.translate(run);
        match translated.fits == run.actions.len() {
            true => Ok(translated.trace),
            false => Err(translated.fits + 1),
        }
    });
    Ok(translated)
}
