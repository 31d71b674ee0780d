//! `replay 'STRING' FILE`: a printed run of a scenario, step by step.

use super::{limits, options};
use crate::cli::Format;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use crate::cli::replay::Args;
use serde_json::json;
use shootdown_ir::report::{Story, TextOptions};
use shootdown_refinement::scenario::json::RunJson;
use shootdown_refinement::scenario::{Scenario, check, load};
use std::io::Read;
use std::path::Path;

/// Longest string that is read from a file.
const LONGEST: u64 = 1 << 20;

/// The scenario and the string among two arguments, in any order; `None` if there is no scenario.
pub fn arguments<'a>(one: &'a str, two: Option<&'a str>) -> Option<(&'a str, Option<&'a str>)> {
    match two {
        Some(two) if load::is_scenario(two) => Some((two, Some(one))),
        Some(two) if load::is_scenario(one) => Some((one, Some(two))),
        // Neither is: the second is where the file is documented to be, and reading it says what is wrong.
        Some(two) => Some((two, Some(one))),
        None if load::is_scenario(one) => Some((one, None)),
        None => None,
    }
}

/// The string: itself, or what a file or stdin has.
pub fn string(argument: &str) -> Result<String, CliError> {
    let failed = |error| CliError::File {
        path: argument.into(),
        error,
    };
    let mut text = String::new();
    if argument == "-" {
        let stdin = std::io::stdin().take(LONGEST);
        { stdin }.read_to_string(&mut text).map_err(failed)?;
        return Ok(text);
    }
    if !argument.contains(':') && Path::new(argument).is_file() {
        let file = std::fs::File::open(argument).map_err(failed)?;
        file.take(LONGEST)
            .read_to_string(&mut text)
            .map_err(failed)?;
        return Ok(text);
    }
    Ok(argument.to_string())
}

/// Replays; a violation in the last state, or a step that does not fit, is exit code 1.
pub fn run(file: &str, text: Option<&str>, args: &Args) -> Result<ExitCode, CliError> {
    let Some(text) = text else {
        return Err(CliError::NoString(file.to_string()));
    };
    let scenario = Scenario::read_with(Path::new(file), args.memory.map(Into::into))?;
    let machine = scenario.machine();
    let text = string(text)?;
    let (mut story, refused) = Story::replay(&scenario.protocol, &machine, text.trim())
        .map_err(|error| CliError::ReplayString(file.to_string(), error))?;
    // What can never move again is known from the whole space only.
    let (options, _) = options(&args.bounds)?;
    let checked = check(&scenario, &machine, limits(&options, 1));
    story.judge(&checked.outcome);
    match args.format {
        Format::Json => output::print_json(&json!({
            "schema": "shootdown/scenario-replay/1",
            "scenario": scenario.protocol.name,
            "file": scenario.file,
            "run": RunJson::new(&story),
            "violated": story.property(),
            "refused": refused.as_ref().map(ToString::to_string),
        }))?,
        Format::Text => {
            let options = TextOptions {
                width: output::width(),
                verbose: !args.brief,
                colour: output::colour(),
            };
            let mut out = story.text(&options);
            let closing = match (&refused, story.property()) {
                (Some(refused), _) => format!("the string does not fit: {refused}"),
                (None, Some(property)) => format!("violated in the last state: {property}"),
                (None, None) if checked.cut().is_some() => {
                    "nothing is violated in the last state, as far as was searched".to_string()
                }
                (None, None) => "nothing is violated in the last state".to_string(),
            };
            out += &format!("\n{}\n", output::wrap(&closing, output::width(), 2));
            output::print(out)?;
        }
    }
    Ok(match refused.is_none() && story.property().is_none() {
        true => ExitCode::AsPromised,
        false => ExitCode::NotAsExpected,
    })
}
