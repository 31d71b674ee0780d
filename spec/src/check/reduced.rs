//! Checks on fewer states: the verdicts of [`super::check`] from states that stand for others, and the same runs.

use super::packed::{is_violated, result, verdicts};
use super::{CheckResult, check};
use crate::lower::facts::Facts;
use crate::lower::lower;
use crate::model::Protocol;
use crate::property::{Decided, PROPERTIES};
use crate::search::{Options, Progress};
use crate::verdict::Verdict;
use shootdown_ir::levels::{self, Found, Observe, Stopped};
use shootdown_ir::packed::Packed;
use shootdown_ir::reduce::{Reduced, Reducer, Reductions};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// What the states that stand for others tell.
#[derive(Debug)]
pub struct ReducedVerdicts {
    /// The reductions that had an effect.
    pub used: Reductions,
    /// By property, in the order of [`PROPERTIES`]: the verdict, and which of its witnesses were reached.
    pub verdicts: Vec<(Verdict, Vec<(&'static str, bool)>)>,
    /// States that were looked at.
    pub representatives: u64,
    /// Was every one of them?
    pub complete: bool,
    found: Found,
}

/// The verdicts alone; `None` where nothing can be reduced: with a bound on states, a deviation that cannot be lowered or
/// goes round in circles, or no reduction that has an effect.
pub fn verdicts_reduced(
    protocol: &Protocol,
    options: &Options,
    which: Reductions,
) -> Option<ReducedVerdicts> {
    let begun = Instant::now();
    if options.max_states.is_some() || options.max_depth.is_some() {
        return None;
    }
    let mut lowered = lower(&protocol.config).ok()?;
    let fills = match which.fill {
        true => lowered.fill_at_once(),
        false => Vec::new(),
    };
    let machine = lowered.machine();
    let packed = Packed::new(&machine);
    let facts = Facts::new(&lowered, &packed);
    let asked = lowered.asked(Some(&facts));
    let reducer = Reducer::new(&machine, &asked, which, &fills);
    if !reducer.used().any() {
        return None;
    }
    let tell = |p: &levels::Progress| tell(options, begun, p);
    let bounds = levels::Options {
        threads: options.threads.get(),
        memory: options.max_memory,
        timeout: options.timeout,
        cancel: Some(&options.cancel),
        tell: Some(&tell),
        ..levels::Options::default()
    };
    let observe = Reduced::new(&packed, &facts, &reducer);
    let found = levels::run(&packed, &observe, bounds).ok()?;
    if found.not_lowered > 0 || matches!(found.stopped, Some(Stopped::Misfit(_))) {
        return None;
    }
    Some(ReducedVerdicts {
        used: reducer.used(),
        verdicts: verdicts(&protocol.config, &found),
        representatives: found.distinct,
        complete: found.stopped.is_none(),
        found,
    })
}

/// Checks the configuration on the states that stand for others, and says which reductions had an effect. Counts are
/// theirs; a violation's run is the one that [`check`] shows, from the full search as far as it takes, and is missing where
/// that was cut off.
pub fn check_reduced(
    protocol: &Protocol,
    options: &Options,
    which: Reductions,
) -> (CheckResult, Reductions) {
    let begun = Instant::now();
    let Some(reduced) = verdicts_reduced(protocol, options, which) else {
        return (check(protocol, options), Reductions::NONE);
    };
    let depth = match violations(&reduced.found) {
        (0, false) => None,
        wanted => match level_of(protocol, options, wanted, begun) {
            Level::Known(level) => Some(level),
            Level::CutOff => None,
            // That would be an error of a reduction. The full search is right.
            Level::None => return (check(protocol, options), Reductions::NONE),
        },
    };
    let found = &reduced.found;
    (
        result(protocol, options, found, depth, begun, false),
        reduced.used,
    )
}

/// The violated properties' facts, and whether there is an end that must not be.
fn violations(found: &Found) -> (u64, bool) {
    let violated = PROPERTIES.iter().enumerate();
    let violated = violated.filter(|(i, property)| is_violated(property, *i, found));
    violated.fold((0, false), |(facts, ends), (i, property)| {
        match property.decided {
            Decided::OnStates(_) => (facts | 1 << i, ends),
            Decided::OnGraph => (facts, true),
        }
    })
}

fn tell(options: &Options, begun: Instant, p: &levels::Progress) {
    if let Some(progress) = &options.progress {
        progress(&Progress::of_levels(p, begun.elapsed()));
    }
}

enum Level {
    Known(usize),
    CutOff,
    None,
}

/// The level of the full search by which all of it was seen.
fn level_of(
    protocol: &Protocol,
    options: &Options,
    (facts, ends): (u64, bool),
    begun: Instant,
) -> Level {
    let Ok(lowered) = lower(&protocol.config) else {
        return Level::None;
    };
    let machine = lowered.machine();
    let packed = Packed::new(&machine);
    let watch = Watch {
        facts: &Facts::new(&lowered, &packed),
        wanted: AtomicU64::new(facts),
        ends: AtomicBool::new(ends),
        level: AtomicUsize::new(0),
        deepest: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    let tell = |p: &levels::Progress| {
        watch.level.store(p.level, Relaxed);
        watch.stop.fetch_or(options.cancel.load(Relaxed), Relaxed);
        tell(options, begun, p);
    };
    let timeout = options.timeout;
    let bounds = levels::Options {
        threads: options.threads.get(),
        memory: options.max_memory,
        timeout: timeout.map(|most| most.saturating_sub(begun.elapsed())),
        cancel: Some(&watch.stop),
        tell: Some(&tell),
        ..levels::Options::default()
    };
    let found = levels::run(&packed, &watch, bounds);
    match (watch.is_done(), found.map(|found| found.stopped)) {
        (true, _) => Level::Known(watch.deepest.into_inner()),
        (false, Ok(None) | Err(_)) => Level::None,
        (false, Ok(Some(_))) => Level::CutOff,
    }
}

/// The facts, until all that are wanted were seen.
struct Watch<'a> {
    facts: &'a Facts,
    wanted: AtomicU64,
    ends: AtomicBool,
    level: AtomicUsize,
    deepest: AtomicUsize,
    stop: AtomicBool,
}

impl Watch<'_> {
    fn is_done(&self) -> bool {
        self.wanted.load(Relaxed) == 0 && !self.ends.load(Relaxed)
    }

    fn seen(&self, level: usize) {
        self.deepest.fetch_max(level, Relaxed);
        if self.is_done() {
            self.stop.store(true, Relaxed);
        }
    }
}

impl Observe for Watch<'_> {
    type Memory = <Facts as Observe>::Memory;

    fn facts(&self, words: &[u64], memory: &mut Self::Memory) -> u64 {
        let facts = self.facts.facts(words, memory);
        if facts & self.wanted.load(Relaxed) != 0 {
            self.wanted.fetch_and(!facts, Relaxed);
            self.seen(self.level.load(Relaxed));
        }
        facts
    }

    fn rank(&self, words: &[u64]) -> u64 {
        self.facts.rank(words)
    }

    fn lowers_rank(&self, step: u32) -> bool {
        self.facts.lowers_rank(step)
    }

    fn has_work_left(&self, facts: u64) -> bool {
        let left = self.facts.has_work_left(facts);
        if left && self.ends.swap(false, Relaxed) {
            // That it is an end shows when it is expanded.
            self.seen(self.level.load(Relaxed) + 1);
        }
        left
    }
}
