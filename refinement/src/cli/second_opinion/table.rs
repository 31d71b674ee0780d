//! The comparison as a person reads it on a terminal.

use super::Compared;
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
pub(super) fn name(cell: &str) -> &str {
    cell.strip_prefix("shootdown check ").unwrap_or(cell)
}

/// Every cell, then every difference, then what it came to.
pub(super) fn text(
    compared: &[Compared],
    left_out: usize,
    elapsed: Duration,
    width: usize,
) -> String {
    let mut table = new_table(width);
    table.set_header([
        "cell",
        "violated: check",
        "Spin",
        "states: check",
        "Spin",
        "check s",
        "compile s",
        "Spin s",
    ]);
    for c in compared {
        let same = if c.check.violated == c.spin.violated {
            "same".into()
        } else {
            verdicts(&c.spin.violated)
        };
        let [checking, compiling, verifying] = c.took.map(|t| format!("{:.1}", t.as_secs_f64()));
        table.add_row([
            name(&c.cell).to_string(),
            verdicts(&c.check.violated),
            same,
            output::count(c.check.states),
            output::count(c.spin.states),
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
    let states: u64 = compared.iter().map(|c| c.spin.states).sum();
    let _ = writeln!(
        text,
        "{} in {:.0} s: {} states by both; {differ} differ; Spin's one state before init is taken off",
        output::plural(compared.len() as u64, "cell"),
        elapsed.as_secs_f64(),
        output::count(states),
    );
    if left_out > 0 {
        let _ = writeln!(
            text,
            "INCOMPLETE: {} left out by --max-states",
            output::plural(left_out as u64, "cell")
        );
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
