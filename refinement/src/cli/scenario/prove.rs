//! `prove FILE`: the order of a scenario, for any number of CPUs.

use crate::cli::Format;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use serde::Serialize;
use shootdown_ir::order::{Link, Order, Proof};
use shootdown_refinement::scenario::Scenario;
use std::fmt::Write as _;
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
        Format::Text => output::print(text(&scenario.file, &p.name, &order, &doubts))?,
    }
    Ok(match order.proof() {
        Proof::Acyclic => ExitCode::AsPromised,
        Proof::Cyclic | Proof::NotProven => ExitCode::NotAsExpected,
    })
}

fn text(file: &str, name: &str, order: &Order, doubts: &[DoubtJson<'_>]) -> String {
    let verdict = match order.proof() {
        Proof::Acyclic => {
            "ACYCLIC: no deadlock by waiting, for any number of CPUs that run the sources `on any`.".to_string()
        }
        Proof::Cyclic => format!(
            "CYCLIC, so not proven: {}. A deadlock is possible as far as the programs tell; `shootdown check` says \
             whether it happens.",
            output::plural(order.cycles.len() as u64, "cycle")
        ),
        Proof::NotProven => {
            "NOT PROVEN: there is no cycle, but what is listed below would have to be taken on trust; `shootdown check` \
             decides it for the CPUs of the file."
                .to_string()
        }
    };
    let mut text = format!("{name}\n{}\n", output::wrap(&verdict, output::width(), 0));
    for (i, cycle) in order.cycles.iter().enumerate() {
        let _ = writeln!(text, "\nCycle {}:", i + 1);
        for (n, link) in cycle.iter().enumerate() {
            let _ = writeln!(
                text,
                "-> #{n} {} waits for {}:",
                link.at.who, link.waits_for
            );
            let _ = writeln!(text, "      {file}:{}  {}", link.at.line, link.at.statement);
            let _ = writeln!(text, "   {}", link.because);
            if let Some(since) = &link.since {
                let _ = writeln!(text, "      {file}:{}  {}", since.line, since.statement);
            }
        }
    }
    if !doubts.is_empty() {
        text += "\nNot understood:\n";
        for d in doubts {
            let _ = writeln!(
                text,
                "  {file}:{}  {}  ({})\n      {}",
                d.line, d.statement, d.source, d.says
            );
        }
    }
    text += "\nNot covered: loops that never end (`progress`), assertions, invariants and ranges. docs/order.md has the rest.\n";
    text
}
