//! The visited set: fingerprints in flat arrays, cut into shards.
//!
//! A shard is owned by one thread while a batch is merged and left alone otherwise, so no slot is ever contended and
//! no lock or atomic is needed. A shard's slots for a batch are close together in
//! memory, which makes merging cheaper than inserting at random into one big table.

use std::collections::TryReserveError;
use std::num::NonZeroU64;

use super::prefetch::prefetch;

/// Shards: the top bits of a fingerprint. Fixed, so that nothing depends on the number of threads.
pub(super) const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 6;

/// A slot: the halves of a fingerprint, both zero in an empty one, and the number of the state or, while its level is
/// being merged, a provisional one (see `merge`). Side by side, so that a look-up mostly touches one cache line, and
/// in halves, so that nothing is lost to alignment.
type Entry = [u32; 3];

#[inline]
fn entry(fp: NonZeroU64, number: u32) -> Entry {
    [fp.get() as u32, (fp.get() >> 32) as u32, number]
}

#[inline]
fn fingerprint(entry: Entry) -> u64 {
    u64::from(entry[0]) | u64::from(entry[1]) << 32
}

/// The shard of a fingerprint.
#[inline]
pub(super) fn shard_of(fp: NonZeroU64) -> usize {
    (fp.get() >> (u64::BITS - SHARD_BITS)) as usize
}

/// One shard: open addressing with linear probing.
///
/// The slot is a multiplication instead of a mask, so the capacity need not be a power of two and growing by one half
/// wastes less memory than doubling.
#[derive(Default)]
pub(super) struct Shard {
    slots: Vec<Entry>,
    len: usize,
}

/// Where a fingerprint is, or where it goes.
pub(super) enum Slot {
    Taken(usize),
    Free(usize),
}

impl Shard {
    #[inline]
    fn home(&self, fp: NonZeroU64) -> usize {
        // The low half picks the slot, the top bits picked the shard.
        let low = fp.get() & u64::from(u32::MAX);
        ((low * self.slots.len() as u64) >> 32) as usize
    }

    /// Has the processor fetch the first slot `fp` could be in, before [`probe`](Self::probe) needs it.
    #[inline]
    pub(super) fn prefetch(&self, fp: NonZeroU64) {
        prefetch(&self.slots, self.home(fp));
    }

    /// Where `fp` is, or the free slot to put it in. There must be a free slot: call after [`room`](Self::room).
    #[inline]
    pub(super) fn probe(&self, fp: NonZeroU64) -> Slot {
        let mut slot = self.home(fp);
        loop {
            let found = fingerprint(self.slots[slot]);
            if found == fp.get() {
                return Slot::Taken(slot);
            }
            if found == 0 {
                return Slot::Free(slot);
            }
            slot += 1;
            if slot == self.slots.len() {
                slot = 0;
            }
        }
    }

    #[inline]
    pub(super) fn number(&self, slot: usize) -> u32 {
        self.slots[slot][2]
    }

    #[inline]
    pub(super) fn set_number(&mut self, fp: NonZeroU64, number: u32) {
        if let Slot::Taken(slot) = self.probe(fp) {
            self.slots[slot][2] = number;
        }
    }

    #[inline]
    pub(super) fn fill(&mut self, slot: usize, fp: NonZeroU64, number: u32) {
        self.slots[slot] = entry(fp, number);
        self.len += 1;
    }

    /// Makes room for so many more; slots found before are void afterwards.
    ///
    /// # Errors
    /// If there is no memory for it: then it is as it was.
    #[inline]
    pub(super) fn room(&mut self, more: usize) -> Result<(), TryReserveError> {
        let capacity = self.capacity_after(more);
        if capacity > self.slots.len() {
            self.grow(capacity)?;
        }
        Ok(())
    }

    fn capacity_after(&self, more: usize) -> usize {
        let mut capacity = self.slots.len();
        while more > 0 && !fits(self.len + more, capacity) {
            capacity = grown(capacity);
        }
        capacity
    }

    /// Bytes this shard would take after `more` insertions of new states.
    pub(super) fn bytes_after(&self, more: usize) -> u64 {
        (self.capacity_after(more) * size_of::<Entry>()) as u64
    }

    fn grow(&mut self, capacity: usize) -> Result<(), TryReserveError> {
        let mut slots: Vec<Entry> = Vec::new();
        slots.try_reserve_exact(capacity)?;
        slots.resize(capacity, [0; 3]);
        let entries = std::mem::replace(&mut self.slots, slots);
        // In slot order, which the multiplication keeps: the new array is written front to back.
        for entry in entries {
            if let Some(fp) = NonZeroU64::new(fingerprint(entry))
                && let Slot::Free(slot) = self.probe(fp)
            {
                self.slots[slot] = entry;
            }
        }
        Ok(())
    }
}

/// Slots of a shard that is not small any more.
const SMALL: usize = 32 * 1024;

/// Linear probing stays short up to three quarters full.
fn fits(len: usize, capacity: usize) -> bool {
    len * 4 <= capacity * 3
}

/// By half, to waste little; a small shard by as much again, to be copied less often.
fn grown(capacity: usize) -> usize {
    let more = if capacity < SMALL {
        capacity
    } else {
        capacity / 2
    };
    (capacity + more).max(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_inserted_fingerprint_is_found_with_its_number_however_often_the_shard_grew() {
        let mut shard = Shard::default();
        let fp = |i: u64| NonZeroU64::new(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).unwrap();
        for i in 1..5000 {
            shard.room(1).unwrap();
            let Slot::Free(slot) = shard.probe(fp(i)) else {
                panic!("{i} was never inserted")
            };
            shard.fill(slot, fp(i), i as u32);
        }
        for i in 1..5000 {
            let Slot::Taken(slot) = shard.probe(fp(i)) else {
                panic!("{i} is lost")
            };
            assert_eq!(shard.number(slot), i as u32);
        }
        // 4999 entries at three quarters full need 6666 slots; doubling from 16 stops at 8192. 34,999 need 46,666: a
        // small shard doubles up to 32,768, and by half more that is 49,152.
        assert_eq!(shard.bytes_after(0), 8192 * 12);
        assert_eq!(shard.bytes_after(30_000), 49_152 * 12);
    }
}
