//! The comparison as a person reads it on a terminal.

use super::Compared;
use super::checker::With;
use crate::cli::matrix::short_name;
use crate::cli::output;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use std::fmt::Write as _;
use std::time::Duration;

/// Violated properties, in short names.
pub(super) fn verdicts(violated: &[&'static str]) -> String {
    match violated {
        [] => "none".into(),
        all => all
            .iter()
            .map(|n| short_name(n))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// A cell without what every command begins with.
pub(super) fn cell_name(cell: &str) -> &str {
    cell.strip_prefix("shootdown check ").unwrap_or(cell)
}

/// What was compared, and what was not.
pub(super) struct Seen {
    pub with: With,
    /// States of the largest cells, if any was left out.
    pub most: Option<u64>,
    /// Was that asked for?
    pub asked: bool,
    pub left_out: usize,
    /// Cells that the run was cut off before, or in.
    pub not_compared: usize,
    pub elapsed: Duration,
}

/// Every cell, then every difference, then the result.
pub(super) fn text(compared: &[Compared], seen: &Seen, width: usize) -> String {
    let mut table = new_table(width);
    let name = seen.with.name();
    let (first, second) = match seen.with {
        With::Spin => ("compile s", "Spin s"),
        With::Tlc => ("progress s", "TLC s"),
    };
    table.set_header([
        "cell",
        "violated: check",
        name,
        "states: check",
        name,
        "check s",
        first,
        second,
    ]);
    for c in compared {
        let same = if c.check.violated == c.other.violated {
            "same".into()
        } else {
            verdicts(&c.other.violated)
        };
        let [checking, compiling, verifying] = c.took.map(|t| format!("{:.1}", t.as_secs_f64()));
        table.add_row([
            cell_name(&c.cell).to_string(),
            verdicts(&c.check.violated),
            same,
            output::count(c.check.states),
            output::count(c.other.states),
            checking,
            compiling,
            verifying,
        ]);
    }
    align_numbers(&mut table, 3);
    let mut text = format!("{table}\n\n");
    for c in compared.iter().filter(|c| !c.differences.is_empty()) {
        let _ = writeln!(text, "DIFFERENT: {}", c.cell);
        for d in &c.differences {
            let _ = writeln!(text, "  {d}");
        }
    }
    let differ = compared
        .iter()
        .filter(|c| !c.differences.is_empty())
        .count();
    let states: u64 = compared.iter().map(|c| c.other.states).sum();
    let _ = writeln!(
        text,
        "{} in {:.0} s: {} states by both; {differ} differ; {}",
        output::plural(compared.len() as u64, "cell"),
        seen.elapsed.as_secs_f64(),
        output::count(states),
        seen.with.remark(),
    );
    let asked = compared
        .iter()
        .filter(|c| c.other.progress_violated.is_some());
    if asked.clone().next().is_some() {
        let violated = asked
            .clone()
            .filter(|c| c.other.progress_violated == Some(true));
        let _ = writeln!(
            text,
            "progress was asked for in {} of them, and is violated in {}",
            asked.count(),
            violated.count()
        );
    }
    if seen.not_compared > 0 {
        let cells = output::plural(seen.not_compared as u64, "cell");
        let _ = writeln!(text, "INCOMPLETE: {cells} not compared");
    }
    if let Some(most) = seen.most {
        let left_out = output::plural(seen.left_out as u64, "cell");
        let most = output::count(most);
        let _ = match seen.asked {
            true => writeln!(text, "INCOMPLETE: {left_out} left out by --max-states"),
            false => writeln!(
                text,
                "{left_out} of more than {most} states left out: too large for {name} \
                 (--max-states takes them in)"
            ),
        };
    }
    text
}

/// Numbers from this column on.
pub(super) fn align_numbers(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

pub(super) fn new_table(width: usize) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width as u16);
    table
}
