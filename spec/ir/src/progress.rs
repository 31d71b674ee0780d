//! Is there a fair run that goes round in a circle in which no program ends?
//!
//! Fair: a context that can take a step it is owed again and again takes one again and again (strong fairness, context by
//! context: the scheduler runs every task, a pending interrupt is taken in the end). An interrupt that comes by itself is
//! owed nothing. Steps that change nothing are no steps.
//!
//! Strongly connected components of the graph without the steps that end a program; one in which an owed context can move
//! but never does loses the states where it can, and is taken apart again (Emerson and Lei, *Modalities for model
//! checking*, 1987).

use crate::explore::Graph;
use crate::machine::Machine;

/// A fair circle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle {
    /// Its states; the first is one with the shortest run to it.
    pub states: Vec<u32>,
}

/// Is there a circle of any kind, of steps that end no program?
pub fn any_circle(machine: &Machine<'_>, graph: &Graph) -> bool {
    let all: Vec<u32> = (0..graph.len() as u32).collect();
    !components(machine, graph, &all).is_empty()
}

/// The fair circle that is reached first, if there is one.
pub fn circle(machine: &Machine<'_>, graph: &Graph) -> Option<Circle> {
    let all: Vec<u32> = (0..graph.len() as u32)
        .filter(|&n| graph.is_expanded(n))
        .collect();
    let mut todo = components(machine, graph, &all);
    let mut best: Option<Circle> = None;
    while let Some(component) = todo.pop() {
        let inside: std::collections::HashSet<u32> = component.iter().copied().collect();
        let (mut moves, mut can) = (0u64, 0u64);
        for &n in &component {
            can |= owed(machine, graph, n);
            for edge in graph.edges(n) {
                if edge.to != n && inside.contains(&edge.to) && !machine.ends(edge.step) {
                    moves |= 1 << machine.system().steps[edge.step as usize].context.0;
                }
            }
        }
        let cheated = can & !moves;
        if cheated == 0 {
            let first = component.iter().copied().min().unwrap_or(0);
            if best
                .as_ref()
                .is_none_or(|b| first < b.states.iter().copied().min().unwrap_or(0))
            {
                let mut states = component;
                states.sort_unstable();
                best = Some(Circle { states });
            }
            continue;
        }
        let rest: Vec<u32> = component
            .into_iter()
            .filter(|&n| owed(machine, graph, n) & cheated == 0)
            .collect();
        todo.extend(components(machine, graph, &rest));
    }
    best
}

/// The contexts that can take a step they are owed.
fn owed(machine: &Machine<'_>, graph: &Graph, number: u32) -> u64 {
    let steps = &machine.system().steps;
    graph
        .edges(number)
        .iter()
        .filter(|edge| edge.to != number)
        .map(|edge| &steps[edge.step as usize])
        .filter(|step| step.owed)
        .fold(0, |set, step| set | 1 << step.context.0)
}

/// Components of the given states with at least one step inside; the steps that end a program left out. Tarjan's
/// algorithm without recursion.
fn components(machine: &Machine<'_>, graph: &Graph, states: &[u32]) -> Vec<Vec<u32>> {
    const UNSEEN: u32 = u32::MAX;
    let mut position: std::collections::HashMap<u32, u32> = std::collections::HashMap::new();
    for (i, &n) in states.iter().enumerate() {
        position.insert(n, i as u32);
    }
    let next = |i: u32| {
        let n = states[i as usize];
        let position = &position;
        graph
            .edges(n)
            .iter()
            .filter(move |edge| edge.to != n && !machine.ends(edge.step))
            .filter_map(move |edge| position.get(&edge.to).copied())
    };
    let count = states.len();
    let (mut order, mut low) = (vec![UNSEEN; count], vec![0u32; count]);
    let (mut on_stack, mut stack) = (vec![false; count], Vec::new());
    let mut found = Vec::new();
    let mut clock = 0;
    for root in 0..count as u32 {
        if order[root as usize] != UNSEEN {
            continue;
        }
        let mut calls: Vec<(u32, Vec<u32>)> = vec![(root, next(root).collect())];
        order[root as usize] = clock;
        low[root as usize] = clock;
        clock += 1;
        stack.push(root);
        on_stack[root as usize] = true;
        while let Some((node, todo)) = calls.last_mut() {
            let node = *node;
            if let Some(to) = todo.pop() {
                if order[to as usize] == UNSEEN {
                    order[to as usize] = clock;
                    low[to as usize] = clock;
                    clock += 1;
                    stack.push(to);
                    on_stack[to as usize] = true;
                    calls.push((to, next(to).collect()));
                } else if on_stack[to as usize] {
                    low[node as usize] = low[node as usize].min(order[to as usize]);
                }
                continue;
            }
            calls.pop();
            if let Some((parent, _)) = calls.last() {
                low[*parent as usize] = low[*parent as usize].min(low[node as usize]);
            }
            if low[node as usize] == order[node as usize] {
                let mut component = Vec::new();
                while let Some(top) = stack.pop() {
                    on_stack[top as usize] = false;
                    component.push(states[top as usize]);
                    if top == node {
                        break;
                    }
                }
                // Self-loops are left out: one state alone is no circle.
                if component.len() > 1 {
                    found.push(component);
                }
            }
        }
    }
    found
}
