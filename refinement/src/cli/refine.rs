//! `refine`: every interleaving of the real code, step by step beside the protocol.

mod cases;
mod matrix;

use super::Format;
use super::bounds::Bounds;
use super::check;
use super::ci::CiArgs;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::json::CheckJson;
use super::output::{self, ProgressLine};
use super::subject::Subject;
use serde::Serialize;
use shootdown_refinement::code::automaton::Nondeterminism;
use shootdown_refinement::map;
use shootdown_refinement::relation::bounded::{Bounded, Within};
use shootdown_refinement::relation::coverage::{self, Irqs, Missing, Place};
use shootdown_refinement::relation::joint::{
    MISFIT_BIT, NOTICED_BIT, Refinement, STUCK_DIFFERS_BIT,
};
use shootdown_refinement::relation::outcome::{RefineResult, RelationResult, refine, until_parted};
use shootdown_refinement::relation::random;
use shootdown_spec::config::Config;
use shootdown_spec::program::ProgramId;
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::report::{self, TextOptions};
use shootdown_spec::schedule::schedule;
use shootdown_spec::search::search;
use shootdown_spec::trace::Trace;
use shootdown_spec::verdict::Verdict;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `refine`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    bounds: Bounds,
    /// Every cell of the matrix that has no deviation: do `check` and `refine` agree?
    #[arg(long, conflicts_with_all = ["preemptions", "random", "coverage"])]
    matrix: bool,
    /// With --matrix: only cells whose command has this in it, such as `--env irq-free`; may be repeated
    #[arg(
        long,
        value_name = "TEXT",
        requires = "matrix",
        allow_hyphen_values = true
    )]
    only: Vec<String>,
    /// With --matrix: leave out cells whose protocol has more states than this
    #[arg(long, value_name = "N", requires = "matrix", default_value_t = u64::MAX, hide_default_value = true)]
    up_to: u64,
    /// With --matrix: write the table into docs/refinement.md of the tree at DIR. On one thread, whatever --threads says
    #[arg(long, value_name = "DIR", requires = "matrix")]
    docs: Option<PathBuf>,
    /// With --matrix: fail if a row of docs/refinement.md of the tree at DIR is not what came out. On one thread too
    #[arg(long, value_name = "DIR", requires = "matrix", conflicts_with = "docs")]
    check_docs: Option<PathBuf>,
    /// Give every operation of the code a scheduling point of its own
    #[arg(long)]
    every_operation: bool,
    /// Only runs with at most this many preemptions
    #[arg(long, value_name = "N", conflicts_with = "CiArgs")]
    preemptions: Option<u8>,
    /// Random runs from this seed instead of all runs
    #[arg(long, value_name = "SEED", conflicts_with_all = ["preemptions", "CiArgs"])]
    random: Option<u64>,
    /// How many random runs
    #[arg(long, value_name = "N", requires = "random", default_value_t = 10_000)]
    runs: u64,
    /// Count the steps that the code took (--verbose lists them); fail if the protocol allows one that it never took and
    /// no reason is given
    #[arg(long, conflicts_with_all = ["preemptions", "random"])]
    coverage: bool,
    /// Show every step, and every property's witnesses
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    ci: CiArgs,
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct RefineJson {
    schema: &'static str,
    refines: Verdict,
    relation: Vec<RelationJson>,
    runs_of_real_code: u64,
    points: usize,
    repeated: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    nondeterminism: Option<String>,
    #[serde(flatten)]
    check: CheckJson,
}

#[derive(Serialize)]
struct RelationJson {
    name: &'static str,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
}

/// What starts a schedule of the code, so that it is not taken for one of the protocol.
pub const CODE: &str = "code:";

/// The configuration's code against its protocol.
pub fn refinement(config: Config) -> Result<Refinement, CliError> {
    if !config.variants.is_empty() {
        return Err(CliError::Refine(format!(
            "the code has no deviation {}: `shootdown mutants` has faulty code",
            config.variants
        )));
    }
    let axes = map::config::axes(&config.design);
    Ok(Refinement::new(config, Arc::new(axes)))
}

/// Explores; violated is exit code 1, cut off 3.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    if args.matrix {
        return matrix::run(args);
    }
    let mut refinement = refinement(args.subject.config("tracked", "everything")?)?;
    refinement.code.reduce = !args.every_operation;
    let mut options = args.bounds.options(output::cancel_on_signals()?)?;
    if let Some(seed) = args.random {
        let result = random::explore(&mut refinement, seed, args.runs, bad_facts(), &options);
        return print_random(args, seed, &refinement, &result);
    }
    args.ci.try_out()?;
    let progress = ProgressLine::new("exploring the code");
    options.progress = Some(progress.callback());
    if let Some(most) = args.preemptions {
        let ((outcome, failing), _) = refinement.settled(|refinement| {
            let bounded = Bounded { refinement, most };
            let observe = |b: &Bounded<'_>, at: &Within| b.refinement.facts(&at.joint);
            let outcome = search(&bounded, observe, &until_parted(refinement, &options));
            let hit = (0..64)
                .filter(|bit| bad_facts() >> bit & 1 == 1)
                .find_map(|bit| Some((bit, outcome.hit(bit)?)));
            let failing = hit.map(|(bit, hit)| {
                let run = Trace::from_trail(&bounded, refinement.config(), &hit.trail);
                (run.expect("the search walked this trail"), 1 << bit)
            });
            (outcome, failing)
        });
        progress.finish();
        let size = format!(
            "{}: {} states, {} transitions, at most {}",
            if outcome.complete {
                "complete within the bound"
            } else {
                "INCOMPLETE"
            },
            output::count(outcome.unique),
            output::count(outcome.generated),
            output::plural(most.into(), "preemption"),
        );
        return print_run(
            args,
            &refinement,
            &size,
            failing.as_ref(),
            !outcome.complete,
        );
    }
    let result = refine(&mut refinement, &options);
    progress.finish();
    let missing = args
        .coverage
        .then(|| coverage::missing(&refinement, &options.cancel));
    match args.format {
        Format::Json => output::print_json(&json(&refinement, &result))?,
        Format::Text => {
            let mut text = text(args, &refinement, &result)?;
            match &missing {
                None => {}
                Some(Some(missing)) => text += &coverage_text(args, &refinement, missing),
                Some(None) => {
                    text += "\nsteps that the code never took: not known, it was cancelled\n"
                }
            }
            output::print(text)?;
        }
    }
    args.ci.write(|| cases::report(&refinement, &result))?;
    let hole = missing
        .flatten()
        .is_some_and(|all| all.iter().any(|m| m.reason.is_none()));
    Ok(match exit_code(&result) {
        ExitCode::AsPromised if hole => ExitCode::NotAsExpected,
        code => code,
    })
}

/// Everything that a run must not show.
fn bad_facts() -> u64 {
    (1 << MISFIT_BIT)
        | (1 << STUCK_DIFFERS_BIT)
        | (1 << NOTICED_BIT)
        | ((1 << PROPERTIES.len()) - 1)
}

fn exit_code(result: &RefineResult) -> ExitCode {
    match result.refines() {
        Verdict::Violated => ExitCode::NotAsExpected,
        _ => check::exit_code(&result.check),
    }
}

fn json(refinement: &Refinement, result: &RefineResult) -> RefineJson {
    // The properties' runs are printed as the protocol's: their steps are its steps.
    let mut translated = TranslatedResult::new(refinement, result);
    RefineJson {
        schema: "shootdown/refine/1",
        refines: result.refines(),
        relation: result
            .relation
            .iter()
            .map(|r| RelationJson {
                name: r.name,
                verdict: r.verdict,
                schedule: r
                    .counterexample
                    .as_ref()
                    .map(|c| code_schedule(refinement, &c.trace)),
            })
            .collect(),
        runs_of_real_code: result.runs,
        points: result.points,
        repeated: result.repeated,
        nondeterminism: result.nondeterminism.as_ref().map(|n| format!("{n:?}")),
        check: CheckJson::new(&refinement.spec, translated.check()),
    }
}

/// The result with every run in the protocol's steps.
struct TranslatedResult(shootdown_spec::check::CheckResult);

impl TranslatedResult {
    fn new(refinement: &Refinement, result: &RefineResult) -> Self {
        let c = &result.check;
        let mut properties = c.properties.clone();
        for property in &mut properties {
            if let Some(run) = &mut property.counterexample {
                run.trace = refinement.translate(&run.trace).trace;
            }
        }
        Self(shootdown_spec::check::CheckResult {
            properties,
            complete: c.complete,
            stopped: c.stopped,
            states: c.states,
            never_interrupted: c.never_interrupted.clone(),
            elapsed: c.elapsed,
            peak_memory_bytes: c.peak_memory_bytes,
            bytes_per_state: c.bytes_per_state,
            collision_odds: c.collision_odds,
            swept: c.swept,
        })
    }

    fn check(&mut self) -> &shootdown_spec::check::CheckResult {
        &self.0
    }
}

/// The run as one line that `replay` takes.
pub fn code_schedule(refinement: &Refinement, run: &Trace) -> String {
    format!("{CODE}{}", schedule(refinement.config(), run))
}

fn text(args: &Args, refinement: &Refinement, result: &RefineResult) -> Result<String, CliError> {
    let mut text = check::header(refinement.config());
    let size = format!(
        "{}; real code was run {} times and has {} points{}",
        check::size(&result.check),
        output::count(result.runs),
        output::count(result.points as u64),
        match result.repeated {
            0 => String::new(),
            n => format!(
                " (explored {} times: histories that looked alike diverged)",
                n + 1
            ),
        }
    );
    text += &output::wrap(&size, output::width(), 2);
    text += "\n\nthe code beside the protocol\n";
    if let Some(n) = &result.nondeterminism {
        text += &void(n);
    }
    for relation in &result.relation {
        text += &relation_line(relation);
    }
    text += "\nthe protocol's properties, of every state of the code\n";
    for property in &result.check.properties {
        text += &check::line(property, args.verbose);
    }
    if let Some(relation) = result.relation.iter().find(|r| r.counterexample.is_some()) {
        let run = &relation
            .counterexample
            .as_ref()
            .expect("found for having one")
            .trace;
        let _ = writeln!(
            text,
            "\n{}: the shortest run that shows it\n",
            relation.name
        );
        text += &failure(refinement, run);
    } else if let Some(property) = check::violated(&result.check).next()
        && let Some(run) = &property.counterexample
    {
        let _ = writeln!(
            text,
            "\n{}: the shortest run of the code that violates it\n",
            property.name
        );
        text += &run_text(args, refinement, &run.trace, Some(property.name));
    }
    if let Some(stopped) = result.check.stopped {
        let _ = writeln!(
            text,
            "\nINCOMPLETE: {stopped}. What is not violated so far may still be."
        );
    }
    Ok(text)
}

fn void(n: &Nondeterminism) -> String {
    format!(
        "  VOID: the code is no function of its answers. In {:?} on {}, after {} operations, it announced {}, \
         before {}\n",
        n.piece, n.cpu, n.after, n.announced, n.before
    )
}

fn relation_line(relation: &RelationResult) -> String {
    let verdict = match (&relation.counterexample, relation.verdict) {
        (Some(c), _) => format!(
            "VIOLATED    {}",
            output::plural(c.trace.actions.len() as u64, "step")
        ),
        (None, verdict) => verdict.to_string(),
    };
    format!("  {:<33} {verdict}\n", relation.name)
}

/// A run that does not fit, and the line that replays it.
pub fn failure(refinement: &Refinement, run: &Trace) -> String {
    let told = refinement
        .explain(run)
        .map(|failure| failure.text(refinement));
    format!(
        "{}\nreplay '{}'\n",
        told.unwrap_or_default(),
        code_schedule(refinement, run)
    )
}

/// A run of the code in the protocol's columns, and the line that replays it.
pub fn run_text(
    args: &Args,
    refinement: &Refinement,
    run: &Trace,
    property: Option<&str>,
) -> String {
    let options = TextOptions {
        width: output::width(),
        verbose: args.verbose,
        colour: output::colour(),
    };
    let mut text = report::text(
        &refinement.spec,
        &refinement.translate(run).trace,
        property,
        &options,
    );
    let _ = writeln!(
        text,
        "\nthe same run of the code: replay '{}'",
        code_schedule(refinement, run)
    );
    text
}

fn coverage_text(args: &Args, refinement: &Refinement, missing: &[Missing]) -> String {
    let line = |program: ProgramId, place: Place, more: &str| {
        let source = refinement.config().program(program).line(place.pc).source;
        let line = format!(
            "  {:<24} {source:<44} {:<16} {more}",
            program.name(),
            place.irqs
        );
        format!("{}\n", line.trim_end())
    };
    let taken: Vec<_> = refinement.coverage.taken().collect();
    let hidden: Vec<_> = refinement.coverage.hidden().collect();
    let mut text = "\nsteps of the protocol that the code took".to_string();
    for irqs in Irqs::ALL {
        let count = taken.iter().filter(|place| place.irqs == irqs).count();
        let _ = write!(text, ", {irqs}: {count}");
    }
    let _ = writeln!(text, "; without an event of their own: {}", hidden.len());
    if args.verbose {
        for place in &taken {
            text += &line(place.program, *place, "");
        }
        for place in &hidden {
            text += &line(place.program, *place, "without an event");
        }
    }
    let _ = writeln!(
        text,
        "steps that the protocol allows here and the code never took: {}",
        missing.len()
    );
    for m in missing {
        text += &line(m.program, m.place, m.reason.unwrap_or("UNEXPLAINED"));
    }
    text
}

fn print_random(
    args: &Args,
    seed: u64,
    refinement: &Refinement,
    result: &random::RandomResult,
) -> Result<ExitCode, CliError> {
    let size = format!(
        "{} from seed {seed}, {}{}; finding nothing proves nothing",
        output::plural(result.runs, "random run"),
        output::plural(result.steps, "step"),
        if result.cut_off { ", CUT OFF" } else { "" },
    );
    print_run(args, refinement, &size, result.failing.as_ref(), true)
}

fn print_run(
    args: &Args,
    refinement: &Refinement,
    size: &str,
    failing: Option<&(Trace, u64)>,
    incomplete: bool,
) -> Result<ExitCode, CliError> {
    let mut text = format!("{}{size}\n", check::header(refinement.config()));
    let nondeterminism = refinement.code.code.nondeterminism();
    text += &nondeterminism.as_ref().map_or(String::new(), void);
    if let Some((run, facts)) = failing {
        let property = PROPERTIES
            .iter()
            .enumerate()
            .find(|(i, _)| facts >> i & 1 == 1);
        let name = property.map_or("the code does not refine the protocol", |(_, p)| p.name);
        let _ = writeln!(
            text,
            "\n{name}: {}\n",
            output::plural(run.actions.len() as u64, "step")
        );
        text += &match property {
            Some((_, p)) => run_text(args, refinement, run, Some(p.name)),
            None => failure(refinement, run),
        };
    } else if nondeterminism.is_none() {
        text += "nothing is violated\n";
    }
    output::print(text)?;
    Ok(
        match (failing.is_some() || nondeterminism.is_some(), incomplete) {
            (true, _) => ExitCode::NotAsExpected,
            (false, true) => ExitCode::Incomplete,
            (false, false) => ExitCode::AsPromised,
        },
    )
}
