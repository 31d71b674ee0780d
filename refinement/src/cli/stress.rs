//! `stress`: the implementation on real threads, until the time is over or something breaks.

use super::Format;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use super::subject::{DesignArgs, EnvironmentArgs};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use shootdown_impl::fault::Fault;
use shootdown_impl::host::stress::{self, StressConfig, StressOutcome, Verdict};
use shootdown_impl::host::trace::{IrqsOffBy, Line};
use shootdown_impl::host::watchdog::HangReport;
use shootdown_impl::host::{HostViolation, IrqMode};
use shootdown_impl::id::{CpuId, NR_CPUS, NR_MMS};
use shootdown_refinement::map;
use shootdown_spec::config::ConfigError;
use shootdown_spec::design::Design;
use shootdown_spec::environment::{Environment, FlushBackend};
use shootdown_spec::workload::{Placement, Workload};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

const EXIT_CODES: &str = "\
CPUs are threads, interrupts are signals. Every CPU runs any of the workload's programs, over and
over, on mms chosen by chance.

Exit codes:
  0  the time is over (or every CPU has had its operations), and nothing bad happened
  1  it hung, or a run-time check failed
  2  usage, or the trace file cannot be created or not even its first line be written
  3  cut off: by a signal, or because the trace could not be written to its end (disk full); what is
     known is printed, and the trace has as many events as the message says
  4  internal error, or the system has no thread to give";

/// What to run, on threads or on bare metal.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("cpus", |a| a.help("Number of CPUs, 1 to 8 [default: 2]").value_parser(clap::value_parser!(u8).range(1..=8))),
    mut_arg("mms", |a| a.help("Number of mms at the start, 1 to 7 [default: 3]").value_parser(clap::value_parser!(u8).range(1..=7))),
    mut_arg("ops_per_cpu", |a| a.help("Stop after so many operations on each CPU, 1 to 255 [default: no limit]").value_parser(clap::value_parser!(u8).range(1..))),
)]
pub struct RunArgs {
    #[command(flatten, next_help_heading = "Design")]
    design: DesignArgs,
    #[command(flatten, next_help_heading = "Environment")]
    environment: EnvironmentArgs,
    /// Programs with commas, or a named workload that has one role
    #[arg(
        long,
        value_name = "LIST",
        default_value = "everything",
        help_heading = "Workload"
    )]
    workload: String,
    /// How long to run
    #[arg(long, value_name = "N", default_value = "10", value_parser = seconds, help_heading = "Run")]
    seconds: Duration,
    /// Write every event to this file, as docs/trace-format.md says
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub record: Option<PathBuf>,
    /// Where the random choices start; CPUs still interleave as they like
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Run")]
    seed: u64,
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t, help_heading = "Run")]
    pub format: Format,
}

/// Arguments of `stress`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n{EXIT_CODES}", crate::cli::examples::STRESS))]
pub struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// How interrupts are turned off: a flag the handler looks at, or the signal mask
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "MODE",
        help_heading = "Run"
    )]
    irq_mode: IrqModeArg,
    /// Put a fault in, to see it caught
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Run")]
    fault: Option<FaultArg>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum IrqModeArg {
    /// A flag: about 2 ns a pair.
    #[default]
    Soft,
    /// The signal mask: stricter and slower.
    Mask,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum FaultArg {
    /// The last CPU acknowledges flushes without flushing.
    SkipFlush,
    /// Nobody waits for acknowledgements, so frames are freed before the flush.
    FreeBeforeFlush,
    /// pgd_free frees first and unlists then.
    UnlistAfterFree,
}

impl FaultArg {
    fn fault(self, cpus: u8) -> Fault {
        match self {
            Self::SkipFlush => Fault::SkipFlush(CpuId(cpus.saturating_sub(1))),
            Self::FreeBeforeFlush => Fault::FreeBeforeFlush,
            Self::UnlistAfterFree => Fault::UnlistAfterFree,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|n| *n > 0.0 && *n <= 1e7)
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "a number of seconds above 0, such as 60".into())
}

/// What runs, in the specification's words.
pub struct Plan {
    design: Design,
    environment: Environment,
    /// As it was asked for.
    workload: String,
    /// Operations of the implementation, each once.
    programs: Vec<String>,
    pub config: StressConfig,
    fault: Option<FaultArg>,
}

/// Runs the implementation; a hang or a failed check is exit code 1.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let plan = args.plan()?;
    let cancel = output::cancel_on_signals()?;
    let progress = progress(&plan);
    let outcome = stress::run(&plan.config, Some(&cancel));
    progress.finish_and_clear();
    let outcome = outcome?;

    match args.run.format {
        Format::Json => output::print_json(&StressJson::new(&plan, &outcome))?,
        Format::Text => output::print(text(&plan, &outcome))?,
    }
    Ok(ended(&outcome))
}

/// What a command line of `stress` comes to; nothing is printed.
pub fn outcome(line: &str) -> Result<StressOutcome, CliError> {
    let command =
        <Args as clap::Args>::augment_args(clap::Command::new("stress").no_binary_name(true));
    let refused = |error: clap::Error| CliError::Stress(error.to_string());
    let matches = command
        .try_get_matches_from(line.split_whitespace())
        .map_err(refused)?;
    let args = <Args as clap::FromArgMatches>::from_arg_matches(&matches).map_err(refused)?;
    let cancel = output::cancel_on_signals()?;
    Ok(stress::run(&args.plan()?.config, Some(&cancel))?)
}

/// Says what is missing of the trace, and how to exit.
pub fn ended(outcome: &StressOutcome) -> ExitCode {
    if let Some((path, error)) = cut_short(outcome) {
        let events = outcome.recording.as_ref().map_or(0, |r| r.events);
        output::complain!(
            "error: {path}: {error}\n  the trace ends early: the first {} events are in it, and it has no end line",
            output::count(events)
        );
    }
    match outcome.verdict {
        Verdict::Clean => ExitCode::AsPromised,
        Verdict::Hung(_) | Verdict::Violated => ExitCode::NotAsExpected,
        Verdict::Cancelled => ExitCode::Incomplete,
    }
}

fn cut_short(outcome: &StressOutcome) -> Option<(String, &str)> {
    let recording = outcome.recording.as_ref()?;
    Some((
        recording.path.display().to_string(),
        recording.error.as_deref()?,
    ))
}

impl Args {
    fn plan(&self) -> Result<Plan, CliError> {
        let mut plan = self.run.plan(self.fault)?;
        plan.config.irq_mode = match self.irq_mode {
            IrqModeArg::Soft => IrqMode::Soft,
            IrqModeArg::Mask => IrqMode::SignalMask,
        };
        Ok(plan)
    }
}

impl RunArgs {
    /// What it comes to.
    pub fn plan(&self, fault: Option<FaultArg>) -> Result<Plan, CliError> {
        let design = self.design.design("tracked")?;
        let given = &self.environment;
        let mut environment = given.environment();
        let defaults = StressConfig::default();
        if given.mms.is_none() && given.env.is_none() {
            environment.mms = defaults.env.mms - 1;
        }
        bound("cpus", environment.cpus, NR_CPUS)?;
        bound("mms", environment.mms, NR_MMS - 1)?;
        if environment.xen_pin && environment.flush_backend != FlushBackend::Hypercall {
            return Err(ConfigError::XenNeedsHypercall.into());
        }
        if given.ops_per_cpu == Some(0) {
            return Err(CliError::Stress("--ops-per-cpu must be 1 to 255".into()));
        }
        let programs = programs(
            &Workload::parse(&self.workload, &environment)?,
            &environment,
        )?;
        let per_cpu = given.ops_per_cpu.map(u64::from);
        Ok(Plan {
            design,
            environment,
            config: StressConfig {
                axes: map::config::axes(&design),
                env: map::config::environment(&environment),
                duration: self.seconds,
                max_operations: per_cpu.map(|n| n * u64::from(environment.cpus)),
                programs: programs.clone(),
                record: self.record.clone(),
                seed: self.seed,
                fault: fault.map(|f| f.fault(environment.cpus)),
                ..defaults
            },
            programs,
            fault,
            workload: self.workload.clone(),
        })
    }
}

fn bound(axis: &str, value: u8, high: usize) -> Result<(), CliError> {
    match (1..=high).contains(&value.into()) {
        true => Ok(()),
        false => Err(CliError::Stress(format!(
            "--{axis} must be 1 to {high} on the host machine, not {value}"
        ))),
    }
}

/// The operations of a workload. Every CPU of the host machine runs the same mix on mms chosen by chance.
fn programs(workload: &Workload, environment: &Environment) -> Result<Vec<String>, CliError> {
    let [role] = workload.roles.as_slice() else {
        return Err(CliError::Stress(format!(
            "--workload `{workload}` has a role for each CPU; stress runs one mix of programs on all: \
             list them with commas"
        )));
    };
    if role.placement != Placement::Any || role.programs.iter().any(|c| c.mm.is_some()) {
        return Err(CliError::Stress(format!(
            "--workload `{workload}` says where a CPU starts or on which mm; stress chooses both by chance"
        )));
    }
    let mut names: Vec<String> = Vec::new();
    for choice in &role.programs {
        let info = choice.program.info();
        if info.huge && !environment.thp {
            return Err(needs(info.name, "thp=on"));
        }
        let implemented = map::config::implemented(choice.program);
        let name = implemented
            .and_then(|i| i.operation)
            .ok_or_else(|| needs(info.name, "an interrupt: no CPU starts it"))?;
        if !names.iter().any(|n| n == name) {
            names.push(name.into());
        }
    }
    if names.is_empty() {
        // To the implementation none means all.
        return Err(ConfigError::Empty.into());
    }
    if environment.pgd_free_in_irq && !names.iter().any(|n| n == "pgd_free") {
        return Err(CliError::Stress(
            "--pgd-free-in-irq on needs pgd_free in --workload: who frees an mm here chooses by chance whether \
             an interrupt does it"
                .into(),
        ));
    }
    Ok(names)
}

fn needs(program: &'static str, needs: &'static str) -> CliError {
    ConfigError::Program { program, needs }.into()
}

/// A line on stderr while it runs; indicatif hides it where there is no terminal.
pub fn progress(plan: &Plan) -> ProgressBar {
    let length = plan.config.duration;
    if length <= Duration::from_secs(1) {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    let template = format!(
        "{{spinner}} {} on {} CPUs: {{elapsed}} of at most {:.0}s",
        plan.design.name().unwrap_or("the design"),
        plan.environment.cpus,
        length.as_secs_f64()
    );
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// For people.
pub fn text(plan: &Plan, outcome: &StressOutcome) -> String {
    let mut text = format!(
        "{} | {} | {}{}\n",
        plan.design,
        plan.environment,
        plan.workload,
        match plan.fault.and_then(|f| f.to_possible_value()) {
            Some(fault) => format!(", fault: {}", fault.get_name()),
            None => String::new(),
        }
    );
    if let Verdict::Hung(report) = &outcome.verdict {
        let _ = write!(text, "\n{}\n", report.render(output::width()));
    }
    let _ = writeln!(
        text,
        "{}: {} operations in {:.1} s ({}/s), {} violations",
        match (&outcome.verdict, cut_short(outcome)) {
            (Verdict::Clean, _) => "clean",
            (Verdict::Hung(_), _) => "HUNG",
            (Verdict::Violated, _) => "VIOLATED",
            (Verdict::Cancelled, Some(_)) => "INCOMPLETE, the trace could not be written",
            (Verdict::Cancelled, None) => "INCOMPLETE, interrupted",
        },
        output::count(outcome.operations),
        outcome.seconds,
        output::count(outcome.operations_per_second() as u64),
        output::count(outcome.violations as u64),
    );
    for violation in &outcome.first_violations {
        let _ = writeln!(text, "  {violation}");
    }
    let _ = write!(text, "  flush IPIs: {}", output::count(outcome.ipis));
    if let Some(ns) = outcome.ipi_latency_ns {
        let us = ns.map(|n| format!("{:.1}", n as f64 / 1e3));
        let _ = write!(
            text,
            "; first IPI to last acknowledgement, us: p50 {}, p90 {}, p99 {}, p99.9 {}",
            us[0], us[1], us[2], us[3]
        );
    }
    text.push('\n');
    for (name, n) in &outcome.by_program {
        let _ = writeln!(text, "  {name:<20} {:>14}", output::count(*n));
    }
    if let Some(recording) = &outcome.recording {
        let _ = writeln!(
            text,
            "trace: {} events in {}",
            output::count(recording.events),
            recording.path.display()
        );
    }
    text
}

/// What `stress --format json` prints.
#[derive(Debug, Serialize)]
pub struct StressJson<'a> {
    pub schema: &'static str,
    design: String,
    environment: Environment,
    workload: &'a [String],
    pub irq_mode: IrqsOffBy,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultArg>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hang: Option<HangJson<'a>>,
    violations: usize,
    first_violations: &'a [HostViolation],
    operations: u64,
    operations_per_second: f64,
    by_program: std::collections::BTreeMap<&'static str, u64>,
    seconds: f64,
    ipis: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipi_latency_ns: Option<LatencyJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<&'a stress::Recording>,
}

#[derive(Debug, Serialize)]
struct HangJson<'a> {
    sentence: String,
    #[serde(flatten)]
    report: &'a HangReport,
    last_events: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct LatencyJson {
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
}

impl<'a> StressJson<'a> {
    /// Of this run.
    pub fn new(plan: &'a Plan, outcome: &'a StressOutcome) -> Self {
        let (verdict, hang) = match &outcome.verdict {
            Verdict::Clean => ("clean", None),
            Verdict::Violated => ("violated", None),
            Verdict::Cancelled => ("cancelled", None),
            Verdict::Hung(report) => {
                let hang = HangJson {
                    sentence: report.sentence(),
                    report,
                    last_events: report.last_events.iter().map(|r| Line::from(*r)).collect(),
                };
                ("hung", Some(hang))
            }
        };
        Self {
            schema: "shootdown/stress/1",
            design: plan.design.to_string(),
            environment: plan.environment,
            workload: &plan.programs,
            irq_mode: plan.config.irq_mode.into(),
            seed: plan.config.seed,
            fault: plan.fault,
            verdict,
            hang,
            violations: outcome.violations,
            first_violations: &outcome.first_violations,
            operations: outcome.operations,
            operations_per_second: outcome.operations_per_second(),
            by_program: outcome.by_program.iter().copied().collect(),
            seconds: outcome.seconds,
            ipis: outcome.ipis,
            ipi_latency_ns: outcome
                .ipi_latency_ns
                .map(|[p50, p90, p99, p999]| LatencyJson {
                    p50,
                    p90,
                    p99,
                    p999,
                }),
            recording: outcome.recording.as_ref(),
        }
    }
}
