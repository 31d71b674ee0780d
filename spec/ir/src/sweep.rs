//! The sweep line: every reachable state, rank by rank, without a visited set.
//!
//! Where every step lowers the rank, whoever leads to a state has a higher one. So the states of the highest rank are all
//! known before any is expanded: sorted, doubles dropped, expanded and forgotten; then those of the next rank. What has to be
//! in memory is what waits at lower ranks, a fraction of all states, and states are compared word by word, so that none is
//! ever taken for another. Counts and facts are those of [`levels`](crate::levels); levels, and so the shortest runs, do not
//! come out of it (Christensen, Kristensen and Mailund, *A sweep-line method for state space exploration*, 2001).
//!
//! That the rank falls is compared at every step. Where one does not lower it, the sweep ends and nothing it found counts.

use crate::keep::{self, Reader, ResumeError, Standing, Way, Writer};
use crate::levels::{
    Found, Observe, Options, Progress, Stopped, Tally, fingerprint, read_found, write_found,
};
use crate::packed::{self, Packed};
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// States that a thread takes at a time.
const CHUNK: usize = 256;
/// Buckets shorter than this are left as they are until their turn comes.
const SHORT: usize = 1 << 10;

/// What waits, by rank, as one thread found it.
#[derive(Default)]
struct Waiting<const W: usize> {
    by_rank: Vec<Vec<[u64; W]>>,
    states: usize,
    /// Room for so many states.
    room: usize,
    /// Emptied, to be filled again.
    spare: Vec<Vec<[u64; W]>>,
}

impl<const W: usize> Waiting<W> {
    /// Adds a state; false if there is no memory for it.
    #[inline]
    fn push(&mut self, rank: u64, state: [u64; W]) -> bool {
        let rank = rank as usize;
        if rank >= self.by_rank.len() {
            let more = rank + 1 - self.by_rank.len();
            if self.by_rank.try_reserve(more).is_err() {
                return false;
            }
            self.by_rank.resize_with(rank + 1, Vec::new);
        }
        let bucket = &mut self.by_rank[rank];
        if bucket.len() == bucket.capacity() && !self.grow(rank) {
            return false;
        }
        self.by_rank[rank].push(state);
        self.states += 1;
        true
    }

    /// Room for one more: by dropping doubles, if that gives much.
    #[cold]
    fn grow(&mut self, rank: usize) -> bool {
        let bucket = &mut self.by_rank[rank];
        if bucket.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            *bucket = spare;
            return true;
        }
        let before = bucket.len();
        if before >= SHORT {
            bucket.sort_unstable();
            bucket.dedup();
            self.states -= before - bucket.len();
        }
        if bucket.len() * 4 <= bucket.capacity() * 3 && before >= SHORT {
            return true;
        }
        let room = bucket.capacity();
        let more = bucket.len().max(64);
        let got = bucket.try_reserve_exact(more).is_ok();
        self.room += bucket.capacity() - room;
        got
    }

    /// What waits at a rank, sorted, each once.
    fn take(&mut self, rank: usize) -> Vec<[u64; W]> {
        let Some(bucket) = self.by_rank.get_mut(rank) else {
            return Vec::new();
        };
        let mut states = std::mem::take(bucket);
        // No step leads up again.
        self.by_rank.truncate(rank);
        self.states -= states.len();
        self.room -= states.capacity();
        states.sort_unstable();
        states.dedup();
        states
    }

    /// A buffer that is done with.
    fn give_back(&mut self, mut buffer: Vec<[u64; W]>) {
        // Many are as long as the longest otherwise.
        if buffer.capacity() > 0 && buffer.capacity() <= 4 * SHORT && self.spare.len() < 64 {
            buffer.clear();
            self.room += buffer.capacity();
            self.spare.push(buffer);
        }
    }

    fn highest(&self) -> Option<usize> {
        self.by_rank.iter().rposition(|bucket| !bucket.is_empty())
    }

    fn bytes(&self) -> usize {
        self.room * size_of::<[u64; W]>() + self.by_rank.capacity() * size_of::<Vec<[u64; W]>>()
    }
}

/// Sweeps. What [`Found::levels`] and [`Found::first`] say of a search by levels they do not say here.
///
/// # Errors
/// The number of words, if they are too many.
pub fn run(
    packed: &Packed<'_>,
    observe: &impl Observe,
    options: Options<'_>,
) -> Result<Found, usize> {
    by_words(packed, observe, options, None).map_err(|_| packed.machine().words())
}

/// Goes on from what a sweep of the same kept.
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
        1 => sweep::<1, _>(packed, observe, options, from),
        2 => sweep::<2, _>(packed, observe, options, from),
        3 => sweep::<3, _>(packed, observe, options, from),
        4 => sweep::<4, _>(packed, observe, options, from),
        5 => sweep::<5, _>(packed, observe, options, from),
        6 => sweep::<6, _>(packed, observe, options, from),
        7 => sweep::<7, _>(packed, observe, options, from),
        8 => sweep::<8, _>(packed, observe, options, from),
        words => Err(ResumeError::Words(words)),
    }
}

/// One thread: what it found that waits, and what it remembers.
struct Thread<const W: usize, M> {
    waiting: Waiting<W>,
    memory: M,
    ready: packed::Memory,
    tally: Tally,
    exhausted: bool,
}

/// A rank that is expanded.
struct Rank<'a, const W: usize, O> {
    packed: &'a Packed<'a>,
    observe: &'a O,
    options: &'a Options<'a>,
    begun: Instant,
    at: u64,
    states: &'a [[u64; W]],
    next: AtomicUsize,
    /// Bytes of all threads, as they were told last.
    bytes: &'a AtomicI64,
    full: AtomicBool,
}

impl<const W: usize, O: Observe> Rank<'_, W, O> {
    fn expand(&self, thread: &mut Thread<W, O::Memory>) {
        let Thread {
            waiting,
            memory,
            ready,
            tally,
            exhausted,
        } = thread;
        let mut told = waiting.bytes() as i64;
        loop {
            let over = stops(self.options, self.begun).is_some();
            if over || *exhausted || self.full.load(Relaxed) {
                break;
            }
            let from = self.next.fetch_add(CHUNK, Relaxed);
            let Some(rest) = self.states.get(from..).filter(|rest| !rest.is_empty()) else {
                self.next.store(self.states.len(), Relaxed);
                break;
            };
            for state in &rest[..rest.len().min(CHUNK)] {
                let facts = self.observe.facts(state, memory);
                tally.count(facts);
                let before = tally.generated;
                let result = self.packed.successors(state, ready, |_, next| {
                    tally.generated += 1;
                    let rank = self.observe.rank(next);
                    if rank >= self.at {
                        tally.not_lowered += 1;
                    } else if !waiting.push(rank, *next) {
                        *exhausted = true;
                    }
                });
                match result {
                    Ok(0) if self.observe.has_work_left(facts) => tally.ends += 1,
                    Ok(_) => {}
                    Err(misfit) => tally.misfit = Some(misfit.step),
                }
                tally.terminal += u64::from(tally.generated == before);
            }
            let now = waiting.bytes() as i64;
            let all = self.bytes.fetch_add(now - told, Relaxed) + now - told;
            told = now;
            if self
                .options
                .memory
                .is_some_and(|most| all.max(0) as u64 > most)
            {
                self.full.store(true, Relaxed);
            }
        }
    }
}

fn stops(options: &Options<'_>, begun: Instant) -> Option<Stopped> {
    if options.cancel.is_some_and(|c| c.load(Relaxed)) {
        return Some(Stopped::Cancelled);
    }
    let late = options.timeout.is_some_and(|most| begun.elapsed() >= most);
    late.then_some(Stopped::Time)
}

fn sweep<const W: usize, O: Observe>(
    packed: &Packed<'_>,
    observe: &O,
    options: Options<'_>,
    from: Option<&mut dyn Read>,
) -> Result<Found, ResumeError> {
    let begun = Instant::now();
    let identity = match (&options.keep, &from) {
        (None, None) => 0,
        _ => identity(packed, observe),
    };
    let new_thread = || Thread {
        waiting: Waiting::default(),
        memory: O::Memory::default(),
        ready: packed.memory(),
        tally: Tally::default(),
        exhausted: false,
    };
    let mut threads: Vec<Thread<W, O::Memory>> =
        (0..options.threads.max(1)).map(|_| new_thread()).collect();
    let (mut found, mut rest) = match from {
        Some(from) => read(from, identity, &mut threads[0].waiting)?,
        None => {
            let mut found = Found::nothing();
            for state in packed.machine().initial() {
                let mut words = [0; W];
                words.copy_from_slice(&state);
                found.generated += 1;
                if !threads[0].waiting.push(observe.rank(&words), words) {
                    found.stopped = Some(Stopped::Memory);
                }
            }
            (found, None)
        }
    };
    let before = found.elapsed;
    let bytes = AtomicI64::new(0);
    let mut first = found.distinct == 0;
    while found.stopped.is_none() {
        let highest = threads.iter().filter_map(|t| t.waiting.highest()).max();
        let (at, states) = match (rest.take(), highest) {
            (Some(rest), _) => rest,
            (None, None) => break,
            (None, Some(at)) => {
                if std::mem::take(&mut first) || options.keep.is_some_and(|k| k.is_due()) {
                    found.elapsed = before + begun.elapsed();
                    keep(&options, identity, &found, &threads, None);
                }
                let states = gather(&mut threads, at);
                // Each state is in one bucket, and there once.
                found.distinct += states.len() as u64;
                found.ranks += 1;
                (at as u64, states)
            }
        };
        let waiting: usize = threads.iter().map(|t| t.waiting.states).sum();
        found.peak_states = found.peak_states.max((waiting + states.len()) as u64);
        let held: usize = threads.iter().map(|t| t.waiting.bytes()).sum();
        let held = held + states.capacity() * size_of::<[u64; W]>();
        found.peak_bytes = found.peak_bytes.max(held as u64);
        bytes.store(held as i64, Relaxed);
        if let Some(tell) = options.tell {
            tell(&Progress {
                distinct: found.distinct,
                generated: found.generated,
                level: found.ranks as usize,
                width: (waiting + states.len()) as u64,
                bytes: held as u64,
            });
        }
        let rank = Rank {
            packed,
            observe,
            options: &options,
            begun,
            at,
            states: &states,
            next: AtomicUsize::new(0),
            bytes: &bytes,
            full: AtomicBool::new(false),
        };
        // Whoever has little to do does it alone.
        let useful = (states.len() / (2 * CHUNK)).clamp(1, threads.len());
        let (mine, others) = threads[..useful].split_at_mut(1);
        std::thread::scope(|scope| {
            for thread in others {
                scope.spawn(|| rank.expand(thread));
            }
            rank.expand(&mut mine[0]);
        });
        let mut lost = false;
        for thread in &mut threads {
            found.add(&mut std::mem::take(&mut thread.tally), None);
            lost |= thread.exhausted;
        }
        if found.stopped.is_none() && found.not_lowered > 0 {
            found.stopped = Some(Stopped::Rises);
        }
        if found.stopped.is_none() && (lost || rank.full.load(Relaxed)) {
            found.stopped = Some(Stopped::Memory);
        }
        if found.stopped.is_none() {
            found.stopped = stops(&options, begun);
        }
        let left = states.get(rank.next.load(Relaxed)..).unwrap_or_default();
        let is_known = !matches!(found.stopped, Some(Stopped::Misfit(_) | Stopped::Rises));
        if found.stopped.is_some() && is_known && !lost {
            found.elapsed = before + begun.elapsed();
            keep(&options, identity, &found, &threads, Some((at, left)));
        }
        threads[0].waiting.give_back(states);
    }
    found.elapsed = before + begun.elapsed();
    if found.stopped.is_none() {
        keep(&options, identity, &found, &threads, None);
    }
    Ok(found)
}

/// What all threads have at a rank, sorted, each once.
fn gather<const W: usize, M: Send>(threads: &mut [Thread<W, M>], at: usize) -> Vec<[u64; W]> {
    let many = |t: &Thread<W, M>| t.waiting.by_rank.get(at).map_or(0, Vec::len) > 8 * SHORT;
    let mut parts: Vec<Vec<[u64; W]>> = if threads.iter().filter(|t| many(t)).count() > 1 {
        std::thread::scope(|scope| {
            let handles: Vec<_> = threads
                .iter_mut()
                .map(|thread| scope.spawn(|| thread.waiting.take(at)))
                .collect();
            let joined = handles.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined
                .map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    } else {
        threads.iter_mut().map(|t| t.waiting.take(at)).collect()
    };
    parts.retain(|part| !part.is_empty());
    let mut states = parts.pop().unwrap_or_default();
    if !parts.is_empty() {
        for part in parts {
            states.extend_from_slice(&part);
        }
        // Runs that are sorted are merged.
        states.sort();
        states.dedup();
    }
    states
}

fn identity(packed: &Packed<'_>, observe: &impl Observe) -> u64 {
    let system = keep::identity(packed.machine().system());
    fingerprint(&[system, packed.machine().words() as u64, observe.identity()])
}

/// Keeps it, if somebody wants it kept; `rest` is what is left of the rank that is expanded.
fn keep<const W: usize, M>(
    options: &Options<'_>,
    identity: u64,
    found: &Found,
    threads: &[Thread<W, M>],
    rest: Option<(u64, &[[u64; W]])>,
) {
    let Some(keeper) = options.keep else { return };
    let highest = threads.iter().filter_map(|t| t.waiting.highest()).max();
    let standing = Standing {
        states: found.distinct,
        level: rest.map_or(highest.unwrap_or(0) as u64, |(at, _)| at),
        complete: found.stopped.is_none() && highest.is_none(),
    };
    keeper.keep(standing, &mut |to| {
        let mut writer = Writer::new(to, Way::Sweep, identity)?;
        write_found(&mut writer, found)?;
        let (at, left) = rest.unwrap_or_default();
        writer.option(rest.map(|_| at as usize))?;
        writer.list(left.as_flattened())?;
        for at in (0..highest.map_or(0, |at| at + 1)).rev() {
            for thread in threads {
                let Some(states) = thread.waiting.by_rank.get(at) else {
                    continue;
                };
                if !states.is_empty() {
                    writer.option(Some(at))?;
                    writer.list(states.as_flattened())?;
                }
            }
        }
        writer.option(None)
    });
}

/// What was found, and what is left of a rank.
type Begun<const W: usize> = (Found, Option<(u64, Vec<[u64; W]>)>);

fn read<const W: usize>(
    from: &mut dyn Read,
    identity: u64,
    waiting: &mut Waiting<W>,
) -> Result<Begun<W>, ResumeError> {
    let mut reader = Reader::new(from, Way::Sweep, identity)?;
    let found = read_found(&mut reader)?;
    let states = |reader: &mut Reader<'_>| -> Result<Vec<[u64; W]>, ResumeError> {
        let words = reader.list()?;
        if words.len() % W != 0 {
            return Err(ResumeError::Damaged("half a state"));
        }
        Ok(words.as_chunks::<W>().0.to_vec())
    };
    let at = reader.option()?;
    let left = states(&mut reader)?;
    let rest = at.map(|at| (at as u64, left));
    while let Some(at) = reader.option()? {
        if at >= 1 << 32 {
            return Err(ResumeError::Damaged("a rank too high"));
        }
        for state in states(&mut reader)? {
            if !waiting.push(at as u64, state) {
                return Err(std::io::Error::from(std::io::ErrorKind::OutOfMemory).into());
            }
        }
    }
    reader.end()?;
    Ok((found, rest))
}
