//! `mutants --generate` and `mutants --guards`: faults of the specification that nobody wrote by hand.

mod argued;
mod campaign;
mod docs;
mod json;
mod text;

use super::{Args, Format, docs as page};
use crate::cli::bounds;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output::{self, ProgressLine};
use argued::Argued;
use campaign::{Cells, Fate, Tried};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// What a run came to.
struct Run {
    tried: Vec<Tried>,
    /// Edits that were not tried to the end.
    cut_off: usize,
    /// Arguments about nothing.
    idle: Vec<&'static Argued>,
    seed: Option<u64>,
    /// What is caught is only counted.
    only_survivors: bool,
    cells: usize,
    states: u64,
    spots: usize,
    taken: usize,
    elapsed: Duration,
}

/// How many of each.
struct Tally {
    /// By whoever noticed.
    by_check: BTreeMap<&'static str, usize>,
    equivalent: usize,
    redundant: usize,
    untested: usize,
    not_reached: usize,
    survived: usize,
    argued: usize,
    unexplained: usize,
}

impl Tally {
    fn of(run: &Run) -> Tally {
        let mut tally = Tally {
            by_check: BTreeMap::new(),
            equivalent: 0,
            redundant: 0,
            untested: 0,
            not_reached: 0,
            survived: 0,
            argued: 0,
            unexplained: 0,
        };
        for tried in &run.tried {
            match &tried.fate {
                Fate::Caught { differences, .. } => {
                    let check = differences.first().map_or("", |d| d.check);
                    *tally.by_check.entry(check).or_default() += 1;
                }
                Fate::Equivalent(_) => tally.equivalent += 1,
                Fate::Redundant => tally.redundant += 1,
                Fate::Untested(_) => tally.untested += 1,
                Fate::NotReached => tally.not_reached += 1,
                Fate::Survived => tally.survived += 1,
            }
            tally.argued += usize::from(tried.argued.is_some());
            tally.unexplained += usize::from(!run.is_explained(tried));
        }
        tally
    }

    fn caught(&self) -> usize {
        self.by_check.values().sum()
    }

    fn checks(&self) -> String {
        let all = self
            .by_check
            .iter()
            .map(|(check, n)| format!("{n} by {check}"));
        all.collect::<Vec<_>>().join(", ")
    }
}

impl Tried {
    fn is_caught(&self) -> bool {
        matches!(self.fate, Fate::Caught { .. })
    }
}

impl Run {
    /// Is it caught, or said why not? That no state differs explains a random edit, and a clause that is always true where
    /// anything depends on it; a clause on which nothing depends is not tested.
    fn is_explained(&self, tried: &Tried) -> bool {
        match tried.fate {
            Fate::Caught { .. } | Fate::Redundant => true,
            Fate::Equivalent(_) | Fate::Untested(_) if !self.only_survivors => true,
            _ => tried.argued.is_some(),
        }
    }

    fn exit_code(&self) -> ExitCode {
        let explained = self.tried.iter().all(|t| self.is_explained(t));
        if !explained || !self.idle.is_empty() {
            ExitCode::NotAsExpected
        } else if self.cut_off > 0 {
            ExitCode::Incomplete
        } else {
            ExitCode::AsPromised
        }
    }
}

/// Draws edits, or takes every clause, and tries them.
pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if let Some(time) = bounds::time("--timeout", &args.timeout)? {
        output::cancel_after(time)?;
    }
    let cancel = output::cancel_on_signals()?;
    let markers = match args.guards {
        true => page::GUARDS,
        false => page::GENERATED,
    };
    args.try_out()?;
    let started = Instant::now();
    let cells = Cells::choose(args.cells.as_deref())?;
    let progress = ProgressLine::new("mutants");
    progress.done("searching the cells as they are", started.elapsed());
    let Some(subjects) = cells.subjects(&cancel) else {
        progress.finish();
        output::complain!("cut off before the cells were searched as they are: no edit was tried");
        return Ok(ExitCode::Incomplete);
    };
    let faults = match args.generate {
        Some(count) => campaign::draw(&subjects, count, args.seed),
        None => campaign::clauses(&subjects),
    };
    let tell = |done: usize| {
        let text = format!("{done} of {} edits", faults.len());
        progress.done(&text, started.elapsed());
    };
    let tried = campaign::try_all(&subjects, &faults, &cancel, &tell);
    progress.finish();
    let spots = campaign::spots(&subjects);
    let whole = args.guards && args.cells.is_none() && tried.len() == faults.len();
    let used = |argued: &Argued| {
        let mut tried = tried.iter();
        tried.any(|t| t.argued == Some(argued))
    };
    let idle = match whole {
        true => Argued::all()
            .iter()
            .filter(|a| a.is_of_a_clause() && !used(a))
            .collect(),
        false => Vec::new(),
    };
    let run = Run {
        cut_off: faults.len() - tried.len(),
        idle,
        tried,
        seed: args.generate.map(|_| args.seed),
        only_survivors: args.guards,
        cells: subjects.len(),
        states: subjects.iter().map(campaign::Subject::states).sum(),
        taken: campaign::taken(&subjects, &spots),
        spots: spots.len(),
        elapsed: started.elapsed(),
    };
    match args.format {
        Format::Json => output::print_json(&json::results(&run))?,
        Format::Text => output::print(text::page(&run))?,
    }
    let mut code = run.exit_code();
    if run.cut_off > 0 || cancel.load(Relaxed) {
        if args.docs.is_some() || args.check_docs.is_some() {
            output::complain!("error: the run was cut off, so the generated page was left alone");
        }
        return Ok(code.max(ExitCode::Incomplete));
    }
    if let Some(root) = &args.docs {
        page::write(root, markers, &docs::table(&run))?;
    }
    if let Some(root) = &args.check_docs
        && let Some(path) = page::stale(root, markers, &docs::table(&run))?
    {
        output::complain!(
            "stale: {} (the same command with `--docs .` makes it anew)",
            path.display()
        );
        code = code.max(ExitCode::NotAsExpected);
    }
    Ok(code)
}
