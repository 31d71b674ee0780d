//! `refine --matrix`: do the protocol's verdicts and the code's agree, cell by cell?

use super::Args;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::generated;
use crate::cli::matrix::short_name;
use crate::cli::output::{self, ProgressLine};
use crate::expectation::{Cell, Expectations};
use shootdown_refinement::ci::{Case, Finding, Outcome, Place, Report, Severity};
use shootdown_refinement::relation::coverage::{self, Missing};
use shootdown_refinement::relation::outcome::{RefineResult, refine};
use shootdown_spec::search::Options;
use shootdown_spec::verdict::Verdict;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::Ordering;

/// The marker of the table in docs/refinement.md.
const PART: &str = "agreement";

struct Row {
    cell: Cell,
    result: RefineResult,
    /// Properties whose verdict is another than the protocol's.
    differs: Vec<String>,
    missing: Vec<Missing>,
}

/// Explores the cells; any difference, misfit or unexplained hole is exit code 1, a cut-off cell 3.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let cells = cells();
    let (wanted, left_out): (Vec<_>, Vec<_>) = cells.iter().partition(|c| c.states <= args.up_to);
    let options = args.bounds.options(output::cancel_on_ctrl_c()?)?;
    let progress = ProgressLine::new("refine");
    let mut rows = Vec::new();
    for (i, cell) in wanted.iter().enumerate() {
        if options.cancel.load(Ordering::Relaxed) {
            break;
        }
        let (n, of) = (i + 1, wanted.len());
        progress.now(&format!("cell {n} of {of}: {} {}", cell.design, cell.env));
        let options = Options {
            progress: Some(progress.callback()),
            ..options.clone()
        };
        rows.push(Row::explore((*cell).clone(), &options)?);
    }
    progress.finish();
    output::print(table(&rows))?;
    output::print(summary(&rows, left_out.len(), wanted.len() - rows.len()))?;
    args.ci.write(|| report(&rows))?;
    let mut code = rows
        .iter()
        .map(Row::exit_code)
        .max()
        .unwrap_or(ExitCode::AsPromised);
    if rows.len() < wanted.len() {
        code = code.max(ExitCode::Incomplete);
    }
    if let Some(root) = &args.docs {
        write_docs(&root.join("docs/refinement.md"), &rows)?;
    }
    if let Some(root) = &args.check_docs
        && code == ExitCode::AsPromised
    {
        code = check_docs(&root.join("docs/refinement.md"), &rows)?;
    }
    Ok(code)
}

/// Every cell of the matrix without deviation, once.
fn cells() -> Vec<Cell> {
    let expectations = Expectations::load();
    let mut seen = BTreeSet::new();
    expectations
        .cells()
        .into_iter()
        .filter(|cell| cell.variants.is_empty() && seen.insert(cell.command()))
        .cloned()
        .collect()
}

impl Row {
    fn explore(cell: Cell, options: &Options) -> Result<Row, CliError> {
        let mut refinement = super::refinement(cell.config()?)?;
        let result = refine(&mut refinement, options);
        let properties = result.check.properties.iter();
        let differs = properties
            .filter(|p| p.verdict != cell.expected(p.name))
            .map(|p| {
                let expected = cell.expected(p.name);
                format!(
                    "{}: {} in the code, {expected} in the protocol",
                    p.name, p.verdict
                )
            })
            .collect();
        let missing = coverage::missing(&refinement);
        Ok(Row {
            cell,
            result,
            differs,
            missing,
        })
    }

    fn exit_code(&self) -> ExitCode {
        let unexplained = self.missing.iter().any(|m| m.reason.is_none());
        match self.result.refines() {
            Verdict::Incomplete => ExitCode::Incomplete,
            Verdict::Holds if self.differs.is_empty() && !unexplained => ExitCode::AsPromised,
            _ => ExitCode::NotAsExpected,
        }
    }

    fn line(&self) -> String {
        let violated: Vec<_> = self.cell.violated.iter().map(|v| short_name(v)).collect();
        let command = self.cell.command();
        let command = command
            .split_once("check ")
            .map_or(&*command, |(_, rest)| rest);
        format!(
            "| `{command}` | {} | {} | {} | {} | {} |\n",
            if violated.is_empty() {
                "holds".to_string()
            } else {
                violated.join(" ")
            },
            if self.differs.is_empty() {
                "agrees"
            } else {
                "**DIFFERS**"
            },
            self.result.refines(),
            output::count(self.cell.states),
            output::count(self.result.check.states.unique),
        )
    }
}

/// A case for each cell that was explored.
fn report(rows: &[Row]) -> Report {
    let case = |row: &Row| {
        let at = Place {
            file: "refinement/expectations.toml".to_string(),
            line: None,
        };
        let finding = |rule: &str, promise: &str, message: String| Finding {
            rule: rule.to_string(),
            promise: promise.to_string(),
            level: Severity::Error,
            message: format!("{}: {message}", row.cell.command()),
            place: Some(at.clone()),
            related: Vec::new(),
        };
        let mut findings: Vec<Finding> = Vec::new();
        for difference in &row.differs {
            let promise = "the code has the verdicts that are written down for the protocol";
            findings.push(finding(
                "code-differs-from-protocol",
                promise,
                difference.clone(),
            ));
        }
        if row.result.refines() == Verdict::Violated {
            let promise = "every step of the code is one of the protocol";
            findings.push(finding(
                "refines",
                promise,
                "the code does not refine the protocol".to_string(),
            ));
        }
        for hole in row.missing.iter().filter(|m| m.reason.is_none()) {
            let promise = "every step of the protocol is taken by the code, or there is a reason";
            let message = format!("{}: {} is never taken", hole.program.name(), hole.source);
            findings.push(finding("unexplained-hole", promise, message));
        }
        Case {
            suite: "refine --matrix".to_string(),
            name: row.cell.command(),
            outcome: match row.exit_code() {
                ExitCode::AsPromised => Outcome::Passed,
                ExitCode::NotAsExpected => Outcome::Failed(findings),
                _ => Outcome::Undecided("incomplete".to_string()),
            },
            time: Some(row.result.check.elapsed),
        }
    };
    Report {
        command: "shootdown refine --matrix".to_string(),
        cases: rows.iter().map(case).collect(),
    }
}

const HEAD: &str = "| cell | violated | code and protocol | refines | states of the protocol | of code and protocol |\n\
                    |---|---|---|---|---|---|\n";

fn table(rows: &[Row]) -> String {
    rows.iter()
        .fold(HEAD.to_string(), |text, row| text + &row.line())
}

fn summary(rows: &[Row], left_out: usize, not_run: usize) -> String {
    let total = |f: fn(&Row) -> u64| rows.iter().map(f).sum::<u64>();
    let seconds: f64 = rows
        .iter()
        .map(|r| r.result.check.elapsed.as_secs_f64())
        .sum();
    let mut text = format!(
        "\n{}: {} states, {} transitions, real code run {} times, {seconds:.0} s; {left_out} left out for \
         their size, {not_run} not run\n",
        output::plural(rows.len() as u64, "cell"),
        output::count(total(|r| r.result.check.states.unique)),
        output::count(total(|r| r.result.check.states.generated)),
        output::count(total(|r| r.result.runs)),
    );
    for row in rows {
        for difference in &row.differs {
            let _ = writeln!(text, "DIFFERS {}: {difference}", row.cell.command());
        }
        if row.result.refines() == Verdict::Violated {
            let _ = writeln!(text, "NO REFINEMENT {}", row.cell.command());
        }
    }
    let all = rows.iter().flat_map(|r| &r.missing);
    let holes: BTreeSet<_> = all
        .map(|m| {
            (
                m.program.name(),
                m.source,
                m.place.irqs,
                m.reason.unwrap_or("UNEXPLAINED"),
            )
        })
        .collect();
    let n = holes.len();
    let _ = writeln!(
        text,
        "steps that the protocol allows in some cell and the code never took there: {n}"
    );
    for (program, source, irqs, reason) in holes {
        let _ = writeln!(text, "  {program}: {source} ({irqs}): {reason}");
    }
    text
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| CliError::File {
        path: path.to_path_buf(),
        error,
    })
}

fn write_docs(path: &Path, rows: &[Row]) -> Result<(), CliError> {
    let page = generated::replace(&read(path)?, PART, &table(rows)).ok_or(CliError::NoMarkers {
        path: path.to_path_buf(),
        name: PART,
    })?;
    std::fs::write(path, page).map_err(|error| CliError::File {
        path: path.to_path_buf(),
        error,
    })
}

/// Every row that came out must be in the page; a part of the cells does not make the rest stale.
fn check_docs(path: &Path, rows: &[Row]) -> Result<ExitCode, CliError> {
    let page = read(path)?;
    let lines: Vec<_> = rows.iter().map(Row::line).collect();
    let stale: Vec<_> = lines.iter().filter(|line| !page.contains(*line)).collect();
    for line in &stale {
        eprint!("error: {} does not have the row\n  {line}", path.display());
    }
    if stale.is_empty() {
        return Ok(ExitCode::AsPromised);
    }
    eprintln!("  `cargo run --release -- refine --matrix --docs .` writes it anew");
    Ok(ExitCode::NotAsExpected)
}
