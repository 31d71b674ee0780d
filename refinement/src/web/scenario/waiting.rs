//! Who waits for whom in a state of a scenario's run.

use super::run::what;
use crate::web::view::scenario::ScenarioWaitView;
use crate::web::view::wait::{EdgeKind, EdgeView, WaitForView};
use shootdown_ir::report::Story;
use shootdown_ir::system::ContextId;
use shootdown_ir::waits::Wait;

/// What a context waits for; `None` if it can take its next step.
pub(super) fn held_up(story: &Story<'_>, n: usize, context: ContextId) -> Option<ScenarioWaitView> {
    let (kind, on) = match story.wait(n, context)? {
        Wait::Lock { lock, element, .. } => ("lock", Some(story.lock_name(lock, element))),
        Wait::Acks { .. } | Wait::CallData { .. } => ("acks", None),
        Wait::Condition { .. } | Wait::Quiet { .. } | Wait::Readers { .. } => ("condition", None),
        Wait::Interrupted { .. } => ("interrupt", None),
        Wait::Drain { .. } => ("condition", None),
        Wait::Scheduled { .. } | Wait::Blocked { .. } => ("cpu", None),
    };
    Some(ScenarioWaitView {
        kind,
        on,
        text: story.wait_text(n, context).unwrap_or_default(),
    })
}

/// The wait-for graph: every wait, and the cycle where it is closed.
pub(super) fn wait_for(story: &Story<'_>, n: usize) -> WaitForView {
    let stuck = story.stuck();
    // Before the deadlock is closed, somebody in it could still go on.
    let closed = stuck != 0 && story.waits().closed(story.state(n), stuck) != 0;
    let cycle = match closed {
        true => story.cycle(n, stuck),
        false => Vec::new(),
    };
    let mut edges = Vec::new();
    for from in story.contexts() {
        let Some(wait) = story.wait(n, from) else {
            continue;
        };
        for to in wait.on() {
            let at = cycle.iter().position(|&c| c == from);
            let next = at.map(|at| cycle[(at + 1) % cycle.len()]);
            let (kind, on, label) = edge(story, n, &wait, from, to);
            edges.push(EdgeView {
                from: node(story, n, from),
                to: node(story, n, to),
                kind,
                on,
                label,
                in_cycle: next == Some(to),
            });
        }
    }
    WaitForView {
        edges,
        cycle: cycle.iter().map(|&c| node(story, n, c)).collect(),
        sentence: match closed {
            true => story.deadlock(n, stuck),
            false => None,
        },
    }
}

/// A context by what runs it; one that does not run yet by its name.
fn node(story: &Story<'_>, n: usize, context: ContextId) -> String {
    match story.is_thread(context) && story.stands_at(n, context).is_some() {
        true => story.who(context),
        false => format!("{} on CPU{}", what(story, context), story.cpu_of(context)),
    }
}

fn edge(
    story: &Story<'_>,
    n: usize,
    wait: &Wait,
    from: ContextId,
    to: ContextId,
) -> (EdgeKind, Option<String>, String) {
    match wait {
        Wait::Lock {
            lock,
            element,
            holders,
            ..
        } => {
            let name = story.lock_name(*lock, *element);
            let verb = match story.protocol().lock(*lock).kind.sleeps() {
                true => "sleeps for",
                false => "spins for",
            };
            let kind = match holders.contains(&to) {
                true => EdgeKind::Lock,
                false => EdgeKind::Queue,
            };
            (kind, Some(name), verb.to_string())
        }
        Wait::Acks { .. } => (EdgeKind::Ack, None, "awaits the return of".to_string()),
        Wait::CallData { .. } => (
            EdgeKind::Ack,
            None,
            "its call data is busy with".to_string(),
        ),
        Wait::Condition { .. } => (EdgeKind::Ack, None, "waits until changed by".to_string()),
        Wait::Quiet { .. } => (EdgeKind::Ack, None, "waits for the end of".to_string()),
        Wait::Readers { .. } => (
            EdgeKind::Ack,
            None,
            "waits until it leaves RCU:".to_string(),
        ),
        Wait::Drain { .. } => (EdgeKind::Ack, None, "waits for the stores in".to_string()),
        Wait::Interrupted { .. } => (EdgeKind::Interrupted, None, "interrupted by".to_string()),
        Wait::Scheduled { .. } => (EdgeKind::Ack, None, "does not get the CPU of".to_string()),
        Wait::Blocked { .. } => {
            let why = story.wait_text(n, from).unwrap_or_default();
            (EdgeKind::Ack, None, why)
        }
    }
}
