//! The generated faults in `docs/mutants.md`.

use super::campaign::{Fate, Tried};
use super::{Run, Tally, text};
use crate::cli::output;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A table of random faults, or of what is left of every clause.
pub(super) fn table(run: &Run) -> String {
    match run.only_survivors {
        true => clauses(run),
        false => random(run),
    }
}

fn random(run: &Run) -> String {
    let tally = Tally::of(run);
    let mut page = format!(
        "{}: {} caught ({:.0} %), {} equivalent here, {} not reached, {}; {} argued, {} unexplained.\n\n",
        output::plural(run.tried.len() as u64, "edit"),
        tally.caught(),
        share(run, tally.caught()),
        tally.equivalent + tally.redundant + tally.untested,
        tally.not_reached,
        output::plural(tally.survived as u64, "survivor"),
        tally.argued,
        tally.unexplained,
    );
    page += &checks(&tally);
    page += "\n| where | edit | what came of it | cell |\n|---|---|---|---|\n";
    for tried in &run.tried {
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

/// One line for all clauses of a statement of which the same came, whatever the design, the environment and the way.
fn clauses(run: &Run) -> String {
    let tally = Tally::of(run);
    let mut page = format!(
        "{}: {} caught ({:.0} %), {} redundant, {} untested, {}; {} argued, {} unexplained.\n\n",
        output::plural(run.tried.len() as u64, "clause"),
        tally.caught(),
        share(run, tally.caught()),
        tally.redundant,
        tally.untested + tally.not_reached,
        output::plural(tally.survived as u64, "survivor"),
        tally.argued,
        tally.unexplained,
    );
    page += &checks(&tally);
    let of = |wanted: fn(&Tried) -> bool| run.tried.iter().filter(move |t| wanted(t));
    page += "\nNot caught, and neither redundant; why that is right:\n\n";
    page += &lines(of(|t| {
        !t.is_caught() && !matches!(t.fate, Fate::Redundant) || t.argued.is_some()
    }));
    page += "\nRedundant: always true wherever anything depends on it.\n\n";
    page += &lines(of(|t| {
        matches!(t.fate, Fate::Redundant) && t.argued.is_none()
    }));
    page
}

#[derive(Default)]
struct Line<'a> {
    programs: BTreeSet<&'a str>,
    clauses: BTreeSet<&'a str>,
    edits: usize,
}

fn lines<'a>(tried: impl Iterator<Item = &'a Tried>) -> String {
    let mut all: BTreeMap<(&str, String), Line<'_>> = BTreeMap::new();
    for tried in tried {
        let why = match (tried.argued, &tried.fate) {
            (Some(argued), _) => argued.why.clone(),
            (None, Fate::Redundant) => String::new(),
            (None, _) => text::fate(tried),
        };
        let line = all.entry((tried.fault.spot.statement, why)).or_default();
        line.programs.insert(tried.fault.spot.program);
        line.clauses.extend(tried.fault.change.clause());
        line.edits += 1;
    }
    if all.is_empty() {
        return "none\n".to_string();
    }
    let mut page = "| statement | of | clauses | |\n|---|---|---|---|\n".to_string();
    for ((statement, why), line) in all {
        let programs: Vec<_> = line.programs.into_iter().collect();
        let clauses: Vec<_> = line.clauses.iter().map(|c| format!("`{c}`")).collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            escaped(statement),
            programs.join(", "),
            escaped(&clauses.join(", ")),
            match why.is_empty() {
                true => line.edits.to_string(),
                false => format!("{}: {}", line.edits, escaped(&why)),
            },
        );
    }
    page
}

fn share(run: &Run, caught: usize) -> f64 {
    100.0 * caught as f64 / run.tried.len().max(1) as f64
}

fn checks(tally: &Tally) -> String {
    let mut page = "| first noticed by | edits |\n|---|---|\n".to_string();
    for (check, count) in &tally.by_check {
        let _ = writeln!(page, "| {check} | {count} |");
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
