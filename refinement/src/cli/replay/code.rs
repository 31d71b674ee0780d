//! `replay` of a schedule of the implementation: each operation of the code, what it reported, the protocol's line.

use super::Args;
use crate::cli::Format;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::{check, output, refine};
use serde::Serialize;
use shootdown_refinement::relation::failure::operation;
use shootdown_refinement::relation::joint::Refinement;
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::report::{self, TextOptions};
use shootdown_spec::schedule::Schedule;
use shootdown_spec::trace::Trace;
use stateright::Model as _;
use std::fmt::Write as _;

#[derive(Serialize)]
struct CodeReplayJson {
    schema: &'static str,
    design: String,
    steps: Vec<CodeStepJson>,
    violated: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    does_not_fit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_at: Option<usize>,
}

#[derive(Serialize)]
struct CodeStepJson {
    cpu: u8,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
}

/// Replays on the real code; a violation, a misfit or a step that cannot happen is exit code 1.
pub fn run(args: &Args, source_name: &str, text: &str) -> Result<ExitCode, CliError> {
    let named = |error| CliError::Schedule {
        source_name: format!("{source_name}, after `{}`", refine::CODE),
        error,
    };
    let schedule = Schedule::parse(text.trim()).map_err(named)?;
    let mut refinement = refine::refinement(args.config(&schedule)?)?;
    let (played, _) = refinement.settled(|refinement| play(refinement, &schedule.trace));
    let Played {
        run,
        steps,
        misfit,
        refused,
        seen,
    } = played;
    let violated: Vec<&'static str> = PROPERTIES
        .iter()
        .enumerate()
        .filter(|(i, _)| seen >> i & 1 == 1)
        .map(|(_, p)| p.name)
        .collect();
    let fits = !misfit;
    let clean = violated.is_empty() && fits && refused.is_none();
    let config = refinement.config();
    match args.format {
        Format::Json => output::print_json(&CodeReplayJson {
            schema: "shootdown/replay-code/1",
            design: config.design.to_string(),
            steps,
            violated,
            does_not_fit: (!fits).then(|| refine::failure(&refinement, &run)),
            refused_at: refused,
        })?,
        Format::Text => {
            let mut text = check::header(config) + "\n";
            for (i, step) in steps.iter().enumerate() {
                let what = step
                    .operation
                    .as_ref()
                    .map_or(step.action.clone(), |op| format!("CPU{}  {op}", step.cpu));
                let line = step.step.map_or(String::new(), |s| format!("  | {s}"));
                let _ = writeln!(text, "{:>4}  {what:<44}{line}", i + 1);
            }
            text.push('\n');
            if fits {
                let options = TextOptions {
                    width: output::width(),
                    verbose: !args.brief,
                    colour: output::colour(),
                };
                let translated = refinement.translate(&run).trace;
                text += &report::text(
                    &refinement.spec,
                    &translated,
                    violated.first().copied(),
                    &options,
                );
            } else {
                text += &refine::failure(&refinement, &run);
            }
            let closing = match (refused, violated.as_slice()) {
                (Some(step), _) => format!(
                    "the schedule does not fit the code: step {step} ({}) is not possible there",
                    schedule.trace.actions[step - 1]
                ),
                (None, []) => "no property is violated on the way".to_string(),
                (None, violated) => format!("violated on the way: {}", violated.join(", ")),
            };
            let _ = writeln!(text, "\n{}", output::wrap(&closing, output::width(), 2));
            output::print(text)?;
        }
    }
    Ok(if clean {
        ExitCode::AsPromised
    } else {
        ExitCode::NotAsExpected
    })
}

/// As much of a schedule as can happen.
struct Played {
    run: Trace,
    steps: Vec<CodeStepJson>,
    /// The last step does not fit the protocol, or the machine noticed something in it.
    misfit: bool,
    /// The step that cannot happen.
    refused: Option<usize>,
    /// The facts of all states on the way.
    seen: u64,
}

fn play(refinement: &Refinement, wanted: &Trace) -> Played {
    let mut at = refinement.initial(&wanted.start);
    let mut played = Played {
        run: Trace {
            start: wanted.start,
            actions: Vec::new(),
            loops_to: None,
        },
        steps: Vec::new(),
        misfit: false,
        refused: None,
        seen: refinement.facts(&at),
    };
    for (i, action) in wanted.actions.iter().enumerate() {
        let step = refinement.describe(&at, action);
        if refinement.next_state(&at, *action).is_none() {
            played.refused = Some(i + 1);
            break;
        }
        let (next, why) = refinement.step(&at, action);
        played.run.actions.push(*action);
        played.steps.push(CodeStepJson {
            cpu: action.cpu().0,
            action: action.to_string(),
            operation: step.op.map(operation),
            program: step.line.map(|l| l.0),
            step: step.line.map(|l| l.2),
        });
        played.seen |= refinement.facts(&next);
        at = next;
        played.misfit = why.is_some() || at.code.noticed.is_some();
        if played.misfit {
            break;
        }
    }
    played
}
