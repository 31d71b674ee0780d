//! The conclusion: a cycle, a cycle on one condition, no cycle for a reason that is in the log, or what to get.
//!
//! The wrong direction is worse than silence. *No cycle* needs a reason that a line gives for every wait; what is not
//! understood leads to *not decidable*. *Cycle* needs every edge.

use super::graph::{Cycle, Edge, Wait, Waits, cycle};
use super::lockdep::{Report, Splat};
use super::log::{CsdState, Log};
use super::situation::{Context, Doing, How, Situation, Who};
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

/// How to get what is missing.
pub mod get {
    /// Backtraces of all CPUs, of the next hang.
    pub const ALL_CPUS: &str =
        "sysctl kernel.softlockup_all_cpu_backtrace=1 kernel.hardlockup_all_cpu_backtrace=1";
    /// Backtraces of all CPUs, now.
    pub const SYSRQ_L: &str =
        "echo l > /proc/sysrq-trigger, or Alt-SysRq-l on the console, while it hangs";
    /// Who awaits whom.
    pub const CSD: &str = "csdlock_debug=1 on the command line (CONFIG_CSD_LOCK_WAIT_DEBUG): the kernel then names the CPU that is awaited";
    /// What happened before.
    pub const FTRACE: &str = "ftrace_dump_on_oops on the command line, with lock, irq and csd events on (docs/ftrace.md)";
    /// Who holds which lock.
    pub const LOCKDEP: &str = "CONFIG_PROVE_LOCKING and sysrq-d: the locks that each task holds";
    /// Whether a CPU moves.
    pub const AGAIN: &str = "sysrq-l once more, some seconds later: a CPU whose place changes runs";
    /// Whether the host runs the guest.
    pub const HOST: &str = "on the host, whether the vCPU threads run (ps -eLo stat,wchan,comm, or virsh qemu-monitor-command --hmp 'info cpus'): a paused or stolen vCPU looks the same";
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
            },
            (None, false) => {
                let condition = apart.unwrap_or_else(|| inferred.join(", and "));
                Verdict::CycleIf {
                    cycle: cycle.clone(),
                    condition,
                }
            }
        };
    }
    if let Some(cycle) = cross_call(waits) {
        let condition = cycle.missing().next().unwrap_or("").to_string();
        return Verdict::CycleIf { cycle, condition };
    }
    if let Some(verdict) = log.splats.iter().find_map(splat) {
        return verdict;
    }
    ends(waits, &edges)
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
    })
}

type Edge2<'a> = (&'a str, &'a str);

/// How a wait ends, or what is not known about it.
enum Outcome {
    Ends(Vec<(Because, String, u64)>),
    Unknown(Vec<String>, BTreeSet<&'static str>),
}

impl Outcome {
    fn ends(because: Because, words: impl Into<String>, line: u64) -> Outcome {
        Outcome::Ends(vec![(because, words.into(), line)])
    }

    fn unknown(words: impl Into<String>, get: &[&'static str]) -> Outcome {
        Outcome::Unknown(vec![words.into()], get.iter().copied().collect())
    }

    fn and(self, other: Outcome) -> Outcome {
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
            let runs_softirqs = situation.context == Context::Softirq
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
            format!("a dump of ftrace begins at line {dump}: `shootdown trace` reads it"),
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
    let shown = cpus
        .iter()
        .filter(|s| !matches!(s.doing, Doing::NotShown(_)))
        .count();
    let printing_only = cpus
        .iter()
        .all(|s| matches!(s.doing, Doing::Prints | Doing::Stopped));
    if shown == 0 || printing_only || !cpus.iter().all(|s| quiet(s)) {
        let unknown = if log.dumps == 0 {
            "there is no backtrace of a CPU in this log".to_string()
        } else {
            "no backtrace here shows what a CPU waits for".to_string()
        };
        return Verdict::NotDecidable {
            unknown: vec![unknown],
            get: vec![get::SYSRQ_L.into(), get::ALL_CPUS.into()],
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

/// A CPU that does not wait, and yet is stuck or awaited.
fn runs(waits: &Waits<'_>, of: &Situation, stuck: Option<u64>) -> Outcome {
    let who = of.who;
    let line = of.place.as_ref().map_or(of.line, |p| p.1);
    let place = of
        .place
        .as_ref()
        .map_or(String::new(), |p| format!(" in {}", p.0));
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

fn outcome(waits: &Waits<'_>, of: &Situation, path: &mut Vec<Who>) -> Outcome {
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

/// What becomes of whoever is waited for as the holder of a lock.
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
                && waits.log.stuck.contains_key(&to)
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
    if !targets.is_empty() {
        let each: Vec<Outcome> = targets.iter().map(|t| taken(waits, t.cpu, path)).collect();
        return each
            .into_iter()
            .reduce(Outcome::and)
            .unwrap_or_else(|| Outcome::Ends(Vec::new()));
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

/// What else the log says, that is worth knowing and decides nothing.
#[must_use]
pub fn notes(waits: &Waits<'_>) -> Vec<(String, u64)> {
    let log: &Log = waits.log;
    let mut notes = Vec::new();
    for situation in waits.of.values() {
        let (who, line) = (situation.who, situation.line);
        if situation.doing == Doing::AwaitsAcks {
            if let Some(irqs) = situation
                .irqs
                .as_ref()
                .filter(|i| !i.on && i.how == How::Printed)
            {
                notes.push((
                    format!("rule broken: {who} awaits acknowledgements with interrupts off"),
                    irqs.line,
                ));
            }
            if situation.context != Context::Task {
                notes.push((format!("rule broken: {who} makes a synchronous cross-call in a {}; make it asynchronous, or run it where it belongs", situation.context.name()), line));
            }
        }
    }
    for wait in log.csd.values() {
        let c = &wait.counters;
        if let (Some((_, queued)), Some((sent, _))) = (c.queued, c.sent) {
            let since = c.taken.is_some_and(|(taken, _)| taken > sent);
            let words = if since {
                format!(
                    "the counters show that CPU{} took the interrupt of CPU{}'s request",
                    wait.to, wait.from
                )
            } else {
                format!(
                    "the counters show that CPU{}'s request was queued and its IPI sent, and that CPU{} has taken no interrupt for it since",
                    wait.from, wait.to
                )
            };
            notes.push((words, queued));
        }
        if let Some((CsdState::HandlingThis | CsdState::HandlingPrior, line)) = wait.state {
            notes.push((format!("CPU{} is inside the handler of a request: not waiting for the interrupt, but for what the handler does", wait.to), line));
        }
    }
    for (cpu, n) in &log.reports {
        if *n > 1
            && waits
                .of
                .get(&Who::Cpu(*cpu))
                .is_some_and(|s| s.samples > 1 && !s.moved)
        {
            notes.push((format!("CPU{cpu} was reported stuck {n} times, always at the same place: a hang, not a slow section"), log.stuck[cpu].line));
        }
    }
    for (cpu, line) in &log.silent {
        notes.push((format!("CPU{cpu} did not answer the request for a backtrace: not even its NMI, or it is hard off"), *line));
    }
    for line in log.host_hints.iter().take(2) {
        notes.push((
            "the kernel's own threads or timers did not run: as on a stalled host".into(),
            *line,
        ));
    }
    for (name, who) in same_mm(waits) {
        notes.push((name, who));
    }
    notes
}

fn same_mm(waits: &Waits<'_>) -> Vec<(String, u64)> {
    let waiting: Vec<&&Situation> = waits
        .of
        .values()
        .filter(|s| s.doing.waits() && s.mm.is_some())
        .collect();
    let mut notes = Vec::new();
    for (i, a) in waiting.iter().enumerate().take(16) {
        for b in waiting.iter().skip(i + 1).take(16) {
            if a.mm == b.mm {
                notes.push((
                    format!("{} and {} are on the same mm (CR3)", a.who, b.who),
                    b.registers.line("CR3").unwrap_or(b.line),
                ));
            }
        }
    }
    notes
}
