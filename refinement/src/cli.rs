//! The command line: arguments only; what a subcommand does is in its own file.

pub mod bare;
pub mod bounds;
pub mod check;
pub mod checkpoint;
pub mod ci;
pub mod completions;
pub mod diagnose;
#[cfg(test)]
mod documented;
pub mod error;
pub mod examples;
pub mod exit_code;
pub mod explore;
pub mod export;
pub mod generated;
pub mod input;
pub mod json;
pub mod list;
pub mod matrix;
pub mod mutants;
pub mod output;
pub mod prove;
pub mod record_help;
pub mod reduce;
pub mod refine;
pub mod replay;
pub mod report;
pub mod scenario;
pub mod second_opinion;
pub mod stress;
pub mod subject;
pub mod trace;
pub mod validate;

use clap::{Parser, Subcommand, ValueEnum};
use error::CliError;
use exit_code::ExitCode;

const EXIT_CODES: &str = "\
Exit codes:
  0  as promised, or as expected
  1  violated, rejected, or not as expected
  2  usage, unreadable input, or a place that results cannot be written to
  3  incomplete: a bound, a time-out or a signal (Ctrl-C, TERM, HUP) cut it off
  4  internal error

What is modelled and what is left out: docs/assumptions.md";

/// Checks the Linux x86 pgd_lock / page_table_lock / TLB-flush-IPI protocol.
///
/// Without a subcommand: `explore`, a web page on the kernel that hung in 2011.
#[derive(Debug, Parser)]
#[command(name = "shootdown", version, about, after_help = EXIT_CODES, infer_subcommands = true)]
pub struct Cli {
    /// Say more on stderr (-v progress of the tool, -vv debugging); RUST_LOG overrides
    #[arg(short = 'v', long = "log", global = true, action = clap::ArgAction::Count)]
    pub verbosity: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open a web page on the state space, by default of the kernel that hung
    #[command(after_help = examples::EXPLORE)]
    Explore(explore::Args),
    /// One design in one environment, or scenario files: every verdict, and the shortest counterexample
    #[command(after_help = examples::CHECK)]
    Check(check::Args),
    /// Every design in every environment, and every claim, against what is expected
    #[command(after_help = examples::MATRIX)]
    Matrix(matrix::Args),
    /// Static order of one design: no deadlock for any number of CPUs, or the cycle
    ///
    /// Exit code 0 is a proof. Not proven is 1: there is a cycle, whether or not a run into it was
    /// found, or a program breaks what the theorem takes for granted. The number of CPUs, mms and
    /// operations and the bounds limit the search for a run only. docs/order.md has the theorem.
    #[command(after_help = examples::PROVE)]
    Prove(prove::Args),
    /// Every interleaving of the real code, checked step by step against the protocol
    #[command(after_help = examples::REFINE)]
    Refine(refine::Args),
    /// The design review: one HTML file, or Markdown for a mail
    Report(report::Args),
    /// Replay a printed schedule step by step
    #[command(after_help = examples::REPLAY)]
    Replay(replay::Args),
    /// The protocol written for other tools
    #[command(after_help = examples::EXPORT)]
    Export(export::Args),
    /// Every cell of the matrix once more by the Spin verifier or by TLC: verdicts and state counts must agree
    #[command(after_help = examples::SECOND_OPINION)]
    SecondOpinion(second_opinion::Args),
    /// The implementation on real threads; a watchdog explains a hang
    Stress(stress::Args),
    /// The implementation on bare metal under QEMU; a watchdog explains a hang
    Bare(bare::Args),
    /// Faults put in on purpose, and who noticed them
    ///
    /// Each fault is in the machine, the code or the dictionary between code and protocol. Everybody who must notice it
    /// is asked: the types, the order proof, the model, the refinement and, with --stress, real threads.
    /// docs/mutants.md has the table.
    Mutants(mutants::Args),
    /// A recorded run of real threads, against the protocol
    Validate(validate::Args),
    /// The console log of a hung machine: who waits for whom, the cycle, or what is missing
    Diagnose(diagnose::Args),
    /// What a real kernel recorded with ftrace, trace-cmd, perf or bpftrace, judged by the same rules
    Trace(trace::Args),
    /// How to record a trace on the machine that hangs: the commands, and what they cannot show
    RecordHelp(record_help::Args),
    /// Designs, environments, programs, properties, workloads and deviations
    #[command(after_help = examples::LIST)]
    List(list::Args),
    /// A commented scenario file to begin with
    #[command(after_help = examples::NEW)]
    New(scenario::new::Args),
    /// What a diagnostic's code or a property of a scenario means
    #[command(after_help = examples::EXPLAIN)]
    Explain(scenario::explain::Args),
    /// Print a completion script for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::Args),
    /// Print the manual page
    #[command(after_help = examples::MAN)]
    Man,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: versioned, alone on stdout.
    Json,
}

/// Runs what was asked for.
pub fn run(cli: Cli) -> Result<ExitCode, CliError> {
    match cli.command {
        None => explore::run(&explore::Args::default_args()),
        Some(Command::Explore(args)) => explore::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Matrix(args)) => matrix::run(&args),
        Some(Command::Prove(args)) => prove::run(&args),
        Some(Command::Refine(args)) => refine::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Replay(args)) => replay::run(&args),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::SecondOpinion(args)) => second_opinion::run(&args),
        Some(Command::Stress(args)) => stress::run(&args),
        Some(Command::Bare(args)) => bare::run(&args),
        Some(Command::Mutants(args)) => mutants::run(&args),
        Some(Command::Validate(args)) => validate::run(&args),
        Some(Command::Diagnose(args)) => diagnose::run(&args),
        Some(Command::Trace(args)) => trace::run(&args),
        Some(Command::RecordHelp(args)) => record_help::run(&args),
        Some(Command::List(args)) => list::run(&args),
        Some(Command::New(args)) => scenario::new::run(&args),
        Some(Command::Explain(args)) => scenario::explain::run(&args),
        Some(Command::Completions(args)) => completions::run(&args),
        Some(Command::Man) => completions::man(),
    }
}
