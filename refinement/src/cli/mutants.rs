//! `mutants`: faults put in on purpose, and who noticed them.

mod docs;
mod generated;
mod json;
mod text;

use super::Format;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output::{self, ProgressLine};
use shootdown_refinement::memory;
use shootdown_refinement::mutants::evidence::{self, Evidence, EvidenceError, Finding};
use shootdown_refinement::mutants::{self, Mutant, Place};
use shootdown_spec::search::Options;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a fault runs on real threads at most.
const STRESS: Duration = Duration::from_secs(10);

const EXIT_CODES: &str = "\
Exit codes:
  0  every fault was noticed by everybody who must, or it is said why not
  1  a fault survived, or a generated page is stale
  2  usage, or unreadable input
  3  cut off by Ctrl-C or --timeout; what is finished is printed
  4  internal error";

/// Arguments of `mutants`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n{EXIT_CODES}", crate::cli::examples::MUTANTS))]
pub struct Args {
    /// Only these faults, by name
    #[arg(value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(names()))]
    name: Vec<String>,
    /// Only list the catalogue; nothing is run
    #[arg(long, conflicts_with_all = ["name", "show", "stress", "docs", "check_docs"])]
    list: bool,
    /// One fault: the shortest run that shows it, with the protocol's lines
    #[arg(long, value_name = "NAME", conflicts_with_all = ["name", "docs", "check_docs"],
          value_parser = clap::builder::PossibleValuesParser::new(names()))]
    show: Option<String>,
    /// Real threads as well, for the faults they have: up to 10 seconds each
    #[arg(long)]
    stress: bool,
    /// N random edits of the specification instead: of its guards, assignments, operands and constants
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000),
          conflicts_with_all = ["name", "list", "show", "stress", "guards"])]
    generate: Option<u32>,
    /// Which edits are drawn: the same seed draws the same
    #[arg(long, value_name = "S", default_value_t = 1, requires = "generate")]
    seed: u64,
    /// Leave out every clause of every guard and condition of the specification, one at a time
    #[arg(long, conflicts_with_all = ["name", "list", "show", "stress"])]
    guards: bool,
    /// Only in the cells of the matrix whose command contains TEXT
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["name", "list", "show", "stress", "docs", "check_docs"])]
    cells: Option<String>,
    /// Stop edits after this time: 90s, 5m, 1h
    #[arg(long, value_name = "TIME", conflicts_with_all = ["name", "list", "show", "stress"])]
    timeout: Option<String>,
    /// Write the generated part of docs/mutants.md, DIR being the root of the tree
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "stress"])]
    docs: Option<PathBuf>,
    /// Fail if the generated part of docs/mutants.md is stale
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "stress", "docs"])]
    check_docs: Option<PathBuf>,
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn names() -> Vec<&'static str> {
    mutants::mutants().map(|m| m.name).collect()
}

/// A fault and what was found about it.
pub struct Tried {
    pub mutant: &'static Mutant,
    pub evidence: Evidence,
}

/// Tries every fault asked for; a survivor is exit code 1.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    if args.list {
        match args.format {
            Format::Json => output::print_json(&json::catalogue())?,
            Format::Text => output::print(text::catalogue())?,
        }
        return Ok(ExitCode::AsPromised);
    }
    if args.generate.is_some() || args.guards {
        return generated::run(args);
    }
    if args.cells.is_some() || args.timeout.is_some() {
        return Err(CliError::Edits);
    }
    args.try_out()?;
    let wanted: Vec<_> = mutants::mutants().filter(|m| args.wants(m)).collect();
    let started = Instant::now();
    let (tried, stopped) = try_all(&wanted, args.stress)?;
    let elapsed = started.elapsed();
    match (args.format, &args.show) {
        (Format::Json, _) => output::print_json(&json::results(&tried, stopped, elapsed))?,
        (Format::Text, Some(_)) => output::print(tried.iter().map(text::run).collect::<String>())?,
        (Format::Text, None) => output::print(text::matrix(&tried, elapsed))?,
    }
    if stopped {
        return Ok(ExitCode::Incomplete);
    }
    if let Some(root) = &args.docs {
        docs::write(root, docs::CATALOGUE, &docs::table(&tried))?;
    }
    let mut as_promised = tried.iter().all(|t| t.evidence.as_expected(t.mutant));
    if let Some(root) = &args.check_docs
        && let Some(page) = docs::stale(root, docs::CATALOGUE, &docs::table(&tried))?
    {
        output::complain!(
            "stale: {} (`shootdown mutants --docs .` makes it anew)",
            page.display()
        );
        as_promised = false;
    }
    Ok(match as_promised {
        true => ExitCode::AsPromised,
        false => ExitCode::NotAsExpected,
    })
}

impl Args {
    /// Tries the page that will be written or compared, before the work.
    fn try_out(&self) -> Result<(), CliError> {
        if let Some(root) = self.docs.as_ref().or(self.check_docs.as_ref()) {
            let (path, _) = docs::read(root)?;
            if self.docs.is_some() {
                output::try_out(&path)?;
            }
        }
        Ok(())
    }

    fn wants(&self, mutant: &Mutant) -> bool {
        match &self.show {
            Some(name) => mutant.name == name,
            None => self.name.is_empty() || self.name.iter().any(|n| n == mutant.name),
        }
    }
}

/// All evidence about all of them, and whether a signal cut it off.
pub fn try_all(
    wanted: &[&'static Mutant],
    on_threads: bool,
) -> Result<(Vec<Tried>, bool), CliError> {
    let cancel = output::cancel_on_signals()?;
    let progress = ProgressLine::new("mutants");
    let options = Options {
        cancel: cancel.clone(),
        max_memory: memory::share(),
        progress: Some(progress.callback()),
        ..Options::default()
    };
    let mut without: HashMap<Place, u64> = HashMap::new();
    let mut tried = Vec::new();
    for &mutant in wanted {
        progress.now(mutant.name);
        match one(mutant, &mut without, on_threads, &options) {
            Ok(evidence) => tried.push(Tried { mutant, evidence }),
            Err(EvidenceError::Stopped(..)) => break,
            Err(error) => return Err(error.into()),
        }
        if cancel.load(Ordering::Relaxed) {
            break;
        }
    }
    progress.finish();
    let stopped = tried.len() < wanted.len();
    Ok((tried, stopped))
}

fn one(
    mutant: &Mutant,
    without: &mut HashMap<Place, u64>,
    on_threads: bool,
    options: &Options,
) -> Result<Evidence, EvidenceError> {
    let known = match without.get(&mutant.place) {
        Some(&bits) => bits,
        None => evidence::baseline(&mutant.place, options)?,
    };
    without.insert(mutant.place, known);
    Ok(Evidence {
        types: evidence::types(mutant)?,
        order: evidence::order(mutant)?,
        model: evidence::model(mutant, options)?,
        refinement: evidence::refinement(mutant, known, options)?,
        stress: match on_threads {
            true => evidence::stress(mutant, STRESS, &options.cancel)?,
            false => Finding::NotAsked,
        },
    })
}

/// How many, and by whom.
struct Tally {
    faults: usize,
    killed: usize,
    equivalent: usize,
    survivors: Vec<String>,
    longest: usize,
}

fn tally(tried: &[Tried]) -> Tally {
    let equivalent = |t: &&Tried| t.mutant.equivalent.is_some();
    let survivors = tried
        .iter()
        .filter(|t| !t.evidence.as_expected(t.mutant))
        .map(|t| match t.mutant.equivalent {
            None => format!(
                "{}: missed by {}",
                t.mutant.name,
                t.evidence.missed_by().join(", ")
            ),
            Some(_) => format!("{}: argued to be equivalent, and it is not", t.mutant.name),
        });
    let steps = |t: &Tried| {
        t.evidence
            .refinement
            .counterexample
            .as_ref()
            .map(|c| c.steps)
    };
    Tally {
        faults: tried.len(),
        killed: tried.iter().filter(|t| steps(t).is_some()).count(),
        equivalent: tried.iter().filter(equivalent).count(),
        survivors: survivors.collect(),
        longest: tried.iter().filter_map(steps).max().unwrap_or(0),
    }
}
