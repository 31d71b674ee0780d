//! `mutants` for people: the catalogue, the kill matrix, one run.

use super::{Tried, tally};
use crate::cli::output;
use comfy_table::{ContentArrangement, Table, presets};
use shootdown_refinement::mutants::evidence::Finding;
use shootdown_refinement::mutants::{self, Mutant};
use std::fmt::Write as _;
use std::time::Duration;

/// Every fault and who must notice it.
pub(super) fn catalogue() -> String {
    let mut table = fresh(&["part", "fault", "what it does", "who must notice"]);
    for m in mutants::mutants() {
        table.add_row([m.part.name(), m.name, m.breaks, &must(m)]);
    }
    format!("{table}\n")
}

fn must(m: &Mutant) -> String {
    let who = [
        ("types", m.types.is_some()),
        ("order", m.order),
        ("model", m.variant.is_some() || m.design.is_some()),
        ("refinement", m.equivalent.is_none()),
        ("stress", m.stress.is_some()),
    ];
    let who: Vec<_> = who.iter().filter(|w| w.1).map(|w| w.0).collect();
    match who.is_empty() {
        true => "nobody: equivalent".to_string(),
        false => who.join(", "),
    }
}

fn fresh(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(output::width() as u16)
        .set_header(header.iter().copied());
    table
}

/// One cell of the kill matrix.
pub(super) fn cell(finding: &Finding) -> &'static str {
    match finding {
        Finding::NotAsked => "-",
        Finding::Killed(_) => "killed",
        Finding::Survived => "SURVIVED",
    }
}

/// What the refinement says about one fault, in a cell.
pub(super) fn refinement(tried: &Tried) -> String {
    match &tried.evidence.refinement.counterexample {
        Some(c) => format!("{}, {}", c.how, output::plural(c.steps as u64, "step")),
        None if tried.mutant.equivalent.is_some() => "equivalent".to_string(),
        None => "SURVIVED".to_string(),
    }
}

/// Who noticed what.
pub(super) fn matrix(tried: &[Tried], elapsed: Duration) -> String {
    let mut table = fresh(&[
        "part",
        "fault",
        "types",
        "order",
        "model",
        "refinement",
        "stress",
    ]);
    for t in tried {
        let e = &t.evidence;
        table.add_row([
            t.mutant.part.name(),
            t.mutant.name,
            cell(&e.types),
            cell(&e.order),
            cell(&e.model),
            &refinement(t),
            cell(&e.stress),
        ]);
    }
    let mut text = format!("{table}\n\n");
    let tally = tally(tried);
    let _ = writeln!(
        text,
        "{}: {} noticed by the refinement, the longest counterexample has {}; {} argued to be equivalent; {} in {:.1} s.",
        output::plural(tally.faults as u64, "fault"),
        tally.killed,
        output::plural(tally.longest as u64, "step"),
        tally.equivalent,
        output::plural(tally.survivors.len() as u64, "survivor"),
        elapsed.as_secs_f64(),
    );
    for survivor in &tally.survivors {
        let _ = writeln!(text, "  {survivor}");
    }
    text += "`shootdown mutants --show NAME` prints the run.\n";
    text
}

/// The shortest run that shows a fault.
pub(super) fn run(tried: &Tried) -> String {
    let Tried { mutant, evidence } = tried;
    let mut text = format!(
        "{} ({}): {}\n",
        mutant.name,
        mutant.part.name(),
        mutant.breaks
    );
    let _ = writeln!(text, "at {}\n", mutant.place.command());
    match &evidence.refinement.counterexample {
        None => {
            let why = mutant.equivalent.unwrap_or("nobody noticed it");
            let _ = writeln!(text, "no run shows it: {why}");
        }
        Some(c) => {
            let wide = c.lines.iter().map(|l| l.action.chars().count()).max();
            let wide = wide.unwrap_or(0);
            for (i, line) in c.lines.iter().enumerate() {
                let row = format!("{:>4}  {:wide$}  {}", i + 1, line.action, line.protocol);
                let _ = writeln!(text, "{}", row.trim_end());
            }
            let _ = writeln!(
                text,
                "\n{}: {}\n{}, {}",
                c.how,
                c.reason,
                output::plural(c.steps as u64, "step"),
                output::plural(c.switches.into(), "context switch")
            );
        }
    }
    for (who, finding) in [
        ("types", &evidence.types),
        ("order", &evidence.order),
        ("model", &evidence.model),
        ("stress", &evidence.stress),
    ] {
        match finding {
            Finding::NotAsked => {}
            Finding::Killed(words) => {
                let _ = writeln!(text, "{who}: {words}");
            }
            Finding::Survived => {
                let _ = writeln!(text, "{who}: NOT NOTICED");
            }
        }
    }
    text
}
