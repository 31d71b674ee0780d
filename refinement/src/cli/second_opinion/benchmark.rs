//! `check` against Spin, and TLC where it is there, side by side: the same cells, one after the
//! other, in one run.
//!
//! Times are this machine's at this moment; what may be quoted is the ratio between the columns of a
//! row. Spin's time to generate and compile its verifier is a column of its own.

use super::checker::{Checker, With};
use super::table::{align_numbers, cell_name, new_table};
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use crate::expectation::{Cell, Expectations};
use crate::spin::{How, Opinion, Spin};
use shootdown_refinement::memory;
use shootdown_spec::check::{CheckResult, check};
use shootdown_spec::export::promela;
use shootdown_spec::model::Protocol;
use shootdown_spec::search::Options;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Cells of different sizes and kinds: IPIs and hypercalls, two and three CPUs, interrupts that
/// free mms.
const CELLS: &[(&str, &str)] = &[
    ("v2.6.37", "nosplit"),
    ("tracked", "split"),
    ("tracked", "hypercall"),
    ("v2.6.37", "split+thp"),
    ("tracked", "split+thp"),
    ("woodman", "3-cpus"),
    ("v2.6.38", "irq-free"),
    ("tracked", "irq-free"),
];

/// Measures; the numbers of states must agree even here.
pub(super) fn run(jar: Option<&Path>, max_states: Option<u64>) -> Result<ExitCode, CliError> {
    let spin = Spin::find()?;
    // Asked for by name it has to be there.
    let tlc = match Checker::find(With::Tlc, jar) {
        Err(_) if jar.is_none() => None,
        found => Some(found?),
    };
    let expectations = Expectations::load();
    let mut table = new_table(output::width());
    table.set_header([
        "cell",
        "states",
        "check, all threads s",
        "check, 1 thread s",
        "MiB",
        "Spin s",
        "compile s",
        "MiB",
        "Spin, reduced s",
        "states",
        "MiB",
        "TLC s",
    ]);
    let wanted = |c: &&Cell| CELLS.contains(&(c.design.as_str(), c.env.as_str()));
    let small = |c: &&Cell| max_states.is_none_or(|most| c.states <= most);
    let grid: Vec<Cell> = expectations.grid.iter().map(Cell::lighter).collect();
    let cancel = output::cancel_on_signals()?;
    let mut agree = true;
    for cell in grid.iter().filter(wanted).filter(small) {
        let protocol = Protocol::new(cell.config()?);
        let ours = |threads: Option<NonZeroUsize>| {
            let mut options = Options {
                cancel: cancel.clone(),
                max_memory: memory::share(),
                ..Options::default()
            };
            options.threads = threads.unwrap_or(options.threads);
            check(&protocol, &options)
        };
        let (all, one) = (ours(None), ours(Some(NonZeroUsize::MIN)));
        let model = promela::write(&protocol.config);
        let theirs = |reduce| {
            // Always the best compiled verifier: this is about how fast it can be.
            let expected = u64::MAX;
            spin.verify(&model, How { reduce, expected }, &cancel)
        };
        let (full, reduced) = match (theirs(false), theirs(true)) {
            _ if cancel.load(Ordering::Relaxed) => break,
            (full, reduced) => (full?, reduced?),
        };
        agree &= full.printed.states == one.states.unique + promela::EXTRA_STATES;
        let by_tlc = match &tlc {
            // It would run for many minutes.
            Some(tlc) if With::Tlc.takes(cell) => {
                let model = tlc.model(&protocol.config);
                let answer = match tlc.ask(&protocol.config, model, u64::MAX, false, &cancel) {
                    _ if cancel.load(Ordering::Relaxed) => break,
                    answer => answer?,
                };
                agree &= answer.says.states == one.states.unique;
                format!("{:.2}", answer.took[1].as_secs_f64())
            }
            _ => "-".into(),
        };
        table.add_row(row(cell, (&all, &one), (&full, &reduced), by_tlc));
    }
    align_numbers(&mut table, 1);
    let incomplete = match cancel.load(Ordering::Relaxed) {
        true => "INCOMPLETE: cut off before the last cell\n",
        false => "",
    };
    output::print(format!("{table}\n{incomplete}\n{EXPLAINED}"))?;
    Ok(match agree {
        true if cancel.load(Ordering::Relaxed) => ExitCode::Incomplete,
        true => ExitCode::AsPromised,
        false => ExitCode::NotAsExpected,
    })
}

const EXPLAINED: &str = "\
check: every verdict, progress included, with the graph that it needs in memory. Spin: every
assertion and invalid end states (-DSAFETY), no liveness; -O2; a hash table of 128 MiB is part of
its memory. TLC: every invariant, no liveness, one worker, the start of Java included. Times of one run on this machine: compare the columns of a row, nothing else.
";

fn row(
    cell: &Cell,
    (all, one): (&CheckResult, &CheckResult),
    (full, reduced): (&Opinion, &Opinion),
    by_tlc: String,
) -> [String; 12] {
    let s = |t: std::time::Duration| format!("{:.2}", t.as_secs_f64());
    let mib = |bytes: u64| format!("{:.0}", bytes as f64 / 1048576.0);
    [
        cell_name(&cell.command()).to_string(),
        output::count(one.states.unique),
        s(all.elapsed),
        s(one.elapsed),
        mib(one.peak_memory_bytes),
        s(full.verifying),
        s(full.compiling),
        mib(full.printed.memory_bytes),
        s(reduced.verifying),
        output::count(reduced.printed.states),
        mib(reduced.printed.memory_bytes),
        by_tlc,
    ]
}
