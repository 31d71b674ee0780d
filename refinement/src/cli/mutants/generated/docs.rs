//! The generated faults in `docs/mutants.md`.

use super::campaign::{Fate, Tried};
use super::{Run, Tally, text};
use crate::cli::output;
use std::fmt::Write as _;

/// A table of random faults, or of what is left of every clause.
pub(super) fn table(run: &Run) -> String {
    let tally = Tally::of(run);
    let edits = output::plural(run.tried.len() as u64, "edit");
    let caught = tally.caught();
    let share = 100.0 * caught as f64 / run.tried.len().max(1) as f64;
    let mut page = format!(
        "{edits}: {caught} caught ({share:.0} %), {} equivalent here, {} not reached, {}; {} argued, {} unexplained.\n\n",
        tally.equivalent,
        tally.not_reached,
        output::plural(tally.survived as u64, "survivor"),
        tally.argued,
        tally.unexplained,
    );
    page += "| first noticed by | edits |\n|---|---|\n";
    for (check, count) in &tally.by_check {
        let _ = writeln!(page, "| {check} | {count} |");
    }
    page += "\n| where | edit | what came of it | cell |\n|---|---|---|---|\n";
    for tried in &run.tried {
        if run.only_survivors && tried.is_caught() {
            continue;
        }
        let cell = match &tried.fate {
            Fate::Caught { command, .. } => command,
            _ => tried.near.first().map_or("", |n| n.command.as_str()),
        };
        let cell = cell.trim_start_matches("shootdown check ");
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            escaped(&tried.fault.spot.to_string()),
            escaped(&tried.fault.change.to_string()),
            escaped(&fate(tried)),
            match cell.is_empty() {
                true => "-".to_string(),
                false => format!("`{cell}`"),
            },
        );
    }
    page
}

fn fate(tried: &Tried) -> String {
    match tried.argued {
        Some(argued) => format!("{}: {}", text::fate(tried), argued.why),
        None => text::fate(tried),
    }
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
