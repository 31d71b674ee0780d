//! The loop over levels and batches, its bounds and its bookkeeping.

use std::collections::TryReserveError;
use std::hash::Hash;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::chunk::Chunk;
use super::frontier::Frontier;
use super::graph::Graph;
use super::merge::{self, Building, Kept, MergeShard};
use super::outcome::{Hit, Outcome, Stop};
use super::route::{Arrival, Origin};
use super::scheduled::Scheduled;
use super::table::SHARDS;
use super::trail::Routes;
use super::workers::Workers;
use super::{Options, Progress};

/// States expanded between two merges: a quarter of the level within these bounds. A merge costs a few dozen
/// microseconds of waiting, and the more proposals it has for a shard, the more of them share its cache lines; but
/// they have to be stored. Nothing here may depend on the thread count, or a bound on states or memory would cut a run
/// elsewhere.
const BATCH: Range<u32> = 16 * 1024..128 * 1024;
/// States expanded in one go when a bound on states is about to be reached.
const LAST_BATCH: u64 = 64;

/// Successors that a state has at most, as a rule: where a bound on states is near, so many fewer are expanded at a time.
const FAN_OUT: u64 = 16;

/// States expanded by one thread at a time: an eighth of the batch within these bounds. The larger, the fewer states
/// are proposed twice (see `chunk`).
const CHUNK: Range<u32> = 256..4096;

/// A batch this small is not worth a second thread.
const SMALL_BATCH: u32 = 1024;

/// States a number can tell apart, with a bit to spare for verdicts and provisional numbers.
const MAX_STATES: u64 = 1 << 31;

const REPORT_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Engine<'a, M: Scheduled, F> {
    model: &'a M,
    observe: &'a F,
    options: &'a Options,
    workers: Workers,
    clock: Clock<'a>,
    shards: Vec<MergeShard>,
    chunks: Vec<Chunk<M::State>>,
    /// The level being expanded and the one being built.
    frontier: Frontier<M::State>,
    next: Frontier<M::State>,
    /// The number of the first state of the level being built; all states below it are final.
    level_base: u32,
    routes: Routes,
    graph: Option<Graph>,
    unique: u64,
    expanded: u64,
    generated: u64,
    terminal: u64,
    levels: Vec<u64>,
    hits: Vec<Option<Hit>>,
    counts: Vec<u64>,
    /// Facts of complete levels.
    seen: u64,
    frontier_bytes: u64,
    next_bytes: u64,
    routes_bytes: u64,
    peak_bytes: u64,
}

impl<'a, M, F> Engine<'a, M, F>
where
    M: Scheduled + Sync,
    M::State: Hash + Send + Sync,
    F: Fn(&M, &M::State) -> u64 + Sync,
{
    pub(super) fn new(model: &'a M, observe: &'a F, options: &'a Options) -> Self {
        Engine {
            model,
            observe,
            options,
            workers: Workers::new(options.threads),
            clock: Clock::new(options),
            shards: (0..SHARDS).map(|_| MergeShard::default()).collect(),
            chunks: Vec::new(),
            frontier: Frontier::empty(),
            next: Frontier::empty(),
            level_base: 0,
            routes: Routes::default(),
            graph: options.keep_graph.then(Graph::new),
            unique: 0,
            expanded: 0,
            generated: 0,
            terminal: 0,
            levels: Vec::new(),
            hits: vec![None; 64],
            counts: vec![0; 64],
            seen: 0,
            frontier_bytes: 0,
            next_bytes: 0,
            routes_bytes: 0,
            peak_bytes: 0,
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        self.chunks.push(Chunk::default());
        self.chunks[0].begin(self.model);
        self.clock.count(0, self.chunks[0].generated);
        let mut stopped = self.merge(1, false).err();
        self.end_level();
        while stopped.is_none() && self.frontier.len > 0 {
            if self
                .options
                .max_depth
                .is_some_and(|most| self.levels.len() > most)
            {
                stopped = Some(Stop::MaxDepth);
                break;
            }
            let mut from = 0;
            while stopped.is_none() && from < self.frontier.len {
                let to = self
                    .frontier
                    .len
                    .min(from.saturating_add(self.batch_size()));
                stopped = self.batch(from..to).err();
                from = to;
            }
            if stopped == Some(Stop::MaxMemory) {
                self.chunks = Vec::new();
            }
            self.end_level();
        }
        self.finish(stopped)
    }

    /// How many states to expand next: the nearer a bound, the fewer, to stop close to it.
    fn batch_size(&self) -> u32 {
        let by_level = match self.options.max_memory {
            None => (self.frontier.len / 4).clamp(BATCH.start, BATCH.end),
            // What a batch proposes takes some thousand bytes a state: a small part of what there is.
            Some(limit) => {
                let small = (limit / 4096).min(BATCH.start.into());
                let part = u32::try_from(small.max(limit / 32768)).unwrap_or(u32::MAX);
                let by_level = (self.frontier.len / 4).clamp(BATCH.start, BATCH.end);
                by_level.min(part.max(SMALL_BATCH))
            }
        };
        match self.options.max_states {
            None => by_level,
            Some(limit) => {
                let left = (limit.saturating_sub(self.unique) / FAN_OUT).max(LAST_BATCH);
                by_level.min(u32::try_from(left).unwrap_or(u32::MAX))
            }
        }
    }

    /// How many more states there may be.
    fn room(&self) -> u64 {
        let limit = self.options.max_states.unwrap_or(MAX_STATES);
        limit.min(MAX_STATES).saturating_sub(self.unique)
    }

    /// Expands and merges some states of the level.
    fn batch(&mut self, range: Range<u32>) -> Result<(), Stop> {
        let size = ((range.end - range.start) / 8).clamp(CHUNK.start, CHUNK.end);
        let count = (range.end - range.start).div_ceil(size);
        for i in 0..count {
            if self.chunks.len() == i as usize {
                self.chunks.push(Chunk::default());
            }
            let from = range.start + i * size;
            self.chunks[i as usize].reset(from..range.end.min(from + size));
        }
        let worthwhile = range.end - range.start > SMALL_BATCH;
        let (model, clock) = (self.model, &self.clock);
        let (frontier, keep_graph) = (&self.frontier, self.graph.is_some());
        self.workers.each(
            &mut self.chunks[..count as usize],
            worthwhile,
            |_, chunk| {
                if clock.stop().is_none() {
                    chunk.expand(model, frontier, keep_graph);
                    clock.count(chunk.range.len() as u64, chunk.generated);
                }
            },
        );
        // If the time was up, or the memory, what was expanded up to the first gap counts.
        let done = self.chunks[..count as usize]
            .iter()
            .take_while(|c| c.expanded)
            .count();
        self.merge(done, worthwhile)?;
        if let Some(gap) = self.chunks[..count as usize].get(done) {
            return Err(match gap.exhausted {
                true => Stop::MaxMemory,
                false => self.clock.stop().unwrap_or(Stop::Cancelled),
            });
        }
        Ok(())
    }

    /// Merges the first `count` chunks into the level being built, up to the bound on states: the first new state beyond
    /// it, and what comes after, is left out. A chunk of which states were left out does not count as expanded.
    fn merge(&mut self, count: usize, worthwhile: bool) -> Result<(), Stop> {
        self.check_memory(count)?;
        let chunks = &mut self.chunks[..count];
        let level_base = self.level_base;
        self.workers.each(&mut self.shards, worthwhile, |s, shard| {
            shard.merge(s, chunks, level_base);
        });
        if self.shards.iter().any(|s| s.exhausted) {
            return Err(Stop::MaxMemory);
        }
        let kept = self.kept(count);
        let keep_graph = self.graph.is_some();
        self.reserve(&kept).map_err(|_| Stop::MaxMemory)?;
        let (chunks, shards) = (&mut self.chunks[..count], &self.shards);
        let (model, observe) = (self.model, self.observe);
        let level = Building {
            base: level_base,
            seen: self.seen,
            keep_graph,
        };
        self.workers.each(chunks, worthwhile, |c, chunk| {
            merge::number(chunk, c, shards, level, kept[c], |s| observe(model, s));
        });
        if keep_graph {
            self.workers.each(chunks, worthwhile, |_, chunk| {
                merge::resolve(chunk, shards, level_base)
            });
        }

        let mut reached = Ok(());
        for (chunk, kept) in chunks.iter_mut().zip(&kept) {
            self.unique += u64::from(kept.states);
            if kept.all {
                self.expanded += chunk.range.len() as u64;
                self.generated += chunk.generated;
                self.terminal += chunk.terminal;
            } else {
                self.generated += u64::from(kept.states);
                reached = Err(Stop::MaxStates);
            }
            for (sum, count) in self.counts.iter_mut().zip(&chunk.counts) {
                *sum += count;
            }
            if let Some(graph) = &mut self.graph {
                if kept.all {
                    graph.push_rows(&chunk.degrees, &chunk.targets, &chunk.labels);
                }
                graph.push_facts(&chunk.facts);
            }
            if let Some(segment) = chunk.segment.take() {
                self.next_bytes += segment.bytes();
                self.next.push(segment);
            }
            if reached.is_err() {
                break;
            }
        }
        self.clock.publish(self.unique, self.peak_bytes);
        reached
    }

    /// The new states of the first `count` chunks that the bound on states leaves room for.
    fn kept(&self, count: usize) -> Vec<Kept> {
        let (mut first, mut room) = (self.unique as u32, self.room());
        let of_chunk = |c: usize| self.shards.iter().map(|s| s.firsts[c]).sum::<u32>();
        (0..count)
            .map(|c| {
                let found = of_chunk(c);
                let states = u32::try_from(room).unwrap_or(u32::MAX).min(found);
                room -= u64::from(states);
                first += states;
                Kept {
                    first: first - states,
                    states,
                    all: states == found,
                }
            })
            .collect()
    }

    /// Makes room for what is kept of the first chunks, so that nothing fails half-way.
    fn reserve(&mut self, kept: &[Kept]) -> Result<(), TryReserveError> {
        let keep_graph = self.graph.is_some();
        let chunks = &mut self.chunks[..kept.len()];
        for (chunk, kept) in chunks.iter_mut().zip(kept) {
            chunk.reserve(kept.states as usize, keep_graph)?;
        }
        if let Some(graph) = &mut self.graph {
            let transitions = chunks.iter().map(|c| c.targets.len()).sum();
            let expanded = chunks.iter().map(|c| c.degrees.len()).sum();
            let new = kept.iter().map(|k| k.states as usize).sum();
            graph.reserve(transitions, expanded, new)?;
        }
        Ok(())
    }

    /// Makes the level being built the one to expand.
    fn end_level(&mut self) {
        let mut level = std::mem::replace(&mut self.next, Frontier::empty());
        // What was expanded makes room for what is written down now.
        self.frontier = Frontier::empty();
        self.frontier_bytes = 0;
        let worthwhile = level.len > SMALL_BATCH;
        let keep_numbers = self.graph.is_some();
        let shards = &self.shards;
        self.workers
            .each(&mut level.segments, worthwhile, |_, segment| {
                merge::settle(segment, shards)
            });
        self.workers.each(&mut self.shards, worthwhile, |_, shard| {
            shard.settle(keep_numbers)
        });

        let mut arrivals = 0;
        let mut kept = Vec::with_capacity(level.segments.len());
        for segment in &mut level.segments {
            let of_segment = std::mem::take(&mut segment.arrivals);
            segment.arrivals_base = arrivals;
            arrivals += of_segment.len() as u32;
            self.routes_bytes += (size_of_val(&*of_segment) + size_of::<(u32, Vec<()>)>()) as u64;
            kept.push((segment.arrivals_base, of_segment));
        }
        if level.len > 0 {
            self.levels.push(u64::from(level.len));
            self.routes.push_level(u64::from(self.level_base), kept);
            self.record_hits(&level);
        }
        self.level_base = self.unique as u32;
        self.frontier_bytes = level.bytes();
        self.next_bytes = 0;
        self.frontier = level;
        self.clock.level(
            self.levels.len().saturating_sub(1),
            u64::from(self.frontier.len),
        );
    }

    /// The facts this level is the first to have.
    fn record_hits(&mut self, level: &Frontier<M::State>) {
        let depth = self.levels.len() - 1;
        // Per fact: fewest switches, then lowest number, and the arrival there.
        let mut best = [None::<(u32, u32, u32)>; 64];
        for segment in &level.segments {
            for &(position, mut facts) in &segment.novel {
                let origin = &segment.origins[position as usize];
                let state = self.level_base + segment.base + position;
                let here = (origin.switches, state, segment.arrivals_base + origin.first);
                self.seen |= facts;
                while facts != 0 {
                    let slot = &mut best[facts.trailing_zeros() as usize];
                    *slot = Some(slot.map_or(here, |there| there.min(here)));
                    facts &= facts - 1;
                }
            }
        }
        for (hit, best) in self.hits.iter_mut().zip(best) {
            if let Some((switches, state, arrival)) = best {
                let trail = self.routes.trail(depth, arrival);
                *hit = Some(Hit {
                    depth,
                    switches,
                    state,
                    trail,
                });
            }
        }
    }

    /// Would merging the first `count` chunks exceed the bound on memory?
    fn check_memory(&mut self, count: usize) -> Result<(), Stop> {
        let chunks = &self.chunks[..count];
        let tables: u64 = (0..SHARDS)
            .map(|s| {
                // Each proposal may be new; growing early by a batch at most is the price of not overshooting.
                let proposals = chunks.iter().map(|c| c.of_shard(s).len()).sum();
                self.shards[s].table.bytes_after(proposals) + self.shards[s].level_bytes()
            })
            .sum();
        let buffers: u64 = self.chunks.iter().map(Chunk::bytes).sum();
        let graph = self.graph.as_ref().map_or(0, |graph| {
            let transitions = chunks.iter().map(|c| c.generated as usize).sum();
            let expanded = chunks.iter().map(|c| c.degrees.len()).sum();
            let new = chunks.iter().map(Chunk::proposed).sum();
            graph.bytes_after(transitions, expanded, new)
        });
        // What the end of the level will add: an origin and mostly one arrival a state.
        let level_end =
            u64::from(self.next.len) * (size_of::<Origin>() + size_of::<Arrival>()) as u64;
        let level = self.frontier_bytes + self.next_bytes + level_end;
        let bytes = tables + buffers + graph + level + self.routes_bytes;
        if self.options.max_memory.is_some_and(|limit| bytes > limit) {
            return Err(Stop::MaxMemory);
        }
        self.peak_bytes = self.peak_bytes.max(bytes);
        Ok(())
    }

    fn finish(self, stopped: Option<Stop>) -> Outcome {
        let unique = self.unique as f64;
        Outcome {
            complete: stopped.is_none(),
            stopped,
            unique: self.unique,
            expanded: self.expanded,
            generated: self.generated,
            depth: self.levels.len().saturating_sub(1),
            levels: self.levels,
            terminal: self.terminal,
            hits: self.hits,
            counts: self.counts,
            graph: self.graph,
            elapsed: self.clock.start.elapsed(),
            peak_memory_bytes: self.peak_bytes,
            bytes_per_state: self.peak_bytes as f64 / unique.max(1.0),
            collision_odds: unique * unique / 2f64.powi(65),
            routes: self.routes,
        }
    }
}

/// Time, cancellation and progress reports, from any thread.
struct Clock<'a> {
    options: &'a Options,
    start: Instant,
    /// Held while a report is made: when the last one was.
    reported: Mutex<Instant>,
    unique: AtomicU64,
    generated: AtomicU64,
    expanded: AtomicU64,
    depth: AtomicU64,
    frontier: AtomicU64,
    memory: AtomicU64,
}

impl<'a> Clock<'a> {
    fn new(options: &'a Options) -> Self {
        let start = Instant::now();
        Clock {
            options,
            start,
            reported: Mutex::new(start),
            unique: AtomicU64::new(0),
            generated: AtomicU64::new(0),
            expanded: AtomicU64::new(0),
            depth: AtomicU64::new(0),
            frontier: AtomicU64::new(0),
            memory: AtomicU64::new(0),
        }
    }

    fn stop(&self) -> Option<Stop> {
        if self.options.cancel.load(Relaxed) {
            return Some(Stop::Cancelled);
        }
        let late = self
            .options
            .timeout
            .is_some_and(|t| self.start.elapsed() >= t);
        late.then_some(Stop::Timeout)
    }

    fn count(&self, expanded: u64, generated: u64) {
        self.expanded.fetch_add(expanded, Relaxed);
        self.generated.fetch_add(generated, Relaxed);
        self.report(REPORT_EVERY);
    }

    fn publish(&self, unique: u64, memory: u64) {
        self.unique.store(unique, Relaxed);
        self.memory.store(memory, Relaxed);
    }

    fn level(&self, depth: usize, frontier: u64) {
        self.depth.store(depth as u64, Relaxed);
        self.frontier.store(frontier, Relaxed);
        self.report(Duration::ZERO);
    }

    fn report(&self, every: Duration) {
        let Some(progress) = &self.options.progress else {
            return;
        };
        // Somebody else is reporting, or a callback panicked: either way there is nothing to add.
        let Ok(mut reported) = self.reported.try_lock() else {
            return;
        };
        if reported.elapsed() < every {
            return;
        }
        let elapsed = self.start.elapsed();
        let unique = self.unique.load(Relaxed);
        progress(&Progress {
            unique,
            generated: self.generated.load(Relaxed),
            expanded: self.expanded.load(Relaxed),
            depth: self.depth.load(Relaxed) as usize,
            frontier: self.frontier.load(Relaxed),
            elapsed,
            memory_bytes: self.memory.load(Relaxed),
            rate: unique as f64 / elapsed.as_secs_f64().max(1e-9),
        });
        *reported = Instant::now();
    }
}
