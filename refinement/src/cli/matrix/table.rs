//! The matrix as a person reads it on a terminal.

use super::{Checked, Matrix, order};
use crate::cli::output;
use comfy_table::{ContentArrangement, Table, presets};
pub use shootdown_refinement::review::short;
use shootdown_refinement::review::word::{footnote, head, word};
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::verdict::Verdict;
use std::fmt::Write as _;

/// What a cell came to, in short names. `progress` goes without saying beside a deadlock. A claim's cell stands beside its
/// command, so that what ran is said.
pub(super) fn summary(checked: &Checked) -> String {
    let all: Vec<_> = checked.result.violated().collect();
    let told = |n: &&str| *n != "progress" || !all.contains(&"no_deadlock");
    let violated: Vec<&str> = all.iter().copied().filter(told).collect();
    let workload = match &checked.claim {
        None => &checked.cell.workload,
        Some(_) => "everything",
    };
    let deadlock = checked.result.property("no_deadlock").map(|p| p.verdict);
    let word = word(&violated, deadlock, checked.result.complete, workload);
    let mut text = word.text(&violated, |_, short| short.to_string());
    if !checked.differences.is_empty() {
        text += " UNEXPECTED";
    }
    text
}

/// The legend: which short name stands for which property.
pub(super) fn legend() -> String {
    let words: Vec<_> = PROPERTIES
        .iter()
        .map(|p| format!("{} = {}", short(p.name), p.name))
        .collect();
    words.join(", ")
}

/// The heads of the columns: the environments, and what ran where it is not everything.
pub(super) fn heads(matrix: &Matrix) -> Vec<String> {
    columns(matrix)
        .map(|(env, workload)| head(env, workload))
        .collect()
}

/// Environments with what ran there.
pub(super) fn columns(matrix: &Matrix) -> impl Iterator<Item = (&str, &str)> {
    let mut seen = std::collections::BTreeSet::new();
    let cells = matrix.expectations.grid.iter();
    cells
        .map(|c| (c.env.as_str(), c.workload.as_str()))
        .filter(move |column| seen.insert(*column))
}

/// Designs down, environments across.
pub(super) fn grid_axes(matrix: &Matrix) -> (Vec<String>, Vec<String>) {
    let (mut designs, mut environments) = (Vec::new(), Vec::new());
    for cell in &matrix.expectations.grid {
        if !designs.contains(&cell.design) {
            designs.push(cell.design.clone());
        }
        if !environments.contains(&cell.env) {
            environments.push(cell.env.clone());
        }
    }
    (designs, environments)
}

/// Everything, for a terminal of this width.
pub(super) fn text(matrix: &Matrix, width: usize) -> String {
    let mut text = String::new();
    if !matrix.expectations.grid.is_empty() {
        text += "Violated properties by design and environment, with distinct states and what the static order proves\n\n";
        let _ = writeln!(text, "{}\n", grid(matrix, width));
        if let Some(note) = footnote(columns(matrix)) {
            let _ = writeln!(text, "{}\n", output::wrap(&note.replace('*', ""), width, 0));
        }
    }
    if !matrix.expectations.claim.is_empty() {
        let _ = writeln!(text, "Claims\n\n{}\n", claims(matrix, width));
    }
    let _ = writeln!(text, "{}\n", output::wrap(&legend(), width, 0));
    for checked in matrix.checked.iter().filter(|c| !c.differences.is_empty()) {
        let _ = writeln!(text, "UNEXPECTED: {}", checked.cell.command());
        for d in &checked.differences {
            let _ = writeln!(
                text,
                "  {}: expected {}, observed {}",
                d.what, d.expected, d.observed
            );
        }
    }
    for checked in matrix.checked.iter().filter(|c| !c.result.complete) {
        let why = checked
            .result
            .stopped
            .map(|s| s.to_string())
            .unwrap_or_default();
        let _ = writeln!(text, "INCOMPLETE ({why}): {}", checked.cell.command());
    }
    text += &output::wrap(&order::closing(matrix), width, 2);
    text.push('\n');
    text + &output::wrap(&closing(matrix), width, 2) + "\n"
}

fn closing(matrix: &Matrix) -> String {
    let states: u64 = matrix.checked.iter().map(|c| c.result.states.unique).sum();
    let transitions: u64 = matrix
        .checked
        .iter()
        .map(|c| c.result.states.generated)
        .sum();
    let vacuous = |c: &Checked| {
        c.result
            .properties
            .iter()
            .filter(|p| p.verdict == Verdict::Vacuous)
            .count()
    };
    let unexpected = matrix
        .checked
        .iter()
        .filter(|c| !c.differences.is_empty())
        .count();
    let incomplete = matrix.checked.iter().filter(|c| !c.result.complete).count();
    let mut text = format!(
        "{} in {:.1} s: {} states, {} transitions; {} verdicts vacuous as expected; \
         {} not as expected",
        output::plural(matrix.checked.len() as u64, "cell"),
        matrix.elapsed.as_secs_f64(),
        output::count(states),
        output::count(transitions),
        matrix
            .checked
            .iter()
            .filter(|c| c.differences.is_empty())
            .map(vacuous)
            .sum::<usize>(),
        output::plural(unexpected as u64, "cell"),
    );
    if incomplete + matrix.not_run > 0 {
        let _ = write!(text, "; {incomplete} cut off, {} not run", matrix.not_run);
    }
    text
}

fn grid(matrix: &Matrix, width: usize) -> Table {
    let (designs, environments) = grid_axes(matrix);
    let mut table = new_table(width);
    table.set_header(std::iter::once("design".to_string()).chain(heads(matrix)));
    for design in &designs {
        let mut row = vec![design.clone()];
        for env in &environments {
            let found = matrix
                .grid()
                .find(|c| c.cell.design == *design && c.cell.env == *env);
            row.push(found.map_or("not run".into(), |c| {
                let states = output::count(c.result.states.unique);
                format!("{}\n{states}\n{}", summary(c), order::in_table(c))
            }));
        }
        table.add_row(row);
    }
    table
}

fn claims(matrix: &Matrix, width: usize) -> Table {
    let mut table = new_table(width);
    table.set_header(["", "cell", "came out", "states", "order"]);
    for (claim, cells) in matrix.claims() {
        table.add_row([
            claim.id.clone(),
            claim.says.clone(),
            String::new(),
            String::new(),
            String::new(),
        ]);
        for c in cells {
            let command = c.cell.command();
            let command = command.strip_prefix("shootdown check ").unwrap_or(&command);
            table.add_row([
                String::new(),
                format!("  {command}"),
                summary(c),
                output::count(c.result.states.unique),
                order::standing(c).to_string(),
            ]);
        }
    }
    table
}

fn new_table(width: usize) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width as u16);
    table
}
