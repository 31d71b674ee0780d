//! `check --memory tso`: a design with x86's store buffers.

use super::super::Format;
use super::super::error::CliError;
use super::super::exit_code::ExitCode;
use super::super::output::{self, ProgressLine};
use super::{Args, header, known};
use serde::Serialize;
use shootdown_ir::buffer::ENTRIES;
use shootdown_refinement::ci::{Case, Outcome, Report};
use shootdown_spec::barrier::{BARRIERS, Barrier};
use shootdown_spec::check::{
    BufferedProperty, BufferedResult, BufferedRun, Does, check_with_store_buffers,
};
use shootdown_spec::config::Config;
use shootdown_spec::property::Property;
use shootdown_spec::report::{TextOptions, buffered};
use shootdown_spec::verdict::{States, Verdict};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Reads a barrier's name.
pub fn barrier(text: &str) -> Result<Barrier, String> {
    Barrier::named(text).ok_or_else(|| {
        let names: Vec<_> = BARRIERS.iter().map(|b| b.name).collect();
        format!("one of {}", names.join(", "))
    })
}

/// Checks the configuration; violated is exit code 1, cut off 3.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    known(args.property.as_deref())?;
    let config = args.subject.config("tracked", "everything")?;
    let mut options = args.bounds.options(output::cancel_on_signals()?)?;
    if options.max_states.is_some() {
        return Err(CliError::StatesOfStoreBuffers);
    }
    args.ci.try_out()?;
    let progress = ProgressLine::new("exploring");
    options.progress = Some(progress.callback());
    let result = check_with_store_buffers(&config, &args.without_barrier, &options);
    progress.finish();
    let result = result.map_err(CliError::NotBuffered)?;
    match args.format {
        Format::Json => output::print_json(&Json::new(&config, &args.without_barrier, &result))?,
        Format::Text => output::print(text(args, &config, &result))?,
    }
    args.ci.write(|| report(&config, &result))?;
    let any = |v| result.properties.iter().any(|p| p.verdict == v);
    Ok(if any(Verdict::Violated) {
        ExitCode::NotAsExpected
    } else if any(Verdict::Incomplete) {
        ExitCode::Incomplete
    } else {
        ExitCode::AsPromised
    })
}

fn text(args: &Args, config: &Config, result: &BufferedResult) -> String {
    let mut text = header(config);
    let mut memory = format!("memory as on x86: a store buffer of {ENTRIES} entries on each CPU");
    for barrier in &args.without_barrier {
        let _ = write!(memory, "; without {barrier}: {}", barrier.info().without);
    }
    text += &output::wrap(&memory, output::width(), 2);
    text.push('\n');
    let size = format!(
        "{}: {} states of {} bits, {} transitions, depth {}; {:.2} s, {}",
        match result.complete {
            true => "complete",
            false => "INCOMPLETE",
        },
        output::count(result.states.unique),
        result.state_bits,
        output::count(result.states.generated),
        result.states.depth,
        result.elapsed.as_secs_f64(),
        output::bytes(result.peak_memory_bytes),
    );
    text += &output::wrap(&size, output::width(), 2);
    text += "\n\n";
    for property in &result.properties {
        text += &line(property, args.verbose);
    }
    let options = TextOptions {
        width: output::width(),
        verbose: args.verbose,
        colour: output::colour(),
    };
    let mut rest = 0;
    let violated = result.properties.iter();
    let violated = violated.filter(|p| p.verdict == Verdict::Violated);
    for (i, property) in violated.enumerate() {
        let wanted = match &args.property {
            Some(name) => property.name == name,
            None => args.all || i == 0,
        };
        match (&property.run, wanted) {
            (Some(run), true) => {
                let _ = writeln!(
                    text,
                    "\n{}: the shortest run that violates it",
                    property.name
                );
                if let Some((_, of)) = Property::named(property.name) {
                    let _ = writeln!(
                        text,
                        "  {}",
                        output::wrap(of.promise, output::width() - 2, 2)
                    );
                }
                text += &buffered(run, &options);
            }
            (None, true) => {
                let _ = writeln!(
                    text,
                    "\n{}: no room or time was left to find the run",
                    property.name
                );
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
    }
    text
}

fn line(property: &BufferedProperty, verbose: bool) -> String {
    let mut line = format!("  {:<33} ", property.name);
    match (&property.run, property.verdict) {
        (Some(run), _) => {
            let steps = output::plural(run.steps.len() as u64, "step");
            let _ = write!(line, "VIOLATED    {steps}");
        }
        (None, Verdict::Violated) => line += "VIOLATED",
        (None, Verdict::Vacuous) => {
            line += &format!("vacuous     never reached: {}", unreached(property));
            line = format!(
                "  {}",
                output::wrap(line.trim_start(), output::width() - 2, 48)
            );
        }
        (None, verdict) => {
            let _ = write!(line, "{verdict}");
        }
    }
    if verbose {
        for (name, reached) in &property.witnesses {
            let reached = if *reached { "reached" } else { "NOT reached" };
            let _ = write!(line, "\n      {reached} {name}");
        }
    }
    line.push('\n');
    line
}

fn unreached(property: &BufferedProperty) -> String {
    let unreached = property.witnesses.iter().filter(|(_, reached)| !reached);
    let names: Vec<_> = unreached.map(|(name, _)| *name).collect();
    names.join(", ")
}

fn report(config: &Config, result: &BufferedResult) -> Report {
    let suite = format!("{}, memory tso", header(config).trim());
    let cases = result.properties.iter().map(|p| Case {
        suite: suite.clone(),
        name: p.name.to_string(),
        outcome: match p.verdict {
            Verdict::Holds => Outcome::Passed,
            Verdict::Violated => Outcome::Failed(Vec::new()),
            Verdict::Vacuous => {
                Outcome::Skipped(format!("vacuous, never reached: {}", unreached(p)))
            }
            Verdict::Incomplete => Outcome::Undecided("incomplete".to_string()),
        },
        time: None,
    });
    Report {
        command: "shootdown check --memory tso".to_string(),
        cases: cases.collect(),
    }
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Json {
    schema: &'static str,
    design: String,
    environment: String,
    workload: String,
    variants: Vec<&'static str>,
    memory: &'static str,
    entries: usize,
    without_barriers: Vec<&'static str>,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    states: States,
    state_bits: u32,
    properties: Vec<PropertyJson>,
    elapsed_ms: u64,
    peak_memory_bytes: u64,
}

#[derive(Serialize)]
struct PropertyJson {
    name: &'static str,
    verdict: Verdict,
    witnesses: BTreeMap<&'static str, bool>,
    violating_states: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunJson>,
}

#[derive(Serialize)]
struct RunJson {
    start: Vec<Option<String>>,
    steps: Vec<StepJson>,
}

#[derive(Serialize)]
struct StepJson {
    cpu: usize,
    in_interrupt: bool,
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    function: &'static str,
    text: String,
}

impl Json {
    fn new(config: &Config, without: &[Barrier], result: &BufferedResult) -> Json {
        let properties = result.properties.iter().map(|p| PropertyJson {
            name: p.name,
            verdict: p.verdict,
            witnesses: p.witnesses.iter().copied().collect(),
            violating_states: p.violating_states,
            run: p.run.as_ref().map(RunJson::new),
        });
        Json {
            schema: "shootdown/check-buffered/1",
            design: config.design.to_string(),
            environment: config.environment.to_string(),
            workload: config.workload.to_string(),
            variants: config.variants.iter().map(|v| v.name).collect(),
            memory: "tso",
            entries: ENTRIES,
            without_barriers: without.iter().map(|b| b.info().name).collect(),
            complete: result.complete,
            stopped: result.stopped.map(|s| s.to_string()),
            states: result.states,
            state_bits: result.state_bits,
            properties: properties.collect(),
            elapsed_ms: result.elapsed.as_millis() as u64,
            peak_memory_bytes: result.peak_memory_bytes,
        }
    }
}

impl RunJson {
    fn new(run: &BufferedRun) -> RunJson {
        let steps = run.steps.iter().map(|step| {
            let (kind, text) = match &step.what {
                Does::Starts(program, Some(mm)) => ("start", format!("{program}({mm})")),
                Does::Starts(program, None) => ("start", format!("{program}()")),
                Does::Interrupt(text) => ("interrupt", text.clone()),
                Does::Statement(text) => ("statement", (*text).to_string()),
                Does::Fills(text) => ("fill", text.clone()),
                Does::Drains(text) => ("drain", text.clone()),
            };
            StepJson {
                cpu: step.cpu,
                in_interrupt: step.in_interrupt,
                kind,
                function: step.function,
                text,
            }
        });
        RunJson {
            start: run
                .start
                .iter()
                .map(|mm| mm.map(|mm| mm.to_string()))
                .collect(),
            steps: steps.collect(),
        }
    }
}
