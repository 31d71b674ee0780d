//! The `shootdown` binary: checks the protocol of 2011's `vmalloc_sync_all` deadlock, shows its
//! state space, and compares every design in every environment with what is expected of it.
//!
//! This file parses, dispatches and turns the result into an exit code; one file per
//! subcommand under `cli/`.

mod cli;
mod expectation;
mod spin;
mod tlc;
mod web;

use clap::Parser;
use cli::exit_code::ExitCode;
use cli::{Cli, output};
use std::{panic, thread};

/// Bytes of stack for what runs, whatever `ulimit -s` says: that is for a process's first thread, and reading the
/// arguments alone takes more than the 64 KiB that it may be.
const STACK: usize = 8 << 20;

fn main() -> std::process::ExitCode {
    shootdown_refinement::leash::become_leashed();
    let own = thread::Builder::new().name("main".into()).stack_size(STACK);
    match own.spawn(start) {
        Ok(thread) => thread.join().unwrap_or(ExitCode::Internal).into(),
        // No room for a thread: perhaps there is for what was asked.
        Err(_) => start().into(),
    }
}

fn start() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own choice: help and version go to stdout and succeed, errors to stderr.
            let code = if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::AsPromised
            };
            // A reader that has gone away has what it wanted.
            let refused = error.print().err();
            let refused = refused.filter(|e| !output::is_gone(e));
            let refused = refused.map(|e| cli::error::CliError::Output(e).report());
            return refused.unwrap_or(code);
        }
    };
    output::init_tracing(cli.verbosity);
    // A bug must not look like a verdict: whatever panics is an internal error.
    match panic::catch_unwind(|| cli::run(cli)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => error.report(),
        Err(_) => {
            output::complain!(
                "error: internal error, please report it with the command line and the message above"
            );
            ExitCode::Internal
        }
    }
}
