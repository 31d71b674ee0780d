//! `replay`: a printed schedule, step by step.

mod code;

use super::Format;
use super::bounds::Bounds;
use super::check::MemoryModel;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use super::refine;
use super::scenario;
use super::subject::DesignArgs;
use serde::Serialize;
use shootdown_spec::config::Config;
use shootdown_spec::model::Protocol;
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::report::{self, StepRecord, TextOptions, steps};
use shootdown_spec::schedule::Schedule;
use shootdown_spec::trace::{Trace, TraceError};
use std::io::{self, Read, stdin};
use std::path::Path;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The schedule string, a file that holds one, or `-` for stdin; one that begins with `code:` is of the
    /// implementation
    schedule: String,
    /// The scenario file that the string is a run of
    #[arg(value_name = "FILE", conflicts_with = "DesignArgs")]
    file: Option<String>,
    /// Replay on another design, up to the first step it does not allow
    #[command(flatten)]
    design: DesignArgs,
    /// A scenario: memory as on x86, or sequentially consistent, whatever the file says
    #[arg(long, value_name = "MODEL", requires = "file")]
    pub(in crate::cli) memory: Option<MemoryModel>,
    /// For a scenario, whose whole space says what is stuck
    #[command(flatten)]
    pub(in crate::cli) bounds: Bounds,
    /// Show only the steps that matter
    #[arg(long)]
    pub(in crate::cli) brief: bool,
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    pub(in crate::cli) format: Format,
}

#[derive(Debug, Serialize)]
struct ReplayJson {
    schema: &'static str,
    design: String,
    steps: Vec<StepRecord>,
    violated: Vec<&'static str>,
    /// Whether a loop that was written comes back to where it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    loop_closes: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedJson>,
}

#[derive(Debug, Serialize)]
struct RefusedJson {
    step: usize,
    action: String,
    reason: String,
}

impl Args {
    /// The schedule's configuration, on another design if one was asked for.
    fn config(&self, schedule: &Schedule) -> Result<Config, CliError> {
        let c = &schedule.config;
        if !self.design.is_given() {
            return Ok(c.clone());
        }
        let design = self.design.design(c.design.name().unwrap_or("tracked"))?;
        Ok(Config::new(
            design,
            c.environment,
            c.workload.clone(),
            c.variants,
        )?)
    }
}

/// Replays; a violation on the way, or a step that does not fit, is exit code 1.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    if let Some((file, string)) = scenario::replay::arguments(&args.schedule, args.file.as_deref())
    {
        return scenario::replay::run(file, string, args);
    }
    if args.bounds.is_given() {
        return Err(CliError::NothingToBound);
    }
    let (source_name, text) = read(&args.schedule)?;
    if let Some(of_code) = text.trim().strip_prefix(refine::CODE) {
        return code::run(args, &source_name, of_code);
    }
    let schedule =
        Schedule::parse(text.trim()).map_err(|error| CliError::Schedule { source_name, error })?;
    let config = args.config(&schedule)?;
    let protocol = Protocol::new(config);

    let (mut trace, refused) = longest_prefix(&protocol, &schedule.trace);
    let states = trace.states(&protocol).unwrap_or_default();
    // A loop that does not come back to where it began is none.
    let open = trace
        .loops_to
        .filter(|&i| states.get(i) != states.last())
        .inspect(|_| trace.loops_to = None);
    let violated: Vec<&'static str> = PROPERTIES
        .iter()
        .filter(|p| states.iter().any(|s| p.is_violated(&protocol.config, s)))
        .map(|p| p.name)
        .collect();
    match args.format {
        Format::Json => {
            let refused = refused.as_ref().map(|e| match e {
                TraceError::Refused {
                    step,
                    action,
                    reason,
                } => RefusedJson {
                    step: *step,
                    action: action.to_string(),
                    reason: reason.clone(),
                },
                TraceError::Start => RefusedJson {
                    step: 0,
                    action: "start".into(),
                    reason: e.to_string(),
                },
            });
            let json = ReplayJson {
                schema: "shootdown/replay/1",
                design: protocol.config.design.to_string(),
                steps: steps(&protocol, &trace, violated.first().copied()).unwrap_or_default(),
                violated: violated.clone(),
                loop_closes: (open.is_some() || trace.loops_to.is_some()).then_some(open.is_none()),
                refused,
            };
            output::print_json(&json)?;
        }
        Format::Text => {
            let options = TextOptions {
                width: output::width(),
                verbose: !args.brief,
                colour: output::colour(),
            };
            let mut text = super::check::header(&protocol.config) + "\n";
            text += &report::text(&protocol, &trace, violated.first().copied(), &options);
            let mut closing = match (&refused, violated.as_slice()) {
                (Some(error), _) => format!("the schedule does not fit: {error}"),
                (None, []) if open.is_some() || trace.loops_to.is_some() => {
                    "nothing is violated in a state on the way".to_string()
                }
                (None, []) => "no property is violated on the way".to_string(),
                (None, violated) => format!("violated on the way: {}", violated.join(", ")),
            };
            if let Some(i) = open {
                closing += &format!(
                    "; the loop does not close: after the last step things are not as before step {}",
                    i + 1
                );
            } else if trace.loops_to.is_some() {
                // One run does not tell whether somebody was merely not given a turn.
                closing += "; whether the loop violates progress, `shootdown check` judges";
            }
            text += &format!("\n{}\n", output::wrap(&closing, output::width(), 2));
            output::print(text)?;
        }
    }
    let clean = refused.is_none() && open.is_none() && violated.is_empty();
    Ok(if clean {
        ExitCode::AsPromised
    } else {
        ExitCode::NotAsExpected
    })
}

/// As much of the run as fits, and why the next step does not.
fn longest_prefix(protocol: &Protocol, trace: &Trace) -> (Trace, Option<TraceError>) {
    let mut trace = trace.clone();
    match trace.states(protocol) {
        Ok(_) => (trace, None),
        Err(error) => {
            let keep = match &error {
                TraceError::Refused { step, .. } => step - 1,
                TraceError::Start => 0,
            };
            trace.actions.truncate(keep);
            trace.loops_to = None;
            if error == TraceError::Start {
                trace.start = protocol.config.starts()[0];
            }
            (trace, Some(error))
        }
    }
}

/// The schedule's text and where it came from.
pub fn read(argument: &str) -> Result<(String, String), CliError> {
    // A schedule has semicolons; a file name that has them too can be given as ./name.
    let path = Path::new(argument);
    let failed = |error| CliError::File {
        path: path.to_path_buf(),
        error,
    };
    if argument == "-" {
        return Ok((
            "stdin".into(),
            read_text(stdin(), "stdin")?.map_err(failed)?,
        ));
    }
    if !path.exists() {
        return if argument.contains(';') {
            Ok(("schedule".into(), argument.to_string()))
        } else {
            Err(CliError::NoSchedule(argument.to_string()))
        };
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    Ok((
        argument.to_string(),
        read_text(file, argument)?.map_err(failed)?,
    ))
}

/// All of a reader, if it is text and of a size that a schedule may have.
fn read_text(reader: impl Read, source_name: &str) -> Result<io::Result<String>, CliError> {
    // Longer than any schedule worth replaying; keeps a mistyped device from filling memory.
    const MOST: u64 = 1 << 20;
    let mut bytes = Vec::new();
    if let Err(error) = reader.take(MOST + 1).read_to_end(&mut bytes) {
        return Ok(Err(error));
    }
    let no_text = |reason| CliError::NoText {
        source_name: source_name.to_string(),
        reason,
    };
    if bytes.len() as u64 > MOST {
        return Err(no_text("this is longer than 1 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| no_text("this is not UTF-8"))?;
    if text.trim().is_empty() {
        return Err(no_text("this is empty"));
    }
    Ok(Ok(text))
}
