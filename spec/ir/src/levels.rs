//! The engine: every reachable state, level by level, on any number of threads, remembered as 64-bit fingerprints.
//!
//! Counts, levels and facts depend on the system alone, not on the number of threads: a level is expanded as a whole, and a
//! state belongs to the first level that reaches it. What it does not keep is the way there; a run to a fact is found by
//! searching once more, as far as the level where the fact was seen first.
//!
//! Between two chunks of a level everything there is to know lies in four places: what was found, the table, the states left
//! to expand, and the states of the next level so far. That is what a checkpoint holds, and a search that goes on from one
//! finds what it would have found.

use crate::keep::{Keep, ResumeError};
use crate::packed::{self, Packed};
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

mod kept;
mod table;
mod tally;
use kept::Between;
pub(crate) use kept::{read_found, write_found};
use table::Table;
pub(crate) use table::fingerprint;
pub(crate) use tally::Tally;

/// The most words a state may have.
pub const MAX_WORDS: usize = 8;
/// Facts per state.
pub const FACTS: usize = 64;
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

    /// A number for what its answers depend on besides the system: a checkpoint of another is not gone on from.
    fn identity(&self) -> u64 {
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
    /// Keeps how far it has come, when it is time and when a bound or a signal ends it.
    pub keep: Option<&'a dyn Keep>,
    /// It ends where a step does not lower the rank.
    pub must_fall: bool,
    /// It ends after the first level by which all of this was seen.
    pub until: Option<Wanted>,
}

/// What may end a search.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Each of these facts.
    pub facts: u64,
    /// An end that must not be.
    pub ends: bool,
}

impl Wanted {
    fn is_seen(self, found: &Found) -> bool {
        let mut facts = (0..FACTS).filter(|fact| self.facts >> fact & 1 == 1);
        facts.all(|fact| found.first[fact].is_some()) && (!self.ends || found.ends.0 > 0)
    }
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            threads: 1,
            memory: None,
            timeout: None,
            cancel: None,
            tell: None,
            keep: None,
            must_fall: false,
            until: None,
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
    /// A step does not lower the rank, and it had to.
    Rises,
    /// Everything that was wanted was seen.
    Seen,
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
    /// Of a sweep, the most states at once; of a search by levels, which remembers all, 0.
    pub peak_states: u64,
    /// Of a sweep, the ranks that have states.
    pub ranks: u64,
    /// How long it took, from its beginning to a checkpoint that it went on from included.
    pub elapsed: Duration,
}

/// What a thread comes to over a level.
struct Part<const W: usize> {
    out: Vec<[u64; W]>,
    tally: Tally,
    /// There is no memory for more.
    exhausted: bool,
    /// There was no memory for what it found, and some of that is lost.
    lost: bool,
}

/// Runs it. Systems whose states do not fit [`MAX_WORDS`] words are refused.
///
/// # Errors
/// The number of words.
// Whoever counts instructions counts those of this function.
#[inline(never)]
pub fn run(
    packed: &Packed<'_>,
    observe: &impl Observe,
    options: Options<'_>,
) -> Result<Found, usize> {
    by_words(packed, observe, options, None).map_err(|_| packed.machine().words())
}

/// Goes on from what [`Options::keep`] kept of the same system, observed in the same way, and finds what [`run`] would have
/// found: all but the times, and the bytes.
///
/// # Errors
/// If it is of something else, or not whole.
pub fn resume(
    packed: &Packed<'_>,
    observe: &impl Observe,
    options: Options<'_>,
    from: &mut dyn Read,
) -> Result<Found, ResumeError> {
    by_words(packed, observe, options, Some(from))
}

fn by_words(
    packed: &Packed<'_>,
    observe: &impl Observe,
    options: Options<'_>,
    from: Option<&mut dyn Read>,
) -> Result<Found, ResumeError> {
    match packed.machine().words() {
        1 => levels::<1, _>(packed, observe, options, from),
        2 => levels::<2, _>(packed, observe, options, from),
        3 => levels::<3, _>(packed, observe, options, from),
        4 => levels::<4, _>(packed, observe, options, from),
        5 => levels::<5, _>(packed, observe, options, from),
        6 => levels::<6, _>(packed, observe, options, from),
        7 => levels::<7, _>(packed, observe, options, from),
        8 => levels::<8, _>(packed, observe, options, from),
        words => Err(ResumeError::Words(words)),
    }
}

/// The initial states; `None` without memory for a table.
fn begin<const W: usize, O: Observe>(
    packed: &Packed<'_>,
    observe: &O,
    slots: u64,
) -> Option<Between<W>> {
    let mut memory = O::Memory::default();
    let mut between = Between {
        found: Found::nothing(),
        table: Table::new(slots as usize)?,
        entered: false,
        here: Vec::new(),
        next: Vec::new(),
    };
    for state in packed.machine().initial() {
        let mut words = [0; W];
        words.copy_from_slice(&state);
        between.found.generated += 1;
        if observe.reduces() {
            between.found.pass(observe.canon(&mut words, &mut memory));
        }
        if between.table.insert(table::fingerprint(&words)) {
            between.here.push(words);
        }
    }
    Some(between)
}

fn levels<const W: usize, O: Observe>(
    packed: &Packed<'_>,
    observe: &O,
    options: Options<'_>,
    from: Option<&mut dyn Read>,
) -> Result<Found, ResumeError> {
    let begun = Instant::now();
    // Threads look at how full the table is between chunks: what they may add until then has to fit.
    let most_a_chunk = (CHUNK * packed.most_successors() * options.threads.max(1)) as u64;
    let identity = match (&options.keep, &from) {
        (None, None) => 0,
        _ => kept::identity(packed, observe),
    };
    let between = match from {
        Some(from) => kept::read::<W>(from, identity, &options, 4 * most_a_chunk)?,
        None => {
            let slots = (8 * most_a_chunk).next_power_of_two().max(1 << 12);
            match begin::<W, O>(packed, observe, slots) {
                Some(between) => between,
                None => {
                    let stopped = Some(Stopped::Memory);
                    return Ok(Found {
                        stopped,
                        ..Found::nothing()
                    });
                }
            }
        }
    };
    let Between {
        mut found,
        mut table,
        mut entered,
        here,
        next,
    } = between;
    if found.stopped.is_some() {
        return Ok(found);
    }
    let before = found.elapsed;
    let mut level: Vec<Vec<[u64; W]>> = vec![here];
    let mut outs = vec![next];
    // Buffers of levels done with: pages that are given back have to be cleared again.
    let spare: Mutex<Vec<Vec<[u64; W]>>> = Mutex::new(Vec::new());
    let memories: Mutex<Vec<(O::Memory, packed::Memory)>> = Mutex::new(Vec::new());
    loop {
        found.elapsed = before + begun.elapsed();
        if !entered {
            let width: u64 = level.iter().map(|l| l.len() as u64).sum();
            if width == 0 {
                break;
            }
            // The first one shows that it can be kept at all.
            if found.levels.is_empty() || kept::is_due(&options) {
                let here: Vec<&[[u64; W]]> = level.iter().map(Vec::as_slice).collect();
                kept::keep(&options, identity, (&found, &table), false, &here, &[]);
            }
            found.distinct += width;
            found.levels.push(width);
        }
        entered = false;
        let width = found.levels.last().copied().unwrap_or(0);
        let depth = found.levels.len().saturating_sub(1);
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
            let mut lost = false;
            for mut part in parts {
                found.add(&mut part.tally, Some(depth));
                outs.push(part.out);
                lost |= part.lost;
                if part.exhausted {
                    found.stopped.get_or_insert(Stopped::Memory);
                }
            }
            if found.stopped.is_none() && options.must_fall && found.not_lowered > 0 {
                found.stopped = Some(Stopped::Rises);
            }
            if found.stopped.is_none() {
                found.stopped = work.over_time();
            }
            let left = chunks.get(next.load(Relaxed)..).unwrap_or_default();
            let grows = found.stopped.is_none() && !left.is_empty() && full.load(Relaxed);
            // The table is three quarters full: twice as large, and on.
            let more = table.bytes() * 2 + bytes;
            if grows && (options.memory.is_some_and(|most| more > most) || !table.grow()) {
                found.stopped = Some(Stopped::Memory);
            }
            found.elapsed = before + begun.elapsed();
            let goes_on = match found.stopped {
                None => !left.is_empty() && kept::is_due(&options),
                Some(Stopped::Misfit(_) | Stopped::Rises | Stopped::Seen) => false,
                Some(Stopped::Memory | Stopped::Time | Stopped::Cancelled) => !lost,
            };
            if goes_on {
                let next: Vec<&[[u64; W]]> = outs.iter().map(Vec::as_slice).collect();
                kept::keep(&options, identity, (&found, &table), true, left, &next);
            }
            if found.stopped.is_some() || left.is_empty() {
                break;
            }
        }
        drop(chunks);
        if found.stopped.is_some() {
            // What this level found is known, if not expanded.
            found.distinct += outs.iter().map(|o| o.len() as u64).sum::<u64>();
            break;
        }
        if options.until.is_some_and(|wanted| wanted.is_seen(&found)) {
            found.stopped = Some(Stopped::Seen);
            break;
        }
        let mut done = std::mem::replace(&mut level, std::mem::take(&mut outs));
        for buffer in &mut done {
            buffer.clear();
        }
        done.sort_by_key(Vec::capacity);
        lock(&spare).append(&mut done);
    }
    found.elapsed = before + begun.elapsed();
    if found.stopped.is_none() {
        kept::keep::<W>(&options, identity, (&found, &table), false, &[], &[]);
    }
    Ok(found)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl<const W: usize> Part<W> {
    /// Enters a batch of successors; how many were new.
    #[inline]
    fn enter(&mut self, batch: &mut Vec<([u64; W], u64)>, table: &Table) -> u64 {
        let before = self.out.len();
        for (next, print) in batch.drain(..) {
            if table.insert(print) {
                if self.out.len() == self.out.capacity() && self.out.try_reserve(1).is_err() {
                    (self.exhausted, self.lost) = (true, true);
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
            tally: Tally::default(),
            exhausted: false,
            lost: false,
        };
        // Successors wait here until their places in the table are on the way.
        let mut batch: Vec<([u64; W], u64)> = Vec::with_capacity(512);
        let (mut new, mut did_some) = (0, false);
        let remembered = lock(self.memories).pop();
        let (mut memory, mut ready) =
            remembered.unwrap_or_else(|| (O::Memory::default(), self.packed.memory()));
        loop {
            if (table.len() + self.most_a_chunk) * 4 > table.capacity() * 3 {
                full.store(true, Relaxed);
            }
            // However often it is kept, it gets on between.
            let is_due = did_some && kept::is_due(&self.options);
            let ends = part.exhausted || self.over_time().is_some() || is_due;
            if full.load(Relaxed) || ends {
                break;
            }
            let i = self.next.fetch_add(1, Relaxed);
            let Some(chunk) = self.chunks.get(i) else {
                // So that the next round does not begin where nothing is.
                self.next.store(self.chunks.len(), Relaxed);
                break;
            };
            did_some = true;
            for state in *chunk {
                let facts = self.observe.facts(state, &mut memory);
                part.tally.count(facts);
                let before = part.tally.generated;
                let mut rank = None;
                let mut passed = 0;
                let result = self.packed.successors(state, &mut ready, |step, next| {
                    part.tally.generated += 1;
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
                        part.tally.not_lowered += u64::from(not_lowered(&next));
                    }
                    let print = table::fingerprint(&next);
                    table.prefetch(print);
                    batch.push((next, print));
                });
                if passed != 0 {
                    part.tally.count(passed);
                }
                match result {
                    Ok(0) if self.observe.has_work_left(facts) => part.tally.ends += 1,
                    Ok(_) => {}
                    Err(misfit) => part.tally.misfit = Some(misfit.step),
                }
                part.tally.terminal += u64::from(part.tally.generated == before);
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
        lock(self.memories).push((memory, ready));
        part
    }
}
