//! `report FILE`: one HTML page for a design review of that protocol; `report A B`: for a choice between two.

use super::{exit_code, limits, options};
use crate::cli::bounds::Bounds;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use shootdown_ir::order::Order;
use shootdown_refinement::scenario::compare::compare;
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

/// Checks both files and writes one page about what differs, to `to` or beside the first.
pub fn both(
    before: &Path,
    after: &Path,
    to: Option<&Path>,
    bounds: &Bounds,
) -> Result<ExitCode, CliError> {
    let scenarios = [Scenario::read(before)?, Scenario::read(after)?];
    let to = match to {
        Some(to) => to.to_path_buf(),
        None => PathBuf::from("review.html"),
    };
    output::try_out(&to)?;
    let machines = [scenarios[0].machine(), scenarios[1].machine()];
    let (options, _) = options(bounds)?;
    let checked = [0, 1].map(|n| check(&scenarios[n], &machines[n], limits(&options, 1)));
    let comparison = compare(&checked[0], &checked[1]);
    output::write_file(&to, page::compared(&checked[0], &checked[1], &comparison))?;
    let widths = scenarios.iter().map(|s| s.file.chars().count());
    let width = widths.max().unwrap_or(0);
    let lines: String = checked.iter().map(|c| text::summary(c, width)).collect();
    output::print(format!("{lines}written: {}\n", to.display()))?;
    Ok(checked
        .iter()
        .map(exit_code)
        .max()
        .unwrap_or(ExitCode::AsPromised))
}
