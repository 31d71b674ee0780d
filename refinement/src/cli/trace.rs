//! `trace`: what a real kernel recorded; `validate --ftrace` is its older name.

mod binary;
pub mod flags;

use super::Format;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::input::{Input, Watch};
use super::output;
use super::validate::peak_memory;
use clap::{ValueEnum, ValueHint};
use flags::{By, Told};
use serde::Serialize;
use shootdown_refinement::ci::trace::findings;
use shootdown_refinement::ci::{self, Case, Outcome};
use shootdown_trace::ftrace::report::{Report, Rule as Judged, Verdict};
use shootdown_trace::ftrace::{self, text};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const HELP: &str = "\
Examples:
  shootdown trace trace.txt                      the text of /sys/kernel/tracing/trace, plain or gzip
  trace-cmd report | shootdown trace -           of trace-cmd, perf script, bpftrace, babeltrace
  shootdown trace trace.dat                      by the installed trace-cmd; perf.data by the installed perf
  shootdown trace --accept-gaps --rule strict trace.txt
  shootdown record-help --kernel 5.15            how to record one

Exit codes:
  0  nothing against the chosen rules in what was recorded
  1  one of them is violated: a hang, a wait, a possible deadlock, a lock held across a flush
  2  usage, or no trace
  3  nothing found, but the record has gaps, is cut off, was not read to its end or has lines that
     could not be read

docs/ftrace.md has what a trace can show and what not.";

/// Arguments of `trace`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Traces: ftrace's text or dump, trace-cmd's report or trace.dat, perf's script or perf.data, bpftrace, LTTng; `-` reads stdin
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    told: Told,
}

/// Reads traces and judges them.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    judge("trace", &args.files, &args.by, &args.told)
}

/// What decides the exit code; everything is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Rule {
    /// No deadlock where the trace ends
    Hang,
    /// No wait with interrupts off for a lock that is held across a flush
    Upstream,
    /// No cycle in the order graph: no deadlock that could have happened
    Order,
    /// No page-table lock and no pgd_lock held across a flush; no kernel so far keeps it
    Strict,
}

impl From<Rule> for Judged {
    fn from(rule: Rule) -> Judged {
        match rule {
            Rule::Hang => Judged::Hang,
            Rule::Upstream => Judged::Upstream,
            Rule::Order => Judged::Order,
            Rule::Strict => Judged::Strict,
        }
    }
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    rules: &'a [Judged],
    traces: Vec<Trace<'a>>,
    elapsed_ms: u64,
    peak_memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Trace<'a> {
    name: &'a str,
    verdict: Verdict,
    violated: Vec<Judged>,
    #[serde(flatten)]
    report: &'a Report,
}

/// Reads each file and judges it, under either name of the command.
pub fn judge(
    command: &'static str,
    files: &[PathBuf],
    by: &By,
    told: &Told,
) -> Result<ExitCode, CliError> {
    let most = told.most()?;
    let mut rules: Vec<Judged> = by.rule.iter().map(|rule| (*rule).into()).collect();
    rules.sort_unstable();
    rules.dedup();
    let cancel = output::cancel_on_signals()?;
    let started = Instant::now();
    let mut reports = Vec::new();
    for file in files {
        if cancel.load(Ordering::Relaxed) {
            break;
        }
        let mut watch = Watch::new(cancel.clone(), "reading", most);
        let go_on = |bytes| match watch.stop(bytes) {
            None => Ok(()),
            Some(why) => Err(io::Error::other(why)),
        };
        let (name, result) = match binary::needed(file) {
            Some(tool) => {
                let name = file.display().to_string();
                (name, tool.read(file, &cancel, go_on)?)
            }
            None => {
                // What comes in is only stopped; what is unpacked is counted.
                let input = Input::open(file, Watch::new(cancel.clone(), "reading", u64::MAX))?;
                (input.name.clone(), ftrace::read_while(input, go_on))
            }
        };
        // A wait for the input ends as the input's end.
        let why = watch.stop(0).map(str::to_string);
        let mut report = match (result, &why) {
            (Ok(report), _) => report,
            (Err(_), Some(why)) => {
                let (source_name, why) = (name, why.clone());
                return Err(CliError::Unread { source_name, why });
            }
            (Err(error), None) => {
                let source_name = name;
                return Err(CliError::Ftrace { source_name, error });
            }
        };
        if let Some(why) = why
            && !report.incomplete.iter().any(|reason| reason.contains(&why))
        {
            report.incomplete.push(why);
        }
        if by.accept_gaps {
            report.accept_gaps();
        }
        if told.format == Format::Text {
            let gap = if reports.is_empty() { "" } else { "\n" };
            let report = text::report(&report, &rules, output::width());
            output::print(format!("{gap}{name}: {report}"))?;
        }
        reports.push((name, report));
    }
    let elapsed = started.elapsed();
    match told.format {
        Format::Json => output::print_json(&json(&reports, &rules, elapsed))?,
        Format::Text => output::print(rate(&reports, elapsed))?,
    }
    told.ci.write(|| cases(command, &reports, &rules))?;
    let verdicts: Vec<Verdict> = reports
        .iter()
        .map(|(_, report)| report.verdict(&rules))
        .collect();
    let not_read = files.len() - reports.len();
    if not_read > 0 {
        output::complain!(
            "error: {} not read",
            output::plural(not_read as u64, "file")
        );
    }
    Ok(if verdicts.contains(&Verdict::Violated) {
        ExitCode::NotAsExpected
    } else if not_read > 0 || verdicts.contains(&Verdict::Incomplete) {
        ExitCode::Incomplete
    } else {
        ExitCode::AsPromised
    })
}

/// A case for each trace and each rule that was asked for.
fn cases(command: &str, reports: &[(String, Report)], rules: &[Judged]) -> ci::Report {
    let outcome = |name: &str, report: &Report, rule: Judged| match findings(report, rule, name) {
        found if !found.is_empty() => Outcome::Failed(found),
        _ if report.unsure().is_empty() => Outcome::Passed,
        _ => Outcome::Undecided(format!("nothing found, but {}", report.unsure().join("; "))),
    };
    let case = |name: &str, report: &Report, rule: Judged| Case {
        suite: format!("{command} {name}"),
        name: rule.name().to_string(),
        outcome: outcome(name, report, rule),
        time: None,
    };
    let each = |(name, report): &(String, Report)| {
        let cases = rules.iter().map(|rule| case(name, report, *rule));
        cases.collect::<Vec<_>>()
    };
    ci::Report {
        command: format!("shootdown {command}"),
        cases: reports.iter().flat_map(each).collect(),
    }
}

fn json<'a>(reports: &'a [(String, Report)], rules: &'a [Judged], elapsed: Duration) -> Json<'a> {
    let trace = |(name, report): &'a (String, Report)| Trace {
        name,
        verdict: report.verdict(rules),
        violated: Judged::ALL
            .into_iter()
            .filter(|rule| report.violated(*rule))
            .collect(),
        report,
    };
    Json {
        schema: "shootdown/validate-ftrace/1",
        rules,
        traces: reports.iter().map(trace).collect(),
        elapsed_ms: elapsed.as_millis() as u64,
        peak_memory_bytes: peak_memory(),
    }
}

fn rate(reports: &[(String, Report)], elapsed: Duration) -> String {
    let lines: u64 = reports.iter().map(|(_, report)| report.counts.lines).sum();
    format!(
        "\n{} in {:.1} s, {} lines/s{}.\n",
        output::plural(lines, "line"),
        elapsed.as_secs_f64(),
        output::count((lines as f64 / elapsed.as_secs_f64().max(1e-9)) as u64),
        peak_memory()
            .map(|m| format!(", {} of memory", output::bytes(m)))
            .unwrap_or_default(),
    )
}
