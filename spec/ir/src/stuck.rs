//! Contexts that can never move again, whatever anybody does.
//!
//! Decided on the graph of all states, not from who waits for whom: a context is stuck in a state if no run from it holds
//! a step of that context that changes anything. A live bystander hides nothing, and a wait that looks hopeless but can be
//! answered is none.

use crate::explore::{Cut, Graph};
use crate::machine::Machine;
use crate::waits::Waits;

/// For every state the set of contexts (by number) that can still move.
#[derive(Debug)]
pub struct Future {
    can_move: Vec<u64>,
}

impl Future {
    /// Goes through the graph from its end until nothing changes. States that were not expanded, and contexts whose step
    /// broke a promise there, are taken to be able to move: nothing is claimed of them.
    pub fn of(machine: &Machine<'_>, graph: &Graph) -> Future {
        let steps = &machine.system().steps;
        let mut can_move = vec![0u64; graph.len()];
        for number in 0..graph.len() as u32 {
            if !graph.is_expanded(number) {
                can_move[number as usize] = u64::MAX;
            }
        }
        for &(number, context) in graph.faults.iter().chain(&graph.excused) {
            can_move[number as usize] |= 1 << context.0;
        }
        let mut changed = true;
        while changed {
            changed = false;
            for number in (0..graph.len() as u32).rev() {
                let before = can_move[number as usize];
                let mut after = before;
                for (i, edge) in graph.edges(number).iter().enumerate() {
                    // A step that changes nothing is no step.
                    if edge.to != number {
                        let context = steps[edge.step as usize].context;
                        after |= 1 << context.0 | can_move[edge.to as usize];
                        after |= graph.passed(number, i);
                    }
                }
                if after != before {
                    can_move[number as usize] = after;
                    changed = true;
                }
            }
        }
        Future { can_move }
    }

    /// The active contexts of a state that can never move again.
    pub fn stuck(&self, machine: &Machine<'_>, graph: &Graph, number: u32) -> u64 {
        let can_move = self.can_move[number as usize];
        if can_move == u64::MAX {
            return 0;
        }
        machine.active(graph.state(number)) & !can_move
    }

    /// The state to show of a deadlock, and the contexts stuck in it: the first in which they wait only for each other or
    /// for nobody; if there is none, the first in which a context is stuck at all. Where a value outgrew its cell, what would
    /// have come behind is not known, and might let go who waits for the context that could not go on.
    pub fn first_stuck(
        &self,
        machine: &Machine<'_>,
        graph: &Graph,
        waits: &Waits<'_>,
    ) -> Option<(u32, u64)> {
        let mut first = None;
        for number in 0..graph.len() as u32 {
            let stuck = self.stuck(machine, graph, number);
            if stuck == 0 {
                continue;
            }
            first.get_or_insert((number, stuck));
            let closed = waits.closed(graph.state(number), stuck);
            if closed != 0 {
                return Some((number, closed));
            }
        }
        match graph.cut {
            Some(Cut::Grows(_)) => None,
            _ => first,
        }
    }

    /// The number of states in which a context is stuck.
    pub fn count_stuck(&self, machine: &Machine<'_>, graph: &Graph) -> usize {
        (0..graph.len() as u32)
            .filter(|&n| self.stuck(machine, graph, n) != 0)
            .count()
    }
}
