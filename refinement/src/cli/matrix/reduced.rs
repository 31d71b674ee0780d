//! `matrix --reduce`: the verdicts and witnesses of every cell from states that stand for others, held against those expected
//! of the full search.

use super::super::output::{self, ProgressLine};
use super::super::reduce::Reduce;
use super::{CliError, Expectations, Options};
use crate::cli::exit_code::ExitCode;
use crate::expectation::Cell;
use shootdown_spec::check::{check, verdicts_reduced};
use shootdown_spec::model::Protocol;
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::verdict::Verdict;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What a cell came to.
struct Looked {
    representatives: u64,
    /// The names of the reductions that had an effect; none where it was searched in full.
    used: Vec<&'static str>,
    complete: bool,
    differences: Vec<String>,
}

/// Looks at every cell; prints a line for each and what all came to.
pub fn run(
    expectations: &Expectations,
    reduce: Reduce,
    options: &Options,
) -> Result<ExitCode, CliError> {
    let begun = Instant::now();
    let cells = expectations.cells();
    let progress = ProgressLine::new("matrix");
    let (mut text, mut full, mut representatives) = (String::new(), 0, 0);
    let (mut differing, mut undecided, mut looked_at) = (0, 0, 0);
    for (i, cell) in cells.iter().enumerate() {
        let left = options.timeout.map(|t| t.saturating_sub(begun.elapsed()));
        if options.cancel.load(Ordering::Relaxed) || left == Some(Duration::ZERO) {
            break;
        }
        progress.now(&format!(
            "cell {} of {}: {} {}",
            i + 1,
            cells.len(),
            cell.design,
            cell.env
        ));
        let options = Options {
            timeout: left,
            progress: Some(progress.callback()),
            ..options.clone()
        };
        let looked = look(cell, reduce, &options)?;
        looked_at += 1;
        full += cell.states;
        representatives += looked.representatives;
        differing += usize::from(!looked.differences.is_empty());
        undecided += usize::from(!looked.complete);
        let used = match looked.used.is_empty() {
            true => "nothing".to_string(),
            false => looked.used.join(", "),
        };
        let _ = writeln!(
            text,
            "{:>12} of {:>12}  {}  (reduced: {used})",
            output::count(looked.representatives),
            output::count(cell.states),
            cell.command(),
        );
        for difference in &looked.differences {
            let _ = writeln!(text, "    DIFFERS: {difference}");
        }
    }
    progress.finish();
    let _ = writeln!(
        text,
        "\n{} of {} cells: {} states stand for {}, one for {:.1}; {differing} with other verdicts or witnesses than the full \
         search, {undecided} incomplete; {:.2} s",
        looked_at,
        cells.len(),
        output::count(representatives),
        output::count(full),
        full as f64 / (representatives as f64).max(1.0),
        begun.elapsed().as_secs_f64(),
    );
    output::print(text)?;
    Ok(if differing > 0 {
        ExitCode::NotAsExpected
    } else if undecided > 0 || looked_at < cells.len() {
        ExitCode::Incomplete
    } else {
        ExitCode::AsPromised
    })
}

fn look(cell: &Cell, reduce: Reduce, options: &Options) -> Result<Looked, CliError> {
    let protocol = Protocol::new(cell.config()?);
    let which = reduce.first();
    let (representatives, used, complete, verdicts) =
        match verdicts_reduced(&protocol, options, which) {
            Some(r) => (r.representatives, r.used.names(), r.complete, r.verdicts),
            None => {
                let result = check(&protocol, options);
                let properties = result.properties.into_iter();
                let verdicts = properties.map(|p| (p.verdict, p.witnesses)).collect();
                (result.states.unique, Vec::new(), result.complete, verdicts)
            }
        };
    let mut differences = Vec::new();
    for (property, (verdict, _)) in PROPERTIES.iter().zip(&verdicts) {
        let expected = cell.expected(property.name);
        if *verdict != expected && *verdict != Verdict::Incomplete {
            differences.push(format!(
                "{}: {expected} in full, {verdict} here",
                property.name
            ));
        }
    }
    let witnesses = verdicts.iter().flat_map(|(_, witnesses)| witnesses);
    let missing = witnesses.filter(|(_, reached)| !reached);
    let unreached: BTreeSet<&str> = missing.map(|(name, _)| *name).collect();
    if complete && unreached != cell.unreached.iter().map(String::as_str).collect() {
        differences.push(format!(
            "witnesses never reached: {:?} in full, {unreached:?} here",
            cell.unreached
        ));
    }
    Ok(Looked {
        representatives,
        used,
        complete,
        differences,
    })
}
