//! Everything that can go wrong outside the model, with what to do about it.

use super::checkpoint::CheckpointError;
use super::exit_code::ExitCode;
use super::output::complain;
use crate::spin::SpinError;
use crate::tlc::TlcError;
use shootdown_impl::host::stress::StressError;
use shootdown_ir::report::ReplayError;
use shootdown_refinement::bare::BareError;
use shootdown_refinement::mutants::evidence::EvidenceError;
use shootdown_refinement::scenario::LoadError;
use shootdown_spec::check::NotChecked;
use shootdown_spec::config::ConfigError;
use shootdown_spec::schedule::ScheduleError;
use shootdown_spec::workload::WorkloadError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// An expected failure of a command.
#[derive(Debug, Error)]
pub enum CliError {
    /// Axes that contradict each other.
    #[error("{0}\n  `shootdown list` shows every axis and what it needs")]
    Config(#[from] ConfigError),
    /// A workload that cannot be read.
    #[error(
        "--workload: {0}\n  `shootdown list workloads` and `shootdown list programs` show the names"
    )]
    Workload(#[from] WorkloadError),
    /// No cell has the text in its command.
    #[error(
        "--cells: no cell of the matrix with at most 120,000 states and no deviation has `{0}` in its command\n  \
         `shootdown matrix --format json` has the commands"
    )]
    NoCell(String),
    /// Bounds of a search that was not asked for.
    #[error(
        "--cells and --timeout go with --generate or --guards\n  `shootdown mutants --help` says what they do"
    )]
    Edits,
    /// Published counts are those of the full search.
    #[error(
        "{0} goes with the full search only, so that nothing that is published is reduced\n  leave out --reduce, or {0}"
    )]
    Reduced(&'static str),
    /// What the checker can do and real threads cannot.
    #[error("{0}\n  `shootdown stress --help` has the bounds")]
    Stress(String),
    /// What the code cannot be explored for.
    #[error("{0}")]
    Refine(String),
    /// The implementation could not be run.
    #[error("{0}")]
    StressRun(#[from] StressError),
    /// Bare metal could not be had, or ended before its time.
    #[error("{0}")]
    Bare(#[from] BareError),
    /// The Spin verifier is missing or came to no verdict.
    #[error("{0}")]
    Spin(#[from] SpinError),
    /// TLC is missing or came to no verdict.
    #[error("{0}")]
    Tlc(#[from] TlcError),
    /// States that differ in the names of CPUs cannot be taken for one.
    #[error("{0}\n  without the flag it is on where it is sound")]
    Symmetry(String),
    /// A file that a TLA+ module cannot be in.
    #[error(
        "{}: not the name of a TLA+ module: letters, digits and `_`, and `.tla` behind it",
        .0.display()
    )]
    ModuleName(PathBuf),
    /// A search among several that did not come to its end.
    #[error("{cell}: {why}")]
    CutOff {
        /// The command that makes it alone.
        cell: String,
        /// Why.
        why: shootdown_spec::search::Stop,
    },
    /// A page that should have a generated part has no markers for it.
    #[error("{}: no `<!-- {name}:begin -->` and `<!-- {name}:end -->` to write between", path.display())]
    NoMarkers {
        /// The page.
        path: PathBuf,
        /// The part.
        name: &'static str,
    },
    /// Evidence about a fault that could not be had: a bug, or no threads.
    #[error("{0}")]
    Evidence(#[from] EvidenceError),
    /// A schedule that cannot be read.
    #[error("{source_name}: {error}")]
    Schedule {
        /// Where it came from.
        source_name: String,
        /// What is wrong.
        error: ScheduleError,
    },
    /// A trace that cannot be read.
    #[error(
        "{source_name}:{error}\n  docs/trace-format.md says what a trace is; `shootdown stress --record` writes one"
    )]
    Trace {
        /// Where it came from.
        source_name: String,
        /// Where and what is wrong.
        error: shootdown_refinement::validate::reader::ReadError,
    },
    /// A log that cannot be read.
    #[error("{source_name}: {error}\n  docs/diagnose.md says what is read")]
    Log {
        /// Where it came from.
        source_name: String,
        /// What is wrong.
        error: shootdown_trace::console::Unreadable,
    },
    /// A binary file that another program has to print.
    #[error("{}: {what}", path.display())]
    Tool {
        /// The file.
        path: PathBuf,
        /// The program.
        program: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The text of an ftrace that cannot be read.
    #[error("{source_name}:{error}\n  docs/ftrace.md says how to record one")]
    Ftrace {
        /// Where it came from.
        source_name: String,
        /// Where and what is wrong.
        error: shootdown_trace::ftrace::ReadError,
    },
    /// An input of which too little was read to say anything.
    #[error("{source_name}: {why}, before there was anything to judge")]
    Unread {
        /// Where it came from.
        source_name: String,
        /// Why it was not read on.
        why: String,
    },
    /// A matrix that cannot be taken for this binary's.
    #[error("{name}: {reason}\n  `shootdown matrix --json FILE` writes one")]
    MatrixJson {
        /// Where it came from.
        name: String,
        /// Which cell, and what is wrong.
        reason: String,
    },
    /// A name that is not in a table.
    #[error("no {what} is called `{name}`{hint}\n  there are: {all}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// The name given.
        name: String,
        /// "did you mean".
        hint: String,
        /// The right names.
        all: String,
    },
    /// A number with a unit that cannot be read.
    #[error("{flag}: `{text}` is not {wanted}")]
    Number {
        /// The flag.
        flag: &'static str,
        /// What was written.
        text: String,
        /// What would do.
        wanted: &'static str,
    },
    /// A file that cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The server cannot listen.
    #[error(
        "cannot listen on {address}: {error}\n  another port: `--bind 127.0.0.1:0` takes any free one"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// Signals cannot be caught.
    #[error("cannot catch INT, TERM and HUP: {0}")]
    Signal(io::Error),
    /// stdout is full.
    #[error("cannot write the result to stdout: {0}")]
    Output(io::Error),
    /// A scenario file that cannot be read, or is none.
    #[error("{0}")]
    Scenario(#[from] LoadError),
    /// Bounds for a schedule of a design.
    #[error("replaying this searches nothing: bounds are for the run of a scenario file")]
    NothingToBound,
    /// A checkpoint that cannot be written, or gone on from.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// `--compare` with more or fewer files than two.
    #[error("--compare takes two files, before and after; here are {0}")]
    Compare(usize),
    /// A design that cannot be checked with store buffers.
    #[error(transparent)]
    NotBuffered(NotChecked),
    /// A bound that this search does not have.
    #[error(
        "--memory tso with a design has no bound on states; --max-memory and --timeout bound it"
    )]
    StatesOfStoreBuffers,
    /// A barrier left out where none is needed.
    #[error(
        "--without-barrier is for --memory tso: where memory is sequentially consistent, no barrier does anything"
    )]
    NothingToLeaveOut,
    /// A scenario without a run.
    #[error(
        "{0}: a scenario; replay what of it? `shootdown replay 'STRING' {0}`, as `shootdown check` prints it"
    )]
    NoString(String),
    /// A string that is no run of a scenario.
    #[error("{0}: {1}\n  `shootdown check` prints such strings")]
    ReplayString(String, ReplayError),
    /// Something that is neither a schedule nor a file.
    #[error(
        "`{0}` is no schedule (it would have semicolons) and no file\n  \
         `shootdown check` prints schedules; `-` reads one from stdin"
    )]
    NoSchedule(String),
    /// A file that cannot hold a schedule.
    #[error("{source_name}: not a schedule, which is text: {reason}")]
    NoText {
        /// Where it came from.
        source_name: String,
        /// What it is instead.
        reason: &'static str,
    },
    /// A scenario that other checkers cannot be given, or not to such a file.
    #[error("{0}")]
    Export(String),
    /// A result that cannot be written as JSON: a bug.
    #[error("cannot write the result as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl CliError {
    /// Prints the message and says how to exit.
    pub fn report(&self) -> ExitCode {
        if let CliError::Scenario(LoadError::Text(found)) = self {
            use std::io::IsTerminal as _;
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            super::output::complain!("{}", found.render(colour).trim_end());
            super::output::complain!("");
        }
        complain!("error: {}", printable(&self.to_string()));
        match self {
            CliError::Signal(_) | CliError::Json(_) => ExitCode::Internal,
            CliError::Spin(error) => error.exit_code(),
            CliError::Tlc(error) => error.exit_code(),
            CliError::CutOff { .. } | CliError::Unread { .. } => ExitCode::Incomplete,
            CliError::Evidence(_) | CliError::Bare(BareError::Died(_)) => ExitCode::Internal,
            CliError::Bare(BareError::Cancelled) => ExitCode::Incomplete,
            CliError::StressRun(StressError::Thread(_)) => ExitCode::Internal,
            _ => ExitCode::Usage,
        }
    }

    /// An unknown name, with the nearest right one.
    pub fn unknown<'a>(
        what: &'static str,
        name: &str,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> CliError {
        let hint = shootdown_spec::workload::nearest(name, names.clone());
        CliError::Unknown {
            what,
            name: name.to_string(),
            hint: hint
                .map(|n| format!(", did you mean `{n}`?"))
                .unwrap_or_default(),
            all: names.collect::<Vec<_>>().join(", "),
        }
    }
}

/// A message that quotes somebody's input, fit for a terminal: no control characters, which
/// could drive it, and no line that would fill the screen.
fn printable(message: &str) -> String {
    const MOST: usize = 600;
    let line = |line: &str| {
        let clean = |c: char| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        };
        let length = line.chars().count();
        if length <= MOST {
            return line.chars().map(clean).collect::<String>();
        }
        let (head, tail) = (MOST / 2, MOST / 4);
        let start: String = line.chars().take(head).map(clean).collect();
        let end: String = line.chars().skip(length - tail).map(clean).collect();
        format!("{start} … ({} characters) … {end}", length - head - tail)
    };
    message.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn quoted_input_neither_drives_nor_floods_the_terminal() {
        assert_eq!(printable("a `\u{1b}[2J`\n  b"), "a `\u{fffd}[2J`\n  b");
        let flood = printable(&format!("column 1: `{}` is not a CPU", "x".repeat(1 << 20)));
        assert!(flood.chars().count() < 700, "{flood}");
        assert!(flood.starts_with("column 1: `xxx") && flood.ends_with("xxx` is not a CPU"));
    }
}
