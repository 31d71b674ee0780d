//! The engine: every reachable state, level by level, on any number of threads, remembered as 64-bit fingerprints.
//!
//! Counts, levels and facts depend on the system alone, not on the number of threads: a level is expanded as a whole, and a
//! state belongs to the first level that reaches it. What it does not keep is the way there; a run to a fact is found by
//! searching once more, as far as the level where the fact was seen first.

use crate::packed::{self, Packed};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

mod table;
use table::Table;

/// The most words a state may have.
pub const MAX_WORDS: usize = 8;
/// Facts per state.
pub const FACTS: usize = 64;
/// Sets of facts that are counted before they are taken apart.
const RECENT: usize = 64;
/// States that a thread takes at a time.
const CHUNK: usize = 256;

/// What is asked of each state.
pub trait Observe: Sync {
    /// What a thread remembers of states it was asked about; it changes no answer.
    type Memory: Default + Send;

    /// Its facts, a bit each.
    fn facts(&self, words: &[u64], memory: &mut Self::Memory) -> u64;

    /// A number that every step lowers, if there is one: where it falls at every step there is no circle, and a run ends
    /// where nobody who is owed a step can take one.
    fn rank(&self, words: &[u64]) -> u64;

    /// Is it known that the step lowers the rank wherever it is taken? It is not compared then.
    fn lowers_rank(&self, step: u32) -> bool;

    /// Is this an end that must not be: somebody has work left?
    fn has_work_left(&self, facts: u64) -> bool;

    /// Do states stand for others? Then [`canon`](Self::canon) is asked of every state found.
    fn reduces(&self) -> bool {
        false
    }

    /// Puts the state that stands for this one in its place; the facts of states that were passed on the way there.
    fn canon<const W: usize>(&self, _words: &mut [u64; W], _memory: &mut Self::Memory) -> u64 {
        0
    }
}

/// What is told while it runs, at the end of every level and every now and then.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Distinct states found.
    pub distinct: u64,
    /// Steps taken, initial states counted as one each.
    pub generated: u64,
    /// The level that is expanded.
    pub level: usize,
    /// Its states.
    pub width: u64,
    /// Bytes in use.
    pub bytes: u64,
}

/// Called from one thread at a time.
pub type Tell<'a> = &'a (dyn Fn(&Progress) + Sync);

/// How it runs.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Threads, at least 1.
    pub threads: usize,
    /// Not more than about this many bytes.
    pub memory: Option<u64>,
    /// Not longer than this.
    pub timeout: Option<Duration>,
    /// Somebody else's wish to stop.
    pub cancel: Option<&'a AtomicBool>,
    /// Told how it is getting on.
    pub tell: Option<Tell<'a>>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            threads: 1,
            memory: None,
            timeout: None,
            cancel: None,
            tell: None,
        }
    }
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("threads", &self.threads)
            .field("memory", &self.memory)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why it did not see everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The limit on memory, or no more memory to be had.
    Memory,
    /// The time was up.
    Time,
    /// It was cancelled.
    Cancelled,
    /// This step cannot be carried out in some state.
    Misfit(u32),
}

/// What it found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Why it is not complete.
    pub stopped: Option<Stopped>,
    /// Distinct states.
    pub distinct: u64,
    /// Initial states and steps, duplicates included.
    pub generated: u64,
    /// States of each level.
    pub levels: Vec<u64>,
    /// States without any step.
    pub terminal: u64,
    /// How many states have each fact.
    pub counts: Vec<u64>,
    /// The first level that has it.
    pub first: Vec<Option<usize>>,
    /// Ends that must not be: how many, and the first level with one.
    pub ends: (u64, Option<usize>),
    /// Steps that did not lower the rank.
    pub not_lowered: u64,
    /// The most bytes at once.
    pub peak_bytes: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// What a thread adds up over a level.
struct Part<const W: usize> {
    out: Vec<[u64; W]>,
    generated: u64,
    terminal: u64,
    counts: [u64; FACTS],
    /// Sets of facts met lately, and how often: few differ.
    recent: [(u64, u64); RECENT],
    ends: u64,
    not_lowered: u64,
    misfit: Option<u32>,
    /// There was no memory for what it found.
    exhausted: bool,
}

/// Runs it. Systems whose states do not fit [`MAX_WORDS`] words are refused.
///
/// # Errors
/// The number of words.
pub fn run(
    packed: &Packed<'_>,
    observe: &impl Observe,
    options: Options<'_>,
) -> Result<Found, usize> {
    let words = packed.machine().words();
    Ok(match words {
        1 => levels::<1, _>(packed, observe, options),
        2 => levels::<2, _>(packed, observe, options),
        3 => levels::<3, _>(packed, observe, options),
        4 => levels::<4, _>(packed, observe, options),
        5 => levels::<5, _>(packed, observe, options),
        6 => levels::<6, _>(packed, observe, options),
        7 => levels::<7, _>(packed, observe, options),
        8 => levels::<8, _>(packed, observe, options),
        _ => return Err(words),
    })
}

fn levels<const W: usize, O: Observe>(
    packed: &Packed<'_>,
    observe: &O,
    options: Options<'_>,
) -> Found {
    let begun = Instant::now();
    let mut found = Found {
        counts: vec![0; FACTS],
        first: vec![None; FACTS],
        ..Found::default()
    };
    // Threads look at how full the table is between chunks: what they may add until then has to fit.
    let most_a_chunk = (CHUNK * packed.most_successors() * options.threads.max(1)) as u64;
    let slots = (8 * most_a_chunk).next_power_of_two().max(1 << 12);
    let Some(mut table) = Table::new(slots as usize) else {
        found.stopped = Some(Stopped::Memory);
        return found;
    };
    let mut level: Vec<Vec<[u64; W]>> = vec![Vec::new()];
    let mut memory = O::Memory::default();
    for state in packed.machine().initial() {
        let mut words = [0; W];
        words.copy_from_slice(&state);
        found.generated += 1;
        if observe.reduces() {
            found.pass(observe.canon(&mut words, &mut memory));
        }
        if table.insert(table::fingerprint(&words)) {
            level[0].push(words);
        }
    }
    // Buffers of levels done with: pages that are given back have to be cleared again.
    let spare: Mutex<Vec<Vec<[u64; W]>>> = Mutex::new(Vec::new());
    let memories: Mutex<Vec<(O::Memory, packed::Memory)>> = Mutex::new(Vec::new());
    loop {
        let width: u64 = level.iter().map(|l| l.len() as u64).sum();
        if width == 0 {
            break;
        }
        found.distinct += width;
        found.levels.push(width);
        let depth = found.levels.len() - 1;
        let buffers: usize = level.iter().map(Vec::capacity).sum::<usize>()
            + lock(&spare).iter().map(Vec::capacity).sum::<usize>();
        let bytes = table.bytes() + (buffers * size_of::<[u64; W]>()) as u64;
        found.peak_bytes = found.peak_bytes.max(bytes);
        if let Some(tell) = options.tell {
            tell(&Progress {
                distinct: found.distinct,
                generated: found.generated,
                level: depth,
                width,
                bytes,
            });
        }
        let chunks: Vec<&[[u64; W]]> = level.iter().flat_map(|l| l.chunks(CHUNK)).collect();
        let next = AtomicUsize::new(0);
        let mut outs = Vec::new();
        let work = Work {
            packed,
            observe,
            chunks: &chunks,
            next: &next,
            spare: &spare,
            memories: &memories,
            options,
            begun,
            most_a_chunk,
            bytes: bytes - table.bytes(),
        };
        loop {
            let full = AtomicBool::new(false);
            let parts = work.level(&table, &full);
            for part in parts {
                found.add(&part, depth);
                outs.push(part.out);
            }
            if found.stopped.is_none() {
                found.stopped = work.over_time();
            }
            if found.stopped.is_some() || next.load(Relaxed) >= chunks.len() {
                break;
            }
            // The table is three quarters full: twice as large, and on.
            let more = table.bytes() * 2 + bytes;
            if options.memory.is_some_and(|most| more > most) || !table.grow() {
                found.stopped = Some(Stopped::Memory);
                break;
            }
        }
        drop(chunks);
        if found.stopped.is_some() {
            // What this level found is known, if not expanded.
            found.distinct += outs.iter().map(|o| o.len() as u64).sum::<u64>();
            break;
        }
        let mut done = std::mem::replace(&mut level, outs);
        for buffer in &mut done {
            buffer.clear();
        }
        done.sort_by_key(Vec::capacity);
        lock(&spare).append(&mut done);
    }
    found.elapsed = begun.elapsed();
    found
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Found {
    /// Facts of states that are passed before the first level.
    fn pass(&mut self, mut facts: u64) {
        while facts != 0 {
            let fact = facts.trailing_zeros() as usize;
            self.counts[fact] += 1;
            self.first[fact] = Some(0);
            facts &= facts - 1;
        }
    }

    fn add<const W: usize>(&mut self, part: &Part<W>, depth: usize) {
        self.generated += part.generated;
        self.terminal += part.terminal;
        self.not_lowered += part.not_lowered;
        self.ends.0 += part.ends;
        if part.ends > 0 {
            self.ends.1.get_or_insert(depth);
        }
        for (fact, &count) in part.counts.iter().enumerate() {
            self.counts[fact] += count;
            if count > 0 {
                self.first[fact].get_or_insert(depth);
            }
        }
        if part.exhausted {
            self.stopped.get_or_insert(Stopped::Memory);
        }
        if let Some(step) = part.misfit {
            self.stopped.get_or_insert(Stopped::Misfit(step));
        }
    }
}

impl<const W: usize> Part<W> {
    /// Counts a state's facts.
    #[inline]
    fn count(&mut self, facts: u64) {
        let at = (facts.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % RECENT;
        if self.recent[at].0 == facts {
            self.recent[at].1 += 1;
        } else {
            let other = std::mem::replace(&mut self.recent[at], (facts, 1));
            self.add_up(other);
        }
    }

    fn add_up(&mut self, (mut facts, count): (u64, u64)) {
        while facts != 0 {
            self.counts[facts.trailing_zeros() as usize] += count;
            facts &= facts - 1;
        }
    }

    /// Enters a batch of successors; how many were new.
    #[inline]
    fn enter(&mut self, batch: &mut Vec<([u64; W], u64)>, table: &Table) -> u64 {
        let before = self.out.len();
        for (next, print) in batch.drain(..) {
            if table.insert(print) {
                if self.out.len() == self.out.capacity() && self.out.try_reserve(1).is_err() {
                    self.exhausted = true;
                    break;
                }
                self.out.push(next);
            }
        }
        (self.out.len() - before) as u64
    }
}

/// A level that is being expanded.
struct Work<'a, const W: usize, O: Observe> {
    packed: &'a Packed<'a>,
    observe: &'a O,
    chunks: &'a [&'a [[u64; W]]],
    next: &'a AtomicUsize,
    spare: &'a Mutex<Vec<Vec<[u64; W]>>>,
    memories: &'a Mutex<Vec<(O::Memory, packed::Memory)>>,
    options: Options<'a>,
    begun: Instant,
    most_a_chunk: u64,
    /// Bytes of this level and of spare buffers.
    bytes: u64,
}

impl<const W: usize, O: Observe> Work<'_, W, O> {
    fn over_time(&self) -> Option<Stopped> {
        if self.options.cancel.is_some_and(|c| c.load(Relaxed)) {
            return Some(Stopped::Cancelled);
        }
        let late = self
            .options
            .timeout
            .is_some_and(|most| self.begun.elapsed() >= most);
        late.then_some(Stopped::Time)
    }

    fn level(&self, table: &Table, full: &AtomicBool) -> Vec<Part<W>> {
        let left = self.chunks.len() - self.next.load(Relaxed).min(self.chunks.len());
        let threads = self.options.threads.clamp(1, left.max(1));
        if threads == 1 {
            return vec![self.part(table, full)];
        }
        std::thread::scope(|scope| {
            let handles: Vec<_> = (1..threads)
                .map(|_| scope.spawn(|| self.part(table, full)))
                .collect();
            let mut parts = vec![self.part(table, full)];
            for handle in handles {
                match handle.join() {
                    Ok(part) => parts.push(part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            parts
        })
    }

    fn part(&self, table: &Table, full: &AtomicBool) -> Part<W> {
        let mut part = Part {
            out: lock(self.spare).pop().unwrap_or_default(),
            generated: 0,
            terminal: 0,
            counts: [0; FACTS],
            recent: [(0, 0); RECENT],
            ends: 0,
            not_lowered: 0,
            misfit: None,
            exhausted: false,
        };
        // Successors wait here until their places in the table are on the way.
        let mut batch: Vec<([u64; W], u64)> = Vec::with_capacity(512);
        let mut new = 0;
        let remembered = lock(self.memories).pop();
        let (mut memory, mut ready) =
            remembered.unwrap_or_else(|| (O::Memory::default(), self.packed.memory()));
        loop {
            if (table.len() + self.most_a_chunk) * 4 > table.capacity() * 3 {
                full.store(true, Relaxed);
            }
            if full.load(Relaxed) || part.exhausted || self.over_time().is_some() {
                break;
            }
            let i = self.next.fetch_add(1, Relaxed);
            let Some(chunk) = self.chunks.get(i) else {
                // So that the next round does not begin where nothing is.
                self.next.store(self.chunks.len(), Relaxed);
                break;
            };
            for state in *chunk {
                let facts = self.observe.facts(state, &mut memory);
                part.count(facts);
                let before = part.generated;
                let mut rank = None;
                let mut passed = 0;
                let result = self.packed.successors(state, &mut ready, |step, next| {
                    part.generated += 1;
                    let mut not_lowered = |next: &[u64; W]| {
                        let rank = *rank.get_or_insert_with(|| self.observe.rank(state));
                        self.observe.rank(next) >= rank
                    };
                    let mut next = *next;
                    let mut lowers = self.observe.lowers_rank(step);
                    debug_assert!(!lowers || !not_lowered(&next), "step {step} lowers no rank");
                    if self.observe.reduces() {
                        let found = next;
                        passed |= self.observe.canon(&mut next, &mut memory);
                        // Of another state nothing is known: the rank has to fall to the one that stands for it.
                        lowers &= next == found;
                    }
                    if !lowers {
                        part.not_lowered += u64::from(not_lowered(&next));
                    }
                    let print = table::fingerprint(&next);
                    table.prefetch(print);
                    batch.push((next, print));
                });
                if passed != 0 {
                    part.count(passed);
                }
                match result {
                    Ok(0) if self.observe.has_work_left(facts) => part.ends += 1,
                    Ok(_) => {}
                    Err(misfit) => part.misfit = Some(misfit.step),
                }
                part.terminal += u64::from(part.generated == before);
                if batch.len() >= 64 {
                    new += part.enter(&mut batch, table);
                }
            }
            new += part.enter(&mut batch, table);
            table.add(std::mem::take(&mut new));
            let held = table.bytes()
                + self.bytes
                + (self.options.threads * part.out.capacity() * size_of::<[u64; W]>()) as u64;
            part.exhausted |= self.options.memory.is_some_and(|most| held > most);
        }
        for recent in std::mem::replace(&mut part.recent, [(0, 0); RECENT]) {
            part.add_up(recent);
        }
        lock(self.memories).push((memory, ready));
        part
    }
}
