//! Checks on packed states: counts, facts and verdicts from the engine of [`shootdown_ir::levels`], which keeps no paths;
//! a run for each violation from a search with paths, as far as the level where the last of them was seen first.

use super::{CheckResult, How, Refused, Swept, judge};
use crate::config::Config;
use crate::lower::facts::Facts;
use crate::lower::lower;
use crate::model::Protocol;
use crate::program::PROGRAMS;
use crate::property::{
    Decided, FIRST_INTERRUPTED_BIT, FIRST_WITNESS_BIT, PROPERTIES, Property, observe,
};
use crate::search::{Options, Progress, Stop, search};
use crate::verdict::{PropertyResult, States, Verdict};
use shootdown_ir::keep::ResumeError;
use shootdown_ir::levels::{self, Found, Stopped, Wanted};
use shootdown_ir::packed::Packed;
use shootdown_ir::sweep;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How long runs are looked for once the check itself was stopped.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Checks the configuration; refused where this engine cannot: with a bound on states, which another search keeps to the
/// state; with a deviation that cannot be lowered or goes round in circles; with states that are too wide.
pub(super) fn check(
    protocol: &Protocol,
    options: &Options,
    how: How<'_>,
) -> Result<CheckResult, Refused> {
    let begun = Instant::now();
    if options.max_states.is_some() || options.max_depth.is_some() {
        return Err(Refused::Bounds);
    }
    let config = &protocol.config;
    let lowered = lower(config)?;
    let machine = lowered.machine();
    let packed = Packed::new(&machine);
    let facts = Facts::new(&lowered, &packed);
    let tell = |p: &levels::Progress| {
        if let Some(progress) = &options.progress {
            progress(&Progress::of_levels(p, begun.elapsed()));
        }
    };
    let search = levels::Options {
        threads: options.threads.get(),
        memory: options.max_memory,
        timeout: options.timeout,
        cancel: Some(&options.cancel),
        tell: Some(&tell),
        keep: how.keep,
        must_fall: true,
        until: None,
    };
    let mut found = match (how.sweep, how.from) {
        (false, Some(from)) => levels::resume(&packed, &facts, search, from)?,
        (false, None) => levels::run(&packed, &facts, search).map_err(ResumeError::Words)?,
        (true, Some(from)) => sweep::resume(&packed, &facts, search, from)?,
        (true, None) => sweep::run(&packed, &facts, search).map_err(ResumeError::Words)?,
    };
    if found.not_lowered > 0 {
        return Err(Refused::Circles(config.variants.to_string()));
    }
    if matches!(found.stopped, Some(Stopped::Misfit(_))) {
        return Err(Refused::Misfit);
    }
    if let Some(wanted) = violated(&found).filter(|_| how.sweep) {
        // A sweep knows no levels: the search by levels does, as far as that of the last violation.
        let search = levels::Options {
            keep: None,
            tell: None,
            until: Some(wanted),
            timeout: left(options, &found, begun),
            cancel: None,
            ..search
        };
        if let Ok(by_levels) = levels::run(&packed, &facts, search) {
            found.first = by_levels.first;
            found.ends.1 = by_levels.ends.1;
        }
    }
    let depth = deepest_violation(&found);
    Ok(result(protocol, options, &found, depth, begun, how.sweep))
}

/// The time for what comes after a search: little, if it was cut off.
fn left(options: &Options, found: &Found, begun: Instant) -> Option<Duration> {
    match found.stopped {
        Some(_) => Some(AFTERWARDS),
        None => options
            .timeout
            .map(|most| most.saturating_sub(begun.elapsed())),
    }
}

/// What there is to look for, if anything is violated.
fn violated(found: &Found) -> Option<Wanted> {
    let mut wanted = Wanted {
        facts: 0,
        ends: found.ends.0 > 0,
    };
    for (i, property) in PROPERTIES.iter().enumerate() {
        if matches!(property.decided, Decided::OnStates(_)) && is_violated(property, i, found) {
            wanted.facts |= 1 << i;
        }
    }
    (wanted.facts != 0 || wanted.ends).then_some(wanted)
}

pub(super) fn is_violated(property: &Property, i: usize, found: &Found) -> bool {
    match property.decided {
        Decided::OnStates(_) => found.counts[i] > 0,
        Decided::OnGraph => found.ends.0 > 0,
    }
}

/// Every property's verdict, and which of its witnesses were reached.
pub(crate) fn verdicts(
    config: &Config,
    found: &Found,
) -> Vec<(Verdict, Vec<(&'static str, bool)>)> {
    let judge = |(i, property): (usize, &Property)| {
        let witnesses: Vec<_> = property
            .witnesses(config)
            .map(|w| (w.name, found.counts[FIRST_WITNESS_BIT + w.id as usize] > 0))
            .collect();
        let verdict = if is_violated(property, i, found) {
            Verdict::Violated
        } else if found.stopped.is_some() {
            Verdict::Incomplete
        } else if witnesses.iter().any(|(_, reached)| !reached) {
            Verdict::Vacuous
        } else {
            Verdict::Holds
        };
        (verdict, witnesses)
    };
    PROPERTIES.iter().enumerate().map(judge).collect()
}

/// The level that a search with paths must reach to have a run for every violation.
fn deepest_violation(found: &Found) -> Option<usize> {
    PROPERTIES
        .iter()
        .enumerate()
        .filter(|(i, property)| is_violated(property, *i, found))
        .filter_map(|(i, property)| match property.decided {
            Decided::OnStates(_) => found.first[i],
            // That it is an end shows when it is expanded.
            Decided::OnGraph => found.ends.1.map(|level| level + 1),
        })
        .max()
}

/// The engine's reason to stop early.
pub(super) fn stop(stopped: Stopped) -> Stop {
    match stopped {
        Stopped::Time => Stop::Timeout,
        Stopped::Cancelled => Stop::Cancelled,
        Stopped::Memory | Stopped::Misfit(_) | Stopped::Rises | Stopped::Seen => Stop::MaxMemory,
    }
}

/// The verdicts, with a run for each violation that a search to this depth shows.
pub(super) fn result(
    protocol: &Protocol,
    options: &Options,
    found: &Found,
    depth: Option<usize>,
    begun: Instant,
    swept: bool,
) -> CheckResult {
    let config = &protocol.config;
    let earlier = found.elapsed.saturating_sub(begun.elapsed());
    let stopped = found.stopped.map(stop);
    let runs = depth.map(|depth| {
        let mut options = Options {
            keep_graph: found.ends.0 > 0,
            max_depth: Some(depth),
            timeout: left(options, found, begun),
            progress: None,
            ..options.clone()
        };
        if stopped.is_some() {
            options.cancel = Arc::new(AtomicBool::new(false));
        }
        let outcome = search(protocol, |p: &Protocol, s| observe(&p.config, s), &options);
        (judge(protocol, config, &outcome), outcome.peak_memory_bytes)
    });
    let (mut runs, memory) = match runs {
        Some((judged, memory)) => (judged.properties, memory),
        None => (Vec::new(), 0),
    };
    let properties = PROPERTIES.iter().zip(verdicts(config, found)).enumerate();
    let properties = properties
        .map(|(i, (property, (verdict, witnesses)))| PropertyResult {
            name: property.name,
            verdict,
            witnesses,
            violating_states: found.counts[i],
            counterexample: runs.get_mut(i).and_then(|r| r.counterexample.take()),
        })
        .collect();
    let peak_memory_bytes = found.peak_bytes.max(memory);
    let distinct = found.distinct as f64;
    CheckResult {
        complete: found.stopped.is_none(),
        stopped,
        states: States {
            unique: found.distinct,
            generated: found.generated,
            depth: found.levels.len().saturating_sub(1) as u64,
        },
        properties,
        never_interrupted: PROGRAMS
            .iter()
            .map(|p| p.id)
            .filter(|&id| config.workload.uses(id))
            .filter(|&id| found.counts[FIRST_INTERRUPTED_BIT + id as usize] == 0)
            .collect(),
        // What a checkpoint tells of the time before it is part of what was found.
        elapsed: earlier + begun.elapsed(),
        peak_memory_bytes,
        bytes_per_state: peak_memory_bytes as f64 / distinct.max(1.0),
        // Two states have equal fingerprints with odds of 2^-63 at most.
        collision_odds: match swept {
            true => 0.0,
            false => distinct * distinct / 2f64.powi(64),
        },
        swept: swept.then_some(Swept {
            ranks: found.ranks,
            most_states: found.peak_states,
        }),
    }
}
