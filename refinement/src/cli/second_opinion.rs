//! `second-opinion`: every cell of the matrix once more, by the Spin verifier.
//!
//! Both checkers explore the whole cell. Each property of states must get the same verdict, and
//! the numbers of states and of transitions must be the same but for Spin's one state before
//! `init` has placed the CPUs. A difference is a mistake on one of the two sides.

mod benchmark;
mod docs;
mod faults;
mod table;

use super::Format;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output::{self, ProgressLine};
use crate::expectation::{Cell, Expectations};
use crate::spin::{How, Opinion, Spin};
use serde::Serialize;
use shootdown_spec::check::{CheckResult, judge};
use shootdown_spec::config::Config;
use shootdown_spec::export::Exported;
use shootdown_spec::export::promela::{self, EXTRA_STATES};
use shootdown_spec::model::Protocol;
use shootdown_spec::property::observe;
use shootdown_spec::search::{Options, search};
use shootdown_spec::verdict::Verdict;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `second-opinion`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only the cells of this design
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(
        shootdown_spec::design::DESIGNS.iter().map(|d| d.name)))]
    design: Option<String>,
    /// Leave out cells that are expected to have more states than this; the run is incomplete then
    #[arg(long, value_name = "N")]
    max_states: Option<u64>,
    /// Cells at a time; each takes up to 2.5 GiB [default: all cores]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Spoil the model in ways that must be noticed, and see that each is
    #[arg(long, conflicts_with_all = ["design", "max_states", "docs", "check_docs", "benchmark"])]
    faults: bool,
    /// Measure instead: states, time and memory of `check`, and of Spin with and without its
    /// partial-order reduction, on the same cells in one run
    #[arg(long, conflicts_with_all = ["design", "docs", "check_docs", "jobs"])]
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
    /// Spin's, the state before `init` taken off.
    spin: Says,
    /// In what they differ.
    differences: Vec<String>,
    #[serde(skip)]
    took: [Duration; 3],
}

#[derive(Serialize)]
struct SecondOpinionJson<'a> {
    schema: &'static str,
    spin: &'a str,
    left_out: usize,
    cells: &'a [Compared],
}

/// Asks for the second opinion; a difference is exit code 1, cells left out 3.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let spin = Spin::find()?;
    tracing::info!(version = spin.version, "found");
    if args.faults {
        return faults::run(&spin, args.format);
    }
    if args.benchmark {
        return benchmark::run(&spin, args.max_states);
    }
    let expectations = Expectations::load();
    let mut cells = expectations.cells();
    cells.retain(|c| args.design.as_ref().is_none_or(|d| c.design == *d));
    let all = cells.len();
    cells.retain(|c| args.max_states.is_none_or(|most| c.states <= most));
    let left_out = all - cells.len();
    let started = Instant::now();
    let compared = compare_all(&spin, &cells, jobs(args.jobs))?;
    let mut code = match compared.iter().all(|c| c.differences.is_empty()) {
        false => ExitCode::NotAsExpected,
        true if left_out > 0 => ExitCode::Incomplete,
        true => ExitCode::AsPromised,
    };
    match args.format {
        Format::Json => output::print_json(&SecondOpinionJson {
            schema: "shootdown/second-opinion/1",
            spin: &spin.version,
            left_out,
            cells: &compared,
        })?,
        Format::Text => {
            let text = table::text(&compared, left_out, started.elapsed(), output::width());
            output::print(text)?;
        }
    }
    if let Some(root) = &args.docs {
        docs::write(&compared, root)?;
    }
    if let Some(root) = &args.check_docs
        && let Some(path) = docs::stale(&compared, root)?
    {
        eprintln!(
            "error: {} is stale\n  `cargo run --release -- second-opinion --docs .` writes it anew",
            path.display()
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
/// are in the order of the cells.
fn compare_all(spin: &Spin, cells: &[&Cell], jobs: usize) -> Result<Vec<Compared>, CliError> {
    let cancel = output::cancel_on_ctrl_c()?;
    let mut order: Vec<usize> = (0..cells.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(cells[i].states));
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Result<Compared, CliError>>>> =
        Mutex::new(cells.iter().map(|_| None).collect());
    let progress = ProgressLine::new("second opinion");
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(cells.len()) {
            scope.spawn(|| {
                while !cancel.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&at) = order.get(n) else { break };
                    progress.now(&format!("cell {} of {}", n + 1, cells.len()));
                    let result = compare(spin, cells[at], &|text| text);
                    let failed = result.is_err();
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
    let (mut compared, mut interrupted) = (Vec::new(), false);
    for result in done {
        match result {
            // Ctrl-C reaches the verifiers too.
            Some(Err(_)) if cancel.load(Ordering::Relaxed) => interrupted = true,
            Some(result) => compared.push(result?),
            None => interrupted = true,
        }
    }
    match interrupted {
        true => Err(CliError::Interrupted(compared.len(), cells.len())),
        false => Ok(compared),
    }
}

/// Asks both about one cell. `spoil` changes the model that Spin gets: nothing, but for a test.
fn compare(
    spin: &Spin,
    cell: &Cell,
    spoil: &dyn Fn(String) -> String,
) -> Result<Compared, CliError> {
    let config = cell.config()?;
    let started = Instant::now();
    let ours = check(&config);
    let checking = started.elapsed();
    let how = How {
        reduce: false,
        expected: ours.states.unique,
    };
    let opinion = spin.verify(&spoil(promela::write(&config)), how)?;
    let check = says(&ours);
    let spin = spins(&opinion);
    Ok(Compared {
        cell: cell.command(),
        differences: differences(&check, &spin),
        check,
        spin,
        took: [checking, opinion.compiling, opinion.verifying],
    })
}

/// What `check` does, on one thread and without the graph that only `progress` needs.
fn check(config: &Config) -> CheckResult {
    let protocol = Protocol::new(config.clone());
    let options = Options {
        threads: NonZeroUsize::MIN,
        keep_graph: false,
        ..Options::default()
    };
    let outcome = search(&protocol, |p: &Protocol, s| observe(&p.config, s), &options);
    judge(&protocol, &protocol.config, &outcome)
}

fn says(result: &CheckResult) -> Says {
    let violated = |name| {
        let property = result.property(name);
        property.is_some_and(|p| p.verdict == Verdict::Violated)
    };
    let names = Exported::state_properties().map(|p| p.name);
    Says {
        violated: names.filter(|n| violated(n)).collect(),
        states: result.states.unique,
        transitions: result.states.generated,
    }
}

fn spins(opinion: &Opinion) -> Says {
    let p = &opinion.printed;
    let violated = |name| match name {
        "no_deadlock" => p.invalid_end_state,
        _ => p.assertions.contains(name),
    };
    let names = Exported::state_properties().map(|p| p.name);
    Says {
        violated: names.filter(|n| violated(n)).collect(),
        states: p.states - EXTRA_STATES,
        transitions: p.transitions - EXTRA_STATES,
    }
}

/// In what two opinions differ.
fn differences(ours: &Says, theirs: &Says) -> Vec<String> {
    let mut all = Vec::new();
    let names = Exported::state_properties().map(|p| p.name);
    for name in names {
        let word = |says: &Says| match says.violated.contains(&name) {
            true => "violated",
            false => "not violated",
        };
        if word(ours) != word(theirs) {
            all.push(format!("{name}: {}, Spin: {}", word(ours), word(theirs)));
        }
    }
    for (what, ours, theirs) in [
        ("states", ours.states, theirs.states),
        ("transitions", ours.transitions, theirs.transitions),
    ] {
        if ours != theirs {
            all.push(format!("{what}: {ours}, Spin: {theirs}"));
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
            states,
            transitions: 2 * states,
        }
    }

    #[test]
    fn every_kind_of_difference_is_told() {
        let ours = said(&["no_deadlock"], 7);
        assert_eq!(differences(&ours, &ours), [""; 0]);
        let whats = |theirs| {
            let all = differences(&ours, &theirs);
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
    }
}
