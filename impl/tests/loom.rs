//! Every interleaving and every reordering the memory model allows, for the parts that are plain atomics: the ticket
//! lock, the rwlock and the recorder's ring.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use loom::thread;

use shootdown_impl::host::recorder::{Full, Ring, RingWord};
use shootdown_impl::spinlock::{AtomicWord, Draw, rw, ticket};

struct LoomWord(AtomicU64);

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

struct Guarded {
    lock: LoomWord,
    /// Loom fails the run if two threads are in here at once, or if one does not see what the one before wrote.
    value: UnsafeCell<u64>,
}
// SAFETY: `value` is touched only with `lock` held, which is what the tests check.
unsafe impl Sync for Guarded {}
// SAFETY: plain data.
unsafe impl Send for Guarded {}

impl Guarded {
    fn new(word: u64) -> Arc<Self> {
        Arc::new(Self {
            lock: LoomWord(AtomicU64::new(word)),
            value: UnsafeCell::new(0),
        })
    }
    fn add_one(&self) {
        // SAFETY: the caller holds the lock.
        self.value.with_mut(|v| unsafe { *v += 1 });
    }
    fn read(&self) -> u64 {
        // SAFETY: the caller holds the lock, or is the only one left.
        self.value.with(|v| unsafe { *v })
    }
}

fn with_ticket_lock(g: &Guarded) {
    if let Draw::Behind(mine) = ticket::draw(&g.lock) {
        while !ticket::is_served(&g.lock, mine) {
            thread::yield_now();
        }
    }
    g.add_one();
    ticket::release(&g.lock);
}

/// Two threads, each of which takes the lock twice. (With three, two that spin can yield to each other for ever.)
fn two_threads_share(word: u64) {
    loom::model(move || {
        let shared = Guarded::new(word);
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
    two_threads_share(0);
}

#[test]
fn a_ticket_lock_survives_the_wrap_of_its_counters() {
    // Both halves one before the wrap: the second release must not carry into the tickets.
    let last = u64::from(u32::MAX);
    two_threads_share(last << 32 | last);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_lock_that_does_not_wait_for_its_turn_is_noticed() {
    loom::model(|| {
        let shared = Guarded::new(0);
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

#[test]
fn a_writer_is_alone_and_readers_see_what_it_wrote() {
    loom::model(|| {
        let shared = Guarded::new(0);
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
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || {
                while !rw::try_read(&shared.lock) {
                    thread::yield_now();
                }
                // 0 before the writer, 2 after it, never 1.
                assert_ne!(shared.read(), 1);
                rw::read_release(&shared.lock);
            })
        };
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(shared.read(), 2);
    });
}

#[test]
fn a_ring_hands_over_every_record_whole_and_in_order() {
    loom::model(|| {
        let ring: Arc<Ring<LoomWord>> = Arc::new(Ring::new(2));
        let writer = {
            let ring = ring.clone();
            thread::spawn(move || {
                // Three records through two places: the third waits for the reader.
                for n in 1..=3u64 {
                    while ring.push([n, n * 10, n * 100], false) == Err(Full) {
                        thread::yield_now();
                    }
                }
            })
        };
        let mut next = 1;
        while next <= 3 {
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
fn a_look_back_never_shows_half_a_record() {
    loom::model(|| {
        let ring: Arc<Ring<LoomWord>> = Arc::new(Ring::new(1));
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
