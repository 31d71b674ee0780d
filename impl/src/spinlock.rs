//! Ticket spinlocks and read-write locks: the words, and what a machine does with them.
//!
//! After `arch/x86/include/asm/spinlock.h`, 2.6.38: `__ticket_spin_lock` is one `xadd` that draws a ticket and tells
//! whose turn it is, then a loop. The two halves are 32 bits here, not 8 or 16. The guards are with what the locks
//! guard: [`crate::pgd_list`] and [`crate::mm`]. Interrupt state: as the design says, see [`crate::design`].

use crate::event::{Event, Lock};
use crate::machine::{Machine, Word};

/// `raw_spinlock_t`.
#[derive(Default)]
#[repr(C, align(64))]
pub struct SpinLock(Word);

impl SpinLock {
    /// Free.
    pub const fn new() -> Self {
        Self(Word::new(0))
    }

    /// The ticket word.
    pub const fn word(&self) -> &Word {
        &self.0
    }
}

/// `rwlock_t`, not fair to writers, as in 2.6.38.
#[derive(Default)]
#[repr(C, align(64))]
pub struct RwLock(Word);

impl RwLock {
    /// Free.
    pub const fn new() -> Self {
        Self(Word::new(0))
    }

    /// The count word.
    pub const fn word(&self) -> &Word {
        &self.0
    }
}

/// A place in the queue of a ticket lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket(pub u32);

/// What drawing a ticket said.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Draw {
    /// Our turn already: the lock is ours.
    Served,
    /// Others are first.
    Behind(Ticket),
}

pub(crate) fn spin_lock<M: Machine>(m: &M, lock: &SpinLock, name: Lock) {
    match m.ticket_draw(lock.word()) {
        Draw::Served => {}
        Draw::Behind(ticket) => {
            m.observe(Event::LockWait { lock: name });
            m.ticket_wait(lock.word(), ticket);
        }
    }
    m.observe(Event::LockAcquired { lock: name });
}

pub(crate) fn spin_unlock<M: Machine>(m: &M, lock: &SpinLock, name: Lock) {
    m.ticket_release(lock.word());
    m.observe(Event::LockReleased { lock: name });
}

/// The atomic operations a lock word needs: core's atomics have them, and so have loom's, so that the algorithms
/// below are checked as they are.
pub trait AtomicWord {
    /// Atomic load (acquire).
    fn get(&self) -> u64;
    /// Atomic wrapping add; returns the old value (sequentially consistent).
    fn add(&self, delta: u64) -> u64;
    /// Atomic exchange if equal (sequentially consistent); whether it was.
    fn exchange(&self, old: u64, new: u64) -> bool;
}

impl AtomicWord for core::sync::atomic::AtomicU64 {
    fn get(&self) -> u64 {
        self.load(core::sync::atomic::Ordering::Acquire)
    }
    fn add(&self, delta: u64) -> u64 {
        self.fetch_add(delta, core::sync::atomic::Ordering::SeqCst)
    }
    fn exchange(&self, old: u64, new: u64) -> bool {
        use core::sync::atomic::Ordering::{Relaxed, SeqCst};
        self.compare_exchange(old, new, SeqCst, Relaxed).is_ok()
    }
}

/// The ticket algorithm for machines whose words are real: next ticket in the upper half, ticket served in the lower.
pub mod ticket {
    use super::{AtomicWord, Draw, Ticket};

    const NEXT: u64 = 1 << 32;

    /// Draws a ticket.
    pub fn draw<W: AtomicWord>(word: &W) -> Draw {
        let old = word.add(NEXT);
        let (next, served) = ((old >> 32) as u32, old as u32);
        if next == served {
            Draw::Served
        } else {
            Draw::Behind(Ticket(next))
        }
    }

    /// Whether it is this ticket's turn.
    pub fn is_served<W: AtomicWord>(word: &W, ticket: Ticket) -> bool {
        word.get() as u32 == ticket.0
    }

    /// Serves the next ticket. Only the holder calls it, so the lower half does not change under it.
    pub fn release<W: AtomicWord>(word: &W) {
        // The lower half must wrap without a carry into the upper one.
        let delta = if word.get() as u32 == u32::MAX {
            1u64.wrapping_sub(NEXT)
        } else {
            1
        };
        word.add(delta);
    }
}

/// The read-write algorithm for machines whose words are real: readers counted in the low bits, one writer bit.
pub mod rw {
    use super::AtomicWord;

    const WRITER: u64 = 1 << 32;

    /// Becomes a reader unless there is a writer.
    pub fn try_read<W: AtomicWord>(word: &W) -> bool {
        let now = word.get();
        now & WRITER == 0 && word.exchange(now, now + 1)
    }

    /// Is a reader no more.
    pub fn read_release<W: AtomicWord>(word: &W) {
        word.add(1u64.wrapping_neg());
    }

    /// Becomes the writer if there is nobody.
    pub fn try_write<W: AtomicWord>(word: &W) -> bool {
        word.exchange(0, WRITER)
    }

    /// Is the writer no more.
    pub fn write_release<W: AtomicWord>(word: &W) {
        word.add(WRITER.wrapping_neg());
    }
}
