//! A hang in words: the sentence, and the lines that led to it.

use super::{Row, Standing, Wait};
use crate::ftrace::class::{Name, Part};
use crate::ftrace::place::Place;
use std::collections::BTreeSet;

/// A member of the cycle, in a clause.
pub(super) fn clause(standing: &Standing) -> String {
    let mut parts = Vec::new();
    if standing.irqs_off {
        parts.push("has interrupts off".to_string());
    }
    if !standing.holds.is_empty() {
        let locks = standing
            .holds
            .iter()
            .map(|l| format!("{} {}", l.class, l.address));
        parts.push(format!("holds {}", locks.collect::<Vec<_>>().join(" and ")));
    }
    parts.push(match &standing.wait {
        Wait::Lock { lock, holders, .. } => {
            let by = match &holders[..] {
                [] => "held by nobody seen to take it".to_string(),
                names => format!("held by {}", names.join(", ")),
            };
            format!(
                "{} for {} {}, {by}",
                spins(&lock.class),
                lock.class,
                lock.address
            )
        }
        Wait::Acknowledgements {
            requests,
            told: Some(told),
            ..
        } if requests.is_empty() => {
            format!(
                "awaits the acknowledgements of its flush in line {}",
                told.place.line
            )
        }
        Wait::Acknowledgements { .. } => {
            let missing = standing.missing().map(|r| format!("CPU{}'s", r.target));
            let missing = missing.collect::<Vec<_>>().join(" and ");
            format!("awaits {missing} acknowledgement")
        }
        Wait::Interrupt => "is interrupted by what waits on top of it".to_string(),
    });
    let last = parts.pop().unwrap_or_default();
    let first = parts.join(", ");
    let and = if first.is_empty() { "" } else { " and " };
    format!("{} {first}{and}{last}", standing.who())
}

/// How one waits for a lock of this class.
pub fn spins(class: &Name) -> &'static str {
    let sleeps = Part::sleeps(&class.name) || class.name == "a sleeping lock";
    if sleeps { "sleeps" } else { "spins" }
}

/// The lines that matter.
pub(super) fn rows(cycle: &[Standing], bystanders: &[Standing]) -> Vec<Row> {
    let mut rows = BTreeSet::new();
    let mut row = |place: &Place, text: String| {
        rows.insert(Row {
            line: place.line,
            cpu: place.cpu,
            time: place.time,
            text,
        });
    };
    for standing in cycle.iter().chain(bystanders) {
        if let Some(off) = &standing.off {
            row(
                &off.place,
                format!("interrupts off: {} from {}", off.caller, off.parent),
            );
        }
        for lock in &standing.holds {
            row(
                &lock.since,
                format!("takes {} {}", lock.class, lock.address),
            );
        }
        match &standing.wait {
            Wait::Lock {
                lock, contended, ..
            } => {
                row(
                    &lock.since,
                    format!("tries {} {}", lock.class, lock.address),
                );
                if let Some(contended) = contended.filter(|c| c.line != lock.since.line) {
                    row(&contended, format!("it is taken: {}", spins(&lock.class)));
                }
            }
            Wait::Acknowledgements {
                requests,
                sent,
                told,
            } => {
                if let Some(told) = told {
                    row(
                        &told.place,
                        "flushes, and asks other CPUs (tlb_flush)".into(),
                    );
                }
                for r in requests {
                    row(
                        &r.queued,
                        format!(
                            "asks CPU{}: {}{}, in {}",
                            r.target,
                            r.function(),
                            r.csd(),
                            r.callsite
                        ),
                    );
                    if let Some(answered) = &r.answered {
                        row(
                            answered,
                            format!("acknowledges{}", r.csd().trim_start_matches(',')),
                        );
                    }
                }
                if let Some(sent) = sent {
                    row(sent, "sends the IPIs, spins".into());
                }
            }
            Wait::Interrupt => {}
        }
    }
    rows.into_iter().collect()
}
