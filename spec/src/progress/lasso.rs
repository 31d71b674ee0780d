//! A loop to show: through a fair set of states, back to where it began.

use std::collections::{HashMap, VecDeque};

use stateright::Model;

use super::ProgressError;
use super::fairness::{Turns, enabled};
use crate::search::{Graph, Trail, replay_trail};

/// What a loop still has to do to be fair.
struct Owed {
    /// Movers that must take a step or be unable to, somewhere.
    movers: u8,
    /// Classes that must happen.
    classes: u16,
    /// Somebody other than hardware at leisure must do something.
    somebody: bool,
}

impl Owed {
    fn is_empty(&self) -> bool {
        self.movers == 0 && self.classes == 0 && !self.somebody
    }

    fn helped_by(&self, here: Turns, step: Turns) -> bool {
        (!here.movers | step.movers) & self.movers != 0
            || step.classes & self.classes != 0
            || self.somebody && !step.is_empty()
    }

    /// A step is taken from a state in which `here` is enabled.
    fn pay(&mut self, here: Turns, step: Turns) {
        self.movers &= here.movers & !step.movers;
        self.classes &= !step.classes;
        self.somebody &= step.is_empty();
    }
}

/// A step of the loop: a state and which of its transitions (in the order of the graph's row) is taken.
type Taken = (u32, u32);

/// A fair loop through `members` (strongly connected, ascending, fair), beginning in the lowest: the transitions
/// taken, each by its position in the row of its state.
pub(super) fn fair_cycle(graph: &Graph, movers: usize, members: &[u32]) -> Vec<u32> {
    let start = members[0];
    let inside = |s: u32| members.binary_search(&s).is_ok();
    let mut owed = Owed {
        movers: ((1u32 << movers) - 1) as u8,
        classes: 0,
        somebody: true,
    };
    for &state in members {
        owed.classes |= enabled(graph, state).classes;
    }
    let mut rows = Vec::new();
    let mut at = start;
    // Each round goes to the nearest step that settles something; the set is fair, so there is one.
    while !owed.is_empty() || at != start {
        let wanted = |state: u32, target: u32, step: Turns| {
            if owed.is_empty() {
                target == start
            } else {
                owed.helped_by(enabled(graph, state), step)
            }
        };
        let path = nearest(graph, at, inside, wanted);
        if path.is_empty() {
            break;
        }
        for (state, row) in path {
            if let Some(edge) = graph.edges(state).nth(row as usize) {
                owed.pay(enabled(graph, state), Turns::of(&edge));
                at = edge.target;
            }
            rows.push(row);
        }
    }
    rows
}

/// The shortest path inside a set whose last step is wanted; empty if there is none.
fn nearest(
    graph: &Graph,
    from: u32,
    inside: impl Fn(u32) -> bool,
    wanted: impl Fn(u32, u32, Turns) -> bool,
) -> Vec<Taken> {
    let mut came: HashMap<u32, Taken> = HashMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(state) = queue.pop_front() {
        for (row, edge) in (0..).zip(graph.edges(state)) {
            if edge.target == state || !inside(edge.target) {
                continue;
            }
            if wanted(state, edge.target, Turns::of(&edge)) {
                let mut path = vec![(state, row)];
                let mut back = state;
                while back != from {
                    let step = came[&back];
                    path.push(step);
                    back = step.0;
                }
                path.reverse();
                return path;
            }
            if edge.target != from && !came.contains_key(&edge.target) {
                came.insert(edge.target, (state, row));
                queue.push_back(edge.target);
            }
        }
    }
    Vec::new()
}

/// Turns positions in rows (where refused actions are missing) into indices of actions, from the end of `stem` on.
pub(super) fn name_actions<M>(
    model: &M,
    stem: &Trail,
    rows: &[u32],
) -> Result<Vec<u32>, ProgressError>
where
    M: Model,
    M::Action: Clone,
{
    let mut path = replay_trail(model, stem).map_err(|_| ProgressError::AnotherModel)?;
    let (_, mut state) = path.pop().ok_or(ProgressError::AnotherModel)?;
    let mut named = Vec::with_capacity(rows.len());
    for &row in rows {
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        let taken = (0..)
            .zip(actions)
            .filter_map(|(i, action)| Some((i, model.next_state(&state, action)?)))
            .filter(|(_, next)| model.within_boundary(next))
            .nth(row as usize);
        let (index, next) = taken.ok_or(ProgressError::AnotherModel)?;
        named.push(index);
        state = next;
    }
    Ok(named)
}
