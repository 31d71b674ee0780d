//! The greatest set of contexts of which each waits for another member, and the cycle in it.

use super::assumed::assumed;
use super::render::{clause, rows};
use super::{End, Hang, LockAt, Standing, Wait, who};
use crate::ftrace::console::Stack;
use crate::ftrace::context::{Attempt, Context, Key};
use crate::ftrace::line::Level;
use crate::ftrace::place::Time;
use crate::ftrace::watch::Watch;
use std::collections::{BTreeMap, BTreeSet};

/// A context that waits, and for whom.
pub(super) struct Node {
    pub(super) key: Key,
    pub(super) standing: Standing,
    pub(super) for_whom: Vec<Key>,
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
        // A CPU with interrupts on takes the IPI.
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

/// When a wait began.
pub(super) fn began(wait: &Wait, last: Time) -> Time {
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
pub(super) fn owing(nodes: &BTreeMap<Key, Node>, node: &Node) -> Vec<Key> {
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
