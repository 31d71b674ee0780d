//! `check`: one design in one environment.

mod memory;

use super::Format;
use super::bounds::Bounds;
use super::checkpoint::{Checkpoint, CheckpointError, Kept, Of};
use super::ci::{self, CiArgs};
use super::error::CliError;
use super::exit_code::ExitCode;
use super::json::CheckJson;
use super::output::{self, ProgressLine};
use super::reduce::Reduce;
use super::scenario;
use super::subject::Subject;
use crate::expectation::Expectations;
use clap::ValueHint;
use shootdown_ir::Memory;
use shootdown_ir::reduce::Reductions;
use shootdown_refinement::ci::Report;
use shootdown_spec::barrier::Barrier;
use shootdown_spec::check::{CheckResult, How, Refused, Swept, check, check_as, check_reduced};
use shootdown_spec::config::Config;
use shootdown_spec::model::Protocol;
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::report::{self, TextOptions};
use shootdown_spec::schedule::schedule;
use shootdown_spec::search::{Options, Stop};
use shootdown_spec::trace::Trace;
use shootdown_spec::verdict::{PropertyResult, Verdict};
use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario files, or folders of them, in place of a design; `-` is stdin
    ///
    /// One file is told whole, several with a line each. `expect` in a file makes it a gate: exit code 0 if everything
    /// comes out as it says, 1 otherwise.
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath, conflicts_with_all = ["Subject", "DesignArgs", "EnvironmentArgs"])]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Two scenario files beside each other: what changed, in the text, in the verdicts and in the run
    #[arg(long, requires = "files")]
    pub(in crate::cli) compare: bool,
    /// Memory as on x86 (a store buffer on each CPU), or sequentially consistent, whatever a scenario file says
    #[arg(long, value_name = "MODEL")]
    pub(in crate::cli) memory: Option<MemoryModel>,
    /// With `--memory tso`, a design without these barriers (`list barriers`)
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "memory", conflicts_with = "files",
          value_parser = memory::barrier)]
    without_barrier: Vec<Barrier>,
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    pub(in crate::cli) bounds: Bounds,
    #[command(flatten)]
    pub(in crate::cli) reduce: Reduce,
    /// Designs: go rank by rank and remember nothing that was seen, for what does not fit the memory
    ///
    /// Counts and verdicts are those of the search by levels. It needs a number that every step lowers, which designs have
    /// and most deviations keep; where a step does not, it is refused.
    #[arg(long)]
    pub(in crate::cli) sweep: bool,
    #[command(flatten)]
    pub(in crate::cli) checkpoint: Checkpoint,
    /// Show this property's counterexample instead of the first one's
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) property: Option<String>,
    /// Show every violated property's counterexample
    #[arg(long, conflicts_with = "property")]
    pub(in crate::cli) all: bool,
    /// Show every step, and every property's witnesses
    #[arg(long)]
    pub(in crate::cli) verbose: bool,
    /// Then serve the page, opened at the run that was printed
    #[arg(long, conflicts_with = "compare")]
    pub(in crate::cli) open: bool,
    #[command(flatten)]
    pub(in crate::cli) ci: CiArgs,
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    pub(in crate::cli) format: Format,
}

/// When a CPU's stores reach the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MemoryModel {
    /// At once
    Sc,
    /// Through a store buffer, as on x86
    Tso,
}

impl From<MemoryModel> for Memory {
    fn from(model: MemoryModel) -> Memory {
        match model {
            MemoryModel::Sc => Memory::Sc,
            MemoryModel::Tso => Memory::Tso,
        }
    }
}

/// Checks the configuration; violated is exit code 1, cut off 3.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    if !args.files.is_empty() {
        return scenario::check::run(args);
    }
    if args.memory == Some(MemoryModel::Tso) {
        if args.reduce.is_given() {
            return Err(CliError::Reduced("--memory tso of a design"));
        }
        if args.sweep || args.checkpoint.is_given() {
            let why = "with store buffers, that is not done yet";
            return Err(CheckpointError::Refused(why.to_string()).into());
        }
        return memory::run(args);
    }
    if !args.without_barrier.is_empty() {
        return Err(CliError::NothingToLeaveOut);
    }
    known(args.property.as_deref())?;
    let config = args.subject.config("tracked", "everything")?;
    let known = expected_states(&config);
    let protocol = Protocol::new(config);
    let mut options = args.bounds.options(output::cancel_on_signals()?)?;
    args.ci.try_out()?;
    if args.reduce.is_given() && (args.sweep || args.checkpoint.is_given()) {
        let why = "--reduce looks at states that stand for others";
        return Err(CheckpointError::Refused(why.to_string()).into());
    }
    let mut kept = args.checkpoint.open(&Of {
        what: header(&protocol.config),
        how: if args.sweep { "a sweep" } else { "by levels" }.to_string(),
    })?;
    let progress = ProgressLine::new(match args.sweep {
        true => "sweeping (depth: ranks)",
        false => "exploring",
    });
    // Nobody knows how many states will stand for all.
    let known = known.filter(|_| !args.reduce.first().any());
    options.progress = Some(progress.callback_of(known));
    let mut from = kept.as_mut().and_then(|kept| kept.from.take());
    let how = How {
        keep: kept.as_ref().and_then(Kept::keeper),
        from: from.as_mut().map(|from| from as &mut dyn Read),
        sweep: args.sweep,
    };
    let (result, used) = match args.sweep || kept.is_some() {
        false => search(&protocol, &options, args.reduce),
        true => {
            let refused = |why: Refused| CheckpointError::Refused(why.to_string());
            let result = check_as(&protocol, &options, how).map_err(refused)?;
            (result, Reductions::NONE)
        }
    };
    progress.finish();

    match args.format {
        Format::Json => output::print_json(&CheckJson::new(&protocol, &result).reduced(used))?,
        Format::Text => output::print(text(args, &protocol, &options, (&result, used)))?,
    }
    args.ci.write(|| Report {
        command: "shootdown check".to_string(),
        cases: ci::properties(&protocol, &result),
    })?;
    if args.open {
        let shown =
            violated(&result).find(|p| args.property.as_deref().is_none_or(|n| n == p.name));
        let trace = shown
            .and_then(|p| p.counterexample.as_ref())
            .map(|c| c.trace.clone());
        let trace = trace.unwrap_or_else(|| unmoved(&protocol.config));
        let line = schedule(&protocol.config, &trace);
        super::explore::open_at(protocol.config.clone(), &line)?;
    }
    Ok(exit_code(&result))
}

/// How many states there are, if it is written down for this configuration.
fn expected_states(config: &Config) -> Option<u64> {
    let expectations = Expectations::load();
    let claims = expectations.claim.iter().flat_map(|c| &c.cell);
    let mut cells = expectations.grid.iter().chain(claims);
    let wanted = schedule(config, &unmoved(config));
    let is_it = |c: Config| schedule(&c, &unmoved(&c)) == wanted;
    Some(cells.find(|c| c.config().is_ok_and(is_it))?.states)
}

/// The run in which nothing has happened yet.
fn unmoved(config: &Config) -> Trace {
    Trace {
        start: config.starts()[0],
        actions: Vec::new(),
        loops_to: None,
    }
}

/// The result, and the reductions that had an effect.
fn search(protocol: &Protocol, options: &Options, reduce: Reduce) -> (CheckResult, Reductions) {
    let which = reduce.first();
    if which.any() {
        return check_reduced(protocol, options, which);
    }
    let result = check(protocol, options);
    match reduce.out_of_memory() {
        Some(which) if result.stopped == Some(Stop::MaxMemory) => {
            check_reduced(protocol, options, which)
        }
        _ => (result, Reductions::NONE),
    }
}

/// A property of the designs, if one is named.
pub fn known(property: Option<&str>) -> Result<(), CliError> {
    let names = PROPERTIES.iter().map(|p| p.name);
    match property {
        Some(name) if !names.clone().any(|n| n == name) => {
            Err(CliError::unknown("property", name, names))
        }
        _ => Ok(()),
    }
}

/// Violated beats incomplete: what was seen was seen.
pub fn exit_code(result: &CheckResult) -> ExitCode {
    let any = |v| result.properties.iter().any(|p| p.verdict == v);
    if any(Verdict::Violated) {
        ExitCode::NotAsExpected
    } else if any(Verdict::Incomplete) {
        ExitCode::Incomplete
    } else {
        ExitCode::AsPromised
    }
}

fn text(
    args: &Args,
    protocol: &Protocol,
    options: &Options,
    (result, used): (&CheckResult, Reductions),
) -> String {
    let mut text = sentence(protocol, result);
    text += &header(&protocol.config);
    text += &output::wrap(&size(result), output::width(), 2);
    text += "\n";
    if args.reduce.is_given() {
        text += &reduced(used, result.states.unique);
    }
    text += "\n";
    for property in &result.properties {
        text += &line(property, args.verbose);
    }
    if args.verbose && !result.never_interrupted.is_empty() {
        let names: Vec<_> = result.never_interrupted.iter().map(|p| p.name()).collect();
        let sentence = format!("no interrupt was ever taken inside: {}", names.join(", "));
        let _ = writeln!(text, "\n{}", output::wrap(&sentence, output::width(), 2));
    }
    let telling = TextOptions {
        width: output::width(),
        verbose: args.verbose,
        colour: output::colour(),
    };
    let mut rest = 0;
    for (i, property) in violated(result).enumerate() {
        let wanted = match &args.property {
            Some(name) => property.name == name,
            None => args.all || i == 0,
        };
        match (&property.counterexample, wanted) {
            (Some(c), true) => {
                let _ = writeln!(
                    text,
                    "\n{}: the shortest run that violates it\n",
                    property.name
                );
                text += &report::text(protocol, &c.trace, Some(property.name), &telling);
            }
            _ => rest += 1,
        }
    }
    if rest > 0 {
        let _ = writeln!(
            text,
            "\n{rest} more violated: `--all`, or `--property NAME`, shows the runs"
        );
    }
    if let Some(stopped) = result.stopped {
        let _ = writeln!(
            text,
            "\nINCOMPLETE: {stopped}. What is not violated so far may still be."
        );
        let mut more = Vec::new();
        if stopped == Stop::MaxMemory {
            more.push(args.bounds.memory(options.max_memory));
        }
        more.extend(args.checkpoint.goes_on());
        if !more.is_empty() {
            let _ = writeln!(
                text,
                "{}",
                output::wrap(&more.join("; "), output::width(), 2)
            );
        }
    }
    text
}

/// What came out, in a sentence, before anything else.
fn sentence(protocol: &Protocol, result: &CheckResult) -> String {
    let names: Vec<&str> = violated(result).map(|p| p.name).collect();
    let first = violated(result).find_map(|p| Some((p.name, p.counterexample.as_ref()?)));
    let (text, tone) = match (first, result.complete) {
        (Some((name, run)), _) => {
            let (title, sentence) = report::explain(protocol, &run.trace, name)
                .unwrap_or_else(|| (name.to_string(), "is violated".to_string()));
            let more = match names.len() {
                1 => String::new(),
                n => format!(" ({n} properties are violated.)"),
            };
            (format!("{title}: {sentence}{more}"), output::Tone::Bad)
        }
        (None, _) if !names.is_empty() => (
            format!(
                "{} violated; the search for a run was cut off.",
                names.join(", ")
            ),
            output::Tone::Bad,
        ),
        (None, false) => (
            "INCOMPLETE: nothing is violated as far as the search came.".to_string(),
            output::Tone::Open,
        ),
        (None, true) => {
            let of = |v| result.properties.iter().filter(|p| p.verdict == v).count();
            let vacuous = match of(Verdict::Vacuous) {
                0 => String::new(),
                n => format!("; {n} vacuous: nothing here could violate them"),
            };
            (
                format!(
                    "Nothing is violated: {} hold{vacuous}.",
                    output::properties(of(Verdict::Holds))
                ),
                output::Tone::Good,
            )
        }
    };
    format!(
        "{}\n\n",
        output::paint(&output::wrap(&text, output::width(), 2), tone)
    )
}

/// The violated properties.
pub fn violated(result: &CheckResult) -> impl Iterator<Item = &PropertyResult> {
    result
        .properties
        .iter()
        .filter(|p| p.verdict == Verdict::Violated)
}

/// What is checked, within which bounds.
pub fn header(config: &Config) -> String {
    let deviations = match config.variants.is_empty() {
        true => String::new(),
        false => format!(", deviating: {}", config.variants),
    };
    format!(
        "{} | {} | {}{deviations}\n",
        config.design, config.environment, config.workload
    )
}

/// What was reduced, in one line.
pub fn reduced(used: Reductions, representatives: u64) -> String {
    match used.any() {
        true => format!(
            "reduced: {used}; {} stand for all others\n",
            output::plural(representatives, "state")
        ),
        false => "reduced: nothing; the search is the full one\n".to_string(),
    }
}

/// How large the space was, in one sentence.
pub fn size(result: &CheckResult) -> String {
    if let Some(Swept { ranks, most_states }) = result.swept {
        let unique = result.states.unique;
        return format!(
            "{}: {} states, {} transitions, swept in {}; at most {} states ({:.0} %) at once; {:.2} s, {} \
             ({:.0} bytes a state); no hash: states are compared as a whole",
            if result.complete {
                "complete"
            } else {
                "INCOMPLETE"
            },
            output::count(unique),
            output::count(result.states.generated),
            output::plural(ranks, "rank"),
            output::count(most_states),
            100.0 * most_states as f64 / unique.max(1) as f64,
            result.elapsed.as_secs_f64(),
            output::bytes(result.peak_memory_bytes),
            result.bytes_per_state,
        );
    }
    format!(
        "{}: {} states, {} transitions, depth {}; {:.2} s, {} ({:.0} bytes a state); \
         odds that a hash collision hid a state < {:.0e}",
        if result.complete {
            "complete"
        } else {
            "INCOMPLETE"
        },
        output::count(result.states.unique),
        output::count(result.states.generated),
        result.states.depth,
        result.elapsed.as_secs_f64(),
        output::bytes(result.peak_memory_bytes),
        result.bytes_per_state,
        result.collision_odds,
    )
}

/// One property with its verdict.
pub fn line(property: &PropertyResult, verbose: bool) -> String {
    let mut line = format!("  {:<33} ", property.name);
    match (&property.counterexample, property.verdict) {
        (Some(c), _) => {
            let steps = c.trace.actions.len();
            let shape = if c.trace.loops_to.is_some() {
                "a loop, "
            } else {
                ""
            };
            let _ = write!(
                line,
                "{}    {shape}{}, {}",
                output::paint("VIOLATED", output::Tone::Bad),
                output::plural(steps as u64, "step"),
                output::plural(c.switches.into(), "context switch")
            );
        }
        (None, Verdict::Vacuous) => {
            let unreached: Vec<_> = property
                .witnesses
                .iter()
                .filter(|(_, r)| !r)
                .map(|(n, _)| *n)
                .collect();
            line += &format!("vacuous     never reached: {}", unreached.join(", "));
            line = format!(
                "  {}",
                output::wrap(line.trim_start(), output::width() - 2, 48)
            )
            .replacen(
                " vacuous ",
                &format!(" {} ", output::paint("vacuous", output::Tone::Open)),
                1,
            );
        }
        (None, verdict) => {
            let tone = match verdict {
                Verdict::Holds => output::Tone::Good,
                _ => output::Tone::Open,
            };
            line += &output::paint(&verdict.to_string(), tone);
        }
    }
    if verbose {
        for (name, reached) in &property.witnesses {
            let _ = write!(
                line,
                "\n      {} {name}",
                if *reached { "reached" } else { "NOT reached" }
            );
        }
    }
    line.push('\n');
    line
}
