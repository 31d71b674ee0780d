//! `report FILE`: one HTML page for a design review of that protocol.

use super::{exit_code, limits, options};
use crate::cli::bounds::Bounds;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use shootdown_ir::order::Order;
use shootdown_refinement::scenario::{Scenario, check, page, text};
use std::path::{Path, PathBuf};

/// Checks the file and writes its page, to `to` or beside it.
pub fn run(file: &Path, to: Option<&Path>, bounds: &Bounds) -> Result<ExitCode, CliError> {
    let scenario = Scenario::read(file)?;
    let to = match to {
        Some(to) => to.to_path_buf(),
        None => PathBuf::from(file.file_stem().unwrap_or_default()).with_extension("html"),
    };
    output::try_out(&to)?;
    let machine = scenario.machine();
    let (options, _) = options(bounds)?;
    let checked = check(&scenario, &machine, limits(&options, 1));
    output::write_file(
        &to,
        page::page(&checked, Some(&Order::of(&scenario.protocol))),
    )?;
    let width = scenario.file.chars().count();
    output::print(format!(
        "{}written: {}\n",
        text::summary(&checked, width),
        to.display()
    ))?;
    Ok(exit_code(&checked))
}
