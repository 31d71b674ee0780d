//! `refine --matrix`: do the protocol's verdicts and the code's agree, cell by cell?
//!
//! A run of part of the cells writes, or compares, only their rows of the page. What a row says without any exploration
//! of the code (that the cell is there, its verdicts, the protocol's states) is compared for all of them.

mod grid;

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
use shootdown_spec::check::check;
use shootdown_spec::model::Protocol;
use shootdown_spec::search::Options;
use shootdown_spec::verdict::Verdict;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::Ordering;

/// The marker of the table in docs/refinement.md.
const PART: &str = "agreement";

struct Row {
    cell: Cell,
    result: RefineResult,
    /// The protocol was explored to its end as well, or did not have to be.
    protocol_complete: bool,
    /// Properties whose verdict is another than the protocol's.
    differs: Vec<String>,
    missing: Vec<Missing>,
}

/// Explores the cells; any difference, misfit or unexplained hole is exit code 1, a cut-off cell 3.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let cells = cells();
    let wanted: Vec<_> = cells.iter().filter(|cell| args.wants(cell)).collect();
    if wanted.is_empty() {
        return Err(CliError::Refine(format!(
            "none of the {} cells is one of those: docs/refinement.md lists them",
            cells.len()
        )));
    }
    let mut options = args.bounds.options(output::cancel_on_signals()?)?;
    if args.docs.is_some() || args.check_docs.is_some() {
        // On several threads the code is discovered in one order or another, other points are taken for one, and now
        // and then there are a handful of states more or less.
        options.threads = NonZeroUsize::MIN;
    }
    args.ci.try_out()?;
    if let Some(root) = args.docs.as_ref().or(args.check_docs.as_ref()) {
        let page = root.join("docs/refinement.md");
        read(&page)?;
        if args.docs.is_some() {
            output::try_out(&page)?;
        }
    }
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
    output::print(rows.iter().map(Row::told).collect::<String>())?;
    let (left_out, not_run) = (cells.len() - wanted.len(), wanted.len() - rows.len());
    output::print(summary(&rows, left_out, not_run))?;
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
        write_docs(&root.join("docs/refinement.md"), &cells, &rows)?;
    }
    if let Some(root) = &args.check_docs
        && code == ExitCode::AsPromised
    {
        code = check_docs(&root.join("docs/refinement.md"), &cells, &rows)?;
    }
    Ok(code)
}

impl Args {
    fn wants(&self, cell: &Cell) -> bool {
        let command = cell.command();
        let named = self.only.is_empty() || self.only.iter().any(|text| command.contains(text));
        named && cell.states <= self.up_to
    }
}

/// Every cell of the matrix without deviation, or the lighter one that stands for it, once, and those beyond it.
fn cells() -> Vec<Cell> {
    let expectations = Expectations::load();
    let mut seen = BTreeSet::new();
    expectations
        .cells()
        .into_iter()
        .map(Cell::lighter)
        .filter(|cell| cell.variants.is_empty() && seen.insert(cell.command()))
        .chain(grid::cells())
        .collect()
}

impl Row {
    fn explore(mut cell: Cell, options: &Options) -> Result<Row, CliError> {
        let config = cell.config()?;
        let mut differs = Vec::new();
        let mut protocol_complete = true;
        if grid::cells().any(|beyond| beyond == cell) {
            let protocol = check(&Protocol::new(config.clone()), options);
            let (expected, states) = (cell.states, protocol.states.unique);
            protocol_complete = protocol.complete;
            if states != expected && protocol_complete {
                differs.push(format!(
                    "the protocol has {states} states, expected {expected}"
                ));
            }
            let vacuous = protocol
                .properties
                .iter()
                .filter(|p| p.verdict == Verdict::Vacuous);
            cell.vacuous = vacuous.map(|p| p.name.to_string()).collect();
        }
        let mut refinement = super::refinement(config)?;
        let result = refine(&mut refinement, options);
        let properties = result.check.properties.iter();
        // Cut off, nothing is said of what was not violated so far.
        let unknown =
            |v: Verdict| v == Verdict::Incomplete || v == Verdict::Vacuous && !protocol_complete;
        let other =
            properties.filter(|p| !unknown(p.verdict) && p.verdict != cell.expected(p.name));
        differs.extend(other.map(|p| {
            let expected = cell.expected(p.name);
            format!(
                "{}: {} in the code, {expected} in the protocol",
                p.name, p.verdict
            )
        }));
        // Of a run that was cut off nothing is missing: it might have come.
        let missing = match result.check.complete {
            false => None,
            true => coverage::missing(&refinement, &options.cancel),
        }
        .unwrap_or_default();
        tracing::info!(cell = cell.command(), refines = %result.refines(), "compared");
        Ok(Row {
            cell,
            result,
            protocol_complete,
            differs,
            missing,
        })
    }

    /// Is it this cell's?
    fn is_of(&self, cell: &Cell) -> bool {
        self.cell.command() == cell.command()
    }

    fn exit_code(&self) -> ExitCode {
        let unexplained = self.missing.iter().any(|m| m.reason.is_none());
        match self.refines() {
            Verdict::Incomplete if self.differs.is_empty() => ExitCode::Incomplete,
            Verdict::Holds if self.differs.is_empty() && !unexplained => ExitCode::AsPromised,
            _ => ExitCode::NotAsExpected,
        }
    }

    /// Whether the code refines the protocol, as far as both were explored.
    fn refines(&self) -> Verdict {
        match self.result.refines() {
            Verdict::Holds if !self.protocol_complete => Verdict::Incomplete,
            verdict => verdict,
        }
    }

    /// For people: how large it was, and what came out.
    fn told(&self) -> String {
        let check = &self.result.check;
        format!(
            "{}\n  refines: {}, {}; {} states, {} transitions, real code run {} times, {:.1} s\n",
            flags(&self.cell),
            self.refines(),
            self.agreement(),
            output::count(check.states.unique),
            output::count(check.states.generated),
            output::count(self.result.runs),
            check.elapsed.as_secs_f64(),
        )
    }

    fn agreement(&self) -> &'static str {
        match (self.differs.is_empty(), self.refines()) {
            (false, _) => "**DIFFERS**",
            (true, Verdict::Incomplete) => "incomplete",
            (true, _) => "agrees",
        }
    }

    /// For the page.
    fn line(&self) -> String {
        format!(
            "{} {} | {} | {} | {} |\n",
            expected(&self.cell),
            self.agreement(),
            self.refines(),
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

/// What makes the cell, as it is written on a command line.
fn flags(cell: &Cell) -> String {
    let command = cell.command();
    let rest = command
        .split_once("check ")
        .map(|(_, rest)| rest.to_string());
    rest.unwrap_or(command)
}

/// The beginning of a cell's row, which says what is expected of it.
fn expected(cell: &Cell) -> String {
    let violated: Vec<_> = cell.violated.iter().map(|v| short_name(v)).collect();
    let violated = match violated.is_empty() {
        true => "holds".to_string(),
        false => violated.join(" "),
    };
    format!("| `{}` | {violated} |", flags(cell))
}

/// The row that the page has for a cell, if it has one.
fn written<'a>(part: &'a str, cell: &Cell) -> Option<&'a str> {
    let begin = format!("| `{}` |", flags(cell));
    part.split_inclusive('\n')
        .find(|line| line.starts_with(&begin))
}

const HEAD: &str = "| cell | violated | code and protocol | refines | states of the protocol | of code and protocol |\n\
                    |---|---|---|---|---|---|\n";

/// The table of all cells: what came out for those that were run, what the page has for the others.
fn table(page: &str, cells: &[Cell], rows: &[Row]) -> String {
    let row = |cell: &Cell| {
        let run = rows.iter().find(|row| row.is_of(cell)).map(Row::line);
        run.or_else(|| written(page, cell).map(str::to_string))
    };
    let rows: String = cells.iter().filter_map(row).collect();
    HEAD.to_string() + &rows
}

fn summary(rows: &[Row], left_out: usize, not_run: usize) -> String {
    let total = |f: fn(&Row) -> u64| rows.iter().map(f).sum::<u64>();
    let seconds: f64 = rows
        .iter()
        .map(|r| r.result.check.elapsed.as_secs_f64())
        .sum();
    let mut text = format!(
        "\n{}: {} states, {} transitions, real code run {} times, {seconds:.0} s; {left_out} left out, \
         {not_run} not run\n",
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

fn write_docs(path: &Path, cells: &[Cell], rows: &[Row]) -> Result<(), CliError> {
    let page = read(path)?;
    let table = table(&page, cells, rows);
    let page = generated::replace(&page, PART, &table).ok_or(CliError::NoMarkers {
        path: path.to_path_buf(),
        name: PART,
    })?;
    output::write_file(path, page)
}

/// Every row that came out must be in the page as it came out; every other must be there, with what is expected of its
/// cell; and there must be no more.
fn check_docs(path: &Path, cells: &[Cell], rows: &[Row]) -> Result<ExitCode, CliError> {
    let page = read(path)?;
    let stale = stale(&page, cells, rows);
    for line in &stale {
        output::complain!("error: {}: {line}", path.display());
    }
    if stale.is_empty() {
        return Ok(ExitCode::AsPromised);
    }
    output::complain!(
        "  `cargo run --release -- refine --matrix --docs .` regenerates it, with `--only TEXT` some of its rows"
    );
    Ok(ExitCode::NotAsExpected)
}

fn stale(page: &str, cells: &[Cell], rows: &[Row]) -> Vec<String> {
    let mut stale = Vec::new();
    for cell in cells {
        let line = written(page, cell);
        if let Some(row) = rows.iter().find(|row| row.is_of(cell)) {
            if line != Some(&row.line()) {
                stale.push(format!(
                    "does not have the row\n  {}",
                    row.line().trim_end()
                ));
            }
            continue;
        }
        let states = format!(" | {} | ", output::count(cell.states));
        let begin = expected(cell);
        if !line.is_some_and(|line| line.starts_with(&begin) && line.contains(&states)) {
            stale.push(format!("does not have a row that begins\n  {begin}"));
        }
    }
    // A page that is right for all cells is what would be written, unless it has more, or another order.
    if stale.is_empty()
        && generated::replace(page, PART, &table(page, cells, rows)).as_deref() != Some(page)
    {
        stale.push("has rows of other cells, or in another order".to_string());
    }
    stale
}
