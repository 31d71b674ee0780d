//! Runs everything that the review quotes.

mod beside;
#[cfg(test)]
mod mutated;

use super::Args;
use crate::cli::error::CliError;
use crate::cli::output::{self, ProgressLine};
use crate::cli::{matrix, mutants, refine, stress, validate};
use crate::expectation::{self, Expectations};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shootdown_impl::host::stress::Verdict as Ended;
use shootdown_refinement::mutants::evidence::Finding;
use shootdown_refinement::relation::coverage;
use shootdown_refinement::relation::outcome;
use shootdown_refinement::review::findings::{
    Asked, Cell, CellJson, Claim, Fault, Findings, Judged, Made, Measured, OrderOf, Outcome,
    Refined, Stressed,
};
use shootdown_refinement::review::run::Run;
use shootdown_spec::design::DESIGNS;
use shootdown_spec::environment::ENVIRONMENTS;
use shootdown_spec::search::Options;
use shootdown_spec::verdict::Verdict;
use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Cells in which the code is explored beside the protocol: every design, with every program that these environments
/// have, and the two to choose between also with huge pages. A few seconds together.
const REFINED: &[&str] = &["nosplit", "split"];
const REFINED_THP: &[&str] = &["v2.6.38", "tracked"];

/// The largest matrix that is read. Today's has half a MiB.
const LARGEST_MATRIX: u64 = 64 << 20;

/// Everything; real threads only where the result can show them.
pub fn findings(args: &Args, threads: bool) -> Result<Findings, CliError> {
    let started = Instant::now();
    let expectations = Expectations::load();
    let options = args.bounds.options(output::cancel_on_signals()?)?;
    let (cells, matrix) = match &args.matrix_json {
        Some(path) => (read(path)?, format!("from {}", path.display())),
        None => (
            matrix::json(Expectations::load(), &options)?,
            "explored by this command".to_string(),
        ),
    };
    let name = args
        .matrix_json
        .as_ref()
        .map_or("the matrix".into(), |p| p.display().to_string());
    let outcomes =
        outcomes(cells, &expectations).map_err(|reason| CliError::MatrixJson { name, reason })?;
    let cell = |claim: Option<&str>, c: &expectation::Cell| self::cell(claim, c, &outcomes);
    let mut findings = Findings {
        grid: expectations
            .grid
            .iter()
            .map(|c| cell(None, c))
            .collect::<Result<_, _>>()?,
        claims: expectations
            .claim
            .iter()
            .map(|claim| {
                let cells = claim.cell.iter().map(|c| cell(Some(&claim.id), c));
                Ok(Claim {
                    id: claim.id.clone(),
                    says: claim.says.clone(),
                    finding: claim.finding.clone(),
                    cells: cells.collect::<Result<_, CliError>>()?,
                })
            })
            .collect::<Result<_, CliError>>()?,
        orders: orders()?,
        expectations: format!("{:x}", Sha256::digest(expectation::FILE)),
        candidates: args.candidates,
        ..Findings::default()
    };
    findings.beside = beside::beside(&findings);
    findings.refined = refined(&findings, &expectations, &options)?;
    findings.faults = faults(&options)?;
    if threads && args.stress_seconds > 0 {
        findings.stressed = stressed(args.stress_seconds)?;
        findings.measured = measured(args)?;
    }
    findings.made = Made {
        command: std::env::args().collect::<Vec<_>>().join(" "),
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("SHOOTDOWN_COMMIT"),
        rustc: env!("SHOOTDOWN_RUSTC"),
        profile: if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
        date: today(),
        threads: std::thread::available_parallelism().map_or(0, usize::from),
        matrix,
        elapsed: started.elapsed(),
        peak_memory: validate::peak_memory(),
    };
    Ok(findings)
}

/// What `matrix` says of one cell, with the claim it says it for.
type Outcomes = Vec<(Option<String>, String, Outcome)>;

fn read(path: &Path) -> Result<Value, CliError> {
    let refused = |reason: String| CliError::MatrixJson {
        name: path.display().to_string(),
        reason,
    };
    let failed = |error| CliError::File {
        path: path.to_path_buf(),
        error,
    };
    let file = File::open(path).map_err(failed)?;
    let mut text = Vec::new();
    file.take(LARGEST_MATRIX + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > LARGEST_MATRIX {
        let most = output::bytes(LARGEST_MATRIX);
        return Err(refused(format!("larger than {most}: no matrix is")));
    }
    serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))
}

/// Takes the cells that this binary would check itself, judged against what it expects itself; executes every
/// counterexample again.
fn outcomes(cells: Value, expectations: &Expectations) -> Result<Outcomes, String> {
    let Value::Array(cells) = cells else {
        return Err("not the list of cells that `matrix` writes".into());
    };
    let mut outcomes = Outcomes::new();
    for (n, cell) in cells.into_iter().enumerate() {
        let refused = |reason: String| format!("cell {}: {reason}", n + 1);
        let json: CellJson = serde_json::from_value(cell).map_err(|e| refused(e.to_string()))?;
        if json.schema != "shootdown/check/2" {
            return Err(refused(format!(
                "schema `{}`, not `shootdown/check/2`",
                json.schema
            )));
        }
        let known = match &json.claim {
            None => expectations
                .grid
                .iter()
                .find(|c| c.command() == json.command),
            Some(id) => {
                let claim = expectations.claim.iter().find(|c| c.id == *id);
                claim.and_then(|c| c.cell.iter().find(|c| c.command() == json.command))
            }
        };
        let Some(known) = known else {
            return Err(refused(format!("`{}` is none of the matrix", json.command)));
        };
        if json.expected != matrix::expected(known) {
            return Err(refused(format!(
                "`{}` was judged against other expectations: written by another version?",
                json.command
            )));
        }
        if outcomes
            .iter()
            .any(|(c, command, _)| *c == json.claim && *command == json.command)
        {
            return Err(refused(format!("`{}` is there twice", json.command)));
        }
        if let Some(odd) = contradiction(&json, known) {
            return Err(refused(format!(
                "`{}` says that it came out as expected, but {odd}",
                json.command
            )));
        }
        let (claim, command) = (json.claim.clone(), json.command.clone());
        outcomes.push((claim, command, outcome(json).map_err(refused)?));
    }
    Ok(outcomes)
}

/// Where a cell without differences differs from what is expected of it.
fn contradiction(json: &CellJson, known: &expectation::Cell) -> Option<String> {
    if !json.complete || !json.differences.is_empty() {
        return None;
    }
    if json.states.unique != known.states {
        return Some(format!(
            "states: {}, not {}",
            json.states.unique, known.states
        ));
    }
    let odd = json
        .properties
        .iter()
        .find(|p| p.verdict != known.expected(&p.name))?;
    Some(format!(
        "{}: {}, not {}",
        odd.name,
        odd.verdict,
        known.expected(&odd.name)
    ))
}

fn outcome(json: CellJson) -> Result<Outcome, String> {
    let properties = json.properties.into_iter().map(|p| {
        let run = p.counterexample.map(|c| Run::of(&c.schedule, &p.name));
        Ok(Judged {
            run: run.transpose().map_err(|e| e.to_string())?,
            name: p.name,
            verdict: p.verdict,
            witnesses: p.witnesses,
        })
    });
    Ok(Outcome {
        complete: json.complete,
        states: json.states,
        properties: properties.collect::<Result<_, String>>()?,
        never_interrupted: json.never_interrupted,
        proof: json.proof,
        differences: json.differences,
    })
}

fn cell(
    claim: Option<&str>,
    cell: &expectation::Cell,
    outcomes: &Outcomes,
) -> Result<Cell, CliError> {
    let command = cell.command();
    let outcome = outcomes
        .iter()
        .find(|(c, name, _)| c.as_deref() == claim && *name == command);
    Ok(Cell {
        design: cell.design.clone(),
        env: cell.env.clone(),
        environment: cell.config()?.environment,
        workload: cell.workload.clone(),
        variants: cell.variants.clone(),
        note: cell.note.clone(),
        show: cell.show.clone(),
        outcome: outcome.map(|(_, _, o)| o.clone()),
        command,
    })
}

fn orders() -> Result<Vec<OrderOf>, CliError> {
    let mut orders = Vec::new();
    for design in DESIGNS {
        for env in ENVIRONMENTS {
            let cell = expectation::Cell {
                design: design.name.into(),
                env: env.name.into(),
                workload: "everything".into(),
                ..expectation::Cell::default()
            };
            orders.push(OrderOf {
                design: design.name,
                env: env.name,
                proof: cell.prove()?,
            });
        }
    }
    Ok(orders)
}

fn refined(
    findings: &Findings,
    expectations: &Expectations,
    options: &Options,
) -> Result<Vec<Refined>, CliError> {
    let wanted = |c: &&expectation::Cell| {
        let thp = c.env == "split+thp" && REFINED_THP.contains(&c.design.as_str());
        REFINED.contains(&c.env.as_str()) || thp
    };
    let progress = ProgressLine::new("refine");
    let mut rows = Vec::new();
    for cell in expectations.grid.iter().filter(wanted) {
        if options.cancel.load(Ordering::Relaxed) {
            break;
        }
        progress.now(&format!("refine {} {}", cell.design, cell.env));
        let options = Options {
            progress: Some(progress.callback()),
            // On several threads points are discovered in one order or another, and counts differ by a handful.
            threads: NonZeroUsize::MIN,
            ..options.clone()
        };
        let mut refinement = refine::refinement(cell.config()?)?;
        let result = outcome::refine(&mut refinement, &options);
        let checked = findings.cell(&cell.design, &cell.env);
        let other = result.check.properties.iter().filter_map(|p| {
            let protocol = checked?.verdict(p.name)?;
            (result.check.complete && protocol != p.verdict).then(|| {
                format!(
                    "{}: {} in the code, {protocol} in the protocol",
                    p.name, p.verdict
                )
            })
        });
        let missing = coverage::missing(&refinement, &options.cancel).unwrap_or_default();
        let holes = missing.iter().filter(|m| m.reason.is_none());
        let holes = holes.map(|m| format!("never took `{}` of {}", m.source, m.program.name()));
        let command = cell.command();
        rows.push(Refined {
            flags: command.replacen("shootdown check ", "", 1),
            design: cell.design.clone(),
            refines: result.refines(),
            differs: other
                .chain(holes.filter(|_| result.check.complete))
                .collect(),
            violated: result
                .check
                .violated()
                .filter(|v| {
                    *v != "progress" || !result.check.violated().any(|w| w == "no_deadlock")
                })
                .map(str::to_string)
                .collect(),
            states: result.check.states.unique,
            runs: result.runs,
            missing: missing
                .iter()
                .filter(|_| result.refines() != Verdict::Incomplete)
                .map(|m| {
                    (
                        m.program.name().to_string(),
                        m.source.to_string(),
                        m.place.irqs.to_string(),
                        m.reason.map(str::to_string),
                    )
                })
                .collect(),
        });
    }
    progress.finish();
    Ok(rows)
}

fn faults(options: &Options) -> Result<Vec<Fault>, CliError> {
    if options.cancel.load(Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let wanted: Vec<_> = shootdown_refinement::mutants::mutants().collect();
    let (tried, _) = mutants::try_all(&wanted, false)?;
    let asked = |finding: &Finding| match finding {
        Finding::NotAsked => Asked::No,
        Finding::Killed(_) => Asked::Killed,
        Finding::Survived => Asked::Missed,
    };
    Ok(tried
        .iter()
        .map(|t| {
            let steps = t
                .evidence
                .refinement
                .counterexample
                .as_ref()
                .map(|c| c.steps);
            let by_code = match (steps, t.mutant.equivalent) {
                (Some(_), _) => Asked::Killed,
                (None, Some(_)) => Asked::No,
                (None, None) => Asked::Missed,
            };
            Fault {
                part: t.mutant.part.name(),
                name: t.mutant.name,
                judged: [
                    asked(&t.evidence.types),
                    asked(&t.evidence.order),
                    asked(&t.evidence.model),
                    by_code,
                ],
                steps,
                equivalent: t.mutant.equivalent,
                as_expected: t.evidence.as_expected(t.mutant),
            }
        })
        .collect())
}

/// The kernel that hung, its fix, and the default with interrupts that free mms.
fn stressed(seconds: u16) -> Result<Vec<Stressed>, CliError> {
    let hang = u64::from(seconds).max(1) * 10;
    let lines = [
        ("v2.6.37", format!("--design v2.6.37 --seconds {hang}")),
        ("v2.6.38", format!("--design v2.6.38 --seconds {seconds}")),
        (
            "tracked",
            format!("--design tracked --pgd-free-in-irq on --seconds {seconds}"),
        ),
    ];
    let mut all = Vec::new();
    for (design, line) in lines {
        let outcome = stress::outcome(&line)?;
        let hung = match &outcome.verdict {
            Ended::Hung(report) => Some(report.sentence()),
            _ => None,
        };
        all.push(Stressed {
            command: format!("shootdown stress {line}"),
            design: design.to_string(),
            verdict: match outcome.verdict {
                Ended::Clean => "clean",
                Ended::Hung(_) => "hung",
                Ended::Violated => "violated",
                Ended::Cancelled => "interrupted",
            },
            // That a hang did not come in time says nothing; that one came elsewhere says a lot.
            as_expected: match outcome.verdict {
                Ended::Hung(_) => design == "v2.6.37",
                Ended::Violated => false,
                Ended::Clean | Ended::Cancelled => true,
            },
            hang: hung,
            operations: outcome.operations,
            seconds: outcome.seconds,
            ipis: outcome.ipis,
        });
    }
    Ok(all)
}

/// How often the candidates take turns on real threads.
const ROUNDS: u16 = 3;

/// Both candidates in turn, with the same programs and the same seed: what else the machine does hits both.
fn measured(args: &Args) -> Result<Vec<Measured>, CliError> {
    let seconds = f64::from(args.stress_seconds) / f64::from(ROUNDS);
    let line = |design: &str| format!("--design {design} --seconds {seconds:.2}");
    let mut outcomes = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (design, all) in args.candidates.0.iter().zip(&mut outcomes) {
            all.push(stress::outcome(&line(design))?);
        }
    }
    let both = args.candidates.0.iter().zip(outcomes);
    Ok(both
        .map(|(design, outcomes)| {
            let word = |wanted: fn(&Ended) -> bool| outcomes.iter().any(|o| wanted(&o.verdict));
            let operations: u64 = outcomes.iter().map(|o| o.operations).sum();
            let ipis: u64 = outcomes.iter().map(|o| o.ipis).sum();
            let middle = &outcomes[outcomes.len() / 2];
            Measured {
                design: design.to_string(),
                command: format!("shootdown stress {}", line(design)),
                verdict: if word(|v| matches!(v, Ended::Hung(_))) {
                    "hung"
                } else if word(|v| matches!(v, Ended::Violated)) {
                    "violated"
                } else if word(|v| matches!(v, Ended::Cancelled)) {
                    "interrupted"
                } else {
                    "clean"
                },
                rates: outcomes.iter().map(|o| o.operations_per_second()).collect(),
                ipis: ipis as f64 * 1000.0 / operations.max(1) as f64,
                latency: middle.ipi_latency_ns.map(|[p50, _, p99, _]| (p50, p99)),
            }
        })
        .collect())
}

/// The day, in UTC.
fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    date(now.map_or(0, |d| d.as_secs() / 86_400))
}

/// The date of a day since 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> String {
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_are_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(59), "1970-03-01");
        // 2000 was a leap year, 2100 will not be.
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(47_540), "2100-02-28");
        assert_eq!(date(47_541), "2100-03-01");
        assert_eq!(date(15_021), "2011-02-16");
    }
}
