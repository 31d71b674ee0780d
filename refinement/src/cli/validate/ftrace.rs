//! `validate --ftrace`: the text of a kernel's ftrace.

use super::peak_memory;
use crate::cli::Format;
use crate::cli::ci::CiArgs;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::input::{Input, Watch};
use crate::cli::output;
use clap::ValueEnum;
use serde::Serialize;
use shootdown_refinement::ci::trace::findings;
use shootdown_refinement::ci::{self, Case, Outcome};
use shootdown_trace::ftrace::report::{Report, Rule as Judged, Verdict};
use shootdown_trace::ftrace::{self, text};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

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

/// Reads each file and judges it.
pub fn run(
    files: &[PathBuf],
    rules: &[Rule],
    most: u64,
    to: &CiArgs,
    format: Format,
) -> Result<ExitCode, CliError> {
    let mut rules: Vec<Judged> = rules.iter().map(|rule| (*rule).into()).collect();
    rules.sort_unstable();
    rules.dedup();
    let cancel = output::cancel_on_signals()?;
    let started = Instant::now();
    let mut reports = Vec::new();
    for file in files {
        if cancel.load(Ordering::Relaxed) {
            break;
        }
        // What comes in is only stopped; what is unpacked is counted.
        let input = Input::open(file, Watch::new(cancel.clone(), "reading", u64::MAX))?;
        let name = input.name.clone();
        let mut watch = Watch::new(cancel.clone(), "reading", most);
        let go_on = |bytes| match watch.stop(bytes) {
            None => Ok(()),
            Some(why) => Err(io::Error::other(why)),
        };
        let result = ftrace::read_while(input, go_on);
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
        if format == Format::Text {
            let gap = if reports.is_empty() { "" } else { "\n" };
            let report = text::report(&report, &rules, output::width());
            output::print(format!("{gap}{name}: {report}"))?;
        }
        reports.push((name, report));
    }
    let elapsed = started.elapsed();
    match format {
        Format::Json => output::print_json(&json(&reports, &rules, elapsed))?,
        Format::Text => output::print(rate(&reports, elapsed))?,
    }
    to.write(|| cases(&reports, &rules))?;
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
fn cases(reports: &[(String, Report)], rules: &[Judged]) -> ci::Report {
    let outcome = |name: &str, report: &Report, rule: Judged| match findings(report, rule, name) {
        found if !found.is_empty() => Outcome::Failed(found),
        _ if report.unsure().is_empty() => Outcome::Passed,
        _ => Outcome::Undecided(format!("nothing found, but {}", report.unsure().join("; "))),
    };
    let case = |name: &str, report: &Report, rule: Judged| Case {
        suite: format!("validate --ftrace {name}"),
        name: rule.name().to_string(),
        outcome: outcome(name, report, rule),
        time: None,
    };
    let each = |(name, report): &(String, Report)| {
        let cases = rules.iter().map(|rule| case(name, report, *rule));
        cases.collect::<Vec<_>>()
    };
    ci::Report {
        command: "shootdown validate --ftrace".to_string(),
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
