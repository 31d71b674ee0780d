//! The Spin verifier: finds it, runs it on a model, reads what it prints.
//!
//! The model goes through `spin -a`, the C compiler and the verifier it built, in a directory
//! of its own that is removed afterwards; none of them outlives this process ([`leash`]). The search is exhaustive and goes on after every error,
//! so that one run says for each assertion whether it can fail.

mod printed;

pub use printed::{Printed, Unreadable};

use crate::cli::exit_code::ExitCode;
use shootdown_ir::export::promela::PAN_FLAGS;
use shootdown_refinement::leash::{self, Ended, Folder, Stderr};
use shootdown_spec::export::promela::SPIN_FLAGS;
use std::io::{self, BufRead, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Steps that the verifier may stand from the start. Runs of these models are a few hundred long;
/// one that is longer ends as [`Unreadable`], not as a verdict.
const DEPTH: &str = "-m100000";

/// Why there is no verdict.
#[derive(Debug, Error)]
pub enum SpinError {
    /// A program is not there.
    #[error("cannot run `{program}`: {error}\n  {hint}")]
    Missing {
        /// The program.
        program: &'static str,
        /// What the system said.
        error: io::Error,
        /// How to get it.
        hint: &'static str,
    },
    /// A program refused what it was given: a bug here.
    #[error("`{program}` failed:\n{said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// A program was killed: by somebody, or by the system for its memory.
    #[error(
        "`{program}` was killed by signal {signal}; by the system, if there was no memory for it"
    )]
    Killed {
        /// The program.
        program: &'static str,
        /// The signal's number.
        signal: i32,
    },
    /// Nobody waits for the verdict any more.
    #[error("cancelled")]
    Cancelled,
    /// The verifier did not end.
    #[error("the verifier gave no verdict: {0}")]
    Unreadable(#[from] Unreadable),
    /// No place for its files.
    #[error("cannot write the verifier's files: {0}")]
    Files(#[from] io::Error),
}

impl SpinError {
    /// A lack that the user can do something about, a search that was cut off, or a bug here.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            SpinError::Missing { .. } | SpinError::Files(_) => ExitCode::Usage,
            SpinError::Killed { .. } | SpinError::Cancelled => ExitCode::Incomplete,
            SpinError::Failed { .. } | SpinError::Unreadable(_) => ExitCode::Internal,
        }
    }
}

/// A Spin that works, with the C compiler it needs.
#[derive(Clone, Debug)]
pub struct Spin {
    /// What it calls itself.
    pub version: String,
}

/// How a model is to be verified.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// With partial-order reduction: fewer states where it finds independent steps.
    pub reduce: bool,
    /// States to expect: large searches are worth a better compiled verifier.
    pub expected: u64,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Opinion {
    /// What the verifier printed.
    pub printed: Printed,
    /// Time that `spin -a` and the compiler took.
    pub compiling: Duration,
    /// Time that the verifier took.
    pub verifying: Duration,
}

impl Spin {
    /// Looks for `spin` and `gcc`, which `spin` itself calls as its preprocessor.
    ///
    /// # Errors
    /// With what is missing and how to get it.
    pub fn find() -> Result<Spin, SpinError> {
        let needs = |program, flag, hint| {
            let output = Command::new(program)
                .arg(flag)
                .stdin(Stdio::null())
                .output();
            output.map_err(|error| SpinError::Missing {
                program,
                error,
                hint,
            })
        };
        needs(
            "gcc",
            "--version",
            "Debian and Ubuntu: `apt-get install gcc`",
        )?;
        let output = needs(
            "spin",
            "-V",
            "Debian and Ubuntu: `apt-get install spin`; source: https://spinroot.com",
        )?;
        let version = String::from_utf8_lossy(&output.stdout);
        Ok(Spin {
            version: version.trim().to_string(),
        })
    }

    /// Verifies a model, exhaustively, unless `cancel` is raised.
    ///
    /// # Errors
    /// If the model is refused, or the verifier does not say that it has seen everything.
    pub fn verify(&self, model: &str, how: How, cancel: &AtomicBool) -> Result<Opinion, SpinError> {
        let directory = Folder::new()?;
        let at = directory.path();
        std::fs::write(at.join("model.pml"), model)?;
        let started = Instant::now();
        let spin = SPIN_FLAGS.iter().copied().chain(["model.pml"]);
        run(at, "spin", spin, cancel)?;
        let level = match how.expected {
            0..1_000_000 => "-O0",
            1_000_000..4_000_000 => "-O1",
            _ => "-O2",
        };
        let flags = PAN_FLAGS
            .iter()
            .copied()
            .filter(|f| !(how.reduce && *f == "-DNOREDUCE"));
        let files = [level, "-w", "-o", "pan", "pan.c"];
        run(at, "gcc", flags.chain(files), cancel)?;
        let compiling = started.elapsed();

        let started = Instant::now();
        let mut pan = leash::command("./pan");
        pan.args(["-c0", "-n", DEPTH]).current_dir(at);
        // A model with many violations prints millions of lines: they are not kept.
        let read = |stdout| Printed::read(BufReader::new(stdout).lines());
        let ended = leash::run(pan, Stderr::Dropped, cancel, read)?;
        let (printed, status) = survived("pan", ended)?;
        let printed = printed?;
        if !status.success() {
            return Err(Unreadable::Status(status.to_string()).into());
        }
        Ok(Opinion {
            printed,
            compiling,
            verifying: started.elapsed(),
        })
    }
}

/// Runs a program to its end; what it says is only of interest if it fails.
fn run(
    at: &Path,
    program: &'static str,
    arguments: impl Iterator<Item = &'static str>,
    cancel: &AtomicBool,
) -> Result<(), SpinError> {
    let mut command = leash::command(program);
    command.args(arguments).current_dir(at);
    let read = |mut printed: io::PipeReader| {
        let mut said = Vec::new();
        printed.read_to_end(&mut said).map(|_| said)
    };
    // Spin reports some errors on stdout and succeeds nevertheless.
    let ended = leash::run(command, Stderr::Read, cancel, read)?;
    let (said, status) = survived(program, ended)?;
    let said = said?;
    let said = String::from_utf8_lossy(&said);
    if !status.success() || (program == "spin" && said.contains("Error")) {
        let last: Vec<_> = said.lines().rev().take(20).collect();
        let said = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        return Err(SpinError::Failed { program, said });
    }
    Ok(())
}

/// What a program that nobody killed printed, and how it ended.
fn survived<T>(program: &'static str, ended: Ended<T>) -> Result<(T, ExitStatus), SpinError> {
    if ended.cancelled {
        return Err(SpinError::Cancelled);
    }
    match ended.status.signal() {
        Some(signal) => Err(SpinError::Killed { program, signal }),
        None => Ok((ended.read, ended.status)),
    }
}
