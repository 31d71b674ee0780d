//! Seeded faults of the models: a comparison that cannot fail says nothing.
//!
//! Each spoils the text that the other checker gets and nothing else, and names what must give it
//! away.

mod promela;
mod tla;

use super::checker::{Checker, With};
use super::{Bounds, Compared, compare, table};
use crate::cli::Format;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use crate::expectation::Cell;
use serde::Serialize;
use std::sync::atomic::Ordering;

/// A fault of the writer.
struct Fault {
    name: &'static str,
    /// What is wrong with the model then.
    about: &'static str,
    /// Design, environment, workload: where it shows.
    cell: [&'static str; 3],
    /// Text of the model, and what it becomes: everywhere it stands.
    from: &'static str,
    to: &'static str,
    /// What must differ: a property, `states` or `transitions`.
    seen_in: &'static str,
}

/// The faults of the model that this checker gets.
fn of(with: With) -> &'static [Fault] {
    match with {
        With::Spin => promela::FAULTS,
        With::Tlc => tla::FAULTS,
    }
}

#[derive(Serialize)]
struct FaultsJson {
    schema: &'static str,
    faults: Vec<Judged>,
}

#[derive(Serialize)]
struct Judged {
    fault: &'static str,
    cell: String,
    noticed: bool,
    differences: Vec<String>,
}

/// Plants every fault; one that goes unnoticed is exit code 1.
pub(super) fn run(checker: &Checker, format: Format) -> Result<ExitCode, CliError> {
    let faults = of(checker.with());
    let cancel = output::cancel_on_signals()?;
    let bounds = Bounds::shared_by(1, &cancel);
    let mut judged = Vec::new();
    for fault in faults {
        let compared = match planted(checker, fault, &bounds) {
            Err(_) if cancel.load(Ordering::Relaxed) => break,
            compared => compared?,
        };
        judged.push(Judged {
            fault: fault.name,
            cell: compared.cell.clone(),
            noticed: noticed(fault, &compared),
            differences: compared.differences,
        });
    }
    let not_planted = faults.len() - judged.len();
    let code = match judged.iter().all(|j| j.noticed) {
        false => ExitCode::NotAsExpected,
        true if not_planted > 0 => ExitCode::Incomplete,
        true => ExitCode::AsPromised,
    };
    if format == Format::Json {
        output::print_json(&FaultsJson {
            schema: "shootdown/second-opinion-faults/1",
            faults: judged,
        })?;
    } else {
        let mut table = table::new_table(output::width());
        table.set_header(["fault", "cell", "noticed by"]);
        for (fault, j) in faults.iter().zip(&judged) {
            let by = match j.noticed {
                true => j.differences.join("\n"),
                false => format!("NOT NOTICED in {}", fault.seen_in),
            };
            let what = format!("{}: {}", fault.name, fault.about);
            table.add_row([what, table::cell_name(&j.cell).to_string(), by]);
        }
        let incomplete = match not_planted {
            0 => String::new(),
            n => format!(
                "INCOMPLETE: {} not planted\n",
                output::plural(n as u64, "fault")
            ),
        };
        output::print(format!("{table}\n{incomplete}"))?;
    }
    Ok(code)
}

fn planted(checker: &Checker, fault: &Fault, bounds: &Bounds) -> Result<Compared, CliError> {
    let [design, env, workload] = fault.cell.map(String::from);
    let cell = Cell {
        design,
        env,
        workload,
        ..Cell::default()
    };
    compare(checker, &cell, bounds, &|model| {
        let spoiled = model.replace(fault.from, fault.to);
        assert!(spoiled != model, "{} finds nothing to spoil", fault.name);
        spoiled
    })
}

fn noticed(fault: &Fault, compared: &Compared) -> bool {
    let named = format!("{}:", fault.seen_in);
    compared.differences.iter().any(|d| d.starts_with(&named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_spec::config::Config;
    use shootdown_spec::export::{promela, tla};

    #[test]
    fn every_fault_finds_something_to_spoil() {
        let as_tla: fn(&Config) -> String = |c| tla::write(c, &tla::module_name(c));
        let promela = of(With::Spin).iter().map(|f| (f, promela::write as _));
        let tla = of(With::Tlc).iter().map(|f| (f, as_tla));
        for (fault, write) in promela.chain(tla) {
            let [design, env, workload] = fault.cell.map(String::from);
            let cell = Cell {
                design,
                env,
                workload,
                ..Cell::default()
            };
            let model = write(&cell.config().expect("it makes sense"));
            assert!(model.contains(fault.from), "{}", fault.name);
        }
    }
}
