//! Merging a batch: which proposals are new, what number they get, and the best way to each.
//!
//! Three passes, each parallel without anything shared and written at once:
//!
//! 1. [`MergeShard::merge`], a thread per shard: proposals in canonical order (chunk by chunk, as they were found);
//!    the first occurrence of a fingerprint wins, the best ways there of all are joined.
//! 2. [`number`], a thread per chunk: winners get consecutive numbers, are observed and move to the next frontier.
//! 3. [`resolve`], a thread per chunk, only if the graph is kept: targets of edges become numbers.
//!
//! A level may take many batches. Until it is complete its states are in the table under a provisional number,
//! `level_base` plus their position in [`MergeShard::fresh`], because later batches must find their way to the
//! dynamic programme's entry. All numbers below `level_base` are final.

use std::collections::TryReserveError;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::chunk::Chunk;
use super::frontier::Segment;
use super::route::{Best, Origin, Spill, Spilled};
use super::table::{SHARDS, Shard, Slot, shard_of};

/// Look-ups whose cache lines are fetched side by side.
const SIDE_BY_SIDE: usize = 64;

/// A state of the level being built.
pub(super) struct FreshState {
    fp: NonZeroU64,
    best: Best,
    /// Its number, once known, if the graph is kept. Written by the chunk that found it, read by all after that pass.
    number: AtomicU32,
}

/// Where a [`FreshState`] is.
#[derive(Clone, Copy)]
pub(super) struct Fresh(u32);

impl Fresh {
    fn new(shard: usize, position: u32) -> Fresh {
        // 2^31 states at most (see `engine`), spread evenly by the fingerprint: positions fit.
        Fresh(position << SHARDS.trailing_zeros() | shard as u32)
    }

    fn of(self, shards: &[MergeShard]) -> (&FreshState, &Spill) {
        let shard = &shards[self.0 as usize % SHARDS];
        (&shard.fresh[self.0 as usize / SHARDS], &shard.spill)
    }
}

/// What a shard says about a proposal: the number in the table (provisional for a state of the level being built),
/// and whether the proposal is the first to reach it.
#[derive(Clone, Copy)]
pub(super) struct Verdict(u32);

impl Verdict {
    const FIRST: u32 = 1 << 31;

    fn is_first(self) -> bool {
        self.0 & Self::FIRST != 0
    }

    fn number(self) -> u32 {
        self.0 & !Self::FIRST
    }
}

/// A shard of the visited set with the part of the level being built that belongs to it.
#[derive(Default)]
pub(super) struct MergeShard {
    pub(super) table: Shard,
    fresh: Vec<FreshState>,
    spill: Spill,
    /// Of the batch: verdicts chunk by chunk, where each chunk's begin, how many first ones each chunk has.
    verdicts: Vec<Verdict>,
    starts: Vec<u32>,
    pub(super) firsts: Vec<u32>,
    /// There was no memory for the batch: nothing of it counts, and there can be no other.
    pub(super) exhausted: bool,
}

impl MergeShard {
    /// Pass 1, for shard `me`.
    pub(super) fn merge<S: std::hash::Hash>(
        &mut self,
        me: usize,
        chunks: &[Chunk<S>],
        level_base: u32,
    ) {
        self.exhausted = self.try_merge(me, chunks, level_base).is_err();
    }

    fn try_merge<S: std::hash::Hash>(
        &mut self,
        me: usize,
        chunks: &[Chunk<S>],
        level_base: u32,
    ) -> Result<(), TryReserveError> {
        self.verdicts.clear();
        self.starts.clear();
        self.firsts.clear();
        for chunk in chunks {
            let start = self.verdicts.len();
            self.starts.push(start as u32);
            let fresh = self.fresh.len();
            let proposals = chunk.of_shard(me);
            self.table.room(proposals.len())?;
            self.verdicts.try_reserve(proposals.len())?;
            for proposal in proposals {
                self.table.prefetch(proposal.fp);
            }
            for proposal in proposals {
                let verdict = match self.table.probe(proposal.fp) {
                    Slot::Taken(slot) => Verdict(self.table.number(slot)),
                    Slot::Free(slot) => {
                        if self.fresh.len() == self.fresh.capacity() {
                            self.fresh.try_reserve(1)?;
                        }
                        let number = level_base + self.fresh.len() as u32;
                        self.table.fill(slot, proposal.fp, number);
                        let mut best = proposal.best;
                        best.move_rest(&chunk.spilled, &mut self.spill);
                        self.fresh.push(FreshState {
                            fp: proposal.fp,
                            best,
                            number: AtomicU32::new(number),
                        });
                        Verdict(number | Verdict::FIRST)
                    }
                };
                self.verdicts.push(verdict);
            }
            self.firsts.push((self.fresh.len() - fresh) as u32);
            for (proposal, verdict) in proposals.iter().zip(&self.verdicts[start..]) {
                if verdict.is_first() {
                    continue;
                }
                let Some(position) = verdict.number().checked_sub(level_base) else {
                    continue;
                };
                let best = &mut self.fresh[position as usize].best;
                best.join(&mut self.spill, &proposal.best, &chunk.spilled);
            }
        }
        Ok(())
    }

    /// The level is complete: numbers become final.
    ///
    /// Only the graph asks for the number of a state of an earlier level. To everybody else a provisional one says as
    /// much: it is below the `level_base` of all later levels too.
    pub(super) fn settle(&mut self, keep_numbers: bool) {
        if keep_numbers {
            for states in self.fresh.chunks_mut(SIDE_BY_SIDE) {
                for state in &*states {
                    self.table.prefetch(state.fp);
                }
                for state in states {
                    self.table.set_number(state.fp, *state.number.get_mut());
                }
            }
        }
        self.fresh.clear();
        self.spill.clear();
    }

    /// Bytes held besides the table.
    pub(super) fn level_bytes(&self) -> u64 {
        (size_of::<Self>()
            + self.fresh.capacity() * size_of::<FreshState>()
            + self.spill.capacity() * size_of::<Spilled>()
            + (self.verdicts.capacity() + self.starts.capacity() + self.firsts.capacity()) * 4)
            as u64
    }
}

/// The level being built.
#[derive(Clone, Copy)]
pub(super) struct Building {
    /// The number of its first state.
    pub(super) base: u32,
    /// The facts of earlier levels.
    pub(super) seen: u64,
    /// Are the number and the facts of every state wanted?
    pub(super) keep_graph: bool,
}

/// The new states of a chunk that are kept: how many, and the number of the first.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    pub(super) first: u32,
    pub(super) states: u32,
    /// All of them; otherwise a bound on states was reached.
    pub(super) all: bool,
}

/// Pass 2, for chunk `me`: numbers the new states that are kept and makes them a segment of the next frontier, for which
/// the chunk has [made room](Chunk::reserve).
pub(super) fn number<S: std::hash::Hash>(
    chunk: &mut Chunk<S>,
    me: usize,
    shards: &[MergeShard],
    level: Building,
    kept: Kept,
    observe: impl Fn(&S) -> u64,
) {
    let mut number = kept.first;
    let mut verdicts = std::mem::take(&mut chunk.verdicts);
    verdicts.clear();
    verdicts.resize(chunk.proposed(), Verdict(0));
    for (s, shard) in shards.iter().enumerate() {
        let of_chunk = &shard.verdicts[shard.starts[me] as usize..];
        for (sorted, &verdict) in chunk.of_shard(s).iter().zip(of_chunk) {
            verdicts[sorted.position as usize] = verdict;
        }
    }
    let mut segment = chunk.segment.take().unwrap_or_default();
    let firsts = (0u32..).zip(&verdicts).filter(|(_, v)| v.is_first());
    let firsts = firsts.take(kept.states as usize);
    for (position, (proposal, verdict)) in (0u32..).zip(firsts) {
        let facts = observe(&chunk.states[proposal as usize]);
        if facts != 0 {
            let mut rest = facts;
            while rest != 0 {
                chunk.counts[rest.trailing_zeros() as usize] += 1;
                rest &= rest - 1;
            }
            if facts & !level.seen != 0 {
                segment.novel.push((position, facts & !level.seen));
            }
        }
        if level.keep_graph {
            chunk.facts.push(facts);
        }
        let fresh = Fresh::new(shard_of(chunk.fp(proposal)), verdict.number() - level.base);
        if level.keep_graph {
            fresh.of(shards).0.number.store(number, Relaxed);
            number += 1;
        }
        segment.fresh.push(fresh);
    }
    // On its own, so that a large state is copied once.
    let states = chunk.states.drain(..).zip(&verdicts);
    let firsts = states.filter(|(_, v)| v.is_first()).map(|(state, _)| state);
    segment.states.extend(firsts.take(kept.states as usize));
    chunk.verdicts = verdicts;
    chunk.segment = Some(segment);
}

/// Pass 3: writes down where a chunk's transitions go.
pub(super) fn resolve<S: std::hash::Hash>(
    chunk: &mut Chunk<S>,
    shards: &[MergeShard],
    level_base: u32,
) {
    // Empty for initial states: nothing goes to them.
    let mut targets = std::mem::take(&mut chunk.targets);
    for target in &mut targets {
        let number = chunk.verdicts[*target as usize].number();
        *target = match number.checked_sub(level_base) {
            None => number,
            Some(position) => {
                let fresh = Fresh::new(shard_of(chunk.fp(*target)), position);
                fresh.of(shards).0.number.load(Relaxed)
            }
        };
    }
    chunk.targets = targets;
}

/// The level is complete: writes down how each state of a segment was reached.
pub(super) fn settle<S>(segment: &mut Segment<S>, shards: &[MergeShard]) {
    segment.origins.reserve_exact(segment.fresh.len());
    let arrivals = segment
        .fresh
        .iter()
        .map(|f| f.of(shards).0.best.movers.count_ones() as usize)
        .sum();
    segment.arrivals.reserve_exact(arrivals);
    for fresh in std::mem::take(&mut segment.fresh) {
        let (state, spill) = fresh.of(shards);
        segment.origins.push(Origin {
            switches: state.best.switches,
            first: segment.arrivals.len() as u32,
            movers: state.best.movers,
        });
        state.best.settle(spill, &mut segment.arrivals);
    }
}
