//! Who waits for whom, and the shortest cycle with the fewest facts missing.

use super::log::Log;
use super::situation::{Context, Doing, How, LockName, Situation, Who};
use super::target::Target;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// How many waiting CPUs and tasks are looked at for holders that nobody names.
const GUESSES: usize = 128;

/// What an edge is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// For an acknowledgement.
    Acks,
    /// For a lock.
    Lock(LockName),
    /// For a CPU to reach a rendezvous.
    Rendezvous,
    /// For the end of a handler.
    Handler,
}

/// One waits for another, who cannot act before something else happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// Who waits.
    pub from: Who,
    /// For whom.
    pub to: Who,
    /// For what.
    pub wait: Wait,
    /// The line that says so.
    pub line: u64,
    /// In words: "CPU2 awaits CPU1's acknowledgement".
    pub words: String,
    /// What would have to hold, if it is not in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// What was inferred.
    pub inferred: Vec<String>,
}

/// A cycle: every one waits for the next, the last for the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cycle {
    /// Its edges.
    pub edges: Vec<Edge>,
}

impl Cycle {
    /// Facts that are missing.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.edges.iter().filter_map(|e| e.missing.as_deref())
    }

    /// Facts that are inferred.
    pub fn inferred(&self) -> impl Iterator<Item = &str> {
        self.edges
            .iter()
            .flat_map(|e| e.inferred.iter().map(String::as_str))
    }
}

/// What there is to know about the waits of a log.
pub struct Waits<'a> {
    /// By CPU and task.
    pub of: BTreeMap<Who, &'a Situation>,
    /// Awaited CPUs, by who awaits them.
    pub targets: BTreeMap<Who, Vec<Target>>,
    /// The log.
    pub log: &'a Log,
}

impl<'a> Waits<'a> {
    /// Whether a CPU cannot take an interrupt: `None` is not known.
    #[must_use]
    pub fn irqs_off(&self, who: Who) -> Option<(bool, &'a How)> {
        let situation = self.of.get(&who)?;
        if matches!(situation.doing, Doing::Idle | Doing::User) {
            return None;
        }
        situation.irqs.as_ref().map(|irqs| (!irqs.on, &irqs.how))
    }

    /// Who holds the lock that somebody waits for, as lines say.
    #[must_use]
    pub fn holders(&self, waiter: &Situation, lock: &LockName) -> Vec<(Who, u64, Option<String>)> {
        let mut holders: Vec<(Who, u64, Option<String>)> = Vec::new();
        for owner in &self.log.owners {
            let same = match lock.address {
                Some((address, _)) => owner.address == Some(address),
                // Where the registers do not show the lock, the report says whose spinning it is about.
                None => {
                    owner.spinner.is_some_and(|cpu| waiter.who == Who::Cpu(cpu))
                        && matches!(waiter.doing, Doing::Spins(_))
                }
            };
            let holder = Who::Cpu(owner.cpu);
            if same && !holders.iter().any(|(who, ..)| *who == holder) {
                holders.push((holder, owner.line, None));
            }
        }
        if let Who::Task(pid) = waiter.who
            && let Some((_, owner, line)) = self.log.hung.get(&pid).and_then(|h| h.owner.as_ref())
        {
            holders.push((self.on_cpu(*owner), *line, None));
        }
        if let Some((traced, _)) = lock.traced {
            let holds = |s: &&&Situation| s.who != waiter.who && holds_traced(s, traced).is_some();
            let by_trace = self.of.values().filter(holds);
            holders.extend(by_trace.map(|s| (s.who, holds_traced(s, traced).unwrap_or(0), None)));
        }
        let by_list = self.log.held.iter().flat_map(|(pid, list)| {
            list.iter()
                .enumerate()
                .map(move |(i, held)| (pid, list.len(), i, held))
        });
        for (pid, length, i, held) in by_list {
            let who = self.on_cpu(*pid);
            if who == waiter.who {
                continue;
            }
            let same = match (lock.address, &lock.class) {
                (Some((address, _)), _) if held.map.is_some() => held.is_at(address),
                _ => false,
            };
            // The last lock of somebody who waits may be the one waited for.
            let waits = self
                .of
                .get(&who)
                .is_some_and(|s| matches!(s.doing, Doing::Spins(_) | Doing::SleepsFor(_)));
            if same && !(waits && i + 1 == length) {
                holders.push((who, held.line, None));
            }
        }
        holders
    }

    /// The CPU that runs a task, or the task.
    #[must_use]
    pub fn on_cpu(&self, pid: u32) -> Who {
        let running = self.of.values().find(|s| {
            matches!(s.who, Who::Cpu(_))
                && pid != 0
                && s.task.as_ref().is_some_and(|(_, p)| *p == Some(pid))
        });
        running.map_or(Who::Task(pid), |s| s.who)
    }

    /// All edges, those that need a guess included.
    #[must_use]
    pub fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for situation in self.of.values() {
            match &situation.doing {
                Doing::AwaitsAcks => self.acks(situation, &mut edges),
                Doing::Spins(lock) | Doing::SleepsFor(lock) => {
                    self.lock(situation, lock, &mut edges)
                }
                Doing::Rendezvous { stoppers } => self.rendezvous(situation, *stoppers, &mut edges),
                Doing::AwaitsHandler => self.handler(situation, &mut edges),
                _ => {}
            }
        }
        edges
    }

    /// Whether an awaited CPU keeps the waiter waiting: it has interrupts off, or may have.
    fn blocked(&self, to: Who) -> Option<(Option<String>, Vec<String>)> {
        match self.irqs_off(to) {
            Some((true, How::Printed)) => Some((None, Vec::new())),
            Some((true, How::Inferred(why))) => {
                Some((None, vec![format!("interrupts are off on {to}: {why}")]))
            }
            Some((false, _)) => None,
            None if matches!(
                self.of.get(&to)?.doing,
                Doing::Idle | Doing::User | Doing::Offline
            ) =>
            {
                None
            }
            None => Some((Some(format!("interrupts are off on {to}")), Vec::new())),
        }
    }

    fn acks(&self, of: &Situation, edges: &mut Vec<Edge>) {
        let words = |to: Who| format!("{} awaits {to}'s acknowledgement", of.who);
        let targets = self.targets.get(&of.who).map_or(&[][..], Vec::as_slice);
        for target in targets {
            let to = Who::Cpu(target.cpu);
            if let Some((missing, mut inferred)) = self.blocked(to) {
                if let How::Inferred(why) = &target.how {
                    inferred.push(format!("{} awaits {to}: {why}", of.who));
                }
                edges.push(Edge {
                    from: of.who,
                    to,
                    wait: Wait::Acks,
                    line: target.line,
                    words: words(to),
                    missing,
                    inferred,
                });
            }
        }
        if !targets.is_empty() {
            return;
        }
        // Nobody names the target: it is one of those that cannot take an interrupt.
        let deaf: Vec<Who> = self
            .of
            .values()
            .filter(|s| s.who != of.who && matches!(s.who, Who::Cpu(_)) && s.doing.waits())
            .filter(|s| self.irqs_off(s.who).is_some_and(|(off, _)| off))
            .map(|s| s.who)
            .collect();
        for to in deaf.iter().take(GUESSES) {
            let Some((missing, mut inferred)) = self.blocked(*to) else {
                continue;
            };
            let mut edge = Edge {
                from: of.who,
                to: *to,
                wait: Wait::Acks,
                line: of.line,
                words: words(*to),
                missing,
                inferred: Vec::new(),
            };
            if deaf.len() == 1 {
                inferred.push(format!(
                    "{} awaits {to}: it is the only CPU here that waits with interrupts off",
                    of.who
                ));
            } else {
                edge.missing
                    .get_or_insert(format!("{} awaits {to}", of.who));
            }
            edge.inferred = inferred;
            edges.push(edge);
        }
    }

    fn lock(&self, of: &Situation, lock: &LockName, edges: &mut Vec<Edge>) {
        let line = lock
            .address
            .as_ref()
            .map(|(_, l)| *l)
            .or(of.place.as_ref().map(|p| p.1))
            .unwrap_or(of.line);
        let name = lock.words();
        let verb = if matches!(of.doing, Doing::Spins(_)) {
            "spins"
        } else {
            "sleeps"
        };
        let words = |to: Who| format!("{} {verb} for {name}, held by {to}", of.who);
        // debugging spinlocks name the spinner's CPU even without an address.
        let holders = self.holders(of, lock);
        for (to, held_at, why) in &holders {
            let inferred = why.iter().cloned().collect();
            edges.push(Edge {
                from: of.who,
                to: *to,
                wait: Wait::Lock(lock.clone()),
                line: *held_at,
                words: words(*to),
                missing: None,
                inferred,
            });
        }
        if let Some(held) = of.holds.iter().find(|h| {
            let printed = h
                .map
                .zip(lock.address)
                .is_some_and(|(map, (address, _))| (0..=0x28).contains(&map.wrapping_sub(address)));
            let traced = h.traced.is_some() && h.traced == lock.traced.map(|(name, _)| name);
            h.how == How::Printed && (printed || traced)
        }) {
            edges.push(Edge {
                from: of.who,
                to: of.who,
                wait: Wait::Lock(lock.clone()),
                line: held.line,
                words: words(of.who),
                missing: None,
                inferred: Vec::new(),
            });
            return;
        }
        if !holders.is_empty() {
            return;
        }
        if matches!(of.doing, Doing::Spins(_))
            && of.context != Context::Task
            && let Some(why) = interrupted_in_it(of)
        {
            let missing = Some(format!("the code that {} interrupted holds {name}", of.who));
            edges.push(Edge {
                from: of.who,
                to: of.who,
                wait: Wait::Lock(lock.clone()),
                line,
                words: format!("{} spins in an interrupt for {name}, held by the code that it interrupted ({why})", of.who),
                missing,
                inferred: Vec::new(),
            });
        }
        let sleeping = matches!(of.doing, Doing::SleepsFor(_));
        for other in self
            .of
            .values()
            .filter(|s| s.who != of.who && s.doing.waits())
            .take(GUESSES)
        {
            let same = match &other.doing {
                Doing::Spins(theirs) | Doing::SleepsFor(theirs) => theirs.same(lock),
                _ => false,
            };
            // A task that sleeps for a lock holds no spinlock.
            let asleep = matches!(other.doing, Doing::SleepsFor(_)) && !sleeping;
            // A stopper thread holds none either, nor does what it preempted.
            let stopper = matches!(other.doing, Doing::Rendezvous { stoppers: true }) && !sleeping;
            if same || asleep || stopper {
                continue;
            }
            let hint = other
                .holds
                .iter()
                .find(|h| matches!(h.how, How::Inferred(_)));
            let mut missing = format!("{} holds {name}", other.who);
            if let Some(held) = hint
                && let How::Inferred(why) = &held.how
            {
                missing += &format!(" (inferred: it is under {}, for {why})", held.lock);
            }
            edges.push(Edge {
                from: of.who,
                to: other.who,
                wait: Wait::Lock(lock.clone()),
                line,
                words: words(other.who),
                missing: Some(missing),
                inferred: Vec::new(),
            });
        }
    }

    fn rendezvous(&self, of: &Situation, stoppers: bool, edges: &mut Vec<Edge>) {
        for other in self
            .of
            .values()
            .filter(|s| s.who != of.who && matches!(s.who, Who::Cpu(_)))
        {
            if matches!(other.doing, Doing::Rendezvous { .. }) || !other.doing.waits() {
                continue;
            }
            // A stopper needs its CPU to schedule, which nobody does who spins; an IPI needs interrupts on.
            let blocked = if stoppers {
                // A place alone may be another CPU's: below it is the thread that it runs in.
                let below = of.frames.iter().skip(1);
                let thread = below.map(|f| &*f.function).any(|f| f.contains("stop"));
                let why = format!(
                    "{} is in a stopper thread, of which no frame is here",
                    of.who
                );
                Some((None, if thread { Vec::new() } else { vec![why] }))
            } else {
                self.blocked(other.who)
            };
            if let Some((missing, inferred)) = blocked {
                edges.push(Edge {
                    from: of.who,
                    to: other.who,
                    wait: Wait::Rendezvous,
                    line: of.place.as_ref().map_or(of.line, |p| p.1),
                    words: format!(
                        "{} waits until {} comes to the rendezvous",
                        of.who, other.who
                    ),
                    missing,
                    inferred,
                });
            }
        }
    }

    fn handler(&self, of: &Situation, edges: &mut Vec<Edge>) {
        for other in self
            .of
            .values()
            .filter(|s| s.who != of.who && s.doing.waits() && s.context != Context::Task)
        {
            edges.push(Edge {
                from: of.who,
                to: other.who,
                wait: Wait::Handler,
                line: of.place.as_ref().map_or(of.line, |p| p.1),
                words: format!(
                    "{} waits for the end of a handler that runs on {}",
                    of.who, other.who
                ),
                missing: None,
                inferred: vec![format!(
                    "the handler that {} awaits is the one on {}, which is in a {}",
                    of.who,
                    other.who,
                    other.context.name()
                )],
            });
        }
    }
}

/// The line where somebody took a lock that a trace names so.
fn holds_traced(s: &Situation, traced: u64) -> Option<u64> {
    let held = s.holds.iter().find(|h| h.traced == Some(traced))?;
    Some(held.line)
}

/// Whether the interrupted code looks like a user of the same lock: it was caught taking or holding one, in the same
/// module or in a function of the same family.
fn interrupted_in_it(of: &Situation) -> Option<String> {
    let taker = of.frames.iter().find(|f| {
        !super::table::does(&f.function)
            .is_some_and(|d| d.spins() || d == super::table::Does::Helper)
    })?;
    let below = of.interrupted.first()?;
    let family = |name: &str| {
        let mut parts = name.trim_start_matches('_').split('_');
        Some((parts.next()?.to_string(), parts.next()?.to_string()))
    };
    let kin = below.iter().take(4).find(|f| {
        let module = f.module.is_some() && f.module == taker.module;
        let name = family(&f.function).is_some() && family(&f.function) == family(&taker.function);
        module || name || f.function == taker.function
    })?;
    Some(format!(
        "in {}, of the family of {}",
        kin.function, taker.function
    ))
}

/// The cycle with the fewest missing facts, then the fewest inferred ones, then the shortest. At most one fact may be
/// missing, unless `most` allows more.
#[must_use]
pub fn cycle(edges: &[Edge], most: usize) -> Option<Cycle> {
    let mut from: BTreeMap<Who, Vec<usize>> = BTreeMap::new();
    for (i, edge) in edges.iter().enumerate() {
        from.entry(edge.from).or_default().push(i);
    }
    let cost = |edge: &Edge| {
        (
            usize::from(edge.missing.is_some()),
            edge.inferred.len(),
            1 + guess(edge),
        )
    };
    let mut best: Option<((usize, usize, usize), Vec<usize>)> = None;
    for start in from.keys() {
        // Dijkstra from `start` back to it.
        let mut heap =
            BinaryHeap::from([std::cmp::Reverse(((0, 0, 0), *start, Vec::<usize>::new()))]);
        let mut done = BTreeSet::new();
        while let Some(std::cmp::Reverse((so_far, at, path))) = heap.pop() {
            if best.as_ref().is_some_and(|(cost, _)| *cost <= so_far) {
                break;
            }
            if at == *start && !path.is_empty() {
                best = Some((so_far, path));
                break;
            }
            if !path.is_empty() && !done.insert(at) {
                continue;
            }
            for i in from.get(&at).into_iter().flatten() {
                let edge = &edges[*i];
                let c = cost(edge);
                let sum = (so_far.0 + c.0, so_far.1 + c.1, so_far.2 + c.2);
                if sum.0 <= most && (edge.to == *start || !done.contains(&edge.to)) {
                    let mut path = path.clone();
                    path.push(*i);
                    heap.push(std::cmp::Reverse((sum, edge.to, path)));
                }
            }
        }
    }
    best.map(|(_, path)| Cycle {
        edges: path.into_iter().map(|i| edges[i].clone()).collect(),
    })
}

/// A guess with a hint is the better one.
fn guess(edge: &Edge) -> usize {
    match &edge.missing {
        Some(missing) if missing.contains("(inferred:") => 0,
        Some(_) => 1,
        None => 0,
    }
}
