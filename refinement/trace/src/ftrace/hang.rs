//! Who waits for whom where the trace ends, and whether any of that can still end.
//!
//! | waits for | and so for |
//! |---|---|
//! | a lock (`lock_contended`, no `lock_acquired`) | whoever holds it |
//! | an acknowledgement (`csd_queue_cpu`, no `csd_function_exit`) | what executes on the target, if that waits itself, with interrupts off |
//! | the end of an interrupt on top of it | the interrupt, if that waits |
//!
//! The *stuck* contexts are the greatest set of waiting contexts of which each waits for another member, as in
//! `State::stuck` of the protocol. Those on a cycle are the deadlock; the others, the bystanders, wait for it.
//!
//! # Limitations
//! No event says that a wait for acknowledgements is over, so a sender counts as waiting until it does something else. A
//! holder that took its lock before the trace began, or in a gap, is not known. Either way a hang is missed, not made up.

use super::class::Name;
use super::console::Stack;
use super::context::{Context, Key, Off, Request};
use super::line::Level;
use super::place::{Address, Place, Task, Time};
use super::watch::Watch;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A lock, and since when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LockAt {
    /// Its class.
    pub class: Name,
    /// Its address.
    pub address: Address,
    /// The line.
    pub since: Place,
}

/// What a context waits for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// A lock.
    Lock {
        /// The lock, and where it began to try.
        #[serde(flatten)]
        lock: LockAt,
        /// Where it found it taken.
        contended: Option<Place>,
        /// Who holds it, as far as was seen.
        holders: Vec<String>,
    },
    /// Acknowledgements.
    Acknowledgements {
        /// The requests, answered ones included.
        requests: Vec<Request>,
        /// Where the IPIs were sent.
        sent: Option<Place>,
    },
    /// The interrupt on top of it.
    Interrupt,
}

/// A context that waits where the trace ends.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// The CPU it was last seen on.
    pub cpu: u16,
    /// The task.
    pub task: Task,
    /// Its level.
    pub level: Level,
    /// It waits with interrupts off.
    pub irqs_off: bool,
    /// Who turned them off, if that was seen.
    pub off: Option<Off>,
    /// What it holds.
    pub holds: Vec<LockAt>,
    /// What it waits for.
    pub wait: Wait,
    /// For how long, until the trace ends.
    pub waited: Option<String>,
    /// The last line of its CPU.
    pub last: Place,
    /// What the console printed of that CPU's stack.
    pub stack: Option<Stack>,
}

impl Standing {
    /// `CPU1 (wl-65)`.
    pub fn who(&self) -> String {
        who(self.cpu, self.task, self.level)
    }

    /// Acknowledgements that never came.
    pub fn missing(&self) -> impl Iterator<Item = &Request> {
        let requests = match &self.wait {
            Wait::Acknowledgements { requests, .. } => &requests[..],
            _ => &[],
        };
        requests.iter().filter(|r| r.answered.is_none())
    }
}

fn who(cpu: u16, task: Task, level: Level) -> String {
    match level {
        Level::Task => format!("CPU{cpu} ({task})"),
        Level::Softirq => format!("CPU{cpu} (softirq on {task})"),
        Level::Hardirq => format!("CPU{cpu} (interrupt on {task})"),
        Level::Nmi => format!("CPU{cpu} (NMI on {task})"),
    }
}

/// A row of the columns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// The line of the trace.
    pub line: u64,
    /// Whose column.
    pub cpu: u16,
    /// When.
    pub time: Time,
    /// What happens there.
    pub text: String,
}

/// A hang.
#[derive(Clone, Debug, Serialize)]
pub struct Hang {
    /// Those that wait for each other.
    pub cycle: Vec<Standing>,
    /// Those that wait for them.
    pub bystanders: Vec<Standing>,
    /// How it came to that, in the order of the trace.
    pub rows: Vec<Row>,
    /// In one sentence.
    pub sentence: String,
    /// The last time of the trace.
    pub ends: Option<Time>,
}

/// What stands where the trace ends.
#[derive(Clone, Debug, Default, Serialize)]
pub struct End {
    /// A hang, if there is one.
    pub hang: Option<Hang>,
    /// Waits that may still end.
    pub standing: Vec<Standing>,
}

/// A context that waits, and for whom.
struct Node {
    key: Key,
    standing: Standing,
    for_whom: Vec<Key>,
}

/// Looks at the end.
pub fn end(watch: &Watch, stacks: &BTreeMap<u16, Stack>) -> End {
    let mut nodes: BTreeMap<Key, Node> = BTreeMap::new();
    for (key, context) in watch.contexts.iter() {
        if let Some(wait) = waiting(watch, key, context) {
            nodes.insert(key, node(watch, stacks, key, context, wait));
        }
    }
    // What an interrupt that waits is on top of waits too.
    let tops: Vec<Key> = nodes
        .keys()
        .copied()
        .filter(|k| k.level() > Level::Task)
        .collect();
    for (key, context) in watch.contexts.iter() {
        let above = |top: &Key| match *top {
            Key::Cpu(cpu, level) => {
                cpu == context.last.cpu && level > key.level() && runs_on(watch, key, context)
            }
            Key::Task(_) => false,
        };
        if nodes.contains_key(&key) || context.is_empty() {
            continue;
        }
        if let Some(top) = tops.iter().copied().find(above) {
            let mut node = node(watch, stacks, key, context, Wait::Interrupt);
            node.for_whom = vec![top];
            nodes.insert(key, node);
        }
    }
    let targets: BTreeMap<Key, Vec<Key>> = nodes
        .iter()
        .map(|(key, node)| (*key, owing(&nodes, node)))
        .collect();
    for (key, more) in targets {
        if let Some(node) = nodes.get_mut(&key) {
            node.for_whom.extend(more);
        }
    }
    let mut stuck: BTreeSet<Key> = nodes.keys().copied().collect();
    loop {
        let free = |key: &&Key| !nodes[*key].for_whom.iter().any(|k| stuck.contains(k));
        let Some(free) = stuck.iter().find(free).copied() else {
            break;
        };
        stuck.remove(&free);
    }
    let cycle: BTreeSet<Key> = stuck
        .iter()
        .copied()
        .filter(|k| reaches(&nodes, *k))
        .collect();
    let ends = watch.machine.latest();
    let (mut on, mut off, mut standing) = (Vec::new(), Vec::new(), Vec::new());
    for (key, node) in nodes {
        if cycle.contains(&key) {
            on.push(node);
        } else if stuck.contains(&key) {
            off.push(node);
        } else {
            standing.push(node.standing);
        }
    }
    let by_cpu = |n: &Node| (n.standing.cpu, n.standing.level, n.key);
    on.sort_by_key(by_cpu);
    off.sort_by_key(by_cpu);
    let hang = (!on.is_empty()).then(|| {
        let cycle: Vec<Standing> = on.into_iter().map(|n| n.standing).collect();
        let bystanders: Vec<Standing> = off.into_iter().map(|n| n.standing).collect();
        Hang {
            rows: rows(&cycle, &bystanders),
            sentence: cycle.iter().map(clause).collect::<Vec<_>>().join("; ") + ".",
            cycle,
            bystanders,
            ends,
        }
    });
    standing.sort_by_key(|s| (s.cpu, s.level));
    End { hang, standing }
}

/// Is the task of this context the one that is on its CPU?
fn runs_on(watch: &Watch, key: Key, context: &Context) -> bool {
    match key {
        Key::Task(pid) => {
            let cpu = watch.machine.get(context.last.cpu);
            cpu.is_some_and(|cpu| cpu.last.task.pid == pid)
        }
        Key::Cpu(..) => true,
    }
}

fn waiting(watch: &Watch, key: Key, context: &Context) -> Option<Wait> {
    if let Some(attempt) = context.attempts.last() {
        let holders = watch.contexts.holders(attempt.lock.address, key);
        if attempt.contended.is_none() && holders.is_empty() {
            // The trace ends between two lines of a lock that was free.
            return None;
        }
        let names = holders.iter().filter_map(|holder| {
            let there = watch.contexts.get(*holder)?.last;
            Some(who(there.cpu, there.task, holder.level()))
        });
        return Some(Wait::Lock {
            lock: LockAt {
                class: watch.classes.name(attempt.lock.class),
                address: attempt.lock.address,
                since: attempt.place,
            },
            contended: attempt.contended,
            holders: names.collect(),
        });
    }
    let awaiting = context.awaiting.as_ref()?;
    // Nobody is scheduled away from this wait.
    let open = awaiting.requests.iter().any(|r| r.answered.is_none());
    (open && runs_on(watch, key, context)).then(|| Wait::Acknowledgements {
        requests: awaiting.requests.clone(),
        sent: awaiting.sent,
    })
}

fn node(
    watch: &Watch,
    stacks: &BTreeMap<u16, Stack>,
    key: Key,
    context: &Context,
    wait: Wait,
) -> Node {
    let attempt = context
        .attempts
        .last()
        .filter(|_| matches!(wait, Wait::Lock { .. }));
    let began = match &wait {
        Wait::Lock { lock, .. } => lock.since.time,
        Wait::Acknowledgements { requests, .. } => {
            requests.last().map_or(context.last.time, |r| r.queued.time)
        }
        Wait::Interrupt => context.last.time,
    };
    let place = attempt.map_or(context.last, |a| a.place);
    let cpu = watch.machine.get(place.cpu);
    let holds = context.held.iter().map(|held| LockAt {
        class: watch.classes.name(held.lock.class),
        address: held.lock.address,
        since: held.since,
    });
    let for_whom = match &wait {
        Wait::Lock { lock, .. } => watch.contexts.holders(lock.address, key),
        _ => Vec::new(),
    };
    Node {
        key,
        for_whom,
        standing: Standing {
            cpu: place.cpu,
            task: place.task,
            level: key.level(),
            irqs_off: attempt.is_some_and(|a| a.irqs_off) || key.level() >= Level::Hardirq,
            off: attempt.and_then(|a| a.off.clone()),
            holds: holds.collect(),
            wait,
            waited: watch.machine.latest().and_then(|end| end.since(began)),
            last: cpu.map_or(context.last, |cpu| cpu.last),
            stack: stacks
                .get(&place.cpu)
                .filter(|s| !s.frames.is_empty())
                .cloned(),
        },
    }
}

/// The contexts that keep a target from acknowledging: what waits there with interrupts off.
fn owing(nodes: &BTreeMap<Key, Node>, node: &Node) -> Vec<Key> {
    let mut keys = Vec::new();
    for request in node.standing.missing().filter(|r| !r.out_of_sight) {
        let there = nodes.values().filter(|n| {
            n.standing.cpu == request.target
                && n.standing.irqs_off
                && !matches!(n.standing.wait, Wait::Interrupt)
        });
        keys.extend(there.map(|n| n.key));
    }
    keys
}

fn reaches(nodes: &BTreeMap<Key, Node>, start: Key) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = nodes[&start].for_whom.clone();
    while let Some(key) = next.pop() {
        if key == start {
            return true;
        }
        if seen.insert(key)
            && let Some(node) = nodes.get(&key)
        {
            next.extend(&node.for_whom);
        }
    }
    false
}

fn clause(standing: &Standing) -> String {
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
            format!("spins for {} {}, {by}", lock.class, lock.address)
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

/// The lines that matter.
fn rows(cycle: &[Standing], bystanders: &[Standing]) -> Vec<Row> {
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
                    row(&contended, "it is taken: spins".into());
                }
            }
            Wait::Acknowledgements { requests, sent } => {
                for r in requests {
                    row(
                        &r.queued,
                        format!(
                            "asks CPU{}: {}, csd {}, in {}",
                            r.target,
                            r.function(),
                            r.csd,
                            r.callsite
                        ),
                    );
                    if let Some(answered) = &r.answered {
                        row(answered, format!("acknowledges csd {}", r.csd));
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
