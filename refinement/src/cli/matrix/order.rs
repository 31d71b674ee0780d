//! The column of the static order: what it proves, and what the model makes of its cycles.

use super::{Checked, Matrix};
use crate::cli::output;
use crate::expectation::Cell;
use shootdown_refinement::review::word::is_partial;
use shootdown_spec::order::Proof;
use shootdown_spec::verdict::Verdict;
use std::fmt::Write as _;

/// What order and model say together.
pub(super) fn standing(checked: &Checked) -> &'static str {
    let deadlock = checked.result.property("no_deadlock");
    match (checked.proof, deadlock.map(|p| p.verdict)) {
        (Proof::Acyclic, _) => "acyclic",
        (Proof::OutOfScope, _) => "out of scope",
        (Proof::Cyclic, Some(Verdict::Violated)) => "cyclic, realised",
        (Proof::Cyclic, Some(Verdict::Holds | Verdict::Vacuous)) => "cyclic, not realised",
        (Proof::Cyclic, Some(Verdict::Incomplete) | None) => "cyclic, undecided",
    }
}

/// The same for the table of designs and environments, where what ran stands in no command: every program counts, so that
/// it is what `prove` says of the environment.
pub(super) fn in_table(checked: &Checked) -> &'static str {
    if !is_partial(&checked.cell.workload) {
        return standing(checked);
    }
    let whole = Cell {
        workload: "everything".to_string(),
        ..checked.cell.clone()
    };
    match (whole.prove(), standing(checked)) {
        (Ok(Proof::Acyclic), _) => "acyclic",
        (Ok(Proof::OutOfScope), _) => "out of scope",
        (_, "cyclic, realised") => "cyclic, realised",
        _ => "cyclic, undecided (partial)",
    }
}

/// The part of `docs/order.md` that counts: soundness and precision over all cells.
pub(super) fn cells(matrix: &Matrix) -> String {
    let count = |standing_is: &str| {
        let of = matrix.checked.iter().filter(|c| standing(c) == standing_is);
        of.count()
    };
    let mut text = String::from("| order | cells |\n|---|---|\n");
    for name in [
        "acyclic",
        "cyclic, realised",
        "cyclic, not realised",
        "out of scope",
    ] {
        let _ = writeln!(text, "| {name} | {} |", count(name));
    }
    let unsound = matrix
        .checked
        .iter()
        .filter(|c| c.proof == Proof::Acyclic)
        .filter(|c| c.result.violated().any(|name| name == "no_deadlock"))
        .count();
    let _ = writeln!(text, "\nCells that are acyclic and deadlock: {unsound}.\n");
    let unrealised: Vec<&Checked> = matrix
        .checked
        .iter()
        .filter(|c| standing(c) == "cyclic, not realised")
        .collect();
    if unrealised.is_empty() {
        text += "Cells that are cyclic and never deadlock: none.\n";
        return text;
    }
    text += "Cells that are cyclic and never deadlock, within their bounds:\n\n";
    for c in unrealised {
        let _ = writeln!(text, "- `{}`", c.cell.command());
    }
    text
}

/// Designs × environments.
pub(super) fn table(matrix: &Matrix) -> String {
    let (designs, environments) = super::table::grid_axes(matrix);
    let mut text = format!("| design | {} |\n", super::table::heads(matrix).join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(environments.len()));
    for design in &designs {
        let _ = write!(text, "| `{design}` |");
        for env in &environments {
            let cell = matrix
                .grid()
                .find(|c| c.cell.design == *design && c.cell.env == *env);
            let _ = write!(text, " {} |", cell.map_or("not run", in_table));
        }
        text.push('\n');
    }
    text
}

/// The cycles of the kernel that hung, as `prove` prints them.
pub(super) fn seeds_cycles(matrix: &Matrix) -> String {
    use shootdown_spec::order::{Order, cycle_text};
    let told = |c: &&Checked| c.claim.as_deref() == Some("C2");
    let cell = matrix.checked.iter().find(told);
    let texts = cell.map(|c| {
        let order = Order::of(&c.protocol.config);
        let texts = order
            .cycles
            .iter()
            .map(|cycle| cycle_text(&order.graph, cycle));
        texts.collect::<Vec<_>>().join("\n")
    });
    format!("```text\n{}\n```\n", texts.unwrap_or_default().trim_end())
}

/// One line for the end of the terminal's table.
pub(super) fn closing(matrix: &Matrix) -> String {
    let of = |name: &str| {
        matrix
            .checked
            .iter()
            .filter(|c| standing(c) == name)
            .count()
    };
    format!(
        "order: {} acyclic (no deadlock for any number of CPUs that run its programs), {} cyclic and realised, {} cyclic \
         and not realised, {} out of scope",
        output::plural(of("acyclic") as u64, "cell"),
        of("cyclic, realised"),
        of("cyclic, not realised"),
        of("out of scope"),
    )
}
