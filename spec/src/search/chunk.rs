//! Expanding: the successors of up to a few thousand states of one level, on one thread.

use std::collections::TryReserveError;
use std::hash::Hash;
use std::num::NonZeroU64;
use std::ops::Range;

use super::fingerprint::fingerprint;
use super::frontier::{Frontier, Segment};
use super::graph::EdgeLabel;
use super::merge::Verdict;
use super::route::{Best, Origin, Spill, Spilled, Step};
use super::scheduled::Scheduled;
use super::table::{SHARDS, shard_of};

/// By bits of the fingerprint, the last proposal of the chunk with those bits, [`NONE`] at first. A thread uses the same
/// piece of its stack for every chunk, so it stays cached. A proposal that was overwritten here, or whose number is too
/// large, may be proposed again, which is allowed.
type Recent = [u16; RECENT];
const RECENT: usize = 1 << 14;
const NONE: u16 = u16::MAX;

/// A successor: perhaps new, perhaps of the level being built, perhaps known long since.
///
/// Which of these is only asked when the batch is merged. Asking here as well, to save storing what is known, would
/// mean a second look-up at random places of a large table, which costs more than it saves. What is asked here is
/// whether the chunk has just proposed it: steps of different CPUs mostly commute, so about every second successor
/// is a sibling's, and its second look-up, and its state, can be saved.
#[derive(Clone, Copy)]
pub(super) struct Proposal {
    pub(super) fp: NonZeroU64,
    /// The best ways to it that the chunk has found: while a state is expanded, how it was reached is at hand.
    pub(super) best: Best,
    /// Position among the chunk's proposals.
    pub(super) position: u32,
}

/// A run of consecutive states of a level, what became of them, and in the end the new states they led to.
pub(super) struct Chunk<S> {
    /// Positions within the level.
    pub(super) range: Range<u32>,
    proposals: Vec<Proposal>,
    /// Their states.
    pub(super) states: Vec<S>,
    /// What does not fit their `best`.
    spill: Spill,
    /// The proposals by shard, in order within a shard, and where each shard begins. May be longer than it needs to be.
    by_shard: Vec<Proposal>,
    /// What does not fit the `best` of those, in their order: a shard reads its part front to back.
    pub(super) spilled: Spill,
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
    /// There was no memory to expand it.
    pub(super) exhausted: bool,
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
            proposals: Vec::new(),
            states: Vec::new(),
            spill: Spill::new(),
            spilled: Spill::new(),
            by_shard: Vec::new(),
            starts: [0; SHARDS + 1],
            verdicts: Vec::new(),
            degrees: Vec::new(),
            targets: Vec::new(),
            labels: Vec::new(),
            generated: 0,
            terminal: 0,
            expanded: false,
            exhausted: false,
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
        self.proposals.clear();
        self.states.clear();
        self.spill.clear();
        self.degrees.clear();
        self.targets.clear();
        self.labels.clear();
        self.facts.clear();
        self.generated = 0;
        self.terminal = 0;
        self.expanded = false;
        self.exhausted = false;
        self.segment = None;
        self.counts = [0; 64];
    }

    /// Proposes the initial states for level 0: actions of a predecessor that does not exist.
    pub(super) fn begin<M: Scheduled<State = S>>(&mut self, model: &M) {
        let mut recent = [NONE; RECENT];
        for (i, state) in model.init_states().into_iter().enumerate() {
            if model.within_boundary(&state) {
                self.generated += 1;
                let step = Step::new(i, None);
                self.propose(&mut recent, &Origin::START, step, Some(state));
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
        self.exhausted = self.try_expand(model, frontier, keep_graph).is_err();
        self.expanded = !self.exhausted;
    }

    fn try_expand<M: Scheduled<State = S>>(
        &mut self,
        model: &M,
        frontier: &Frontier<S>,
        keep_graph: bool,
    ) -> Result<(), TryReserveError> {
        let mut actions = Vec::new();
        let mut recent = [NONE; RECENT];
        for (state, origin) in frontier.range(self.range.clone()) {
            self.room(keep_graph)?;
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
                let next = model.next_state(state, action);
                if !next.as_ref().is_some_and(|n| model.within_boundary(n)) {
                    continue;
                }
                degree += 1;
                if keep_graph {
                    self.labels.push(label);
                }
                let proposal = self.propose(&mut recent, &origin, step, next);
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
        self.by_shard.try_reserve(self.proposals.len())?;
        self.sort();
        Ok(())
    }

    /// Makes room for the successors of a state, of which most have far fewer.
    #[inline]
    fn room(&mut self, keep_graph: bool) -> Result<(), TryReserveError> {
        const SUCCESSORS: usize = 64;
        if self.proposals.capacity() - self.proposals.len() < SUCCESSORS {
            self.proposals.try_reserve(SUCCESSORS)?;
        }
        if self.states.capacity() - self.states.len() < SUCCESSORS {
            self.states.try_reserve(SUCCESSORS)?;
        }
        if keep_graph {
            self.targets.try_reserve(SUCCESSORS)?;
            self.labels.try_reserve(SUCCESSORS)?;
        }
        Ok(())
    }

    /// Makes room for the segment of so many new states.
    pub(super) fn reserve(
        &mut self,
        states: usize,
        keep_graph: bool,
    ) -> Result<(), TryReserveError> {
        let mut segment = Segment::default();
        segment.states.try_reserve_exact(states)?;
        segment.fresh.try_reserve_exact(states)?;
        self.segment = Some(segment);
        self.verdicts.clear();
        self.verdicts.try_reserve(self.proposals.len())?;
        if keep_graph {
            self.facts.try_reserve(states)?;
        }
        Ok(())
    }

    /// Takes down a transition to `state`, which is there: it comes as `next_state` gave it because taking it apart
    /// would copy it, and every second one is dropped. Returns which proposal the transition leads to.
    #[inline(always)]
    fn propose(
        &mut self,
        recent: &mut Recent,
        origin: &Origin,
        step: Step,
        state: Option<S>,
    ) -> u32 {
        let Some(there) = &state else { return 0 };
        let fp = fingerprint(there);
        let recent = &mut recent[fp.get() as usize % RECENT];
        if let Some(proposal) = self.proposals.get_mut(usize::from(*recent))
            && proposal.fp == fp
        {
            proposal.best.offer(&mut self.spill, origin, step);
            return u32::from(*recent);
        }
        let position = self.proposals.len() as u32;
        let best = Best::new(&mut self.spill, origin, step);
        self.proposals.push(Proposal { fp, best, position });
        self.states.extend(state);
        *recent = u16::try_from(position).unwrap_or(NONE);
        position
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
        if self.by_shard.len() < self.proposals.len() {
            let blank = Proposal {
                fp: NonZeroU64::MIN,
                best: Best::NONE,
                position: 0,
            };
            self.by_shard.resize(self.proposals.len(), blank);
        }
        for proposal in &self.proposals {
            let place = &mut next[shard_of(proposal.fp)];
            self.by_shard[*place as usize] = *proposal;
            *place += 1;
        }
        self.spilled.clear();
        for proposal in &mut self.by_shard[..self.proposals.len()] {
            proposal.best.move_rest(&self.spill, &mut self.spilled);
        }
    }

    /// The proposals of one shard.
    pub(super) fn of_shard(&self, shard: usize) -> &[Proposal] {
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
            + (self.proposals.capacity() + self.by_shard.capacity()) * size_of::<Proposal>()
            + self.states.capacity() * size_of::<S>()
            + (self.spill.capacity() + self.spilled.capacity()) * size_of::<Spilled>()
            + self.verdicts.capacity() * 4
            + (self.degrees.capacity() + self.targets.capacity()) * 4
            + self.labels.capacity()
            + self.facts.capacity() * 8) as u64
    }
}
