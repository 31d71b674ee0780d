//! Words that make the algorithms over them wrong: what each model must notice.

use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::{Relaxed, SeqCst};

use shootdown_impl::host::recorder::RingWord;
use shootdown_impl::spinlock::AtomicWord;

const WRITER: u64 = 1 << 32;

macro_rules! word {
    ($name:ident) => {
        impl From<u64> for $name {
            fn from(word: u64) -> Self {
                Self(AtomicU64::new(word))
            }
        }
    };
}

/// A writer comes in though there are readers.
pub struct PastReaders(AtomicU64);
word!(PastReaders);

impl AtomicWord for PastReaders {
    fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }
    fn add(&self, delta: u64) -> u64 {
        self.0.fetch_add(delta, SeqCst)
    }
    fn exchange(&self, old: u64, new: u64) -> bool {
        if new == WRITER {
            self.0.fetch_add(WRITER, SeqCst);
            return true;
        }
        self.0.compare_exchange(old, new, SeqCst, SeqCst).is_ok()
    }
}

/// A reader comes in though there is a writer.
pub struct PastWriter(AtomicU64);
word!(PastWriter);

impl AtomicWord for PastWriter {
    fn get(&self) -> u64 {
        self.0.load(SeqCst) & !WRITER
    }
    fn add(&self, delta: u64) -> u64 {
        self.0.fetch_add(delta, SeqCst)
    }
    fn exchange(&self, old: u64, new: u64) -> bool {
        if new == old + 1 {
            self.0.fetch_add(1, SeqCst);
            return true;
        }
        self.0.compare_exchange(old, new, SeqCst, SeqCst).is_ok()
    }
}

/// The half that is served carries into the half that is drawn.
pub struct Carries(AtomicU64);
word!(Carries);

impl AtomicWord for Carries {
    fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }
    fn add(&self, delta: u64) -> u64 {
        let delta = if delta == 1u64.wrapping_sub(WRITER) {
            1
        } else {
            delta
        };
        self.0.fetch_add(delta, SeqCst)
    }
    fn exchange(&self, old: u64, new: u64) -> bool {
        self.0.compare_exchange(old, new, SeqCst, SeqCst).is_ok()
    }
}

/// Every operation is atomic, and none orders what is around it.
pub struct Unordered(AtomicU64);
word!(Unordered);

impl AtomicWord for Unordered {
    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
    fn add(&self, delta: u64) -> u64 {
        self.0.fetch_add(delta, Relaxed)
    }
    fn exchange(&self, old: u64, new: u64) -> bool {
        self.0.compare_exchange(old, new, Relaxed, Relaxed).is_ok()
    }
}

impl RingWord for Unordered {
    fn zero() -> Self {
        Self(AtomicU64::new(0))
    }
    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
    fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
    fn take(&self) -> u64 {
        self.0.fetch_add(1, Relaxed)
    }
}
