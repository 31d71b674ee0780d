//! The matrix as a person reads it on a terminal.

use super::{Checked, Matrix, order};
use crate::cli::output;
use crate::cli::output::Tone;
use comfy_table::Cell;
pub use shootdown_refinement::review::short;
use shootdown_refinement::review::word::{Kind, footnote, head, word};
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
        let title = "Violated properties by design and environment, with distinct states and what the static order proves";
        let _ = writeln!(text, "{}\n", output::wrap(title, width, 0));
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

/// A cell of the grid, in the order of the columns.
struct Told {
    env: String,
    words: String,
    states: String,
    order: String,
    tone: Option<Tone>,
}

fn told(matrix: &Matrix, design: &str) -> Vec<Told> {
    let environments = grid_axes(matrix).1;
    let heads = heads(matrix);
    let both = environments.iter().zip(heads);
    both.map(|(env, head)| {
        let mut found = matrix.grid();
        match found.find(|c| c.cell.design == *design && c.cell.env == *env) {
            Some(c) => Told {
                env: head,
                words: summary(c),
                states: output::count(c.result.states.unique),
                order: order::in_table(c).to_string(),
                tone: Some(tone(c)),
            },
            None => Told {
                env: head,
                words: "not run".into(),
                states: String::new(),
                order: String::new(),
                tone: None,
            },
        }
    })
    .collect()
}

/// The colour of a cell.
fn tone(checked: &Checked) -> Tone {
    let workload = match &checked.claim {
        None => &checked.cell.workload,
        Some(_) => "everything",
    };
    let violated = checked.result.violated();
    match Kind::of(violated, checked.result.complete, workload) {
        _ if !checked.differences.is_empty() => Tone::Open,
        Kind::Violated => Tone::Bad,
        Kind::Rule => Tone::Rule,
        Kind::Holds => Tone::Good,
        Kind::Partial | Kind::Incomplete => Tone::Open,
    }
}

/// Designs down and environments across, where that fits without breaking a word; a line a cell elsewhere.
fn grid(matrix: &Matrix, width: usize) -> String {
    let designs = grid_axes(matrix).0;
    let mut table = output::table(width);
    table.set_header(std::iter::once("design".to_string()).chain(heads(matrix)));
    for design in &designs {
        let cells = told(matrix, design).into_iter().map(|t| {
            let cell = Cell::new(format!("{}\n{}\n{}", t.words, t.states, t.order));
            match t.tone {
                Some(tone) => cell.fg(output::table_colour(tone)),
                None => cell,
            }
        });
        let row: Vec<Cell> = std::iter::once(Cell::new(design)).chain(cells).collect();
        table.add_row(row);
    }
    if let Some(text) = output::whole_words(&mut table, width) {
        return text;
    }
    let all: Vec<(&String, Vec<Told>)> = designs.iter().map(|d| (d, told(matrix, d))).collect();
    let cells = || all.iter().flat_map(|(_, cells)| cells);
    let longest = |of: fn(&Told) -> &String| {
        let lengths = cells().map(|t| of(t).chars().count());
        lengths.max().unwrap_or(0)
    };
    let (env, states, order) = (
        longest(|t| &t.env),
        longest(|t| &t.states),
        longest(|t| &t.order),
    );
    let indent = 2 + env + 2 + states + 2 + order + 2;
    let mut text = String::new();
    for (design, cells) in &all {
        let _ = writeln!(text, "{design}");
        for t in cells {
            let before = format!(
                "  {:env$}  {:>states$}  {:order$}  ",
                t.env, t.states, t.order
            );
            let words = output::wrap(&t.words, width.saturating_sub(indent).max(24), 0);
            let mut lines = words.lines().map(|l| match t.tone {
                Some(tone) => output::paint(l, tone),
                None => l.to_string(),
            });
            let _ = writeln!(text, "{before}{}", lines.next().unwrap_or_default());
            for line in lines {
                let _ = writeln!(text, "{}{line}", " ".repeat(indent));
            }
        }
    }
    text.trim_end().to_string()
}

/// Each claim with its cells: a table where that fits without breaking a word, a few lines a cell elsewhere.
fn claims(matrix: &Matrix, width: usize) -> String {
    let mut table = output::table(width);
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
            table.add_row([
                Cell::new(""),
                Cell::new(format!("  {}", flags(c))),
                Cell::new(summary(c)).fg(output::table_colour(tone(c))),
                Cell::new(output::count(c.result.states.unique)),
                Cell::new(order::standing(c)),
            ]);
        }
    }
    if let Some(text) = output::whole_words(&mut table, width) {
        return text;
    }
    let mut text = String::new();
    for (claim, cells) in matrix.claims() {
        let says = format!("{} {}", claim.id, claim.says);
        let _ = writeln!(text, "{}", output::wrap(&says, width, 4));
        for c in cells {
            let _ = writeln!(
                text,
                "{}",
                output::wrap(&format!("  {}", flags(c)), width, 6)
            );
            let _ = writeln!(
                text,
                "    {}; {} states; {}",
                output::paint(&summary(c), tone(c)),
                output::count(c.result.states.unique),
                order::standing(c)
            );
        }
    }
    text.trim_end().to_string()
}

/// The flags of a cell.
fn flags(checked: &Checked) -> String {
    let command = checked.cell.command();
    let flags = command.strip_prefix("shootdown check ");
    flags.unwrap_or(&command).to_string()
}
