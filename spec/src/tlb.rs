//! Which user translations a CPU may still use.
//!
//! All of them belong to the mm that CR3 points to: loading CR3 empties the TLB (no PCIDs in
//! these kernels). The hardware may fill it at any time by a walk of that mm's tables.
//!
//! Kernel translations are left out: a kernel entry only ever goes from absent to present
//! here, and x86 does not cache absent entries, so none can be stale.

use crate::program::{Entry, Scope};
use std::fmt;
use zerocopy::{Immutable, IntoBytes};

/// The translations in one CPU's TLB, one bit per [`Entry`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct Tlb(u8);

impl Tlb {
    /// Nothing cached.
    pub const EMPTY: Tlb = Tlb(0);

    /// Is the entry's translation cached?
    pub fn contains(self, entry: Entry) -> bool {
        self.0 >> entry as u8 & 1 == 1
    }

    /// Caches it.
    pub fn insert(&mut self, entry: Entry) {
        self.0 |= 1 << entry as u8;
    }

    /// Drops one translation, as hardware may at any time.
    pub fn evict(&mut self, entry: Entry) {
        self.0 &= !(1 << entry as u8);
    }

    /// Drops what the flush covers.
    pub fn flush(&mut self, scope: Scope) {
        match scope {
            Scope::Page => self.evict(Entry::Pte),
            Scope::Mm => self.0 = 0,
        }
    }

    /// True when nothing is cached.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Tlb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(Entry::ALL.iter().filter(|e| self.contains(**e)))
            .finish()
    }
}
