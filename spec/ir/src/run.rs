//! A shortest run to a state: of those of its length one that changes CPU least often.

use crate::explore::Graph;
use crate::machine::Machine;
use std::collections::{HashMap, HashSet};

/// A run: the states it goes through and the steps between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// One more than steps.
    pub states: Vec<u32>,
    /// Indexes into the system's steps.
    pub steps: Vec<u32>,
}

/// The run to `target`.
pub fn shortest(machine: &Machine<'_>, graph: &Graph, target: u32) -> Run {
    let steps = &machine.system().steps;
    let level = graph.level(target);
    // Backwards: what lies on a shortest run.
    let mut on_a_run: HashSet<u32> = HashSet::from([target]);
    for l in (0..level).rev() {
        for number in graph.levels[l]..graph.levels[l + 1] {
            let leads = graph
                .edges(number)
                .iter()
                .any(|e| e.to >= graph.levels[l + 1] && on_a_run.contains(&e.to));
            if leads {
                on_a_run.insert(number);
            }
        }
    }
    // Forwards: by state and last CPU, the fewest changes, and how.
    type Arrival = (usize, Option<(u32, usize, u32)>);
    const NOBODY: usize = usize::MAX;
    let mut best: HashMap<(u32, usize), Arrival> = (0..graph.first_level_end())
        .map(|start| ((start, NOBODY), (0, None)))
        .collect();
    let mut here: Vec<(u32, usize)> = best.keys().copied().collect();
    here.sort_unstable();
    for l in 0..level {
        let mut next = Vec::new();
        for &(number, last) in &here {
            let (changes, _) = best[&(number, last)];
            for edge in graph.edges(number) {
                if edge.to < graph.levels[l + 1] || !on_a_run.contains(&edge.to) {
                    continue;
                }
                let context = steps[edge.step as usize].context;
                let cpu = machine.system().contexts[context.index()].cpu;
                let changes = changes + usize::from(last != NOBODY && last != cpu);
                let arrival = (changes, Some((number, last, edge.step)));
                match best.entry((edge.to, cpu)) {
                    std::collections::hash_map::Entry::Vacant(entry) => {
                        entry.insert(arrival);
                        next.push((edge.to, cpu));
                    }
                    std::collections::hash_map::Entry::Occupied(mut entry) => {
                        if changes < entry.get().0 {
                            entry.insert(arrival);
                        }
                    }
                }
            }
        }
        here = next;
    }
    let mut at = here
        .iter()
        .copied()
        .filter(|(number, _)| *number == target)
        .min_by_key(|key| (best[key].0, key.1))
        .unwrap_or((0, NOBODY));
    let mut run = Run {
        states: vec![at.0],
        steps: Vec::new(),
    };
    while let Some(&(_, Some((number, last, step)))) = best.get(&at) {
        run.steps.push(step);
        run.states.push(number);
        at = (number, last);
    }
    run.states.reverse();
    run.steps.reverse();
    run
}

/// A shortest way on from the last state of `run` through the circle and back to it.
pub fn around(graph: &Graph, circle: &[u32], start: u32, ends: impl Fn(u32) -> bool) -> Run {
    let inside: HashSet<u32> = circle.iter().copied().collect();
    let mut from: HashMap<u32, (u32, u32)> = HashMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(number) = queue.pop_front() {
        for edge in graph.edges(number) {
            if edge.to == number || !inside.contains(&edge.to) || ends(edge.step) {
                continue;
            }
            if edge.to == start {
                let mut run = Run {
                    states: vec![start],
                    steps: vec![edge.step],
                };
                let mut at = number;
                while at != start {
                    run.states.push(at);
                    let (before, step) = from[&at];
                    run.steps.push(step);
                    at = before;
                }
                run.states.push(start);
                run.states.reverse();
                run.steps.reverse();
                return run;
            }
            from.entry(edge.to).or_insert_with(|| {
                queue.push_back(edge.to);
                (number, edge.step)
            });
        }
    }
    Run {
        states: vec![start],
        steps: vec![],
    }
}
