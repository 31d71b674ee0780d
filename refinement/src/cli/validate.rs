//! `validate`: a recorded run of real threads, against the protocol; or what a real kernel recorded.

mod cases;

use super::Format;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::input::{Input, Watch};
use super::output;
use super::trace;
use super::trace::flags::{By, Told as ToWhom};
use clap::ValueHint;
use serde::Serialize;
use shootdown_refinement::validate::order::{Predicted, Told, What};
use shootdown_refinement::validate::rejection::{Reason, Rejection, Shown};
use shootdown_refinement::validate::{Counts, Options, Report, Verdict, validate};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const EXIT_CODES: &str = "\
Exit codes:
  0  accepted: there is an order of the events in which the protocol follows every one
  1  rejected: there is none; or, with --order, a deadlock is predicted
  2  usage, or not a trace: file, line, column and reason are printed
  3  incomplete: the trace or its reading was cut off, or a bound was hit; what is known is printed
  4  internal error

With --ftrace (`shootdown trace` is the same):
  0  nothing against the chosen rules in what was recorded
  1  one of them is violated: a hang, a wait, a possible deadlock, a lock held across a flush
  2  usage, or no ftrace
  3  nothing found, but the record has gaps, is cut off, was not read to its end or has lines that
     could not be read

docs/validate.md has what acceptance establishes and what not, docs/ftrace.md how to record and read an ftrace.";

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = format!("{}\n{EXIT_CODES}", crate::cli::examples::VALIDATE),
    mut_arg("rule", |arg| arg.requires("ftrace").help("With --ftrace: the rules that decide the exit code")),
    mut_arg("accept_gaps", |arg| arg.requires("ftrace").help("With --ftrace: lost and overwritten events are told, and the exit code is not 3 for them")),
)]
pub struct Args {
    /// A trace of `stress --record`; `-` reads stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "ftrace")]
    file: Option<PathBuf>,
    /// Judge what a kernel recorded instead, as `shootdown trace` does; `-` reads stdin
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = ValueHint::FilePath,
          conflicts_with_all = ["file", "order", "read_ahead", "candidates"])]
    ftrace: Vec<PathBuf>,
    #[command(flatten)]
    by: By,
    /// Predict the deadlock that the run did not have, from the order of what it waited for
    #[arg(long)]
    order: bool,
    /// Read at most so many events ahead of the one that is judged
    #[arg(long, value_name = "N", default_value_t = Options::default().read_ahead)]
    read_ahead: usize,
    /// Keep at most so many candidates
    #[arg(long, value_name = "N", default_value_t = Options::default().candidates)]
    candidates: usize,
    #[command(flatten)]
    told: ToWhom,
}

/// Validates.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let Some(file) = &args.file else {
        return trace::judge("validate --ftrace", &args.ftrace, &args.by, &args.told);
    };
    let most = args.told.most()?;
    let options = Options {
        read_ahead: args.read_ahead.max(1),
        candidates: args.candidates.max(1),
        order: args.order,
        ..Options::default()
    };
    let cancel = output::cancel_on_signals()?;
    let mut input = Input::open(file, Watch::new(cancel, "validating", most))?;
    let name = input.name.clone();
    let started = Instant::now();
    let result = validate(&mut input, &options);
    let why = input.why().map(str::to_string);
    drop(input);
    let mut report = match (result, &why) {
        (Ok(report), _) => report,
        // Not even a first line: that is no trace, but none that anybody has seen the end of.
        (Err(_), Some(why)) => {
            return Err(CliError::Unread {
                source_name: name,
                why: why.clone(),
            });
        }
        (Err(error), None) => {
            let source_name = name;
            return Err(CliError::Trace { source_name, error });
        }
    };
    if let (Some(why), Verdict::Incomplete) = (why, report.verdict) {
        report.incomplete = Some(why);
    }
    let elapsed = started.elapsed();
    match args.told.format {
        Format::Json => output::print_json(&Json::new(&report, elapsed))?,
        Format::Text => output::print(text(&name, &report, elapsed))?,
    }
    args.told
        .ci
        .write(|| cases::report(&name, &report, elapsed))?;
    let cyclic = report
        .predicted
        .as_ref()
        .is_some_and(|p| !p.cycles.is_empty());
    Ok(match report.verdict {
        Verdict::Rejected => ExitCode::NotAsExpected,
        Verdict::Accepted | Verdict::Incomplete if cyclic => ExitCode::NotAsExpected,
        Verdict::Accepted => ExitCode::AsPromised,
        Verdict::Incomplete => ExitCode::Incomplete,
    })
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    verdict: Verdict,
    design: Option<&'a str>,
    environment: shootdown_impl::environment::Environment,
    #[serde(flatten)]
    counts: Counts,
    incomplete: Option<&'a str>,
    rejection: Option<&'a Rejection>,
    stuck: &'a [String],
    order: Option<&'a Predicted>,
    elapsed_ms: u64,
    events_per_second: u64,
    peak_memory_bytes: Option<u64>,
}

fn rate(counts: &Counts, elapsed: Duration) -> u64 {
    (counts.events as f64 / elapsed.as_secs_f64().max(1e-9)) as u64
}

/// The most memory that this process ever had resident, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

impl<'a> Json<'a> {
    fn new(report: &'a Report, elapsed: Duration) -> Self {
        Json {
            schema: "shootdown/validate/1",
            verdict: report.verdict,
            design: report.recorded.header.design.as_deref(),
            environment: report.recorded.header.environment,
            counts: report.counts,
            incomplete: report.incomplete.as_deref(),
            rejection: report.rejection.as_deref(),
            stuck: &report.stuck,
            order: report.predicted.as_ref(),
            elapsed_ms: elapsed.as_millis() as u64,
            events_per_second: rate(&report.counts, elapsed),
            peak_memory_bytes: peak_memory(),
        }
    }
}

fn text(name: &str, report: &Report, elapsed: Duration) -> String {
    let header = &report.recorded.header;
    let config = &report.recorded.protocol.config;
    let mut text = format!("{name}: {}\n", config.design);
    let _ = writeln!(
        text,
        "on {}, {} mm slots\n",
        config.environment, header.environment.mms
    );
    let verdict = match (report.verdict, &report.incomplete) {
        (Verdict::Accepted, _) if report.stuck.is_empty() => {
            "ACCEPTED: there is an order of the events in which the protocol follows every one.".to_string()
        }
        (Verdict::Accepted, _) => {
            "ACCEPTED: the protocol follows every event, and the run ends in a deadlock that it has too.".to_string()
        }
        (Verdict::Rejected, _) => "REJECTED: there is no order of the events that the protocol can follow.".to_string(),
        (Verdict::Incomplete, reason) => {
            format!("INCOMPLETE: {}.", reason.as_deref().unwrap_or("a bound was hit"))
        }
    };
    let _ = writeln!(text, "{}", output::wrap(&verdict, output::width(), 2));
    if let Some(rejection) = &report.rejection {
        text += &rejected(name, rejection, usize::from(header.environment.cpus));
    }
    if !report.stuck.is_empty() {
        text += "\nWho can never move again:\n";
        report
            .stuck
            .iter()
            .for_each(|line| text += &format!("  {line}\n"));
    }
    if let Some(predicted) = &report.predicted {
        text += &order(predicted);
    }
    text + &counts(&report.counts, elapsed)
}

fn counts(c: &Counts, elapsed: Duration) -> String {
    let number = output::count;
    let mut text = format!(
        "\n{} events: {}, {}, {}; {} of them moved before one with a lower number.\n",
        number(c.events),
        output::plural(c.operations, "operation"),
        output::plural(c.interrupts, "interrupt"),
        output::plural(c.flushes, "remote flush"),
        number(c.moved),
    );
    let _ = writeln!(
        text,
        "At most {}, {} events read ahead; {} events/s{}.",
        output::plural(c.most_candidates as u64, "candidate"),
        number(c.most_read_ahead as u64),
        number(rate(c, elapsed)),
        peak_memory()
            .map(|m| format!(", {} of memory", output::bytes(m)))
            .unwrap_or_default(),
    );
    text
}

fn rejected(name: &str, r: &Rejection, cpus: usize) -> String {
    let who = match (r.cpu, r.irq) {
        (Some(cpu), false) => format!("CPU{cpu}"),
        (Some(cpu), true) => format!("CPU{cpu}, in an interrupt"),
        (None, _) => "the last line".to_string(),
    };
    let mut text = format!("\n{name}:{}: {who}: {}\n", r.line, r.event);
    for Reason { wanted, reason } in r.reasons.iter().take(4) {
        let _ = writeln!(
            text,
            "  {}",
            output::wrap(&format!("{wanted}: {reason}"), output::width() - 2, 4)
        );
    }
    if r.reasons.len() > 4 {
        let _ = writeln!(text, "  and {} reasons more", r.reasons.len() - 4);
    }
    let _ = writeln!(
        text,
        "\nUp to line {} everything fits; {} then.",
        r.matched_lines,
        output::plural(r.candidates as u64, "candidate"),
    );
    text += "What the protocol would have let each CPU do:\n";
    r.instead
        .iter()
        .for_each(|line| text += &format!("  {}\n", output::wrap(line, output::width() - 2, 4)));
    text += "In this state:\n";
    r.state
        .iter()
        .for_each(|line| text += &format!("  {}\n", output::wrap(line, output::width() - 2, 4)));
    text += "After these events:\n";
    text + &columns(&r.last, cpus)
}

/// The last events, a column for each CPU.
fn columns(last: &[Shown], cpus: usize) -> String {
    let shown = &last[last.len().saturating_sub(14)..];
    let lane = ((output::width().saturating_sub(10)) / cpus.max(1)).clamp(18, 40);
    let mut text = format!("  {:>8}", "line");
    for cpu in 0..cpus {
        let _ = write!(text, "  {:<lane$}", format!("CPU{cpu}"));
    }
    text.truncate(text.trim_end().len());
    text += "\n";
    for event in shown {
        let irq = if event.irq { "[irq] " } else { "" };
        let column = " ".repeat(usize::from(event.cpu) * (lane + 2));
        let _ = writeln!(text, "  {:>8}  {column}{irq}{}", event.line, event.event);
    }
    text
}

fn order(predicted: &Predicted) -> String {
    if predicted.cycles.is_empty() {
        return format!(
            "\nOrder: ACYCLIC, {} dependencies in this run. Other runs may have more: `shootdown prove` is about all.\n",
            predicted.edges.len()
        );
    }
    let mut text = format!(
        "\nOrder: CYCLIC. This run did not need to hang; another schedule of what it did may: {}.\n",
        output::plural(predicted.cycles.len() as u64, "cycle")
    );
    for (n, cycle) in predicted.cycles.iter().enumerate() {
        let closed = cycle.nodes.iter().chain(cycle.nodes.first());
        let closed: Vec<&str> = closed.map(String::as_str).collect();
        let _ = writeln!(text, "\nCycle {}: {}", n + 1, closed.join(" -> "));
        for edge in &cycle.edges {
            let _ = writeln!(text, "  {} -> {}", edge.from, edge.to);
            for told in edge.lines.withholds.iter().chain([&edge.lines.waits]) {
                let _ = writeln!(text, "    line {}: {}", told.line, line(told));
            }
        }
    }
    text
}

fn line(told: &Told) -> String {
    let what = match told.what {
        What::Took(node) => format!("takes {node}"),
        What::AwaitsAcks => "awaits IPI acknowledgements".to_string(),
        What::IrqsOff => "turns interrupts off".to_string(),
    };
    format!("CPU{} {what}, in {}", told.cpu, told.program)
}
