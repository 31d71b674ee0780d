//! `prove --grid`: every named design in every named environment.

use crate::cli::Format;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use crate::expectation::{Cell, Expectations};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use shootdown_spec::design::DESIGNS;
use shootdown_spec::environment::ENVIRONMENTS;
use shootdown_spec::order::{Order, Proof, for_any_number};
use std::fmt::Write as _;
use std::time::Instant;

const WORKLOAD: &str = "everything";

#[derive(Serialize)]
struct GridJson {
    schema: &'static str,
    workload: &'static str,
    cells: Vec<CellJson>,
    elapsed_ms: u64,
}

#[derive(Serialize)]
struct CellJson {
    design: &'static str,
    env: &'static str,
    proof: Proof,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Proof>,
    as_expected: bool,
}

/// Analyses all of them; a proof that differs from what `expectations.toml` says is exit code 1.
pub(super) fn run(format: Format) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    let expectations = Expectations::load();
    let mut cells = Vec::new();
    for design in DESIGNS {
        for env in ENVIRONMENTS {
            cells.push(cell(design.name, env.name, &expectations)?);
        }
    }
    let elapsed = started.elapsed();
    let as_expected = cells.iter().all(|c| c.as_expected);
    match format {
        Format::Json => output::print_json(&GridJson {
            schema: "shootdown/prove-grid/1",
            workload: WORKLOAD,
            cells,
            elapsed_ms: elapsed.as_millis() as u64,
        })?,
        Format::Text => {
            let mut text = format!("{}\n\n", table(&cells));
            let sentence = format!(
                "{} with the workload {WORKLOAD} in {:.0} ms. acyclic: no deadlock for any number \
                 of CPUs, mms and operations. cyclic: `shootdown prove --design NAME --env NAME` \
                 prints the cycles and looks for runs into them.",
                output::plural(cells.len() as u64, "cell"),
                elapsed.as_secs_f64() * 1e3,
            );
            text += &output::wrap(&sentence, output::width(), 0);
            text.push('\n');
            for c in cells.iter().filter(|c| !c.as_expected) {
                let expected = c.expected.map_or("nothing", Proof::name);
                let _ = writeln!(
                    text,
                    "UNEXPECTED: {} in {}: expected {expected}, observed {}",
                    c.design, c.env, c.proof
                );
            }
            output::print(text)?;
        }
    }
    Ok(match as_expected {
        true => ExitCode::AsPromised,
        false => ExitCode::NotAsExpected,
    })
}

fn cell(
    design: &'static str,
    env: &'static str,
    expectations: &Expectations,
) -> Result<CellJson, CliError> {
    let config = Cell {
        design: design.into(),
        env: env.into(),
        workload: WORKLOAD.into(),
        ..Cell::default()
    }
    .config()?;
    let proof = Order::of(&for_any_number(&config)?).proof();
    let same = |c: &&Cell| c.design == design && c.env == env && c.workload == WORKLOAD;
    let expected = expectations.grid.iter().find(same).map(|c| c.proof);
    Ok(CellJson {
        design,
        env,
        proof,
        expected,
        as_expected: expected.is_none_or(|e| e == proof),
    })
}

fn table(cells: &[CellJson]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(output::width() as u16);
    let designs = DESIGNS.iter().map(|d| d.name);
    table.set_header(std::iter::once("environment").chain(designs));
    for env in ENVIRONMENTS {
        let row = cells.iter().filter(|c| c.env == env.name);
        table.add_row(std::iter::once(env.name).chain(row.map(|c| c.proof.name())));
    }
    // Nine columns of names that nobody wants broken.
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table
}
