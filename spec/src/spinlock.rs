//! `spinlock_t` and `rwlock_t` as the protocol needs them.
//!
//! Spinlocks are ticket locks: first come, first served, and the next waiter owns the lock
//! from the moment of the unlock (its own "I am served" step is folded into that). rwlocks
//! are x86's of 2.6.38: readers get in whenever no writer owns the lock, even past waiting
//! writers; waiters are served in order of arrival.
//!
//! A lock is asked for by a *context*: an interrupt queues behind its own interrupted code,
//! as ticket locks make it.

use crate::id::Context;
use crate::program::Mode;
use zerocopy::{Immutable, IntoBytes};

const NOBODY: u8 = 0xff;
/// An empty slot of the queue.
const EMPTY: u8 = 0xff;

/// One lock: who owns it and who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, Immutable)]
#[repr(C)]
pub struct Lock {
    /// Waiters, first come first: context code, plus 8 for exclusive. At most one entry per
    /// context.
    queue: [u8; 8],
    /// Context code of the exclusive owner.
    owner: u8,
    /// Readers, one bit per context code.
    readers: u8,
}

impl Default for Lock {
    fn default() -> Self {
        Lock {
            queue: [EMPTY; 8],
            owner: NOBODY,
            readers: 0,
        }
    }
}

/// The result of an acquire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Acquired {
    /// The lock is the caller's.
    Granted,
    /// The caller spins.
    Queued,
}

impl Lock {
    /// Exclusive owner, if any.
    pub fn owner(&self) -> Option<Context> {
        (self.owner != NOBODY).then(|| Context::from_code(self.owner))
    }

    /// Readers, in order of their codes.
    pub fn readers(&self) -> impl Iterator<Item = Context> {
        let readers = self.readers;
        (0..8)
            .filter(move |c| readers >> c & 1 == 1)
            .map(Context::from_code)
    }

    /// Everybody who holds the lock.
    pub fn holders(&self) -> impl Iterator<Item = Context> {
        self.owner().into_iter().chain(self.readers())
    }

    /// Waiters, the next one first.
    pub fn waiters(&self) -> impl Iterator<Item = (Context, Mode)> {
        let queue = self.queue;
        queue.into_iter().take_while(|&e| e != EMPTY).map(|e| {
            let mode = if e & 8 != 0 {
                Mode::Exclusive
            } else {
                Mode::Shared
            };
            (Context::from_code(e & 7), mode)
        })
    }

    /// Nobody holds it.
    pub fn is_free(&self) -> bool {
        self.owner == NOBODY && self.readers == 0
    }

    fn grant(&mut self, who: Context, mode: Mode) {
        match mode {
            Mode::Exclusive => self.owner = who.code(),
            Mode::Shared => self.readers |= 1 << who.code(),
        }
    }

    /// Asks for the lock. `broken` is the deviation in which a held lock is granted.
    pub fn acquire(&mut self, who: Context, mode: Mode, broken: bool) -> Acquired {
        let available = match mode {
            Mode::Exclusive => self.is_free(),
            Mode::Shared => self.owner == NOBODY,
        };
        if available || broken {
            self.grant(who, mode);
            return Acquired::Granted;
        }
        let free = self.queue.iter().position(|&e| e == EMPTY);
        let slot = free.expect("a context waits for one lock at a time, so eight slots suffice");
        self.queue[slot] = who.code() | if mode == Mode::Exclusive { 8 } else { 0 };
        Acquired::Queued
    }

    /// Takes the lock if it is free now; never waits.
    pub fn try_acquire(&mut self, who: Context) -> bool {
        let free = self.is_free();
        if free {
            self.grant(who, Mode::Exclusive);
        }
        free
    }

    /// Releases the lock and serves waiters; returns who owns it now on that account.
    pub fn release(&mut self, who: Context) -> Vec<Context> {
        if self.owner == who.code() {
            self.owner = NOBODY;
        } else {
            self.readers &= !(1 << who.code());
        }
        let mut served = Vec::new();
        loop {
            let first = self.waiters().next();
            let Some((next, mode)) = first else { break };
            let available = match mode {
                Mode::Exclusive => self.is_free(),
                Mode::Shared => self.owner == NOBODY,
            };
            if !available {
                break;
            }
            self.queue.copy_within(1.., 0);
            self.queue[7] = EMPTY;
            self.grant(next, mode);
            served.push(next);
        }
        served
    }
}
