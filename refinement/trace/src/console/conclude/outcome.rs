//! Whether each wait ends, and what is not known about it.

use super::{Because, get};
use crate::console::graph::Waits;
use crate::console::situation::{Context, Doing, How, Situation, Who};
use std::collections::BTreeSet;

/// How a wait ends, or what is not known about it.
pub(super) enum Outcome {
    Ends(Vec<(Because, String, u64)>),
    Unknown(Vec<String>, BTreeSet<&'static str>),
}

impl Outcome {
    pub(super) fn ends(because: Because, words: impl Into<String>, line: u64) -> Outcome {
        Outcome::Ends(vec![(because, words.into(), line)])
    }

    pub(super) fn unknown(words: impl Into<String>, get: &[&'static str]) -> Outcome {
        Outcome::Unknown(vec![words.into()], get.iter().copied().collect())
    }

    pub(super) fn and(self, other: Outcome) -> Outcome {
        match (self, other) {
            (Outcome::Ends(mut a), Outcome::Ends(b)) => {
                a.extend(b);
                Outcome::Ends(a)
            }
            (Outcome::Unknown(mut a, mut get), Outcome::Unknown(b, more)) => {
                a.extend(b);
                get.extend(more);
                Outcome::Unknown(a, get)
            }
            (unknown @ Outcome::Unknown(..), _) | (_, unknown @ Outcome::Unknown(..)) => unknown,
        }
    }
}
/// A CPU that does not wait, and yet is stuck or awaited.
pub(super) fn runs(waits: &Waits<'_>, of: &Situation, stuck: Option<u64>) -> Outcome {
    let who = of.who;
    let line = of.place.as_ref().map_or(of.line, |p| p.1);
    let place = of
        .place
        .as_ref()
        .map_or(String::new(), |p| format!(" in {}", p.0));
    if !of.placed {
        return lost(of);
    }
    match (&of.doing, &of.irqs) {
        (Doing::Idle, _) => Outcome::ends(
            Because::InterruptsOn,
            format!("{who} is idle: an interrupt wakes it"),
            of.line,
        ),
        (Doing::User, _) => Outcome::ends(
            Because::InterruptsOn,
            format!("{who} is in user mode, with interrupts on"),
            of.line,
        ),
        (Doing::Runs(why), Some(irqs)) if !irqs.on => Outcome::ends(
            Because::LongSection,
            format!(
                "{who} has interrupts off (line {}){place} and waits for nobody: {why}",
                irqs.line
            ),
            line,
        ),
        (Doing::Runs(_), Some(irqs)) if of.context == Context::Softirq => Outcome::ends(
            Because::StarvingSoftirq,
            format!(
                "{who} has interrupts on (line {}) and is busy in a softirq{place}",
                irqs.line
            ),
            line,
        ),
        (Doing::Runs(_), Some(irqs)) => {
            let seconds = match who {
                Who::Cpu(cpu) => waits.log.stuck.get(&cpu).and_then(|s| s.seconds),
                Who::Task(_) => None,
            };
            if waits.log.guest.is_some() && seconds.is_some() {
                let words = format!(
                    "{who} has interrupts on (line {}){place} and waits for nobody, yet is stuck for {} s: such a CPU does not run. This is a guest; look at the host",
                    irqs.line,
                    seconds.unwrap_or(0)
                );
                Outcome::ends(Because::HostStall, words, line)
            } else {
                Outcome::ends(
                    Because::InterruptsOn,
                    format!(
                        "{who} has interrupts on (line {}){place} and waits for nobody",
                        irqs.line
                    ),
                    line,
                )
            }
        }
        (Doing::Runs(why), None) if stuck.is_some() => Outcome::ends(
            Because::LongSection,
            format!("{who} waits for nobody: {why}"),
            line,
        ),
        _ => Outcome::unknown(
            format!("whether {who} has interrupts on is not in the log"),
            &[get::SYSRQ_L],
        ),
    }
}

/// Whether a wait ends.
pub(super) fn outcome(waits: &Waits<'_>, of: &Situation, path: &mut Vec<Who>) -> Outcome {
    match &of.doing {
        Doing::AwaitsAcks => acks(waits, of, path),
        Doing::Spins(lock) | Doing::SleepsFor(lock) => {
            let holders = waits.holders(of, lock);
            if holders.is_empty() {
                let words = format!(
                    "nothing names the holder of {}, which {} waits for",
                    lock.words(),
                    of.who
                );
                return Outcome::unknown(words, &[get::ALL_CPUS, get::SYSRQ_L, get::LOCKDEP]);
            }
            let each = holders.iter().map(|(who, line, _)| {
                follow(waits, *who, path).and(Outcome::ends(
                    Because::HolderRuns,
                    format!("{who} holds {}", lock.words()),
                    *line,
                ))
            });
            each.reduce(Outcome::and)
                .unwrap_or_else(|| Outcome::Ends(Vec::new()))
        }
        Doing::Rendezvous { .. } => {
            let others: Vec<&&Situation> = waits
                .of
                .values()
                .filter(|s| {
                    matches!(s.who, Who::Cpu(_)) && !matches!(s.doing, Doing::Rendezvous { .. })
                })
                .collect();
            if others.is_empty() {
                return Outcome::unknown(
                    format!(
                        "{} waits until all CPUs come, and the one that does not is not shown",
                        of.who
                    ),
                    &[get::SYSRQ_L, get::ALL_CPUS],
                );
            }
            let each = others.iter().map(|s| follow(waits, s.who, path));
            each.reduce(Outcome::and)
                .unwrap_or_else(|| Outcome::Ends(Vec::new()))
        }
        _ => {
            let place = of.place.as_ref().map_or("", |p| &p.0);
            Outcome::unknown(
                format!(
                    "whose handler {} awaits in {place} is not in the log",
                    of.who
                ),
                &[get::SYSRQ_L, get::FTRACE],
            )
        }
    }
}

/// The innermost frames of a CPU are missing.
fn lost(of: &Situation) -> Outcome {
    Outcome::unknown(
        format!(
            "lines of {}'s backtrace (line {}) are missing, so where it is, is not known",
            of.who, of.line
        ),
        &[get::AGAIN],
    )
}

/// What becomes of the context that is waited for as the holder of a lock.
fn follow(waits: &Waits<'_>, who: Who, path: &mut Vec<Who>) -> Outcome {
    let Some(of) = waits.of.get(&who) else {
        return Outcome::unknown(
            format!("where {who} is, is not in the log"),
            &[get::SYSRQ_L, get::ALL_CPUS],
        );
    };
    if path.contains(&who) {
        return Outcome::unknown(
            format!("{who} waits in turn, and not every step of that is sure"),
            &[get::CSD],
        );
    }
    path.push(who);
    let outcome = if of.doing.waits() {
        outcome(waits, of, path)
    } else {
        match &of.doing {
            Doing::Runs(_) | Doing::User | Doing::Idle => runs(waits, of, Some(of.line)),
            Doing::NotKnown(_) if of.moved => Outcome::ends(
                Because::HolderRuns,
                format!("{who} moved between its reports: it runs"),
                of.line,
            ),
            Doing::NotKnown(function) => Outcome::unknown(
                format!(
                    "{who} is in {function}, which this tool does not know: it may run or wait"
                ),
                &[get::AGAIN],
            ),
            Doing::NotShown(why) => Outcome::unknown(
                format!("where {who} is, is not in the log: {why}"),
                &[get::SYSRQ_L, get::ALL_CPUS],
            ),
            _ => Outcome::unknown(
                format!("what {who} does is not in the log"),
                &[get::SYSRQ_L],
            ),
        }
    };
    path.pop();
    outcome
}

/// Whether an awaited CPU takes its interrupt.
fn taken(waits: &Waits<'_>, to: u32, path: &mut Vec<Who>) -> Outcome {
    let who = Who::Cpu(to);
    if let Some(line) = waits.log.offline.get(&to)
        && waits
            .of
            .get(&who)
            .is_none_or(|s| s.line < *line || matches!(s.doing, Doing::NotShown(_)))
    {
        return Outcome::ends(
            Because::Offline,
            format!("CPU{to} is offline: nobody answers, and no lock is involved"),
            *line,
        );
    }
    let Some(of) = waits.of.get(&who) else {
        return Outcome::unknown(
            format!("where CPU{to} is, is not in the log"),
            &[get::SYSRQ_L, get::ALL_CPUS, get::CSD],
        );
    };
    if of.doing == Doing::Offline {
        return Outcome::ends(Because::Offline, format!("CPU{to} is offline"), of.line);
    }
    if !of.placed
        && of.irqs.as_ref().is_some_and(|i| i.on)
        && !matches!(of.doing, Doing::NotShown(_))
    {
        return lost(of);
    }
    match (&of.irqs, of.doing.waits()) {
        // It takes the interrupt where it waits.
        (Some(irqs), true) if irqs.on => Outcome::ends(
            Because::InterruptsOn,
            format!("{who} waits, too, but with interrupts on: it answers"),
            irqs.line,
        ),
        (_, true) => follow(waits, who, path),
        (Some(irqs), false)
            if irqs.on
                && matches!(of.doing, Doing::NotKnown(_))
                && waits.log.stuck.get(&to).is_some_and(|s| !s.hard)
                && of.context == Context::Softirq =>
        {
            Outcome::ends(
                Because::StarvingSoftirq,
                format!("{who} has interrupts on and runs softirqs"),
                irqs.line,
            )
        }
        (Some(irqs), false) if irqs.on && matches!(of.doing, Doing::NotKnown(_)) => Outcome::ends(
            Because::InterruptsOn,
            format!("{who} has interrupts on: it answers, whatever it does"),
            irqs.line,
        ),
        _ => follow(waits, who, path),
    }
}

fn acks(waits: &Waits<'_>, of: &Situation, path: &mut Vec<Who>) -> Outcome {
    let Who::Cpu(cpu) = of.who else {
        return Outcome::unknown(
            format!("which CPU {} is on is not in the log", of.who),
            &[get::SYSRQ_L],
        );
    };
    let log = waits.log;
    let targets = waits.targets.get(&of.who).map_or(&[][..], Vec::as_slice);
    if targets.is_empty()
        && let Some(wait) = log
            .csd
            .values()
            .find(|w| w.from == cpu && w.ended.is_some_and(|line| line > of.line))
    {
        let words = format!(
            "CPU{}'s wait for CPU{} ended: the kernel says it got unstuck",
            wait.from, wait.to
        );
        return Outcome::ends(Because::WaitEnded, words, wait.ended.unwrap_or(0));
    }
    let others: Vec<u32> = waits
        .of
        .values()
        .filter_map(|s| {
            if let Who::Cpu(c) = s.who {
                Some(c)
            } else {
                None
            }
        })
        .filter(|c| *c != cpu)
        .collect();
    // Every CPU of the machine is here, or only CPUs that the watchdog complained about.
    let shown = |c: u32| {
        c == cpu
            || (others.contains(&c) && !matches!(waits.of[&Who::Cpu(c)].doing, Doing::NotShown(_)))
    };
    let asked =
        log.asked.len() > 1 && log.asked.contains(&cpu) && log.asked.iter().all(|c| shown(*c));
    let counted = log
        .number_of_cpus
        .is_some_and(|(n, _)| n > 1 && (0..n).all(|c| shown(c) || log.offline.contains_key(&c)));
    let every = |path: &mut Vec<Who>| {
        let each: Vec<Outcome> = others.iter().map(|c| taken(waits, *c, path)).collect();
        each.into_iter().reduce(Outcome::and)
    };
    if !targets.is_empty() {
        let each: Vec<Outcome> = targets
            .iter()
            .map(|t| {
                let outcome = taken(waits, t.cpu, path);
                match (&t.how, &outcome) {
                    // Arithmetic with registers is enough to suspect a CPU, and too little to clear all others.
                    (How::Inferred(why), Outcome::Ends(_)) => {
                        if let (true, Some(ends @ Outcome::Ends(_))) =
                            (asked || counted, every(path))
                        {
                            return ends;
                        }
                        Outcome::unknown(
                            format!("that {} awaits CPU{} is inferred: {why}", of.who, t.cpu),
                            &[get::CSD, get::SYSRQ_L, get::ALL_CPUS],
                        )
                    }
                    _ => outcome,
                }
            })
            .collect();
        return each
            .into_iter()
            .reduce(Outcome::and)
            .unwrap_or_else(|| Outcome::Ends(Vec::new()));
    }
    let stuck: Vec<u32> = others
        .iter()
        .copied()
        .filter(|c| log.stuck.contains_key(c))
        .collect();
    let unshown = log.stuck.keys().any(|c| !shown(*c));
    if asked || counted || (!stuck.is_empty() && !unshown) {
        let which = if asked || counted { &others } else { &stuck };
        let each: Vec<Outcome> = which.iter().map(|c| taken(waits, *c, path)).collect();
        return each
            .into_iter()
            .reduce(Outcome::and)
            .unwrap_or_else(|| Outcome::Ends(Vec::new()));
    }
    let place = of.place.as_ref().map_or("", |p| &p.0);
    let words =
        format!("whom CPU{cpu} awaits in {place} is not in the log, nor where the other CPUs are");
    Outcome::unknown(words, &[get::ALL_CPUS, get::SYSRQ_L, get::CSD])
}
