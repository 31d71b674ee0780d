//! `export`: the protocol, or a run of it, written for other tools.

mod run;
mod tla;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use super::scenario;
use super::subject::Subject;
use clap::{Subcommand, ValueEnum};
use run::{RunArgs, Wanted};
use shootdown_refinement::export::splat::Flavour;
use shootdown_refinement::export::{dot, itf, markdown, perfetto, rv, shiviz, splat};
use shootdown_refinement::scenario::export as told;
use shootdown_spec::export::promela;
use std::path::PathBuf;

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A design in an environment as a Promela model for the Spin verifier
    ///
    /// One transition of the model is one step of `check`, and Spin stores as many states as
    /// `check` finds, and one: the state before `init`. The head of the model has the commands.
    Promela(ModelArgs),
    /// A design in an environment as a TLA+ module for TLC, with its configuration file
    ///
    /// One action of the module is one step of `check`, and TLC finds as many states and
    /// transitions. To a file, the configuration file is written beside it. spec/tla/README.md says
    /// how to run TLC.
    Tla(tla::TlaArgs),
    /// A run in the Informal Trace Format of Apalache and Quint
    Itf(RunArgs),
    /// A run as Chrome trace JSON: open it at ui.perfetto.dev or chrome://tracing
    Perfetto(RunArgs),
    /// A run as a ShiViz log: events with vector clocks
    Shiviz(RunArgs),
    /// A graph for Graphviz: who waits for whom at the end of a run, or the order of its configuration
    Dot(DotArgs),
    /// A run as lockdep or DEPT would report it, headed as a counterexample
    ///
    /// Exit code 1 if there is nothing in it that they would report.
    Splat(SplatArgs),
    /// A run as Markdown for a mailing list
    Markdown(RunArgs),
    /// A scenario file as strict C, for cscope, clang-format and editors
    C(CArgs),
    /// An automaton for the kernel's runtime verification (rvgen, dot2k)
    Rv(RvArgs),
}

/// What is written, and where to.
#[derive(Debug, clap::Args)]
struct ModelArgs {
    /// A scenario file in place of a design; `-` is stdin
    #[arg(value_name = "FILE", conflicts_with_all = ["Subject", "DesignArgs", "EnvironmentArgs"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    subject: Subject,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct CArgs {
    /// The scenario file
    file: PathBuf,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct DotArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Which graph
    #[arg(long, value_enum, default_value_t)]
    graph: GraphKind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum GraphKind {
    /// Who waits for whom after the last step.
    #[default]
    Waits,
    /// What is withheld while what is waited for, for any number of CPUs.
    Order,
}

#[derive(Debug, clap::Args)]
struct SplatArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Whose layout
    #[arg(long, value_enum, default_value_t)]
    flavour: FlavourArg,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum FlavourArg {
    /// lockdep of 6.18.
    #[default]
    Modern,
    /// lockdep of 2.6.38.
    #[value(name = "2.6.38")]
    V2_6_38,
    /// DEPT: waits and events.
    Dept,
}

#[derive(Debug, clap::Args)]
struct RvArgs {
    /// Which rule
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(rv::RULES.iter().map(|r| {
        clap::builder::PossibleValue::new(r.name).help(r.about)
    })))]
    rule: String,
    /// Write to this file instead of stdout; rvgen names the monitor after it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes it.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    match &args.what {
        What::Promela(args) => {
            if let Some(file) = &args.file {
                return scenario::model::promela(file, &args.output);
            }
            let config = args.subject.config("tracked", "everything")?;
            write(&args.output, promela::write(&config))
        }
        What::Tla(args) => tla::run(args),
        What::Itf(args) => match args.scenario() {
            Some(of) => scenario::export::run(&of, |story, _| Some(told::itf::itf(story))),
            None => args.export(|run| Some(itf::itf(run))),
        },
        What::Perfetto(args) => match args.scenario() {
            Some(of) => {
                scenario::export::run(&of, |story, _| Some(told::perfetto::perfetto(story)))
            }
            None => args.export(|run| Some(perfetto::perfetto(run))),
        },
        What::Shiviz(args) => match args.scenario() {
            Some(of) => scenario::export::run(&of, |story, _| Some(told::shiviz::shiviz(story))),
            None => args.export(|run| Some(shiviz::shiviz(run))),
        },
        What::Markdown(args) => match args.scenario() {
            Some(of) => scenario::export::run(&of, |story, scenario| {
                Some(told::markdown::markdown(story, &scenario.text))
            }),
            None => args.export(|run| Some(markdown::markdown(run))),
        },
        What::C(args) => scenario::export::c(&args.file, &args.output),
        What::Dot(args) if args.run.scenario().is_some() => match args.run.scenario() {
            Some(of) if args.graph == GraphKind::Order => scenario::export::order(&of),
            Some(of) => scenario::export::run(&of, |story, _| Some(told::dot::waits(story))),
            None => Ok(ExitCode::Usage),
        },
        What::Dot(args) if args.graph == GraphKind::Order => {
            // A configuration is enough: there is an order where nothing is violated.
            match args.run.wanted()? {
                Wanted::Config(config) => write(&args.run.output, dot::order(&config)),
                Wanted::Run(run) => write(&args.run.output, dot::order(&run.protocol.config)),
                Wanted::Nothing(code) => Ok(code),
            }
        }
        What::Dot(args) => args.run.export(|run| Some(dot::waits(run))),
        What::Splat(args) if args.run.scenario().is_some() => match args.run.scenario() {
            Some(of) => scenario::export::run(&of, |story, _| told::splat::splat(story)),
            None => Ok(ExitCode::Usage),
        },
        What::Splat(args) => {
            let flavour = match args.flavour {
                FlavourArg::Modern => Flavour::Modern,
                FlavourArg::V2_6_38 => Flavour::V2_6_38,
                FlavourArg::Dept => Flavour::Dept,
            };
            args.run.export(|run| splat::splat(run, flavour))
        }
        What::Rv(args) => {
            let rule = rv::Rule::named(&args.rule).expect("clap knows the names");
            write(&args.output, rule.automaton().dot())
        }
    }
}

/// To a file, or to stdout.
fn write(to: &Option<PathBuf>, text: String) -> Result<ExitCode, CliError> {
    match to {
        None => output::print(text)?,
        Some(path) => output::write_file(path, text)?,
    }
    Ok(ExitCode::AsPromised)
}
