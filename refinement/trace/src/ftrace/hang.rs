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

use super::class::{Name, Part};
use super::console::Stack;
use super::context::{Attempt, Context, Key, Off, Request, Told};
use super::line::Level;
use super::place::{Address, Place, Task, Time, Unit};
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
        /// Where the flush began, if only that is in the trace.
        #[serde(skip_serializing_if = "Option::is_none")]
        told: Option<Told>,
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
    /// The stack that the trace has of the attempt, or of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
}

impl Standing {
    /// `CPU1 (wl-65)`.
    pub fn who(&self) -> String {
        who(self.cpu, self.task, self.level)
    }

    /// When the wait began.
    pub fn since(&self) -> Time {
        began(&self.wait, self.last.time)
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
    /// What is not in the trace and has to hold: without any of it the deadlock is certain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumes: Vec<String>,
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
    /// Those for whom it waits only if something holds that is not in the trace: which, and what.
    perhaps: Vec<(Key, String)>,
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
    for (key, more) in assumed(watch, &nodes) {
        if let Some(node) = nodes.get_mut(&key) {
            node.for_whom.extend(more.iter().map(|(whom, _)| *whom));
            node.perhaps = more;
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
        let assumes = on.iter().flat_map(|n| &n.perhaps);
        let mut assumes: Vec<String> = assumes
            .filter(|(whom, _)| cycle.contains(whom))
            .map(|(_, what)| what.clone())
            .collect();
        assumes.dedup();
        let cycle: Vec<Standing> = on.into_iter().map(|n| n.standing).collect();
        let bystanders: Vec<Standing> = off.into_iter().map(|n| n.standing).collect();
        Hang {
            rows: rows(&cycle, &bystanders),
            sentence: cycle.iter().map(clause).collect::<Vec<_>>().join("; ") + ".",
            cycle,
            bystanders,
            assumes,
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
    if let Some(attempt) = attempt(context) {
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
    let mut requests = awaiting.requests.clone();
    for request in requests.iter_mut().filter(|r| r.csd.is_none()) {
        // Whoever has interrupts on takes the IPI.
        let on = watch
            .machine
            .get(request.target)
            .and_then(|cpu| cpu.last_on);
        request.answered = request
            .answered
            .or(on.filter(|on| on.line > request.queued.line));
    }
    // Nobody is scheduled away from this wait.
    let open = requests.iter().any(|r| r.answered.is_none());
    let unnamed = requests.is_empty() && awaiting.told.is_some();
    ((open || unnamed) && runs_on(watch, key, context)).then(|| Wait::Acknowledgements {
        requests,
        sent: awaiting.sent,
        told: awaiting.told.clone(),
    })
}

/// What it tries to take; without lock events, what `contention_begin` says.
fn attempt(context: &Context) -> Option<&Attempt> {
    context.attempts.last().or(context.contended.as_ref())
}

/// A wait shorter than this may be any: nothing is assumed of it.
const LONG: u64 = 1_000;

/// Who may wait for whom, if something holds that is not in the trace.
fn assumed(watch: &Watch, nodes: &BTreeMap<Key, Node>) -> Vec<(Key, Vec<(Key, String)>)> {
    let spins_off = |n: &&Node| n.standing.irqs_off && matches!(n.standing.wait, Wait::Lock { .. });
    let mut all = Vec::new();
    for node in nodes.values() {
        let mut perhaps = Vec::new();
        match &node.standing.wait {
            // To whom the flush went is not known: only who has had interrupts off ever since has not answered.
            Wait::Acknowledgements {
                requests,
                told: Some(told),
                ..
            } if requests.is_empty() => {
                for other in nodes
                    .values()
                    .filter(spins_off)
                    .filter(|n| n.standing.cpu != node.standing.cpu)
                {
                    let since = watch
                        .machine
                        .get(other.standing.cpu)
                        .and_then(|cpu| cpu.off_since);
                    if since.is_some_and(|since| since.line < told.place.line) {
                        perhaps.push((other.key, format!(
                            "CPU{} is among those whose acknowledgement {} awaits: of the flush only `tlb_flush` in line {} is recorded, not the requests. CPU{0} has had interrupts off since before that line",
                            other.standing.cpu, node.standing.who(), told.place.line
                        )));
                    }
                }
            }
            // The CPU has no line from before the request, but none that answers it either.
            Wait::Acknowledgements { .. } => {
                for request in node
                    .standing
                    .missing()
                    .filter(|r| r.out_of_sight && !watch.machine.has_gap(r.target))
                {
                    let counts = request.queued.time.unit == Unit::Count;
                    let there = nodes
                        .values()
                        .filter(spins_off)
                        .filter(|n| n.standing.cpu == request.target);
                    perhaps.extend(
                        there
                            .filter(|n| counts || (waited(watch, n) && waited(watch, node)))
                            .map(|n| {
                                let first = watch
                                    .machine
                                    .get(request.target)
                                    .map_or(0, |cpu| cpu.first.line);
                                (
                                    n.key,
                                    format!(
                                        "CPU{} had not answered before its first line, {first}",
                                        request.target
                                    ),
                                )
                            }),
                    );
                }
            }
            // Nobody was seen to take the lock: it may be whoever waits for this CPU.
            Wait::Lock { lock, holders, .. } if holders.is_empty() && node.standing.irqs_off => {
                for other in nodes
                    .values()
                    .filter(|n| n.standing.cpu != node.standing.cpu)
                {
                    let for_this = owing(nodes, other).contains(&node.key);
                    if for_this && waited(watch, other) && waited(watch, node) {
                        perhaps.push((
                            other.key,
                            format!(
                                "{} holds {} {}: nobody was seen to take it",
                                other.standing.who(),
                                lock.class,
                                lock.address
                            ),
                        ));
                    }
                }
            }
            _ => {}
        }
        if !perhaps.is_empty() {
            all.push((node.key, perhaps));
        }
    }
    all
}

/// Has it waited long enough that something is wrong?
fn waited(watch: &Watch, node: &Node) -> bool {
    let began = began(&node.standing.wait, node.standing.last.time);
    let long = |end: Time| {
        end.unit == began.unit
            && end.unit != Unit::Count
            && end.value.saturating_sub(began.value) >= LONG
    };
    watch.machine.latest().is_some_and(long)
}

/// When a wait began.
fn began(wait: &Wait, last: Time) -> Time {
    match wait {
        Wait::Lock { lock, .. } => lock.since.time,
        Wait::Acknowledgements { requests, told, .. } => {
            let told = told.as_ref().map_or(last, |told| told.place.time);
            requests.last().map_or(told, |r| r.queued.time)
        }
        Wait::Interrupt => last,
    }
}

fn node(
    watch: &Watch,
    stacks: &BTreeMap<u16, Stack>,
    key: Key,
    context: &Context,
    wait: Wait,
) -> Node {
    let attempt = attempt(context).filter(|_| matches!(wait, Wait::Lock { .. }));
    let began = began(&wait, context.last.time);
    let frames = match (&wait, attempt) {
        (_, Some(attempt)) => attempt.stack.clone(),
        (Wait::Acknowledgements { requests, told, .. }, _) => {
            let by_request = requests.iter().map(|r| &r.stack).find(|s| !s.is_empty());
            let by_flush = told.as_ref().map(|told| &told.stack);
            by_request.or(by_flush).cloned().unwrap_or_default()
        }
        _ => Vec::new(),
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
        perhaps: Vec::new(),
        standing: Standing {
            cpu: place.cpu,
            task: place.task,
            level: key.level(),
            irqs_off: attempt.is_some_and(|a| a.irqs_off) || key.level() >= Level::Hardirq,
            off: attempt.and_then(|a| a.off.clone()),
            holds: holds.collect(),
            wait,
            frames,
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
