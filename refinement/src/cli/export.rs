//! `export`: the protocol written for other tools.

use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use super::subject::Subject;
use clap::Subcommand;
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
}

/// What is written, and where to.
#[derive(Debug, clap::Args)]
struct ModelArgs {
    #[command(flatten)]
    subject: Subject,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the model.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let What::Promela(args) = &args.what;
    let config = args.subject.config("tracked", "everything")?;
    let text = promela::write(&config);
    match &args.output {
        None => output::print(text)?,
        Some(path) => std::fs::write(path, text).map_err(|error| CliError::File {
            path: path.clone(),
            error,
        })?,
    }
    Ok(ExitCode::AsPromised)
}
