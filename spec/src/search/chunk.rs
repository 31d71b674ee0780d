//! Expanding: the successors of a few hundred states of one level, on one thread.

use std::hash::Hash;
use std::num::NonZeroU64;
use std::ops::Range;

use super::fingerprint::fingerprint;
use super::frontier::{Frontier, Segment};
use super::graph::EdgeLabel;
use super::merge::Verdict;
use super::route::{Origin, Step};
use super::scheduled::Scheduled;
use super::table::{SHARDS, shard_of};

/// A successor: perhaps new, perhaps another way to a state of the level being built, perhaps a state known long since.
///
/// Which of these is only asked when the batch is merged. Asking here as well, to save storing what is known, would
/// mean a second look-up at random places of a large table, which costs more than it saves.
pub(super) struct Candidate {
    pub(super) fp: NonZeroU64,
    /// Position in [`Chunk::parents`].
    pub(super) parent: u32,
    pub(super) step: Step,
}

/// A run of consecutive states of a level, what became of them, and in the end the new states they led to.
pub(super) struct Chunk<S> {
    /// Positions within the level.
    pub(super) range: Range<u32>,
    pub(super) parents: Vec<Origin>,
    pub(super) candidates: Vec<Candidate>,
    /// Their states.
    pub(super) states: Vec<S>,
    /// The candidates by shard, in order within a shard, and where each shard begins.
    pub(super) by_shard: Vec<u32>,
    pub(super) starts: [u32; SHARDS + 1],
    /// What the shards said about the candidates.
    pub(super) verdicts: Vec<Verdict>,
    /// The transitions, when the graph is kept: how many each state has, where they go and whose they are.
    pub(super) degrees: Vec<u32>,
    pub(super) targets: Vec<u32>,
    pub(super) labels: Vec<EdgeLabel>,
    pub(super) generated: u64,
    pub(super) terminal: u64,
    pub(super) expanded: bool,
    /// The new states.
    pub(super) segment: Option<Segment<S>>,
    /// How many of them have each fact, and the facts of each when the graph is kept.
    pub(super) counts: [u64; 64],
    pub(super) facts: Vec<u64>,
}

impl<S> Default for Chunk<S> {
    fn default() -> Self {
        Chunk {
            range: 0..0,
            parents: Vec::new(),
            candidates: Vec::new(),
            states: Vec::new(),
            by_shard: Vec::new(),
            starts: [0; SHARDS + 1],
            verdicts: Vec::new(),
            degrees: Vec::new(),
            targets: Vec::new(),
            labels: Vec::new(),
            generated: 0,
            terminal: 0,
            expanded: false,
            segment: None,
            counts: [0; 64],
            facts: Vec::new(),
        }
    }
}

impl<S: Hash> Chunk<S> {
    /// Forgets what it held, keeping the memory.
    pub(super) fn reset(&mut self, range: Range<u32>) {
        self.range = range;
        self.parents.clear();
        self.candidates.clear();
        self.states.clear();
        self.degrees.clear();
        self.targets.clear();
        self.labels.clear();
        self.facts.clear();
        self.generated = 0;
        self.terminal = 0;
        self.expanded = false;
        self.segment = None;
        self.counts = [0; 64];
    }

    /// Takes the initial states as candidates of level 0: actions of a predecessor that does not exist.
    pub(super) fn begin<M: Scheduled<State = S>>(&mut self, model: &M) {
        self.parents.push(Origin::START);
        for (i, state) in model.init_states().into_iter().enumerate() {
            if model.within_boundary(&state) {
                self.generated += 1;
                self.propose(0, Step::new(i, None), state);
            }
        }
        self.sort();
        self.expanded = true;
    }

    /// Computes the successors of the states in `range`.
    pub(super) fn expand<M: Scheduled<State = S>>(
        &mut self,
        model: &M,
        frontier: &Frontier<S>,
        keep_graph: bool,
    ) {
        let mut actions = Vec::new();
        for (parent, (state, origin)) in (0..).zip(frontier.range(self.range.clone())) {
            self.parents.push(origin);
            let mut degree = 0u32;
            actions.clear();
            model.actions(state, &mut actions);
            for (index, action) in actions.drain(..).enumerate() {
                let step = Step::new(index, model.mover(&action));
                let label = if keep_graph {
                    EdgeLabel::new(model.mover(&action), model.urgent(&action))
                } else {
                    EdgeLabel::default()
                };
                let Some(next) = model.next_state(state, action) else {
                    continue;
                };
                if !model.within_boundary(&next) {
                    continue;
                }
                degree += 1;
                if keep_graph {
                    self.labels.push(label);
                }
                self.propose(parent, step, next);
            }
            self.generated += u64::from(degree);
            self.terminal += u64::from(degree == 0);
            if keep_graph {
                self.degrees.push(degree);
            }
        }
        self.sort();
        self.expanded = true;
    }

    fn propose(&mut self, parent: u32, step: Step, state: S) {
        let fp = fingerprint(&state);
        self.candidates.push(Candidate { fp, parent, step });
        self.states.push(state);
    }

    /// Counting sort of the candidates by shard.
    fn sort(&mut self) {
        let mut next = [0u32; SHARDS + 1];
        for candidate in &self.candidates {
            next[shard_of(candidate.fp) + 1] += 1;
        }
        for shard in 0..SHARDS {
            next[shard + 1] += next[shard];
        }
        self.starts = next;
        self.by_shard.clear();
        self.by_shard.resize(self.candidates.len(), 0);
        for (i, candidate) in (0u32..).zip(&self.candidates) {
            let place = &mut next[shard_of(candidate.fp)];
            self.by_shard[*place as usize] = i;
            *place += 1;
        }
    }

    /// The candidates of one shard.
    pub(super) fn of_shard(&self, shard: usize) -> &[u32] {
        &self.by_shard[self.starts[shard] as usize..self.starts[shard + 1] as usize]
    }

    /// Bytes held, without what states own on the heap.
    pub(super) fn bytes(&self) -> u64 {
        (size_of::<Self>()
            + self.parents.capacity() * size_of::<Origin>()
            + self.candidates.capacity() * size_of::<Candidate>()
            + self.states.capacity() * size_of::<S>()
            + (self.by_shard.capacity() + self.verdicts.capacity()) * 4
            + (self.degrees.capacity() + self.targets.capacity()) * 4
            + self.labels.capacity()
            + self.facts.capacity() * 8) as u64
    }
}
