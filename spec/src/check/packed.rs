//! Checks on packed states: counts, facts and verdicts from the engine of [`shootdown_ir::levels`], which keeps no paths;
//! a run for each violation from a search with paths, as far as the level where the last of them was seen first.

use super::{CheckResult, judge};
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
use shootdown_ir::levels::{self, Found, Stopped};
use shootdown_ir::packed::Packed;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How long runs are looked for once the check itself was stopped.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Checks the configuration; `None` where this engine cannot: with a bound on states, which another search keeps to the
/// state; with a deviation that cannot be lowered or goes round in circles; with states that are too wide.
pub(super) fn check(protocol: &Protocol, options: &Options) -> Option<CheckResult> {
    let begun = Instant::now();
    if options.max_states.is_some() || options.max_depth.is_some() {
        return None;
    }
    let config = &protocol.config;
    let lowered = lower(config).ok()?;
    let machine = lowered.machine();
    let packed = Packed::new(&machine);
    let facts = Facts::new(&lowered, &packed);
    let tell = |p: &levels::Progress| {
        if let Some(progress) = &options.progress {
            progress(&Progress::of_levels(p, begun.elapsed()));
        }
    };
    let found = levels::run(
        &packed,
        &facts,
        levels::Options {
            threads: options.threads.get(),
            memory: options.max_memory,
            timeout: options.timeout,
            cancel: Some(&options.cancel),
            tell: Some(&tell),
        },
    )
    .ok()?;
    if found.not_lowered > 0 || matches!(found.stopped, Some(Stopped::Misfit(_))) {
        return None;
    }
    let depth = deepest_violation(&found);
    Some(result(protocol, options, &found, depth, begun))
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
        Stopped::Memory | Stopped::Misfit(_) => Stop::MaxMemory,
    }
}

/// The verdicts, with a run for each violation that a search to this depth shows.
pub(super) fn result(
    protocol: &Protocol,
    options: &Options,
    found: &Found,
    depth: Option<usize>,
    begun: Instant,
) -> CheckResult {
    let config = &protocol.config;
    let stopped = found.stopped.map(stop);
    let runs = depth.map(|depth| {
        let mut options = Options {
            keep_graph: found.ends.0 > 0,
            max_depth: Some(depth),
            timeout: options
                .timeout
                .map(|most| most.saturating_sub(begun.elapsed())),
            progress: None,
            ..options.clone()
        };
        if stopped.is_some() {
            options.timeout = Some(AFTERWARDS);
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
        elapsed: begun.elapsed(),
        peak_memory_bytes,
        bytes_per_state: peak_memory_bytes as f64 / distinct.max(1.0),
        // Two states have equal fingerprints with odds of 2^-63 at most.
        collision_odds: distinct * distinct / 2f64.powi(64),
    }
}
