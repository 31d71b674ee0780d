//! A way round a fair circle on which nobody is cheated.

use crate::explore::{Edge, Graph};
use crate::machine::Machine;
use crate::run::Run;
use std::collections::{HashMap, HashSet, VecDeque};

/// From the first state of the circle's states back to it, so that every context that could take a step it is owed on the
/// way takes one.
pub(super) fn round(machine: &Machine<'_>, graph: &Graph, circle: &[u32]) -> Run {
    let steps = &machine.system().steps;
    let inside: HashSet<u32> = circle.iter().copied().collect();
    let start = circle[0];
    let context = |edge: &Edge| 1u64 << steps[edge.step as usize].context.0;
    let mut run = Run {
        states: vec![start],
        steps: vec![],
    };
    // Somebody has to move at all.
    let mut wanted = u64::MAX;
    loop {
        let walk = Walk {
            machine,
            graph,
            inside: &inside,
        };
        let at = run.states[run.states.len() - 1];
        let Some(way) = walk.to(at, |edge| context(edge) & wanted != 0) else {
            break;
        };
        run.states.extend(way.iter().map(|e| e.to));
        run.steps.extend(way.iter().map(|e| e.step));
        let moved = run
            .steps
            .iter()
            .fold(0, |set, &s| set | 1 << steps[s as usize].context.0);
        let owed = run
            .states
            .iter()
            .flat_map(|&n| graph.edges(n).iter().map(move |e| (n, e)))
            .filter(|(n, e)| e.to != *n && steps[e.step as usize].owed)
            .fold(0, |set, (_, e)| set | context(e));
        wanted = owed & !moved;
        if wanted == 0 {
            let at = run.states[run.states.len() - 1];
            if at == start {
                break;
            }
            let Some(home) = walk.to(at, |edge| edge.to == start) else {
                break;
            };
            run.states.extend(home.iter().map(|e| e.to));
            run.steps.extend(home.iter().map(|e| e.step));
            // The way home may have passed others that are owed a step: they are asked once more.
            let moved = run
                .steps
                .iter()
                .fold(0, |set, &s| set | 1 << steps[s as usize].context.0);
            wanted = run
                .states
                .iter()
                .flat_map(|&n| graph.edges(n).iter().map(move |e| (n, e)))
                .filter(|(n, e)| e.to != *n && steps[e.step as usize].owed)
                .fold(0, |set, (_, e)| set | context(e))
                & !moved;
            if wanted == 0 {
                break;
            }
        }
    }
    run
}

struct Walk<'a> {
    machine: &'a Machine<'a>,
    graph: &'a Graph,
    inside: &'a HashSet<u32>,
}

impl Walk<'_> {
    /// A shortest way on that ends with a transition that is a goal.
    fn to(&self, start: u32, goal: impl Fn(&Edge) -> bool) -> Option<Vec<Edge>> {
        let mut from: HashMap<u32, (u32, Edge)> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(number) = queue.pop_front() {
            for edge in self.graph.edges(number) {
                if edge.to == number
                    || !self.inside.contains(&edge.to)
                    || self.machine.ends(edge.step)
                {
                    continue;
                }
                if goal(edge) {
                    let mut way = vec![*edge];
                    let mut at = number;
                    while at != start {
                        let (before, edge) = from[&at];
                        way.push(edge);
                        at = before;
                    }
                    way.reverse();
                    return Some(way);
                }
                if edge.to != start && !from.contains_key(&edge.to) {
                    from.insert(edge.to, (number, *edge));
                    queue.push_back(edge.to);
                }
            }
        }
        None
    }
}
