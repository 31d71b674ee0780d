//! Edits of the lowered protocol, each tried in the cells that have what it changes.

use super::argued::Argued;
use crate::cli::error::CliError;
use crate::expectation::{Cell, Expectations};
use shootdown_refinement::relation::random::SplitMix;
use shootdown_spec::config::Config;
use shootdown_spec::lower::edit::{Baseline, Change, Difference, Editable, Limits, Spot};
use shootdown_spec::lower::lower;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Cells with more states than this are left out.
pub(super) const MOST_STATES: u64 = 120_000;

/// A cell of the matrix without deviations, and what it comes to unedited.
pub(super) struct Subject<'a> {
    pub(super) command: String,
    editable: Editable<'a>,
    baseline: Baseline,
}

impl Subject<'_> {
    /// Its states.
    pub(super) fn states(&self) -> u64 {
        self.baseline.outcome.states
    }

    /// Has some reached state other successors with the change? `None` if it was cut off.
    fn differs(&self, spot: &Spot, change: &Change, cancel: &AtomicBool) -> Option<bool> {
        let Some(edited) = self.editable.edited(spot, change) else {
            return Some(false);
        };
        self.editable.differs(&self.baseline, &edited, cancel).ok()
    }
}

/// A statement and what is changed there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    pub(super) spot: Spot,
    pub(super) change: Change,
}

/// A cell that came near: what is changed is there, and makes a difference to some state.
pub(super) struct Near {
    pub(super) command: String,
    /// How often the step is taken.
    pub(super) taken: u64,
    /// Some reached state has other successors with the edit.
    pub(super) differs: bool,
}

/// What became of a fault.
pub(super) enum Fate {
    /// The first cell that noticed, and in what it differs.
    Caught {
        command: String,
        differences: Vec<Difference>,
    },
    /// No state that is reached in any cell has other successors.
    Equivalent(&'static str),
    /// So it is without this clause, and with the clause negated some state has: the clause is always true where anything
    /// depends on it.
    Redundant,
    /// Whether this clause is true makes no difference to any state that is reached in any cell.
    Untested(&'static str),
    /// No cell reaches the statement.
    NotReached,
    /// Nobody noticed.
    Survived,
}

/// A fault and what became of it.
pub(super) struct Tried {
    pub(super) fault: Fault,
    pub(super) fate: Fate,
    /// Cells in which the step is taken most, for what was not caught.
    pub(super) near: Vec<Near>,
    /// Why that is right, if somebody said so.
    pub(super) argued: Option<&'static Argued>,
}

/// The configurations of cells.
pub(super) struct Cells(Vec<(Cell, Config)>);

impl Cells {
    /// Every small cell of the matrix without deviations whose command contains `wanted`, the smallest first.
    pub(super) fn choose(wanted: Option<&str>) -> Result<Cells, CliError> {
        let expectations = Expectations::load();
        let mut cells = Vec::new();
        for cell in expectations.cells() {
            let small = cell.states <= MOST_STATES && cell.variants.is_empty();
            if small && wanted.is_none_or(|text| cell.command().contains(text)) {
                cells.push((cell.clone(), cell.config()?));
            }
        }
        cells.sort_by_key(|(cell, _)| cell.states);
        match (cells.is_empty(), wanted) {
            (true, Some(text)) => Err(CliError::NoCell(text.to_string())),
            _ => Ok(Cells(cells)),
        }
    }

    /// Searches all of them as they are; `None` if that was cut off.
    pub(super) fn subjects(&self, cancel: &AtomicBool) -> Option<Vec<Subject<'_>>> {
        // The largest first: they are waited for longest.
        let jobs: Vec<_> = self.0.iter().rev().collect();
        let mut subjects: Vec<_> = in_parallel(&jobs, |(cell, config)| {
            let editable = Editable::new(lower(config).ok()?);
            let limits = Limits {
                states: u64::MAX,
                timeout: None,
                cancel,
            };
            let baseline = editable.baseline(limits).ok()?;
            let command = cell.command();
            Some(Subject {
                command,
                editable,
                baseline,
            })
        })
        .into_iter()
        .collect::<Option<_>>()?;
        subjects.reverse();
        Some(subjects)
    }
}

/// Every statement that some cell has.
pub(super) fn spots<'a>(subjects: &'a [Subject<'_>]) -> Vec<&'a Spot> {
    let all = subjects.iter().flat_map(|s| s.editable.spots());
    all.collect::<BTreeSet<_>>().into_iter().collect()
}

/// How many statements some cell takes.
pub(super) fn taken(subjects: &[Subject<'_>], spots: &[&Spot]) -> usize {
    let some = |spot: &&&Spot| {
        let mut subjects = subjects.iter();
        subjects.any(|s| s.editable.taken(&s.baseline, spot) > 0)
    };
    spots.iter().filter(some).count()
}

/// `count` different faults: a statement, a kind of change and a change of that kind are drawn one after the other, so that
/// statements that do much are not preferred.
pub(super) fn draw(subjects: &[Subject<'_>], count: u32, seed: u64) -> Vec<Fault> {
    let count = count as usize;
    let spots = spots(subjects);
    let mut random = SplitMix::new(seed);
    let mut faults: Vec<Fault> = Vec::new();
    // There may be fewer changes than are asked for.
    for _ in 0..count.saturating_mul(20) {
        if faults.len() == count || spots.is_empty() {
            break;
        }
        let spot = spots[random.below(spots.len())];
        let having = subjects.iter().filter(|s| s.editable.has(spot));
        let changes: BTreeSet<Change> = having.flat_map(|s| s.editable.changes(spot)).collect();
        let kinds: BTreeSet<&str> = changes.iter().map(Change::kind).collect();
        let kinds: Vec<_> = kinds.into_iter().collect();
        let Some(kind) = kinds.get(random.below(kinds.len())) else {
            continue;
        };
        let of_kind: Vec<_> = changes.iter().filter(|c| c.kind() == *kind).collect();
        let fault = Fault {
            spot: spot.clone(),
            change: of_kind[random.below(of_kind.len())].clone(),
        };
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    faults
}

/// Every clause of every guard and start condition, and of every assignment's condition.
pub(super) fn clauses(subjects: &[Subject<'_>]) -> Vec<Fault> {
    let spots = spots(subjects);
    let all = in_parallel(&spots, |spot| {
        let having = subjects.iter().filter(|s| s.editable.has(spot));
        let changes: BTreeSet<Change> = having.flat_map(|s| s.editable.clauses(spot)).collect();
        let fault = |change| Fault {
            spot: (*spot).clone(),
            change,
        };
        changes.into_iter().map(fault).collect::<Vec<_>>()
    });
    all.into_iter().flatten().collect()
}

/// Tries them all; those that were finished before somebody raised the flag.
pub(super) fn try_all(
    subjects: &[Subject<'_>],
    faults: &[Fault],
    cancel: &AtomicBool,
    done: &(impl Fn(usize) + Sync),
) -> Vec<Tried> {
    let finished = AtomicUsize::new(0);
    let tried = in_parallel(faults, |fault| {
        let tried = one(subjects, fault, cancel);
        done(finished.fetch_add(1, Relaxed) + 1);
        tried
    });
    tried.into_iter().flatten().collect()
}

/// `None` if it was cut off.
fn one(subjects: &[Subject<'_>], fault: &Fault, cancel: &AtomicBool) -> Option<Tried> {
    let mut near = Vec::new();
    // What only transitions show is noticed by fewer people: look on.
    let mut weak: Option<(String, Vec<Difference>)> = None;
    let mut reached = false;
    for subject in subjects {
        if cancel.load(Relaxed) {
            return None;
        }
        let (editable, baseline) = (&subject.editable, &subject.baseline);
        let Some(edited) = editable.edited(&fault.spot, &fault.change) else {
            continue;
        };
        let seen = editable.scan(baseline, &edited, cancel).ok()?;
        reached |= seen.at > 0;
        near.push(Near {
            command: subject.command.clone(),
            taken: editable.taken(baseline, &fault.spot),
            differs: seen.differs,
        });
        if !seen.differs {
            continue;
        }
        let limits = Limits {
            states: 3 * baseline.outcome.states + 100_000,
            timeout: None,
            cancel,
        };
        let outcome = editable.outcome(&edited, limits).ok()?;
        let differences = baseline.outcome.differences(&outcome);
        let command = subject.command.clone();
        match differences.first() {
            None => {}
            Some(d) if d.check == "transitions" => {
                weak.get_or_insert((command, differences));
            }
            Some(_) => {
                weak = Some((command, differences));
                break;
            }
        }
    }
    let taken = near.iter().any(|n| n.taken > 0);
    let gate = reached && fault.spot.op == "Gate";
    let opposite = opposite(&fault.change);
    let mut matters = false;
    if let Some(opposite) = &opposite
        && weak.is_none()
    {
        for subject in subjects {
            matters = matters || subject.differs(&fault.spot, opposite, cancel)?;
        }
    }
    let fate = match weak {
        Some((command, differences)) => Fate::Caught {
            command,
            differences,
        },
        None if near.iter().any(|n| n.differs) => Fate::Survived,
        None if opposite.is_some() => match (matters, taken || gate, reached) {
            (true, ..) => Fate::Redundant,
            (false, true, _) => Fate::Untested("the rest of the condition decides"),
            (false, false, true) => Fate::Untested("the step is never enabled"),
            (false, false, false) => Fate::NotReached,
        },
        None if !taken && !gate => match reached && fault.spot.op != "Start" {
            true => Fate::Equivalent("never enabled"),
            false => Fate::NotReached,
        },
        None => Fate::Equivalent(why(&fault.change)),
    };
    near.retain(|n| n.differs || n.taken > 0);
    near.sort_by_key(|n| std::cmp::Reverse((n.differs, n.taken)));
    near.truncate(3);
    let argued = match fate {
        Fate::Caught { .. } => None,
        _ => Argued::of(fault),
    };
    Some(Tried {
        fault: fault.clone(),
        fate,
        near,
        argued,
    })
}

/// The clause negated, if it is one that is left out.
fn opposite(change: &Change) -> Option<Change> {
    match change {
        Change::Clause { of, clause } => Some(Change::Opposite {
            of: of.clone(),
            clause: clause.clone(),
        }),
        _ => None,
    }
}

/// Why no reached state has other successors.
fn why(change: &Change) -> &'static str {
    match change {
        Change::Clause { of: None, .. } | Change::Guard(true) | Change::Also { .. } => {
            "always true"
        }
        Change::Clause { .. } | Change::Opposite { .. } | Change::Always(_) => {
            "always so where the assignment would change anything"
        }
        Change::Guard(false) => "never taken to another state",
        Change::Drop(_) | Change::Skip => "the value is there already",
        Change::Swap(..) => "the order does not matter",
        Change::Operand { .. } | Change::Constant { .. } => "the same value",
        Change::Nothing => "nothing is changed",
    }
}

/// What `f` makes of each of them, in their order, on as many threads as there are cores.
fn in_parallel<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let work = || {
        loop {
            let i = next.fetch_add(1, Relaxed);
            let Some(item) = items.get(i) else { break };
            let result = f(item);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push((i, result));
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 1..cores.min(items.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, result)| result).collect()
}
