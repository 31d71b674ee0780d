//! `matrix`: every design in every environment, and every claim, against what is expected.

mod cases;
mod docs;
mod markdown;
mod order;
mod reduced;
mod table;

pub use table::short as short_name;

use super::Format;
use super::bounds::Bounds;
use super::ci::CiArgs;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::json::CheckJson;
use super::output::{self, Plan, ProgressLine};
use super::reduce::Reduce;
use crate::expectation::{Cell, Claim, Difference, Expectations};
use serde::Serialize;
use shootdown_spec::check::{CheckResult, check};
use shootdown_spec::model::Protocol;
use shootdown_spec::order::Proof;
use shootdown_spec::search::Options;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Arguments of `matrix`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this claim of protocol.md §7: C1 to C9, B1 to B12, B14
    #[arg(long, value_name = "ID", ignore_case = true,
          value_parser = clap::builder::PossibleValuesParser::new(claim_ids()))]
    claim: Option<String>,
    /// Only the claims
    #[arg(long, conflicts_with_all = ["claim", "grid"])]
    claims: bool,
    /// Only the designs × environments
    #[arg(long, conflicts_with = "claim")]
    grid: bool,
    /// Only cells of this design
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(
        shootdown_spec::design::DESIGNS.iter().map(|d| d.name)))]
    design: Option<String>,
    /// Print Markdown: docs/verdicts.md, or with --claims docs/claims.md
    #[arg(long, conflicts_with = "format")]
    markdown: bool,
    /// Write the generated pages of the tree at DIR: README.md's table, docs/verdicts.md,
    /// claims.md, properties.md, kernel-map.md, the tables of order.md
    #[arg(long, value_name = "DIR", conflicts_with_all = ["claim", "claims", "grid", "design"])]
    docs: Option<PathBuf>,
    /// Fail if a generated page of the tree at DIR is stale
    #[arg(long, value_name = "DIR", conflicts_with_all = ["docs", "claim", "claims", "grid", "design"])]
    check_docs: Option<PathBuf>,
    /// Print expectations.toml with what came out, to be compared by hand
    #[arg(long, hide = true, conflicts_with_all = ["format", "markdown"])]
    bless: bool,
    /// Write what `--format json` prints to FILE as well, for `report --matrix-json`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    reduce: Reduce,
    #[command(flatten)]
    ci: CiArgs,
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A cell that was checked.
pub struct Checked {
    cell: Cell,
    /// The claim it belongs to, if to one.
    claim: Option<String>,
    protocol: Protocol,
    result: Arc<CheckResult>,
    /// What the static order says.
    proof: Proof,
    differences: Vec<Difference>,
}

/// Everything a run of `matrix` found.
pub struct Matrix {
    expectations: Expectations,
    checked: Vec<Checked>,
    /// Cells that were not reached before the run was cut off.
    not_run: usize,
    elapsed: Duration,
}

#[derive(Serialize)]
struct CellJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<String>,
    /// The command that checks this cell alone.
    command: String,
    #[serde(flatten)]
    check: CheckJson,
    /// What the static order says, for any number of CPUs, and the model of its cycles.
    proof: Proof,
    order: &'static str,
    expected: ExpectedJson,
    differences: Vec<String>,
    as_expected: bool,
}

#[derive(Serialize)]
struct ExpectedJson {
    proof: Proof,
    states: u64,
    violated: Vec<String>,
    vacuous: Vec<String>,
}

/// Checks the cells; any difference is exit code 1, a cell that was cut off 3.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let mut expectations = Expectations::load();
    args.narrow(&mut expectations);
    let options = args.bounds.options(output::cancel_on_signals()?)?;
    if args.reduce.is_given() {
        args.only_verdicts()?;
        return reduced::run(&expectations, args.reduce, &options);
    }
    args.try_out()?;
    let matrix = Matrix::check(expectations, &options)?;
    if args.bless {
        output::print(matrix.blessed())?;
    } else if args.markdown && args.claims {
        output::print(markdown::claims(&matrix))?;
    } else if args.markdown {
        output::print(markdown::verdicts(&matrix))?;
    } else if args.format == Format::Json {
        output::print_json(&matrix.json())?;
    } else {
        output::print(table::text(&matrix, output::width()))?;
    }
    args.ci.write(|| cases::report(&matrix))?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string(&matrix.json())?;
        output::write_file(path, text)?;
    }
    let mut code = matrix.exit_code();
    // Pages tell what a whole run came to, never a part of one.
    if matrix.is_whole() {
        if let Some(root) = &args.docs {
            docs::write(&matrix, root)?;
        }
        if let Some(root) = &args.check_docs {
            for path in docs::stale(&matrix, root)? {
                output::complain!(
                    "error: {} is stale\n  `cargo run --release -- matrix --docs .` regenerates it",
                    path.display()
                );
                code = code.max(ExitCode::NotAsExpected);
            }
        }
    } else if args.docs.is_some() || args.check_docs.is_some() {
        output::complain!("error: the run was cut off, so the generated pages were left alone");
    }
    Ok(code)
}

/// The whole matrix, explored, as `--format json` prints it.
pub fn json(expectations: Expectations, options: &Options) -> Result<serde_json::Value, CliError> {
    let matrix = Matrix::check(expectations, options)?;
    Ok(serde_json::to_value(matrix.json())?)
}

/// What is expected of a cell, as `--format json` prints it.
pub fn expected(cell: &Cell) -> serde_json::Value {
    serde_json::to_value(ExpectedJson::new(cell)).expect("names and numbers")
}

fn claim_ids() -> Vec<String> {
    Expectations::load()
        .claim
        .into_iter()
        .map(|c| c.id)
        .collect()
}

impl Args {
    /// What is published is what the full search came to.
    fn only_verdicts(&self) -> Result<(), CliError> {
        let published = [
            ("--docs", self.docs.is_some()),
            ("--check-docs", self.check_docs.is_some()),
            ("--bless", self.bless),
            ("--markdown", self.markdown),
            ("--json", self.json.is_some()),
            ("--format json", self.format == Format::Json),
        ];
        match published.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(CliError::Reduced(flag)),
            None if self.ci.is_given() => Err(CliError::Reduced("--junit, --sarif or --github")),
            None => Ok(()),
        }
    }

    /// Tries everything that will be written or read when the work is done.
    fn try_out(&self) -> Result<(), CliError> {
        self.ci.try_out()?;
        self.json
            .iter()
            .try_for_each(|path| output::try_out(path))?;
        if let Some(root) = &self.docs {
            docs::try_out(root)?;
        }
        if let Some(root) = &self.check_docs {
            docs::try_read(root)?;
        }
        Ok(())
    }

    fn narrow(&self, expectations: &mut Expectations) {
        if self.claims || self.claim.is_some() {
            expectations.grid.clear();
        }
        if self.grid {
            expectations.claim.clear();
        }
        if let Some(id) = &self.claim {
            expectations.claim.retain(|c| c.id.eq_ignore_ascii_case(id));
        }
        if let Some(design) = &self.design {
            expectations.grid.retain(|c| c.design == *design);
            for claim in &mut expectations.claim {
                claim.cell.retain(|c| c.design == *design);
            }
            expectations.claim.retain(|c| !c.cell.is_empty());
        }
    }
}

impl Matrix {
    /// Checks every cell, the grid first; stops between cells when cancelled.
    fn check(expectations: Expectations, options: &Options) -> Result<Matrix, CliError> {
        let started = Instant::now();
        let grid = expectations.grid.iter().map(|c| (None, c));
        let claims = expectations
            .claim
            .iter()
            .flat_map(|claim| claim.cell.iter().map(move |c| (Some(claim.id.clone()), c)));
        let cells: Vec<(Option<String>, &Cell)> = grid.chain(claims).collect();
        let progress = ProgressLine::new("matrix");
        let mut checked = Vec::new();
        // A cell of the grid that also decides a claim is explored once.
        let mut known: HashMap<String, Arc<CheckResult>> = HashMap::new();
        // What is written down is what will be, so it says how much is left.
        let mut unique: HashMap<String, u64> = HashMap::new();
        for (_, cell) in &cells {
            unique.insert(cell.command(), cell.states);
        }
        let all: u64 = unique.values().sum();
        let mut done = 0;
        for (i, (claim, cell)) in cells.iter().enumerate() {
            // The time-out is for the whole run.
            let left = options.timeout.map(|t| t.saturating_sub(started.elapsed()));
            if options.cancel.load(Ordering::Relaxed) || left == Some(Duration::ZERO) {
                break;
            }
            progress.now(&format!(
                "{}/{} {} {}",
                i + 1,
                cells.len(),
                cell.design,
                cell.env
            ));
            let plan = Plan {
                done,
                all,
                now: cell.states,
                started,
            };
            let options = Options {
                timeout: left,
                progress: Some(progress.callback_in(Some(plan))),
                ..options.clone()
            };
            let protocol = Protocol::new(cell.config()?);
            let result = match known.get(&cell.command()) {
                Some(result) => result.clone(),
                None => {
                    let result = Arc::new(check(&protocol, &options));
                    done += cell.states;
                    result
                }
            };
            known.insert(cell.command(), result.clone());
            tracing::info!(
                cell = cell.command(),
                states = result.states.unique,
                "checked"
            );
            let proof = cell.prove()?;
            let mut differences = cell.differences(&result);
            differences.extend(cell.proof_differences(proof, &result));
            let cell = (*cell).clone();
            checked.push(Checked {
                cell,
                claim: claim.clone(),
                protocol,
                result,
                proof,
                differences,
            });
        }
        progress.finish();
        let not_run = cells.len() - checked.len();
        drop(cells);
        Ok(Matrix {
            expectations,
            checked,
            not_run,
            elapsed: started.elapsed(),
        })
    }

    fn json(&self) -> Vec<CellJson> {
        self.checked.iter().map(CellJson::new).collect()
    }

    fn exit_code(&self) -> ExitCode {
        if self.checked.iter().any(|c| !c.differences.is_empty()) {
            ExitCode::NotAsExpected
        } else if self.not_run > 0 || self.checked.iter().any(|c| !c.result.complete) {
            ExitCode::Incomplete
        } else {
            ExitCode::AsPromised
        }
    }

    /// Was every cell explored to its end?
    fn is_whole(&self) -> bool {
        self.not_run == 0 && self.checked.iter().all(|c| c.result.complete)
    }

    /// Cells of the designs × environments.
    fn grid(&self) -> impl Iterator<Item = &Checked> {
        self.checked.iter().filter(|c| c.claim.is_none())
    }

    /// The claims with their cells that were checked.
    fn claims(&self) -> impl Iterator<Item = (&Claim, Vec<&Checked>)> {
        self.expectations.claim.iter().map(|claim| {
            let own = |c: &&Checked| c.claim.as_deref() == Some(claim.id.as_str());
            (claim, self.checked.iter().filter(own).collect())
        })
    }

    fn blessed(&self) -> String {
        let mut observed = self
            .checked
            .iter()
            .map(|c| c.cell.observed(&c.result, c.proof));
        let mut expectations = self.expectations.clone();
        for cell in &mut expectations.grid {
            *cell = observed.next().unwrap_or_else(|| cell.clone());
        }
        for cell in expectations.claim.iter_mut().flat_map(|c| &mut c.cell) {
            *cell = observed.next().unwrap_or_else(|| cell.clone());
        }
        toml::to_string(&expectations).expect("the file was read from TOML")
    }
}

impl ExpectedJson {
    fn new(cell: &Cell) -> ExpectedJson {
        ExpectedJson {
            proof: cell.proof,
            states: cell.states,
            violated: cell.violated.clone(),
            vacuous: cell.vacuous.clone(),
        }
    }
}

impl CellJson {
    fn new(checked: &Checked) -> CellJson {
        let describe = |d: &Difference| {
            format!(
                "{}: expected {}, observed {}",
                d.what, d.expected, d.observed
            )
        };
        CellJson {
            claim: checked.claim.clone(),
            command: checked.cell.command(),
            check: CheckJson::new(&checked.protocol, &checked.result),
            proof: checked.proof,
            order: order::standing(checked),
            expected: ExpectedJson::new(&checked.cell),
            differences: checked.differences.iter().map(describe).collect(),
            as_expected: checked.differences.is_empty() && checked.result.complete,
        }
    }
}
