//! Commands on scenario files: what `check`, `replay`, `export`, `report` and `explore` do when they are given one.

pub mod check;
pub mod explain;
pub mod explore;
pub mod export;
pub mod model;
pub mod new;
pub mod prove;
pub mod replay;
pub mod report;
pub mod second_opinion;

use super::bounds::Bounds;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use super::reduce::Reduce;
use shootdown_refinement::cancel::Cancel;
use shootdown_refinement::scenario::check::Verdict;
use shootdown_refinement::scenario::{Checked, Limits};
use shootdown_spec::search::Options;

/// The bounds of a command as a scenario's search takes them.
pub fn options(bounds: &Bounds) -> Result<(Options, Cancel), CliError> {
    let cancel = output::cancel_on_signals()?;
    Ok((bounds.options(cancel.clone())?, cancel))
}

/// The limits of one search among `share` that run at a time.
pub fn limits(options: &Options, share: usize) -> Limits<'_> {
    Limits {
        states: options.max_states,
        memory: options.max_memory.map(|n| n / share.max(1) as u64),
        time: options.timeout,
        cancel: Some(&options.cancel),
        ..Limits::default()
    }
}

/// The same with states that stand for others.
pub fn reduced<'a>(limits: Limits<'a>, reduce: Reduce) -> Limits<'a> {
    Limits {
        reduce: reduce.first(),
        out_of_memory: reduce.out_of_memory(),
        ..limits
    }
}

/// How a check exits.
pub fn exit_code(checked: &Checked<'_>) -> ExitCode {
    match checked.verdict() {
        Verdict::AsExpected => ExitCode::AsPromised,
        Verdict::Violated | Verdict::Unexpected(_) => ExitCode::NotAsExpected,
        Verdict::Incomplete => ExitCode::Incomplete,
    }
}
