//! Merging a batch: which candidates are new, what number they get, and the best way to each.
//!
//! Three passes, each parallel without anything shared and written at once:
//!
//! 1. [`MergeShard::merge`], a thread per shard: candidates in canonical order (chunk by chunk, as they were found);
//!    the first occurrence of a fingerprint wins, every occurrence is offered to the dynamic programme.
//! 2. [`number`], a thread per chunk: winners get consecutive numbers, are observed and move to the next frontier.
//! 3. [`resolve`], a thread per chunk, only if the graph is kept: targets of edges become numbers.
//!
//! A level may take many batches. Until it is complete its states are in the table under a provisional number,
//! `level_base` plus their position in [`MergeShard::fresh`], because later batches must find their way to the
//! dynamic programme's entry. All numbers below `level_base` are final.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::chunk::Chunk;
use super::frontier::Segment;
use super::route::{Best, Origin, Spill};
use super::table::{SHARDS, Shard, Slot, shard_of};

/// A state of the level being built.
pub(super) struct FreshState {
    fp: NonZeroU64,
    best: Best,
    /// Its number, once known. Written by the chunk that found it, read by all after that pass.
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

/// What a shard says about a candidate: the number in the table (provisional for a state of the level being built),
/// and whether the candidate is the first to reach it.
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
}

impl MergeShard {
    /// Pass 1, for shard `me`.
    pub(super) fn merge<S: std::hash::Hash>(
        &mut self,
        me: usize,
        chunks: &[Chunk<S>],
        level_base: u32,
    ) {
        self.verdicts.clear();
        self.starts.clear();
        self.firsts.clear();
        for chunk in chunks {
            self.starts.push(self.verdicts.len() as u32);
            let mut firsts = 0;
            // Independent loads first: the processor overlaps their misses, which is most of what a prefetch gives.
            let mut touched = 0;
            for &i in chunk.of_shard(me) {
                touched ^= self.table.peek(chunk.candidates[i as usize].fp);
            }
            std::hint::black_box(touched);
            for &i in chunk.of_shard(me) {
                let candidate = &chunk.candidates[i as usize];
                self.table.room();
                let verdict = match self.table.probe(candidate.fp) {
                    Slot::Taken(slot) => Verdict(self.table.number(slot)),
                    Slot::Free(slot) => {
                        let number = level_base + self.fresh.len() as u32;
                        self.table.fill(slot, candidate.fp, number);
                        self.fresh.push(FreshState {
                            fp: candidate.fp,
                            best: Best::NONE,
                            number: AtomicU32::new(number),
                        });
                        firsts += 1;
                        Verdict(number | Verdict::FIRST)
                    }
                };
                if let Some(position) = verdict.number().checked_sub(level_base) {
                    let origin = &chunk.parents[candidate.parent as usize];
                    let fresh = &mut self.fresh[position as usize];
                    fresh.best.offer(&mut self.spill, origin, candidate.step);
                }
                self.verdicts.push(verdict);
            }
            self.firsts.push(firsts);
        }
    }

    /// The level is complete: numbers become final.
    pub(super) fn settle(&mut self) {
        for state in self.fresh.drain(..) {
            self.table.set_number(state.fp, state.number.into_inner());
        }
        self.spill.clear();
    }

    /// Bytes held besides the table.
    pub(super) fn level_bytes(&self) -> u64 {
        (size_of::<Self>()
            + self.fresh.capacity() * size_of::<FreshState>()
            + self.spill.capacity() * size_of::<super::route::Spilled>()
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
    /// Are the facts of every state to be kept?
    pub(super) keep_facts: bool,
}

/// Pass 2, for chunk `me`: numbers its new states from `number` on and makes them a segment of the next frontier.
pub(super) fn number<S: std::hash::Hash>(
    chunk: &mut Chunk<S>,
    me: usize,
    shards: &[MergeShard],
    level: Building,
    mut number: u32,
    observe: impl Fn(&S) -> u64,
) {
    let firsts: u32 = shards.iter().map(|s| s.firsts[me]).sum();
    let mut verdicts = std::mem::take(&mut chunk.verdicts);
    verdicts.clear();
    verdicts.resize(chunk.candidates.len(), Verdict(0));
    for (s, shard) in shards.iter().enumerate() {
        let of_chunk = &shard.verdicts[shard.starts[me] as usize..];
        for (&i, &verdict) in chunk.of_shard(s).iter().zip(of_chunk) {
            verdicts[i as usize] = verdict;
        }
    }
    let mut segment = Segment {
        states: Vec::with_capacity(firsts as usize),
        origins: Vec::new(),
        fresh: Vec::with_capacity(firsts as usize),
        novel: Vec::new(),
        base: 0,
        arrivals: Vec::new(),
        arrivals_base: 0,
    };
    let states = chunk.states.drain(..);
    for ((candidate, verdict), state) in chunk.candidates.iter().zip(&verdicts).zip(states) {
        if !verdict.is_first() {
            continue;
        }
        let facts = observe(&state);
        if facts != 0 {
            let mut rest = facts;
            while rest != 0 {
                chunk.counts[rest.trailing_zeros() as usize] += 1;
                rest &= rest - 1;
            }
            if facts & !level.seen != 0 {
                segment
                    .novel
                    .push((segment.states.len() as u32, facts & !level.seen));
            }
        }
        if level.keep_facts {
            chunk.facts.push(facts);
        }
        let fresh = Fresh::new(shard_of(candidate.fp), verdict.number() - level.base);
        fresh.of(shards).0.number.store(number, Relaxed);
        number += 1;
        segment.states.push(state);
        segment.fresh.push(fresh);
    }
    chunk.verdicts = verdicts;
    chunk.segment = Some(segment);
}

/// Pass 3: writes down where a chunk's transitions go.
pub(super) fn resolve<S>(chunk: &mut Chunk<S>, shards: &[MergeShard], level_base: u32) {
    if chunk.degrees.is_empty() {
        // Initial states: nothing goes to them.
        return;
    }
    let found = chunk.candidates.iter().zip(&chunk.verdicts);
    chunk.targets.extend(found.map(|(candidate, verdict)| {
        match verdict.number().checked_sub(level_base) {
            None => verdict.number(),
            Some(position) => {
                let fresh = Fresh::new(shard_of(candidate.fp), position);
                fresh.of(shards).0.number.load(Relaxed)
            }
        }
    }));
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
