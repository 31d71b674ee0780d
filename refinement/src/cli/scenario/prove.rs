//! `prove FILE`: the order of a scenario, for any number of CPUs.

use crate::cli::Format;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use serde::Serialize;
use shootdown_ir::order::{Link, Order, Proof};
use shootdown_refinement::scenario::{Scenario, order};
use std::path::Path;

/// What `prove FILE --format json` prints.
#[derive(Serialize)]
struct ProveJson<'a> {
    schema: &'static str,
    file: &'a str,
    proof: &'static str,
    cycles: &'a [Vec<Link>],
    doubts: Vec<DoubtJson<'a>>,
}

/// What is taken on trust.
#[derive(Serialize)]
struct DoubtJson<'a> {
    source: &'a str,
    line: u32,
    statement: &'a str,
    says: &'a str,
}

/// Proves; anything but a proof is exit code 1.
pub fn run(file: &Path, format: Format) -> Result<ExitCode, CliError> {
    let scenario = Scenario::read(file)?;
    let p = &scenario.protocol;
    let order = Order::of(p);
    let doubts: Vec<DoubtJson<'_>> = order
        .doubts
        .iter()
        .map(|d| {
            let line = &p.source(d.source).program[d.pc];
            DoubtJson {
                source: &p.source(d.source).name,
                line: line.span.line,
                statement: &line.text.statement,
                says: &d.says,
            }
        })
        .collect();
    match format {
        Format::Json => output::print_json(&ProveJson {
            schema: "shootdown/scenario-prove/1",
            file: &scenario.file,
            proof: order.proof().name(),
            cycles: &order.cycles,
            doubts,
        })?,
        Format::Text => output::print(text(&scenario, &order))?,
    }
    Ok(match order.proof() {
        Proof::Acyclic => ExitCode::AsPromised,
        Proof::Cyclic | Proof::NotProven => ExitCode::NotAsExpected,
    })
}

fn text(scenario: &Scenario, order: &Order) -> String {
    let p = &scenario.protocol;
    let verdict = output::wrap(&order::verdict(order), output::width(), 0);
    let mut text = format!("{}\n{verdict}\n", p.name);
    for paragraph in order::paragraphs(&scenario.file, p, order) {
        text += &format!("\n{paragraph}");
    }
    text += "\nNot covered: loops that never end (`progress`), assertions, invariants and ranges. docs/order.md has the rest.\n";
    text
}
