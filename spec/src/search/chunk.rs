//! Expanding: the successors of up to a few thousand states of one level, on one thread.

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

/// By bits of the fingerprint, the last proposal of the chunk with those bits, [`END`] at first. A thread uses the same
/// piece of its stack for every chunk, so it stays cached. A proposal that was overwritten here may be proposed again,
/// which is allowed.
type Recent = [u32; RECENT];
const RECENT: usize = 1 << 14;

/// A transition: one way to a successor.
pub(super) struct Offer {
    /// Position in [`Chunk::parents`].
    pub(super) parent: u32,
    pub(super) step: Step,
    /// The next one of the chunk to the same state, or [`END`].
    pub(super) next: u32,
}

pub(super) const END: u32 = u32::MAX;

/// A successor: perhaps new, perhaps of the level being built, perhaps known long since.
///
/// Which of these is only asked when the batch is merged. Asking here as well, to save storing what is known, would
/// mean a second look-up at random places of a large table, which costs more than it saves. What is asked here is
/// whether the chunk has just proposed it: steps of different CPUs mostly commute, so about every second successor
/// is a sibling's, and its second look-up, and its state, can be saved.
struct Proposal {
    fp: NonZeroU64,
    /// Positions in [`Chunk::offers`].
    first: u32,
    last: u32,
}

/// What a shard has to know of a proposal.
#[derive(Clone, Copy)]
pub(super) struct Sorted {
    pub(super) fp: NonZeroU64,
    /// Position among the chunk's proposals.
    pub(super) proposal: u32,
    /// The first way to it, in [`Chunk::offers`].
    pub(super) first: u32,
}

/// A run of consecutive states of a level, what became of them, and in the end the new states they led to.
pub(super) struct Chunk<S> {
    /// Positions within the level.
    pub(super) range: Range<u32>,
    pub(super) parents: Vec<Origin>,
    pub(super) offers: Vec<Offer>,
    proposals: Vec<Proposal>,
    /// Their states.
    pub(super) states: Vec<S>,
    /// The proposals by shard, in order within a shard, and where each shard begins.
    by_shard: Vec<Sorted>,
    starts: [u32; SHARDS + 1],
    /// What the shards said about the proposals.
    pub(super) verdicts: Vec<Verdict>,
    /// The transitions, when the graph is kept: how many each state has, where they go (as proposals, then as
    /// numbers) and whose they are.
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
            offers: Vec::new(),
            proposals: Vec::new(),
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
        self.offers.clear();
        self.proposals.clear();
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

    /// Proposes the initial states for level 0: actions of a predecessor that does not exist.
    pub(super) fn begin<M: Scheduled<State = S>>(&mut self, model: &M) {
        let mut recent = [END; RECENT];
        self.parents.push(Origin::START);
        for (i, state) in model.init_states().into_iter().enumerate() {
            if model.within_boundary(&state) {
                self.generated += 1;
                self.propose(&mut recent, 0, Step::new(i, None), state);
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
        let mut recent = [END; RECENT];
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
                let proposal = self.propose(&mut recent, parent, step, next);
                if keep_graph {
                    self.targets.push(proposal);
                }
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

    /// Takes down a transition. Returns which proposal it leads to.
    fn propose(&mut self, recent: &mut Recent, parent: u32, step: Step, state: S) -> u32 {
        let fp = fingerprint(&state);
        let offer = self.offers.len() as u32;
        self.offers.push(Offer {
            parent,
            step,
            next: END,
        });
        let recent = &mut recent[fp.get() as usize % RECENT];
        if let Some(proposal) = self.proposals.get_mut(*recent as usize)
            && proposal.fp == fp
        {
            self.offers[proposal.last as usize].next = offer;
            proposal.last = offer;
            return *recent;
        }
        *recent = self.proposals.len() as u32;
        self.proposals.push(Proposal {
            fp,
            first: offer,
            last: offer,
        });
        self.states.push(state);
        *recent
    }

    /// Counting sort of the proposals by shard.
    fn sort(&mut self) {
        let mut next = [0u32; SHARDS + 1];
        for proposal in &self.proposals {
            next[shard_of(proposal.fp) + 1] += 1;
        }
        for shard in 0..SHARDS {
            next[shard + 1] += next[shard];
        }
        self.starts = next;
        let blank = Sorted {
            fp: NonZeroU64::MIN,
            proposal: 0,
            first: 0,
        };
        self.by_shard.clear();
        self.by_shard.resize(self.proposals.len(), blank);
        for (i, proposal) in (0u32..).zip(&self.proposals) {
            let place = &mut next[shard_of(proposal.fp)];
            self.by_shard[*place as usize] = Sorted {
                fp: proposal.fp,
                proposal: i,
                first: proposal.first,
            };
            *place += 1;
        }
    }

    /// The proposals of one shard.
    pub(super) fn of_shard(&self, shard: usize) -> &[Sorted] {
        &self.by_shard[self.starts[shard] as usize..self.starts[shard + 1] as usize]
    }

    /// The fingerprint of a proposal.
    pub(super) fn fp(&self, proposal: u32) -> NonZeroU64 {
        self.proposals[proposal as usize].fp
    }

    /// How many states were proposed.
    pub(super) fn proposed(&self) -> usize {
        self.proposals.len()
    }

    /// Bytes held, without what states own on the heap.
    pub(super) fn bytes(&self) -> u64 {
        (size_of::<Self>()
            + self.parents.capacity() * size_of::<Origin>()
            + self.offers.capacity() * size_of::<Offer>()
            + self.proposals.capacity() * size_of::<Proposal>()
            + self.states.capacity() * size_of::<S>()
            + self.by_shard.capacity() * size_of::<Sorted>()
            + self.verdicts.capacity() * 4
            + (self.degrees.capacity() + self.targets.capacity()) * 4
            + self.labels.capacity()
            + self.facts.capacity() * 8) as u64
    }
}
