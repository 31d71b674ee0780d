//! Every interleaving and every reordering the memory model allows, for the parts that are plain atomics: the ticket
//! lock, the rwlock, the recorder's ring and the interrupt line. Each model is tried on a broken algorithm as well, which it
//! must notice.

#[path = "loom/broken.rs"]
mod broken;
#[path = "loom/line.rs"]
mod line;

use broken::{Carries, PastReaders, PastWriter, Unordered};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use loom::thread;

use shootdown_impl::host::recorder::{Full, Ring, RingWord};
use shootdown_impl::spinlock::{AtomicWord, Draw, rw, ticket};

struct LoomWord(AtomicU64);

impl From<u64> for LoomWord {
    fn from(word: u64) -> Self {
        Self(AtomicU64::new(word))
    }
}

impl AtomicWord for LoomWord {
    fn get(&self) -> u64 {
        self.0.load(Acquire)
    }
    fn add(&self, delta: u64) -> u64 {
        self.0.fetch_add(delta, SeqCst)
    }
    fn exchange(&self, old: u64, new: u64) -> bool {
        self.0.compare_exchange(old, new, SeqCst, Relaxed).is_ok()
    }
}

impl RingWord for LoomWord {
    fn zero() -> Self {
        Self(AtomicU64::new(0))
    }
    fn get(&self) -> u64 {
        self.0.load(Acquire)
    }
    fn set(&self, value: u64) {
        self.0.store(value, Release);
    }
    fn take(&self) -> u64 {
        self.0.fetch_add(1, Relaxed)
    }
}

struct Guarded<W> {
    lock: W,
    /// Loom fails the run if two threads are in here at once, or if one does not see what the one before wrote.
    value: UnsafeCell<u64>,
}
// SAFETY: `value` is touched only with `lock` held, which is what the tests check.
unsafe impl<W: Sync> Sync for Guarded<W> {}
// SAFETY: plain data.
unsafe impl<W: Send> Send for Guarded<W> {}

impl<W: From<u64>> Guarded<W> {
    fn new(word: u64) -> Arc<Self> {
        Arc::new(Self {
            lock: W::from(word),
            value: UnsafeCell::new(0),
        })
    }
}

impl<W> Guarded<W> {
    fn add_one(&self) {
        // SAFETY: the caller holds the lock.
        self.value.with_mut(|v| unsafe { *v += 1 });
    }
    fn read(&self) -> u64 {
        // SAFETY: the caller holds the lock, or is the only one left.
        self.value.with(|v| unsafe { *v })
    }
}

fn with_ticket_lock<W: AtomicWord>(g: &Guarded<W>) {
    if let Draw::Behind(mine) = ticket::draw(&g.lock) {
        while !ticket::is_served(&g.lock, mine) {
            thread::yield_now();
        }
    }
    g.add_one();
    ticket::release(&g.lock);
}

/// Two threads, each of which takes the lock twice. (With three, two that spin can yield to each other for ever.)
fn two_threads_share<W: AtomicWord + From<u64> + Send + Sync + 'static>(word: u64) {
    loom::model(move || {
        let shared = Guarded::<W>::new(word);
        let other = {
            let shared = shared.clone();
            thread::spawn(move || (0..2).for_each(|_| with_ticket_lock(&shared)))
        };
        (0..2).for_each(|_| with_ticket_lock(&shared));
        other.join().unwrap();
        assert_eq!(shared.read(), 4);
    });
}

#[test]
fn a_ticket_lock_lets_one_in_at_a_time() {
    two_threads_share::<LoomWord>(0);
}

#[test]
fn a_ticket_lock_survives_the_wrap_of_its_counters() {
    // Both halves one before the wrap: the second release must not carry into the tickets.
    let last = u64::from(u32::MAX);
    two_threads_share::<LoomWord>(last << 32 | last);
}

#[test]
#[should_panic]
fn a_release_that_carries_into_the_tickets_is_noticed() {
    let last = u64::from(u32::MAX);
    two_threads_share::<Carries>(last << 32 | last);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_lock_word_that_orders_nothing_is_noticed() {
    two_threads_share::<Unordered>(0);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_lock_that_does_not_wait_for_its_turn_is_noticed() {
    loom::model(|| {
        let shared = Guarded::<LoomWord>::new(0);
        let other = {
            let shared = shared.clone();
            thread::spawn(move || {
                ticket::draw(&shared.lock);
                shared.add_one();
                ticket::release(&shared.lock);
            })
        };
        with_ticket_lock(&shared);
        other.join().unwrap();
    });
}

/// A reader looks twice, and the others may run in between: nothing it sees may change.
fn read_twice<W: AtomicWord>(g: &Guarded<W>) {
    let first = g.read();
    thread::yield_now();
    assert_eq!(first, g.read(), "it changed under a reader");
    // 0 before the writer, 2 after it, never 1.
    assert_ne!(first, 1);
}

fn write_twice<W: AtomicWord>(g: &Guarded<W>) {
    g.add_one();
    thread::yield_now();
    g.add_one();
}

/// A writer and readers, each of which asks once: two that spin can yield to each other for ever.
fn readers_and_a_writer<W: AtomicWord + From<u64> + Send + Sync + 'static>(readers: usize) {
    loom::model(move || {
        let shared = Guarded::<W>::new(0);
        let mut threads = Vec::new();
        for _ in 0..readers {
            let shared = shared.clone();
            threads.push(thread::spawn(move || {
                if rw::try_read(&shared.lock) {
                    read_twice(&shared);
                    rw::read_release(&shared.lock);
                }
            }));
        }
        let wrote = rw::try_write(&shared.lock);
        if wrote {
            write_twice(&shared);
            rw::write_release(&shared.lock);
        }
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(shared.read(), if wrote { 2 } else { 0 });
        // All that came in have gone: the lock is free.
        assert!(rw::try_write(&shared.lock));
    });
}

#[test]
fn a_writer_is_alone_and_readers_see_nothing_change() {
    readers_and_a_writer::<LoomWord>(1);
    readers_and_a_writer::<LoomWord>(2);
}

#[test]
#[should_panic]
fn a_writer_that_enters_past_its_readers_is_noticed() {
    readers_and_a_writer::<PastReaders>(1);
}

#[test]
#[should_panic]
fn a_reader_that_enters_past_the_writer_is_noticed() {
    readers_and_a_writer::<PastWriter>(1);
}

/// Each waits until it is let in: the lock is handed over.
#[test]
fn a_writer_and_a_reader_that_wait_both_come_in() {
    loom::model(|| {
        let shared = Guarded::<LoomWord>::new(0);
        let writer = {
            let shared = shared.clone();
            thread::spawn(move || {
                while !rw::try_write(&shared.lock) {
                    thread::yield_now();
                }
                shared.add_one();
                shared.add_one();
                rw::write_release(&shared.lock);
            })
        };
        while !rw::try_read(&shared.lock) {
            thread::yield_now();
        }
        assert_ne!(shared.read(), 1);
        rw::read_release(&shared.lock);
        writer.join().unwrap();
        assert_eq!(shared.read(), 2);
    });
}

/// A writer and a reader of a ring that loses nothing.
fn hands_over<W: RingWord + Send + Sync + 'static>(places: usize, preemptions: Option<usize>) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    let records = places as u64 + 1;
    model.check(move || {
        let ring: Arc<Ring<W>> = Arc::new(Ring::new(places));
        let writer = {
            let ring = ring.clone();
            thread::spawn(move || {
                // One record more than there are places: the last waits for the reader.
                for n in 1..=records {
                    while ring.push([n, n * 10, n * 100], false) == Err(Full) {
                        thread::yield_now();
                    }
                }
            })
        };
        let mut next = 1;
        while next <= records {
            match ring.pop() {
                Some(record) => {
                    assert_eq!(record, [next, next * 10, next * 100]);
                    next += 1;
                }
                None => thread::yield_now(),
            }
        }
        writer.join().unwrap();
        assert_eq!(ring.pop(), None);
    });
}

#[test]
fn a_ring_hands_over_every_record_whole_and_in_order() {
    hands_over::<LoomWord>(1, None);
    // All of it takes a minute.
    hands_over::<LoomWord>(2, Some(3));
}

#[test]
#[should_panic(expected = "left == right")]
fn a_ring_whose_words_order_nothing_is_noticed() {
    hands_over::<Unordered>(2, None);
}

/// A reader that looks back while a ring is overwritten.
fn looks_back<W: RingWord + Send + Sync + 'static>() {
    loom::model(|| {
        let ring: Arc<Ring<W>> = Arc::new(Ring::new(1));
        let writer = {
            let ring = ring.clone();
            thread::spawn(move || {
                for n in 1..=2u64 {
                    ring.push([n, n * 10, n * 100], true).unwrap();
                }
            })
        };
        for record in ring.last(1) {
            assert!(
                record == [1, 10, 100] || record == [2, 20, 200],
                "{record:?}"
            );
        }
        writer.join().unwrap();
        assert_eq!(ring.last(5), [[2, 20, 200]]);
    });
}

#[test]
fn a_look_back_never_shows_half_a_record() {
    looks_back::<LoomWord>();
}

#[test]
#[should_panic]
fn a_look_back_through_words_that_order_nothing_is_noticed() {
    looks_back::<Unordered>();
}
