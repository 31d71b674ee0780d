//! `export promela FILE` and `export tla FILE`: a scenario as a model for Spin or TLC.

use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use shootdown_ir::export::{Exported, promela, tla};
use shootdown_refinement::scenario::Scenario;
use std::path::{Path, PathBuf};

/// Writes the Promela model.
pub fn promela(file: &Path, to: &Option<PathBuf>) -> Result<ExitCode, CliError> {
    let scenario = Scenario::read(file)?;
    let machine = scenario.machine();
    let exported = exported(&scenario, &machine)?;
    write(to, promela::write(&exported))
}

/// Writes the TLA+ module, or its configuration file; to a file, both.
pub fn tla(file: &Path, to: &Option<PathBuf>, cfg: bool) -> Result<ExitCode, CliError> {
    let scenario = Scenario::read(file)?;
    let machine = scenario.machine();
    let exported = exported(&scenario, &machine)?;
    if let Some(path) = to {
        // The module has one name, which its file must have.
        if path.file_name().is_none_or(|n| n != "Scenario.tla") {
            return Err(CliError::Export(format!(
                "{}: the module is called {1}: write it to a file {1}.tla",
                path.display(),
                tla::MODULE
            )));
        }
        output::write_file(&path.with_extension("cfg"), tla::CFG)?;
        return write(to, tla::write(&exported));
    }
    match cfg {
        true => write(&None, tla::CFG.to_string()),
        false => write(&None, tla::write(&exported)),
    }
}

pub(super) fn exported<'a>(
    scenario: &'a Scenario,
    machine: &shootdown_ir::machine::Machine<'a>,
) -> Result<Exported<'a>, CliError> {
    Exported::new(&scenario.protocol, machine.system())
        .map_err(|error| CliError::Export(format!("{}: {error}", scenario.file)))
}

fn write(to: &Option<PathBuf>, text: String) -> Result<ExitCode, CliError> {
    match to {
        None => output::print(text)?,
        Some(path) => output::write_file(path, text)?,
    }
    Ok(ExitCode::AsPromised)
}
