//! `completions` and `man`.

use super::Cli;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use clap::CommandFactory;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints a completion script.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "shootdown", &mut script);
    output::print(script)?;
    Ok(ExitCode::AsPromised)
}

/// Prints the manual page, subcommands behind it.
pub fn man() -> Result<ExitCode, CliError> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(CliError::Output)?;
    for sub in command.get_subcommands().filter(|s| s.get_name() != "help") {
        clap_mangen::Man::new(sub.clone())
            .render(&mut page)
            .map_err(CliError::Output)?;
    }
    output::print(page)?;
    Ok(ExitCode::AsPromised)
}
