//! The conclusion: a cycle, a cycle on one condition, no cycle for a reason that is in the log, or what to get.
//!
//! The wrong direction is worse than silence. *No cycle* needs a reason that a line gives for every wait; what is not
//! understood leads to *not decidable*. *Cycle* needs every edge.

mod notes;
mod outcome;

pub mod get;

pub use notes::notes;

use super::graph::{Cycle, Edge, Wait, Waits, cycle};
use super::lockdep::{Report, Splat};
use super::situation::{Context, Doing, Situation, Who};
use outcome::{Outcome, outcome, runs};
use serde::Serialize;
use std::collections::BTreeSet;

/// Why there is no cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// The wait ended.
    WaitEnded,
    /// The awaited CPU is offline.
    Offline,
    /// The awaited CPU runs with interrupts off for long, and waits for nobody.
    LongSection,
    /// A softirq keeps the CPU from everything else; interrupts are on.
    StarvingSoftirq,
    /// Interrupts are on where the CPU is, and it waits for nobody; the host does not run it.
    HostStall,
    /// Interrupts are on where the awaited CPU is.
    InterruptsOn,
    /// The holder of the lock runs.
    HolderRuns,
    /// Nobody waits.
    NobodyWaits,
}

/// The conclusion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Verdict {
    /// All edges are in the log.
    Cycle {
        /// It.
        cycle: Cycle,
    },
    /// One fact is missing or inferred.
    CycleIf {
        /// It.
        cycle: Cycle,
        /// The fact.
        condition: String,
        /// Other facts, each of which makes a cycle without it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        or: Vec<String>,
    },
    /// Every wait ends, for reasons that are in the log.
    NoCycle {
        /// The kinds of reasons.
        because: Vec<Because>,
        /// In sentences, with lines.
        reasons: Vec<(String, u64)>,
    },
    /// More has to be known.
    NotDecidable {
        /// What is not known.
        unknown: Vec<String>,
        /// How to get it.
        get: Vec<String>,
        /// What it looks like, if that can be said.
        #[serde(skip_serializing_if = "Option::is_none")]
        looks_like: Option<String>,
    },
}

impl Verdict {
    /// In a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Cycle { .. } => "cycle",
            Verdict::CycleIf { .. } => "cycle if",
            Verdict::NoCycle { .. } => "no cycle",
            Verdict::NotDecidable { .. } => "not decidable",
        }
    }
}

/// Concludes.
#[must_use]
pub fn conclude(waits: &Waits<'_>) -> Verdict {
    let log = waits.log;
    let edges = waits.edges();
    let found = cycle(&edges, 1);
    if let Some(cycle) = &found {
        let missing: Vec<&str> = cycle.missing().collect();
        let inferred: Vec<&str> = cycle.inferred().collect();
        let apart = apart(waits, cycle);
        return match (missing.first(), inferred.is_empty() && apart.is_none()) {
            (None, true) => Verdict::Cycle {
                cycle: cycle.clone(),
            },
            (Some(missing), _) => Verdict::CycleIf {
                cycle: cycle.clone(),
                condition: (*missing).to_string(),
                or: others(&edges, missing),
            },
            (None, false) => {
                let condition = apart.unwrap_or_else(|| inferred.join(", and "));
                Verdict::CycleIf {
                    cycle: cycle.clone(),
                    condition,
                    or: Vec::new(),
                }
            }
        };
    }
    if let Some(cycle) = cross_call(waits) {
        let condition = cycle.missing().next().unwrap_or("").to_string();
        return Verdict::CycleIf {
            cycle,
            condition,
            or: Vec::new(),
        };
    }
    if let Some(verdict) = log.splats.iter().find_map(splat) {
        return verdict;
    }
    ends(waits, &edges)
}

/// How many other conditions are told.
const OTHERS: usize = 2;

/// What else could be the fact that is missing.
fn others(edges: &[Edge], condition: &str) -> Vec<String> {
    let mut rest: Vec<Edge> = edges.to_vec();
    let mut last = condition.to_string();
    let mut others = Vec::new();
    while others.len() < OTHERS {
        rest.retain(|edge| edge.missing.as_deref() != Some(&*last));
        let Some(found) = cycle(&rest, 1) else {
            break;
        };
        let Some(missing) = found.missing().next() else {
            break;
        };
        last = missing.to_string();
        others.push(last.clone());
    }
    others
}

/// Dumps that are too far apart to be one moment.
fn apart(waits: &Waits<'_>, cycle: &Cycle) -> Option<String> {
    let times: Vec<f64> = cycle
        .edges
        .iter()
        .filter_map(|e| waits.of.get(&e.from)?.time)
        .collect();
    let (min, max) = times
        .iter()
        .fold((f64::MAX, f64::MIN), |(a, b), t| (a.min(*t), b.max(*t)));
    (times.len() > 1 && max - min > 300.0).then(|| {
        format!(
            "both still waited so at one time: their dumps are {:.0} s apart",
            max - min
        )
    })
}

/// A synchronous cross-call from an interrupt, on top of code that it interrupted in one: two CPUs that do so wait for
/// each other.
fn cross_call(waits: &Waits<'_>) -> Option<Cycle> {
    let of = waits.of.values().find(|s| {
        s.doing == Doing::AwaitsAcks
            && s.context != Context::Task
            && s.interrupted.iter().any(|below| {
                below.iter().take(4).any(|f| {
                    matches!(
                        super::table::does(&f.function),
                        Some(super::table::Does::AwaitsAcks | super::table::Does::SendsIpi)
                    )
                })
            })
    })?;
    let targets = waits.targets.get(&of.who).map_or(&[][..], Vec::as_slice);
    let hidden = |who: Who| {
        waits
            .of
            .get(&who)
            .is_none_or(|s| matches!(s.doing, Doing::NotShown(_)))
    };
    if !targets.iter().all(|t| hidden(Who::Cpu(t.cpu))) {
        return None;
    }
    let other = targets
        .first()
        .map_or("another CPU, which is not named,".to_string(), |t| {
            format!("CPU{}", t.cpu)
        });
    let (place, line) = of.place.clone().unwrap_or_default();
    let edge = Edge {
        from: of.who,
        to: of.who,
        wait: Wait::Acks,
        line,
        words: format!(
            "{} awaits {other} in {place}, in a {}, on top of a cross-call that this interrupted",
            of.who,
            of.context.name()
        ),
        missing: Some(format!(
            "{} waits for {} in the same way",
            other.replace("another CPU, which is not named,", "the CPU that it awaits"),
            of.who
        )),
        inferred: Vec::new(),
    };
    Some(Cycle { edges: vec![edge] })
}

/// What a report of lockdep's or DEPT's says by itself.
fn splat(report: &Report) -> Option<Verdict> {
    let edges = report.edges();
    let cpu = |i: usize| Who::Cpu(i as u32);
    let n = edges.len();
    if n == 0 {
        return None;
    }
    let condition = match report.splat {
        Splat::Inversion | Splat::SafeToUnsafe => {
            let irq = report.irq.unwrap_or("interrupt");
            let (outer, inner) = (
                edges.first().map_or("", |e| &e.held),
                edges.first().map_or("", |e| &e.wanted),
            );
            format!(
                "a {irq} that takes {outer} comes on a CPU that holds {inner} with interrupts on, while another CPU goes from {outer} to {inner}"
            )
        }
        Splat::Inconsistent => "the interrupt comes while its own CPU holds the lock".to_string(),
        Splat::Recursive => "the two are one lock: the report knows classes, not locks".to_string(),
        Splat::Circular | Splat::Dept => {
            "the contexts that were seen one after the other meet".to_string()
        }
    };
    let words = |e: &Edge2<'_>| format!("whoever holds {} may wait for {}", e.0, e.1);
    let edges = edges
        .iter()
        .enumerate()
        .map(|(i, e)| Edge {
            from: cpu(i),
            to: cpu((i + 1) % n),
            wait: Wait::Lock(Default::default()),
            line: e.line,
            words: words(&(&e.held, &e.wanted)),
            missing: (i == 0).then(|| condition.clone()),
            inferred: Vec::new(),
        })
        .collect();
    Some(Verdict::CycleIf {
        cycle: Cycle { edges },
        condition,
        or: Vec::new(),
    })
}

type Edge2<'a> = (&'a str, &'a str);
/// No cycle was found: does every wait end?
fn ends(waits: &Waits<'_>, edges: &[Edge]) -> Verdict {
    let log = waits.log;
    let mut all = Outcome::Ends(Vec::new());
    for situation in waits.of.values() {
        let stuck = match situation.who {
            Who::Cpu(cpu) => log.stuck.get(&cpu),
            Who::Task(_) => None,
        };
        if situation.doing.waits() {
            all = all.and(outcome(waits, situation, &mut vec![situation.who]));
        } else if let Doing::NotKnown(function) = &situation.doing {
            let who = situation.who;
            let runs_softirqs = situation.placed
                && !stuck.is_some_and(|s| s.hard)
                && !waits_somewhere(situation)
                && situation.context == Context::Softirq
                && situation.irqs.as_ref().is_some_and(|i| i.on);
            let line = situation.place.as_ref().map_or(situation.line, |p| p.1);
            if runs_softirqs && stuck.is_some() {
                all = all.and(Outcome::ends(
                    Because::StarvingSoftirq,
                    format!("{who} has interrupts on and runs softirqs ({function})"),
                    line,
                ));
            } else if situation.moved {
                all = all.and(Outcome::ends(
                    Because::LongSection,
                    format!("{who} was at different places in its reports: it runs"),
                    line,
                ));
            } else {
                let words = format!(
                    "{who} is in {function}, which this tool does not know: it may run or wait"
                );
                all = all.and(Outcome::unknown(words, &[get::AGAIN]));
            }
        } else if let Some(stuck) = stuck
            && matches!(situation.doing, Doing::Runs(_) | Doing::User | Doing::Idle)
        {
            all = all.and(runs(waits, situation, Some(stuck.line)));
        }
    }
    if let Some(line) = log.orphan {
        let words =
            format!("line {line} says where a CPU is, and the line that says which is missing");
        all = all.and(Outcome::unknown(words, &[get::SYSRQ_L, get::ALL_CPUS]));
    }
    let hidden = |cpu: &u32| !log.cpus.contains_key(cpu) && !log.offline.contains_key(cpu);
    if let Some(last) = log.listed {
        let words = match (0..last.min(super::log::MOST as u32)).find(hidden) {
            Some(cpu) => Some(format!("CPU{last} is listed, and CPU{cpu} is not")),
            None if log.list_ended || log.number_of_cpus.is_some_and(|(n, _)| n == last + 1) => {
                None
            }
            None => Some(format!(
                "no prompt follows CPU{last}, so the list of CPUs may go on"
            )),
        };
        if let Some(words) = words {
            all = all.and(Outcome::unknown(words, &[get::WHOLE_LIST]));
        }
    }
    if let Some(line) = log.unread {
        let words = format!("line {line} says that a CPU hangs, in a shape that is not known");
        all = all.and(Outcome::unknown(words, &[get::SYSRQ_L, get::ALL_CPUS]));
    }
    for wait in log.csd.values() {
        if let Some(line) = wait.ended {
            let words = format!(
                "CPU{}'s wait for CPU{} ended: the kernel says it got unstuck",
                wait.from, wait.to
            );
            all = all.and(Outcome::ends(Because::WaitEnded, words, line));
        }
    }
    let host =
        matches!(&all, Outcome::Ends(reasons) if reasons.iter().any(|r| r.0 == Because::HostStall));
    for (cpu, stuck) in &log.stuck {
        let shown = waits.of.contains_key(&Who::Cpu(*cpu));
        let ended = log
            .csd
            .values()
            .any(|c| c.ended.is_some() && (c.from == *cpu || c.to == *cpu));
        if !shown && !host && !ended {
            let words = format!(
                "CPU{cpu} is reported stuck (line {}) without a backtrace",
                stuck.line
            );
            all = all.and(Outcome::unknown(words, &[get::ALL_CPUS, get::SYSRQ_L]));
        }
    }
    if let Some(dump) = log.ftrace
        && matches!(all, Outcome::Unknown(..))
    {
        all = all.and(Outcome::unknown(
            match &log.trace {
                Some(_) => format!("the dump of ftrace's at line {dump} shows no hang by itself; `shootdown trace` has more of it"),
                None => format!("the dump of ftrace's at line {dump} has no event that can be read"),
            },
            &[],
        ));
    }
    match all {
        Outcome::Ends(reasons) if reasons.is_empty() => nobody_waits(waits),
        Outcome::Ends(reasons) => {
            let because: BTreeSet<Because> = reasons.iter().map(|r| r.0).collect();
            let mut sentences: Vec<(String, u64)> = Vec::new();
            for (_, words, line) in reasons {
                if !sentences.iter().any(|(w, _)| *w == words) {
                    sentences.push((words, line));
                }
            }
            Verdict::NoCycle {
                because: because.into_iter().collect(),
                reasons: sentences,
            }
        }
        Outcome::Unknown(mut unknown, get) => {
            unknown.dedup();
            let looks_like = cycle(edges, 2).map(|c| {
                let missing: Vec<&str> = c.missing().collect();
                format!("it would be a cycle if {}", missing.join(", and if "))
            });
            let mut get: Vec<String> = get.into_iter().map(str::to_string).collect();
            if log.guest.is_some() && !get.iter().any(|g| g == get::HOST) {
                get.push(get::HOST.to_string());
            }
            Verdict::NotDecidable {
                unknown,
                get,
                looks_like,
            }
        }
    }
}

/// Whether a function of its own stack is one that waits: then what is above it may be part of that.
pub(super) fn waits_somewhere(situation: &Situation) -> bool {
    situation
        .frames
        .iter()
        .any(|f| super::table::does(&f.function).is_some_and(super::table::Does::waits))
}

fn nobody_waits(waits: &Waits<'_>) -> Verdict {
    let log = waits.log;
    let cpus: Vec<&&Situation> = waits
        .of
        .values()
        .filter(|s| matches!(s.who, Who::Cpu(_)))
        .collect();
    let quiet = |s: &Situation| {
        matches!(
            s.doing,
            Doing::Idle
                | Doing::User
                | Doing::Runs(_)
                | Doing::Prints
                | Doing::Offline
                | Doing::Stopped
        )
    };
    let quiet_and_shown = |s: &&Situation| quiet(s);
    let shown = cpus
        .iter()
        .filter(|s| !matches!(s.doing, Doing::NotShown(_)))
        .count();
    let printing_only = cpus
        .iter()
        .all(|s| matches!(s.doing, Doing::Prints | Doing::Stopped));
    let all_shown = log
        .asked
        .difference(&log.askers)
        .all(|cpu| waits.of.get(&Who::Cpu(*cpu)).is_some_and(quiet_and_shown));
    // Who was asked is all there is, or the CPUs up to the last one that is shown.
    let last = cpus.iter().filter_map(|s| match s.who {
        Who::Cpu(cpu) => Some(cpu),
        Who::Task(_) => None,
    });
    let last = last.max().unwrap_or(0).min(super::log::MOST as u32);
    let there = |cpu: u32| waits.of.contains_key(&Who::Cpu(cpu)) || log.offline.contains_key(&cpu);
    let whole = !log.asked.is_empty() || (last > 0 && (0..=last).all(there));
    let hangs = !log.stuck.is_empty()
        || !log.silent.is_empty()
        || !log.hung.is_empty()
        || !log.owners.is_empty()
        || log.csd.values().any(|w| w.ended.is_none());
    if shown == 0
        || printing_only
        || !all_shown
        || !whole
        || hangs
        || !cpus.iter().all(|s| {
            quiet(s) && (s.placed || !matches!(s.doing, Doing::Idle | Doing::User | Doing::Runs(_)))
        })
    {
        let unknown = if hangs {
            "the log says that something hangs, and no backtrace here shows what waits".to_string()
        } else if log.dumps == 0 {
            "there is no backtrace of a CPU in this log".to_string()
        } else if !whole {
            "not every CPU is in this log, and the others may wait".to_string()
        } else {
            "no backtrace here shows what a CPU waits for".to_string()
        };
        // Of tasks that sleep, backtraces of CPUs say nothing.
        let sleeping = !log.hung.is_empty() && log.stuck.is_empty();
        let get = if sleeping {
            [get::BLOCKED, get::LOCKDEP]
        } else {
            [get::SYSRQ_L, get::ALL_CPUS]
        };
        return Verdict::NotDecidable {
            unknown: vec![unknown],
            get: get.map(str::to_string).to_vec(),
            looks_like: None,
        };
    }
    let idle = cpus
        .iter()
        .filter(|s| matches!(s.doing, Doing::Idle | Doing::User))
        .count();
    let words = if idle == shown {
        format!("no CPU waits here: {shown} backtraces, all idle or in user mode")
    } else {
        format!(
            "no CPU waits here: {shown} backtraces, {idle} idle or in user mode, the others run"
        )
    };
    Verdict::NoCycle {
        because: vec![Because::NobodyWaits],
        reasons: vec![(words, cpus.first().map_or(0, |s| s.line))],
    }
}
