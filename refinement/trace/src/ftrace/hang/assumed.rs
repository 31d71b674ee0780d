//! Who may wait for whom, if something holds that is not in the trace.

use super::Wait;
use super::stuck::{Node, began, owing};
use crate::ftrace::context::Key;
use crate::ftrace::place::{Time, Unit};
use crate::ftrace::watch::Watch;
use std::collections::BTreeMap;

/// A wait shorter than this may be any: nothing is assumed of it.
const LONG: u64 = 1_000;

/// Who may wait for whom, if something holds that is not in the trace.
pub(super) fn assumed(
    watch: &Watch,
    nodes: &BTreeMap<Key, Node>,
) -> Vec<(Key, Vec<(Key, String)>)> {
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
            // Nobody was seen to take the lock: it may be the one that waits for this CPU.
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
