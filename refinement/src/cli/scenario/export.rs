//! `export KIND FILE`: the shortest counterexample of a scenario, or a run given as a string, for other tools.

use super::{limits, options, replay};
use crate::cli::bounds::Bounds;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use shootdown_ir::order::Order;
use shootdown_ir::report::Story;
use shootdown_refinement::scenario::{Scenario, check, order, strict_c};
use std::path::{Path, PathBuf};

/// A scenario whose run is exported.
pub struct Wanted<'a> {
    /// The file.
    pub file: &'a str,
    /// The run; without one, the shortest counterexample.
    pub string: Option<&'a str>,
    /// Whose counterexample.
    pub property: Option<&'a str>,
    /// Where to; stdout without.
    pub output: &'a Option<PathBuf>,
    /// How far the search may go.
    pub bounds: &'a Bounds,
}

/// Writes what comes of the run; nothing to write is exit code 1.
pub fn run(
    wanted: &Wanted<'_>,
    told: impl Fn(&Story<'_>, &Scenario) -> Option<String>,
) -> Result<ExitCode, CliError> {
    let scenario = Scenario::read(Path::new(wanted.file))?;
    let machine = scenario.machine();
    let (options, _) = options(wanted.bounds)?;
    let checked = check(&scenario, &machine, limits(&options, 1));
    let story = match wanted.string {
        Some(text) => {
            let text = replay::string(text)?;
            let (mut story, refused) = Story::replay(&scenario.protocol, &machine, text.trim())
                .map_err(|error| CliError::ReplayString(wanted.file.to_string(), error))?;
            if let Some(refused) = refused {
                output::complain!("error: the string does not fit: {refused}");
                return Ok(ExitCode::NotAsExpected);
            }
            story.judge(&checked.outcome);
            Some(story)
        }
        None => {
            let result = match wanted.property {
                Some(name) => {
                    let names = checked.outcome.results.iter().map(|r| r.name.as_str());
                    let found = checked.outcome.result(name);
                    Some(found.ok_or_else(|| CliError::unknown("property", name, names))?)
                }
                None => checked.first(),
            };
            result.and_then(|r| checked.story(r))
        }
    };
    let Some(story) = story else {
        let which = wanted.property.unwrap_or("nothing");
        output::complain!(
            "error: no counterexample: {which} is violated in {}\n  a run of your own: `shootdown export KIND {} 'STRING'`",
            wanted.file,
            wanted.file
        );
        return Ok(match checked.cut() {
            Some(_) => ExitCode::Incomplete,
            None => ExitCode::NotAsExpected,
        });
    };
    match told(&story, &scenario) {
        Some(text) => write(wanted.output, &text),
        None => {
            output::complain!(
                "error: nothing in this run that would be reported: nobody waits without end\n  `export markdown` tells any run"
            );
            Ok(ExitCode::NotAsExpected)
        }
    }
}

/// `export dot --graph order FILE`.
pub fn order(wanted: &Wanted<'_>) -> Result<ExitCode, CliError> {
    let scenario = Scenario::read(Path::new(wanted.file))?;
    let proven = Order::of(&scenario.protocol);
    let name = &scenario.protocol.name;
    write(wanted.output, &order::dot(&scenario.file, name, &proven))
}

/// `export c FILE`.
pub fn c(file: &Path, to: &Option<PathBuf>) -> Result<ExitCode, CliError> {
    let scenario = Scenario::read(file)?;
    write(to, &strict_c::strict_c(&scenario.text, &scenario.file))
}

fn write(to: &Option<PathBuf>, text: &str) -> Result<ExitCode, CliError> {
    match to {
        None => output::print(text)?,
        Some(path) => output::write_file(path, text)?,
    }
    Ok(ExitCode::AsPromised)
}
