//! Strongly connected components.

use super::Graph;

/// A partition of (some of) the states into strongly connected components.
///
/// Components are numbered against the direction of transitions: a transition between two components goes from the
/// higher number to the lower.
#[derive(Clone, Debug)]
pub struct Components {
    /// The component of each state, [`Components::LEFT_OUT`] for those left out.
    of: Vec<u32>,
    /// Members, component by component.
    members: Vec<u32>,
    starts: Vec<u32>,
}

impl Components {
    const LEFT_OUT: u32 = u32::MAX;

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    /// The component of a state; `None` if it was left out.
    #[must_use]
    pub fn of(&self, state: u32) -> Option<u32> {
        self.of
            .get(state as usize)
            .copied()
            .filter(|&c| c != Self::LEFT_OUT)
    }

    /// The states of a component, in ascending order.
    #[must_use]
    pub fn members(&self, component: u32) -> &[u32] {
        let c = component as usize;
        &self.members[self.starts[c] as usize..self.starts[c + 1] as usize]
    }
}

impl Graph {
    /// The strongly connected components of the part of the graph that `keep` keeps.
    ///
    /// Tarjan's algorithm (SIAM J. Comput. 1972) with an explicit stack. Not petgraph's: `tarjan_scc` there recurses
    /// once per state of a path, and a protocol's paths are as long as its state space is deep or longer (depth-first
    /// paths run to millions of states), so it overflows the thread's stack.
    #[must_use]
    pub fn components(&self, keep: impl Fn(u32) -> bool) -> Components {
        components(self.states(), keep, |s| self.targets(s))
    }

    /// The strongly connected components of more than one state, each in ascending order; in no order themselves.
    pub(crate) fn loops(&self) -> Vec<Vec<u32>> {
        let components = self.components(|_| true);
        (0..components.count())
            .map(|c| components.members(c))
            .filter(|members| members.len() > 1)
            .map(<[u32]>::to_vec)
            .collect()
    }

    /// The components of the part of the graph made of `states` alone (in ascending order), as lists of members in
    /// ascending order; in order of their lowest member.
    pub(crate) fn components_within(&self, states: &[u32]) -> Vec<Vec<u32>> {
        let local = |s: u32| states.binary_search(&s).ok();
        let rows: Vec<Vec<u32>> = states
            .iter()
            .map(|&s| {
                self.targets(s)
                    .iter()
                    .filter_map(|&t| Some(local(t)? as u32))
                    .collect()
            })
            .collect();
        let found = components(states.len() as u32, |_| true, |s| &rows[s as usize]);
        let mut lists: Vec<Vec<u32>> = (0..found.count())
            .map(|c| {
                found
                    .members(c)
                    .iter()
                    .map(|&s| states[s as usize])
                    .collect()
            })
            .collect();
        lists.sort_unstable();
        lists
    }
}

fn components<'a>(
    count: u32,
    keep: impl Fn(u32) -> bool,
    targets: impl Fn(u32) -> &'a [u32],
) -> Components {
    const UNSEEN: u32 = u32::MAX;
    const DONE: u32 = UNSEEN - 1;
    // While a state is on Tarjan's stack, `low` is its low link; afterwards it is nobody's minimum, and `of` says its
    // component.
    let mut low = vec![UNSEEN; count as usize];
    let mut of = vec![Components::LEFT_OUT; count as usize];
    let mut order = 0;
    let mut stack = Vec::new();
    // The path: a state, its order of discovery, and the next of its transitions to look at.
    let mut path: Vec<(u32, u32, u32)> = Vec::new();
    let mut found = 0;
    let mut sizes = Vec::new();
    for root in 0..count {
        if low[root as usize] != UNSEEN || !keep(root) {
            continue;
        }
        let mut enter = Some(root);
        loop {
            if let Some(state) = enter.take() {
                low[state as usize] = order;
                path.push((state, order, 0));
                stack.push(state);
                order += 1;
            }
            let Some((state, discovered, next)) = path.last_mut() else {
                break;
            };
            let state = *state;
            if let Some(&target) = targets(state).get(*next as usize) {
                *next += 1;
                if low[target as usize] == UNSEEN {
                    if keep(target) {
                        enter = Some(target);
                    }
                } else {
                    low[state as usize] = low[state as usize].min(low[target as usize]);
                }
                continue;
            }
            if low[state as usize] == *discovered {
                let mut size = 0;
                while let Some(member) = stack.pop() {
                    of[member as usize] = found;
                    low[member as usize] = DONE;
                    size += 1;
                    if member == state {
                        break;
                    }
                }
                sizes.push(size);
                found += 1;
            }
            path.pop();
            if let Some(&(parent, ..)) = path.last() {
                low[parent as usize] = low[parent as usize].min(low[state as usize]);
            }
        }
    }
    let mut starts = vec![0u32];
    for size in sizes {
        starts.push(starts[starts.len() - 1] + size);
    }
    let mut place = starts.clone();
    let mut members = vec![0; starts[found as usize] as usize];
    for state in 0..count {
        let component = of[state as usize];
        if component != Components::LEFT_OUT {
            members[place[component as usize] as usize] = state;
            place[component as usize] += 1;
        }
    }
    Components {
        of,
        members,
        starts,
    }
}
