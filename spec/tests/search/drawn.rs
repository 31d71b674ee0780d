//! Graphs written down, with textbook and brute-force answers to what the search is asked.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;
use shootdown_spec::search::{Scheduled, Trail, replay_trail};
use stateright::{Model, Property};

/// A graph written down: for every state its actions, each with its mover and where it leads (`None`: refused).
#[derive(Clone, Debug)]
pub struct Drawn {
    pub inits: Vec<usize>,
    pub edges: Vec<Vec<(Option<usize>, Option<usize>)>>,
    pub outside: Vec<bool>,
    pub facts: Vec<u64>,
}

/// An action is its index, so that Stateright (which compares actions) can tell parallel ones apart.
impl Model for Drawn {
    type State = usize;
    type Action = usize;

    fn init_states(&self) -> Vec<usize> {
        self.inits.clone()
    }

    fn actions(&self, state: &usize, actions: &mut Vec<usize>) {
        actions.extend((0..self.edges[*state].len()).map(|i| state * 100 + i));
    }

    fn next_state(&self, state: &usize, action: usize) -> Option<usize> {
        self.edges[*state][action % 100].1
    }

    fn within_boundary(&self, state: &usize) -> bool {
        !self.outside[*state]
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("true", |_, _| true)]
    }
}

impl Scheduled for Drawn {
    fn movers(&self) -> usize {
        8
    }

    fn mover(&self, action: &usize) -> Option<usize> {
        self.edges[action / 100][action % 100].0
    }
}

impl Drawn {
    pub fn new(edges: Vec<Vec<(Option<usize>, Option<usize>)>>) -> Self {
        Drawn {
            inits: vec![0],
            outside: vec![false; edges.len()],
            facts: (0..edges.len()).map(|s| 1 << (s % 64)).collect(),
            edges,
        }
    }

    pub fn successors(&self, state: usize) -> Vec<(u32, Option<usize>, usize)> {
        let inside = |s: &usize| !self.outside[*s];
        (0..)
            .zip(&self.edges[state])
            .filter_map(|(i, (mover, target))| Some((i, *mover, (*target).filter(inside)?)))
            .collect()
    }

    /// A search with one queue: states in the order they are found, and their depths.
    pub fn textbook(&self) -> Vec<(usize, usize)> {
        let mut order: Vec<(usize, usize)> = Vec::new();
        let mut queue: VecDeque<(usize, usize)> = self
            .inits
            .iter()
            .filter(|s| !self.outside[**s])
            .map(|&s| (s, 0))
            .collect();
        while let Some((state, depth)) = queue.pop_front() {
            if order.iter().all(|(s, _)| *s != state) {
                order.push((state, depth));
                queue.extend(
                    self.successors(state)
                        .into_iter()
                        .map(|(_, _, t)| (t, depth + 1)),
                );
            }
        }
        order
    }

    /// The fewest switches of all paths of length `depth` to a state with fact `bit`, and which states do it: by
    /// walking every path.
    pub fn fewest_switches(&self, bit: usize, depth: usize) -> (u32, Vec<usize>) {
        fn walk(
            model: &Drawn,
            state: usize,
            left: usize,
            last: Option<usize>,
            switches: u32,
            found: &mut HashMap<usize, u32>,
        ) {
            if left == 0 {
                let best = found.entry(state).or_insert(switches);
                *best = switches.min(*best);
                return;
            }
            for (_, mover, target) in model.successors(state) {
                let switched = matches!((last, mover), (Some(l), Some(m)) if l != m);
                walk(
                    model,
                    target,
                    left - 1,
                    mover.or(last),
                    switches + u32::from(switched),
                    found,
                );
            }
        }
        let mut found = HashMap::new();
        for &init in self.inits.iter().filter(|s| !self.outside[**s]) {
            walk(self, init, depth, None, 0, &mut found);
        }
        found.retain(|s, _| self.facts[*s] >> bit & 1 != 0);
        let fewest = *found.values().min().unwrap();
        (
            fewest,
            found
                .into_iter()
                .filter(|(_, n)| *n == fewest)
                .map(|(s, _)| s)
                .collect(),
        )
    }

    /// Depth and fewest switches of the shortest paths to every state, keeping the cost for every last mover.
    pub fn fewest_switches_level_by_level(&self) -> HashMap<usize, (usize, u32)> {
        let mut done: HashMap<usize, (usize, u32)> = HashMap::new();
        let mut level: HashMap<(usize, Option<usize>), u32> =
            self.inits.iter().map(|&s| ((s, None), 0)).collect();
        for depth in 0.. {
            for (&(state, _), &cost) in &level {
                let best = done.entry(state).or_insert((depth, cost));
                best.1 = best.1.min(cost);
            }
            let mut next = HashMap::new();
            for (&(state, last), &cost) in &level {
                for (_, mover, target) in self.successors(state) {
                    if !done.contains_key(&target) {
                        let switched = matches!((last, mover), (Some(l), Some(m)) if l != m);
                        let cost = cost + u32::from(switched);
                        let best = next.entry((target, mover.or(last))).or_insert(cost);
                        *best = cost.min(*best);
                    }
                }
            }
            if next.is_empty() {
                break;
            }
            level = next;
        }
        done
    }

    pub fn switches(&self, trail: &Trail) -> u32 {
        let movers: Vec<usize> = replay_trail(self, trail)
            .unwrap()
            .iter()
            .filter_map(|(action, _)| self.mover(action.as_ref()?))
            .collect();
        movers.windows(2).filter(|w| w[0] != w[1]).count() as u32
    }
}

pub fn drawn(states: std::ops::Range<usize>, degree: usize) -> impl Strategy<Value = Drawn> {
    states.prop_flat_map(move |n| {
        let edge = (
            proptest::option::weighted(0.8, 0..3usize),
            proptest::option::weighted(0.9, 0..n),
        );
        (
            proptest::collection::vec(0..n, 1..4),
            proptest::collection::vec(proptest::collection::vec(edge, 0..=degree), n),
            proptest::collection::vec(proptest::bool::weighted(0.1), n),
            proptest::collection::vec(0..16u64, n),
        )
            .prop_map(|(inits, edges, outside, facts)| Drawn {
                inits,
                edges,
                outside,
                facts,
            })
    })
}

/// Layers of a few states, with transitions to the next layer only: many paths of equal length, so that switches
/// decide.
pub fn layered() -> impl Strategy<Value = Drawn> {
    (2..4usize, 2..6usize).prop_flat_map(|(width, layers)| {
        let edge = (proptest::option::weighted(0.6, 0..3usize), 0..width);
        proptest::collection::vec(proptest::collection::vec(edge, 1..5), width * layers).prop_map(
            move |rows| {
                let down = |(state, row): (usize, Vec<(Option<usize>, usize)>)| {
                    let next = (state / width + 1) * width;
                    let inside = |to: usize| (next + to < width * layers).then_some(next + to);
                    row.into_iter()
                        .map(|(mover, to)| (mover, inside(to)))
                        .collect()
                };
                let mut model = Drawn::new(rows.into_iter().enumerate().map(down).collect());
                model.inits = (0..width).collect();
                // One fact for each state of the last layer, one for all of them.
                let last = (layers - 1) * width;
                model.facts = (0..width * layers)
                    .map(|s| if s < last { 0 } else { 1 << (s - last) | 8 })
                    .collect();
                model
            },
        )
    })
}
