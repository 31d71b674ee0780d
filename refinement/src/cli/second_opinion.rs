//! `second-opinion`: every cell of the matrix once more, by the Spin verifier or by TLC.
//!
//! Both checkers explore the whole cell. Each property of states must get the same verdict, and
//! the numbers of states and of transitions must be the same but for Spin's one state before
//! `init` has placed the CPUs. A difference is a mistake on one of the two sides. TLC is asked for
//! `progress` too, where the cell is small.

mod benchmark;
mod checker;
mod docs;
mod faults;
mod table;

use super::Format;
use super::bounds::time;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output::{self, ProgressLine};
use crate::expectation::{Cell, Expectations};
use checker::{Checker, With, among};
use serde::Serialize;
use shootdown_refinement::cancel::Cancel;
use shootdown_refinement::memory;
use shootdown_spec::check::CheckResult;
use shootdown_spec::config::Config;
use shootdown_spec::export::Exported;
use shootdown_spec::model::Protocol;
use shootdown_spec::search::Options;
use shootdown_spec::verdict::Verdict;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `second-opinion`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario files in place of the matrix; `-` is stdin
    #[arg(value_name = "FILE", conflicts_with_all = ["design", "jobs", "benchmark", "docs", "check_docs", "format"])]
    files: Vec<PathBuf>,
    /// Whose opinion
    #[arg(long, value_enum, default_value_t)]
    with: With,
    /// TLC's tla2tools.jar [default: what TLA2TOOLS in the environment says]
    #[arg(long, value_name = "PATH")]
    tla2tools: Option<PathBuf>,
    /// Only the cells of this design
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(
        shootdown_spec::design::DESIGNS.iter().map(|d| d.name)))]
    design: Option<String>,
    /// Only cells whose command has this in it, such as `--env irq-free`; may be repeated. With --docs and --check-docs the
    /// other rows of the page are left as they are
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        conflicts_with_all = ["faults", "benchmark", "max_states"]
    )]
    only: Vec<String>,
    /// Leave out cells that are expected to have more states than this; the run is incomplete then.
    /// TLC, which is slow, leaves out those of more than 25,000 unasked, and says so; where the
    /// counterexample tells a claim's story, of more than 100,000. With scenario files: stop the search of ours there
    #[arg(long, value_name = "N")]
    max_states: Option<u64>,
    /// Cells at a time; each takes up to 2.5 GiB [default: all cores]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Stop after this time (suffixes s, m, h): what was not compared by then is incomplete
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    timeout: Option<String>,
    /// Spoil the model in ways that must be noticed, and see that each is; with scenario files, in one of them
    #[arg(long, conflicts_with_all = ["design", "max_states", "docs", "check_docs", "benchmark"])]
    faults: bool,
    /// Measure instead: states, time and memory of `check`, and of Spin with and without its
    /// partial-order reduction, on the same cells in one run; of TLC too if it is there
    #[arg(long, conflicts_with_all = ["with", "design", "docs", "check_docs", "jobs"])]
    benchmark: bool,
    /// Write the generated part of docs/second-opinion.md in the tree at DIR
    #[arg(long, value_name = "DIR", conflicts_with_all = ["design", "max_states"])]
    docs: Option<PathBuf>,
    /// Fail if that part is stale
    #[arg(long, value_name = "DIR", conflicts_with_all = ["docs", "design", "max_states"])]
    check_docs: Option<PathBuf>,
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What one checker says of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Says {
    /// Violated properties, of those decided on states.
    violated: Vec<&'static str>,
    /// Is `progress` violated? Absent where it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress_violated: Option<bool>,
    /// Distinct states.
    states: u64,
    /// Initial states and transitions, duplicates included.
    transitions: u64,
}

/// A cell that both have judged.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// The command that checks it.
    cell: String,
    /// Ours.
    check: Says,
    /// The other checker's; Spin's without its state before `init`.
    other: Says,
    /// In what they differ.
    differences: Vec<String>,
    #[serde(skip)]
    took: [Duration; 3],
}

#[derive(Serialize)]
struct SecondOpinionJson<'a> {
    schema: &'static str,
    with: &'static str,
    version: &'a str,
    left_out: usize,
    /// Cells that the run was cut off before, or in.
    not_compared: usize,
    cells: &'a [Compared],
}

/// Asks for the second opinion; a difference is exit code 1, cells left out 3.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    if let Some(time) = time("--timeout", &args.timeout)? {
        output::cancel_after(time)?;
    }
    if !args.files.is_empty() {
        let asked = super::scenario::second_opinion::Asked::find(
            args.with == With::Tlc,
            args.tla2tools.as_deref(),
        )?;
        return super::scenario::second_opinion::run(
            &args.files,
            &asked,
            args.max_states,
            args.faults,
        );
    }
    if args.benchmark {
        return benchmark::run(args.tla2tools.as_deref(), args.max_states);
    }
    let checker = Checker::find(args.with, args.tla2tools.as_deref())?;
    tracing::info!(version = checker.version(), "found");
    if args.faults {
        return faults::run(&checker, args.format);
    }
    let expectations = Expectations::load();
    let lighter: Vec<Cell> = expectations
        .cells()
        .into_iter()
        .map(Cell::lighter)
        .collect();
    let mut cells: Vec<&Cell> = lighter.iter().collect();
    cells.retain(|c| args.design.as_ref().is_none_or(|d| c.design == *d));
    // What the page has, whether or not it is compared in this run.
    let paged: Vec<&Cell> = cells
        .iter()
        .copied()
        .filter(|c| args.with.takes(c))
        .collect();
    let beyond = cells.len() - paged.len();
    let named = |c: &Cell| args.only.iter().any(|text| c.command().contains(text));
    cells.retain(|c| args.only.is_empty() || named(c));
    let all = cells.len();
    if all == 0 {
        let reason = "none of the cells is one of those: docs/second-opinion.md lists them";
        return Err(CliError::Refine(reason.into()));
    }
    cells.retain(|c| match args.max_states {
        Some(most) => c.states <= most,
        None => args.with.takes(c),
    });
    let left_out = all - cells.len();
    if let Some(root) = args.docs.as_ref().or(args.check_docs.as_ref()) {
        let (path, _) = docs::page(root)?;
        if args.docs.is_some() {
            output::try_out(&path)?;
        }
    }
    let started = Instant::now();
    let cancel = output::cancel_on_signals()?;
    let (compared, not_compared) = compare_all(&checker, &cells, jobs(args.jobs), &cancel);
    let mut code = match compared.iter().all(|c| c.differences.is_empty()) {
        false => ExitCode::NotAsExpected,
        true if !not_compared.is_empty() => ExitCode::Incomplete,
        // What is beyond a checker is no news, what was asked to be left out is.
        true if left_out > 0 && args.max_states.is_some() => ExitCode::Incomplete,
        true => ExitCode::AsPromised,
    };
    if let Some(error) = not_compared.iter().find_map(Option::as_ref)
        && compared.is_empty()
    {
        return Ok(error.report());
    }
    match args.format {
        Format::Json => output::print_json(&SecondOpinionJson {
            schema: "shootdown/second-opinion/2",
            with: args.with.part(),
            version: checker.version(),
            left_out,
            not_compared: not_compared.len(),
            cells: &compared,
        })?,
        Format::Text => {
            let seen = table::Seen {
                with: args.with,
                most: args
                    .max_states
                    .or(args.with.most())
                    .filter(|_| left_out > 0),
                asked: args.max_states.is_some(),
                left_out,
                not_compared: not_compared.len(),
                elapsed: started.elapsed(),
            };
            let text = table::text(&compared, &seen, output::width());
            output::print(text)?;
        }
    }
    let errors = not_compared.iter().flatten().map(CliError::report);
    if let Some(worst) = errors.max() {
        return Ok(worst.max(code));
    }
    if !not_compared.is_empty() {
        // The page has the result of a whole run, never of a part of one.
        return Ok(code);
    }
    let page = docs::Page {
        with: args.with,
        cells: &paged,
        beyond,
    };
    if let Some(root) = &args.docs {
        page.write(&compared, root)?;
    }
    if let Some(root) = &args.check_docs
        && let Some(path) = page.stale(&compared, root)?
    {
        output::complain!(
            "error: {} is stale\n  `cargo run --release -- second-opinion --with {} --docs .` regenerates it",
            path.display(),
            args.with.part()
        );
        code = code.max(ExitCode::NotAsExpected);
    }
    Ok(code)
}

fn jobs(asked: Option<NonZeroUsize>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    asked.map_or_else(cores, NonZeroUsize::get)
}

/// Compares the cells, the largest first so that no core waits for it at the end; the answers
/// are in the order of the cells. Those that were not compared are told apart: with an error, or none if the run was
/// cut off before them.
fn compare_all(
    checker: &Checker,
    cells: &[&Cell],
    jobs: usize,
    cancel: &Cancel,
) -> (Vec<Compared>, Vec<Option<CliError>>) {
    let mut order: Vec<usize> = (0..cells.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(cells[i].states));
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Result<Compared, CliError>>>> =
        Mutex::new(cells.iter().map(|_| None).collect());
    let progress = ProgressLine::new("second opinion");
    let jobs = jobs.min(cells.len()).max(1);
    let bounds = Bounds::shared_by(jobs, cancel);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while !cancel.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&at) = order.get(n) else { break };
                    progress.now(&format!("cell {} of {}", n + 1, cells.len()));
                    let result = compare(checker, cells[at], &bounds, &|text| text);
                    // Cells that do not fit are one thing, a checker that does not work is another.
                    let failed = result
                        .as_ref()
                        .is_err_and(|e| !matches!(e, CliError::CutOff { .. }));
                    done.lock().expect("nobody panics with it")[at] = Some(result);
                    if failed {
                        next.store(order.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    progress.finish();
    let done = done.into_inner().expect("nobody panics with it");
    let (mut compared, mut not_compared) = (Vec::new(), Vec::new());
    for result in done {
        match result {
            Some(Ok(result)) => compared.push(result),
            // The verifiers were killed.
            Some(Err(_)) if cancel.load(Ordering::Relaxed) => not_compared.push(None),
            Some(Err(error)) => not_compared.push(Some(error)),
            None => not_compared.push(None),
        }
    }
    (compared, not_compared)
}

/// What every search here may take.
#[derive(Clone, Debug)]
struct Bounds {
    cancel: Cancel,
    max_memory: Option<u64>,
}

impl Bounds {
    /// A part of the memory for each of so many searches at a time.
    fn shared_by(jobs: usize, cancel: &Cancel) -> Bounds {
        Bounds {
            cancel: cancel.clone(),
            max_memory: memory::share().map(|bytes| bytes / jobs as u64),
        }
    }
}

/// Asks both about one cell. `spoil` changes the model that the other gets: nothing, but for a
/// test.
fn compare(
    checker: &Checker,
    cell: &Cell,
    bounds: &Bounds,
    spoil: &dyn Fn(String) -> String,
) -> Result<Compared, CliError> {
    let config = cell.config()?;
    let started = Instant::now();
    let ours = check(&config, bounds);
    if let Some(why) = ours.stopped {
        let cell = cell.command();
        return Err(CliError::CutOff { cell, why });
    }
    let checking = started.elapsed();
    let states = ours.states.unique;
    let model = spoil(checker.model(&config));
    let progress = checker.decides_progress(cell.states);
    let answer = checker.ask(&config, model, states, progress, &bounds.cancel)?;
    let check = says(&ours, answer.says.progress_violated.is_some());
    Ok(Compared {
        cell: cell.command(),
        differences: differences(&check, &answer.says, checker.with().name()),
        check,
        other: answer.says,
        took: [checking, answer.took[0], answer.took[1]],
    })
}

/// What `check` does, on one thread.
fn check(config: &Config, bounds: &Bounds) -> CheckResult {
    let options = Options {
        threads: NonZeroUsize::MIN,
        max_memory: bounds.max_memory,
        cancel: bounds.cancel.clone(),
        ..Options::default()
    };
    shootdown_spec::check::check(&Protocol::new(config.clone()), &options)
}

fn says(result: &CheckResult, progress: bool) -> Says {
    let violated = |name: &str| {
        let property = result.property(name);
        property.is_some_and(|p| p.verdict == Verdict::Violated)
    };
    Says {
        violated: among(violated),
        progress_violated: progress.then(|| violated("progress")),
        states: result.states.unique,
        transitions: result.states.generated,
    }
}

/// In what two opinions differ.
fn differences(ours: &Says, theirs: &Says, name: &str) -> Vec<String> {
    let mut all = Vec::new();
    let word = |violated| match violated {
        true => "violated",
        false => "not violated",
    };
    let states = Exported::state_properties().map(|p| {
        let says = |says: &Says| says.violated.contains(&p.name);
        (p.name, Some(says(ours)), Some(says(theirs)))
    });
    let progress = ("progress", ours.progress_violated, theirs.progress_violated);
    for (property, ours, theirs) in states.chain([progress]) {
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && ours != theirs
        {
            all.push(format!(
                "{property}: {}, {name}: {}",
                word(ours),
                word(theirs)
            ));
        }
    }
    for (what, ours, theirs) in [
        ("states", ours.states, theirs.states),
        ("transitions", ours.transitions, theirs.transitions),
    ] {
        if ours != theirs {
            all.push(format!("{what}: {ours}, {name}: {theirs}"));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(violated: &[&'static str], states: u64) -> Says {
        Says {
            violated: violated.to_vec(),
            progress_violated: Some(false),
            states,
            transitions: 2 * states,
        }
    }

    /// TLC is too slow for most cells, so each claim has one that is not.
    #[test]
    fn tlc_judges_a_cell_of_every_claim() {
        for claim in Expectations::load().claim {
            assert!(
                claim.cell.iter().any(|c| With::Tlc.takes(c)),
                "{}",
                claim.id
            );
        }
    }

    /// The two that need a third CPU or a second operation: its verdict on a small control alone
    /// would say nothing of them.
    #[test]
    fn tlc_judges_the_deadlock_of_b1_and_the_stale_translation_of_b6() {
        for (claim, property) in [("B1", "no_deadlock"), ("B6", "no_stale_tlb_after_return")] {
            let expectations = Expectations::load();
            let claim = expectations.claim.iter().find(|c| c.id == claim);
            let shows = |c: &&Cell| c.show.as_deref() == Some(property) && With::Tlc.takes(c);
            let cell = claim.and_then(|c| c.cell.iter().find(shows));
            assert!(cell.is_some_and(|c| c.violated.iter().any(|v| v == property)));
        }
    }

    #[test]
    fn every_kind_of_difference_is_told() {
        let ours = said(&["no_deadlock"], 7);
        assert_eq!(differences(&ours, &ours, "Spin"), [""; 0]);
        let whats = |theirs| {
            let all = differences(&ours, &theirs, "Spin");
            all.into_iter()
                .map(|d| d.split(':').next().map(String::from))
                .collect::<Option<Vec<_>>>()
                .expect("each names what differs")
        };
        assert_eq!(whats(said(&[], 7)), ["no_deadlock"]);
        assert_eq!(
            whats(said(&["no_deadlock", "lock_order"], 7)),
            ["lock_order"]
        );
        assert_eq!(whats(said(&["no_deadlock"], 8)), ["states", "transitions"]);
        let stuck = |progress_violated| Says {
            progress_violated,
            ..ours.clone()
        };
        assert_eq!(whats(stuck(Some(true))), ["progress"]);
        // Nobody was asked.
        assert_eq!(whats(stuck(None)), [""; 0]);
    }
}
