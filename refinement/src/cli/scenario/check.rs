//! `check FILE...`: one file with its whole report, several with a line each, two beside each other.

use super::{exit_code, limits, options, reduced};
use crate::cli::Format;
use crate::cli::check::Args;
use crate::cli::checkpoint::{CheckpointError, Kept, Of};
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use serde_json::{Value, json};
use shootdown_ir::explore::{self, Cut};
use shootdown_ir::keep::ResumeError;
use shootdown_ir::report::TextOptions;
use shootdown_refinement::ci::{Case, Report};
use shootdown_refinement::scenario::cases::{cases, unread};
use shootdown_refinement::scenario::json::{ScenarioJson, UnreadJson};
use shootdown_refinement::scenario::text::{self, Wanted};
use shootdown_refinement::scenario::{
    Limits, LoadError, Scenario, check, check_from, compare::compare, load,
};
use shootdown_spec::search::Options;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// Checks files.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    if args.sweep {
        let why = "a scenario has no number that is known to fall with every step";
        return Err(CheckpointError::Refused(why.to_string()).into());
    }
    if args.reduce.is_given() && args.checkpoint.is_given() {
        let why = "--reduce looks at states that stand for others";
        return Err(CheckpointError::Refused(why.to_string()).into());
    }
    let files = load::files(&args.files)?;
    let (options, _) = options(&args.bounds)?;
    args.ci.try_out()?;
    if args.compare {
        if args.checkpoint.is_given() {
            return Err(CheckpointError::OneAtATime.into());
        }
        let [before, after] = files.as_slice() else {
            return Err(CliError::Compare(files.len()));
        };
        return compared(args, before, after, &options);
    }
    match files.as_slice() {
        [one] if !args.files[0].is_dir() => single(args, one, &options),
        _ if args.checkpoint.is_given() => Err(CheckpointError::OneAtATime.into()),
        files => several(args, files, &options),
    }
}

fn text_options(args: &Args) -> TextOptions {
    TextOptions {
        width: output::width(),
        verbose: args.verbose,
        colour: output::colour(),
    }
}

fn single(args: &Args, path: &Path, options: &Options) -> Result<ExitCode, CliError> {
    let report = |cases: Vec<Case>| Report {
        command: "shootdown check".to_string(),
        cases,
    };
    let scenario = match Scenario::read_with(path, args.memory.map(Into::into)) {
        Ok(scenario) => scenario,
        Err(error) => {
            let name = path.display().to_string();
            args.ci.write(|| report(vec![unread(&name, &error)]))?;
            if args.format == Format::Json {
                output::print_json(&UnreadJson::new(&name, &error))?;
            }
            return Err(error.into());
        }
    };
    let machine = scenario.machine();
    let mut kept = args.checkpoint.open(&Of {
        what: format!(
            "the scenario `{}`, {}",
            scenario.protocol.name,
            scenario.size()
        ),
        how: "with every step".to_string(),
    })?;
    let from = match kept.as_mut().and_then(|kept| kept.from.take()) {
        Some(mut from) => {
            let refused = |why: ResumeError| CheckpointError::Refused(why.to_string());
            Some(explore::read(&machine, &mut from).map_err(refused)?)
        }
        None => None,
    };
    let limits = Limits {
        keep: kept.as_ref().and_then(Kept::keeper),
        ..reduced(limits(options, 1), args.reduce)
    };
    let checked = check_from(&scenario, &machine, limits, from);
    if let Some(name) = &args.property
        && checked.outcome.result(name).is_none()
    {
        let names = checked.outcome.results.iter().map(|r| r.name.as_str());
        return Err(CliError::unknown("property", name, names));
    }
    match args.format {
        Format::Json => output::print_json(&ScenarioJson::new(&checked))?,
        Format::Text => {
            let warnings = scenario.warnings.render(output::colour());
            let mut text = match warnings.trim().is_empty() {
                true => String::new(),
                false => format!("{}\n\n", warnings.trim_end()),
            };
            let wanted = Wanted {
                property: args.property.as_deref(),
                all: args.all,
            };
            text += &text::report(&checked, wanted, &text_options(args));
            let mut more = Vec::new();
            if matches!(checked.outcome.cut(), Some(Cut::Memory)) {
                more.push(args.bounds.memory(options.max_memory));
            }
            if checked.cut().is_some() {
                more.extend(args.checkpoint.goes_on());
            }
            if !more.is_empty() {
                text += &output::wrap(&more.join("; "), output::width(), 2);
                text += "\n";
            }
            output::print(text)?;
        }
    }
    args.ci.write(|| report(cases(&checked)))?;
    if args.open {
        crate::cli::scenario::explore::run(path, &crate::cli::explore::addresses(None))?;
    }
    Ok(exit_code(&checked))
}

/// What one file among several came to.
struct Told {
    line: String,
    /// The whole report, where it is asked for.
    more: Option<String>,
    json: Value,
    cases: Vec<Case>,
    code: ExitCode,
}

fn several(args: &Args, files: &[PathBuf], options: &Options) -> Result<ExitCode, CliError> {
    let start = Instant::now();
    let workers = options.threads.get().min(files.len()).max(1);
    let width = files
        .iter()
        .map(|f| f.display().to_string().chars().count());
    let width = width.max().unwrap_or(0).min(60);
    let next = AtomicUsize::new(0);
    let slots: Vec<Mutex<Option<Told>>> = files.iter().map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(i) else { break };
                    let told = one(args, file, options, workers, width);
                    *slots[i].lock().expect("nobody panics with it") = Some(told);
                }
            });
        }
    });
    let all: Vec<Told> = slots
        .into_iter()
        .filter_map(|slot| slot.into_inner().expect("nobody panics with it"))
        .collect();
    // The worst: what is unreadable, then what is not as expected, then what is undecided.
    let rank = |code: &ExitCode| match code {
        ExitCode::AsPromised => 0,
        ExitCode::Incomplete => 1,
        ExitCode::NotAsExpected => 2,
        ExitCode::Usage | ExitCode::Internal => 3,
    };
    let code = all.iter().map(|t| t.code).max_by_key(rank);
    let count = |code: ExitCode| all.iter().filter(|t| t.code == code).count();
    match args.format {
        Format::Json => {
            let list: Vec<&Value> = all.iter().map(|t| &t.json).collect();
            output::print_json(
                &json!({ "schema": "shootdown/scenario-check/1", "scenarios": list }),
            )?;
        }
        Format::Text => {
            let mut out = String::new();
            for told in &all {
                out += &told.line;
                out += told.more.as_deref().unwrap_or_default();
            }
            out += &format!(
                "{}: {} as expected, {} not, {} incomplete, {} unreadable; {:.2} s\n",
                text::plural(all.len(), "file"),
                count(ExitCode::AsPromised),
                count(ExitCode::NotAsExpected),
                count(ExitCode::Incomplete),
                count(ExitCode::Usage),
                start.elapsed().as_secs_f64(),
            );
            output::print(out)?;
        }
    }
    args.ci.write(|| Report {
        command: "shootdown check".to_string(),
        cases: all.into_iter().flat_map(|t| t.cases).collect(),
    })?;
    Ok(code.unwrap_or(ExitCode::AsPromised))
}

fn one(args: &Args, file: &Path, options: &Options, share: usize, width: usize) -> Told {
    let name = file.display().to_string();
    let scenario = match Scenario::read_with(file, args.memory.map(Into::into)) {
        Ok(scenario) => scenario,
        Err(error) => {
            let more = match &error {
                LoadError::Text(found) => Some(found.render(output::colour())),
                _ => None,
            };
            return Told {
                line: format!("{name:<width$}  UNREADABLE   {error}\n"),
                more,
                json: serde_json::to_value(UnreadJson::new(&name, &error)).unwrap_or_default(),
                cases: vec![unread(&name, &error)],
                code: ExitCode::Usage,
            };
        }
    };
    let machine = scenario.machine();
    let checked = check(
        &scenario,
        &machine,
        reduced(limits(options, share), args.reduce),
    );
    let code = exit_code(&checked);
    let more = (args.verbose && code != ExitCode::AsPromised).then(|| {
        let report = text::report(&checked, Wanted::default(), &text_options(args));
        format!("\n{report}\n")
    });
    Told {
        line: text::summary(&checked, width),
        more,
        json: match args.format {
            Format::Json => serde_json::to_value(ScenarioJson::new(&checked)).unwrap_or_default(),
            Format::Text => Value::Null,
        },
        cases: cases(&checked),
        code,
    }
}

fn compared(
    args: &Args,
    before: &Path,
    after: &Path,
    options: &Options,
) -> Result<ExitCode, CliError> {
    let memory = args.memory.map(Into::into);
    let (before, after) = (
        Scenario::read_with(before, memory)?,
        Scenario::read_with(after, memory)?,
    );
    let machines = (before.machine(), after.machine());
    let old = check(
        &before,
        &machines.0,
        reduced(limits(options, 1), args.reduce),
    );
    let new = check(
        &after,
        &machines.1,
        reduced(limits(options, 1), args.reduce),
    );
    let comparison = compare(&old, &new);
    match args.format {
        Format::Json => output::print_json(&comparison)?,
        Format::Text => output::print(comparison.text(output::width()))?,
    }
    args.ci.write(|| Report {
        command: "shootdown check".to_string(),
        cases: cases(&old).into_iter().chain(cases(&new)).collect(),
    })?;
    let codes = [exit_code(&old), exit_code(&new)];
    // Each file is held against its own expectation, as always.
    Ok(match codes {
        [ExitCode::NotAsExpected, _] | [_, ExitCode::NotAsExpected] => ExitCode::NotAsExpected,
        [ExitCode::Incomplete, _] | [_, ExitCode::Incomplete] => ExitCode::Incomplete,
        _ => ExitCode::AsPromised,
    })
}
