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

use super::chunk::{Chunk, PENDING};
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

/// What a shard says about a candidate: which fresh state it is, and whether it is the first to reach it.
#[derive(Clone, Copy)]
pub(super) struct Verdict(u32);

impl Verdict {
    fn new(position: u32, first: bool) -> Verdict {
        Verdict(position << 1 | u32::from(first))
    }

    fn first(self) -> bool {
        self.0 & 1 != 0
    }

    fn position(self) -> u32 {
        self.0 >> 1
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
            // As in `look_up`: all misses side by side, then the work.
            let mut touched = 0;
            for &i in chunk.of_shard(me) {
                touched ^= self.table.peek(chunk.candidates[i as usize].fp);
            }
            std::hint::black_box(touched);
            for &i in chunk.of_shard(me) {
                let candidate = &chunk.candidates[i as usize];
                self.table.room();
                let (position, first) = match self.table.probe(candidate.fp) {
                    Slot::Taken(slot) => (self.table.number(slot) - level_base, false),
                    Slot::Free(slot) => {
                        let position = self.fresh.len() as u32;
                        self.table.fill(slot, candidate.fp, level_base + position);
                        self.fresh.push(FreshState {
                            fp: candidate.fp,
                            best: Best::NONE,
                            number: AtomicU32::new(PENDING),
                        });
                        firsts += 1;
                        (position, true)
                    }
                };
                let origin = &chunk.parents[candidate.parent as usize];
                self.fresh[position as usize]
                    .best
                    .offer(&mut self.spill, origin, candidate.step);
                self.verdicts.push(Verdict::new(position, first));
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

/// Pass 2, for chunk `me`: numbers its new states from `number` on and makes them a segment of the next frontier.
/// `seen` are the facts of earlier levels.
pub(super) fn number<S: std::hash::Hash>(
    chunk: &mut Chunk<S>,
    me: usize,
    shards: &[MergeShard],
    mut number: u32,
    seen: u64,
    keep_facts: bool,
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
    let mut states = chunk.states.drain(..);
    for (candidate, verdict) in chunk.candidates.iter().zip(&verdicts) {
        // A first occurrence was in no table when it was looked up, so its state is stored.
        let state = if candidate.step.stored() {
            states.next()
        } else {
            None
        };
        if !verdict.first() {
            continue;
        }
        let Some(state) = state else { continue };
        let facts = observe(&state);
        if facts != 0 {
            let mut rest = facts;
            while rest != 0 {
                chunk.counts[rest.trailing_zeros() as usize] += 1;
                rest &= rest - 1;
            }
            if facts & !seen != 0 {
                segment
                    .novel
                    .push((segment.states.len() as u32, facts & !seen));
            }
        }
        if keep_facts {
            chunk.facts.push(facts);
        }
        let fresh = Fresh::new(shard_of(candidate.fp), verdict.position());
        fresh.of(shards).0.number.store(number, Relaxed);
        number += 1;
        segment.states.push(state);
        segment.fresh.push(fresh);
    }
    drop(states);
    chunk.verdicts = verdicts;
    chunk.segment = Some(segment);
}

/// Pass 3: gives every pending edge of a chunk its target.
pub(super) fn resolve<S>(chunk: &mut Chunk<S>, shards: &[MergeShard]) {
    let mut found = chunk.candidates.iter().zip(&chunk.verdicts);
    for target in chunk.targets.iter_mut().filter(|t| **t == PENDING) {
        if let Some((candidate, verdict)) = found.next() {
            let fresh = Fresh::new(shard_of(candidate.fp), verdict.position());
            *target = fresh.of(shards).0.number.load(Relaxed);
        }
    }
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
