//! The explored graph: transitions by state number.

mod components;
mod fate;

pub use components::Components;
pub use fate::Fate;

use std::collections::TryReserveError;

use super::scheduled::{MAX_CLASSES, MAX_MOVERS};

/// Whose a transition is and of which class, in a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EdgeLabel(u8);

const NONE: u8 = 0xf;

impl Default for EdgeLabel {
    fn default() -> Self {
        EdgeLabel(u8::MAX)
    }
}

impl EdgeLabel {
    /// # Panics
    /// When mover or class is out of range.
    pub(super) fn new(mover: Option<usize>, class: Option<usize>) -> Self {
        let nibble = |what: &str, value: Option<usize>, limit| match value {
            None => NONE,
            Some(v) => {
                assert!(
                    v < limit,
                    "{what} {v} of an action is out of range (limit {limit})"
                );
                v as u8
            }
        };
        EdgeLabel(nibble("mover", mover, MAX_MOVERS) | nibble("class", class, MAX_CLASSES) << 4)
    }

    fn mover(self) -> Option<usize> {
        let nibble = self.0 & 0xf;
        (nibble != NONE).then_some(nibble.into())
    }

    fn class(self) -> Option<usize> {
        let nibble = self.0 >> 4;
        (nibble != NONE).then_some(nibble.into())
    }
}

/// A transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The state it leads to.
    pub target: u32,
    /// Whose step it is; `None`: the environment's.
    pub mover: Option<usize>,
    /// The class of urgent hardware actions it belongs to, if any.
    pub class: Option<usize>,
}

/// The explored graph, as rows of transitions (CSR). A state is its number: states are numbered in the order a
/// breadth-first search finds them, so a lower number is never deeper.
#[derive(Clone, Default)]
pub struct Graph {
    /// Row `s` is `starts[s]..starts[s + 1]`; there is one for every expanded state.
    starts: Vec<u64>,
    targets: Vec<u32>,
    labels: Vec<EdgeLabel>,
    facts: Vec<u64>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Graph({} states, {} transitions)",
            self.states(),
            self.transitions()
        )
    }
}

impl Graph {
    pub(super) fn new() -> Self {
        Graph {
            starts: vec![0],
            ..Graph::default()
        }
    }

    /// Makes room for a batch.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn reserve(
        &mut self,
        transitions: usize,
        expanded: usize,
        new: usize,
    ) -> Result<(), TryReserveError> {
        self.targets.try_reserve(transitions)?;
        self.labels.try_reserve(transitions)?;
        self.starts.try_reserve(expanded)?;
        self.facts.try_reserve(new)
    }

    pub(super) fn push_facts(&mut self, facts: &[u64]) {
        self.facts.extend_from_slice(facts);
    }

    pub(super) fn push_rows(&mut self, degrees: &[u32], targets: &[u32], labels: &[EdgeLabel]) {
        let mut end = self.targets.len() as u64;
        self.starts.extend(degrees.iter().map(|&d| {
            end += u64::from(d);
            end
        }));
        self.targets.extend_from_slice(targets);
        self.labels.extend_from_slice(labels);
    }

    /// Bytes held once a batch with this many transitions, of this many states, that leads to at most this many new
    /// states has been added.
    pub(super) fn bytes_after(&self, transitions: usize, expanded: usize, new: usize) -> u64 {
        fn grown<T>(vec: &Vec<T>, more: usize) -> usize {
            let fits = vec.len() + more <= vec.capacity();
            let capacity = if fits {
                vec.capacity()
            } else {
                (2 * vec.capacity()).max(vec.len() + more)
            };
            capacity * size_of::<T>()
        }
        (grown(&self.starts, expanded)
            + grown(&self.targets, transitions)
            + grown(&self.labels, transitions)
            + grown(&self.facts, new)) as u64
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.starts.capacity() * 8
            + self.targets.capacity() * 4
            + self.labels.capacity()
            + self.facts.capacity() * 8) as u64
    }

    /// The number of states.
    #[must_use]
    pub fn states(&self) -> u32 {
        self.facts.len() as u32
    }

    /// The number of transitions, parallel ones counted each.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.targets.len() as u64
    }

    /// Were this state's transitions computed? False only in a run that was cut off, for the highest numbers.
    #[must_use]
    pub fn is_expanded(&self, state: u32) -> bool {
        (state as usize) + 1 < self.starts.len()
    }

    /// Were all? Only then do the absence of paths and loops mean anything.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.starts.len() == self.facts.len() + 1
    }

    /// The facts `observe` found in a state.
    #[must_use]
    pub fn facts(&self, state: u32) -> u64 {
        self.facts[state as usize]
    }

    fn row(&self, state: u32) -> std::ops::Range<usize> {
        if self.is_expanded(state) {
            self.starts[state as usize] as usize..self.starts[state as usize + 1] as usize
        } else {
            0..0
        }
    }

    /// The targets of a state's transitions, in the order of its actions; none if it was not expanded.
    #[must_use]
    pub fn targets(&self, state: u32) -> &[u32] {
        &self.targets[self.row(state)]
    }

    /// A state's transitions, in the order of its actions; none if it was not expanded.
    pub fn edges(&self, state: u32) -> impl Iterator<Item = Edge> {
        let row = self.row(state);
        let labels = &self.labels[row.clone()];
        self.targets[row]
            .iter()
            .zip(labels)
            .map(|(&target, label)| Edge {
                target,
                mover: label.mover(),
                class: label.class(),
            })
    }

    /// Is there no way to come back to any state? A transition from a state to itself is a way.
    #[must_use]
    pub fn is_acyclic(&self) -> bool {
        let all = self.components(|_| true);
        all.count() == self.states() && (0..self.states()).all(|s| !self.targets(s).contains(&s))
    }
}
