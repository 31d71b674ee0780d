//! Sixty-four bits that stand for a state.

use std::hash::{BuildHasher, Hash, Hasher};
use std::num::NonZeroU64;

use rapidhash::quality::{RapidHasher, SeedableState};

/// The fingerprint the search knows a state by: the same in every run and on every thread.
///
/// Zero marks an empty slot of the visited set, so it is never a fingerprint.
#[inline]
pub fn fingerprint<S: Hash>(state: &S) -> NonZeroU64 {
    let mut packer = Packer {
        hasher: SeedableState::fixed().build_hasher(),
        half: None,
        packed: 0,
        bits: 0,
    };
    state.hash(&mut packer);
    NonZeroU64::new(packer.finish()).unwrap_or(NonZeroU64::MIN)
}

/// Hands integers to the hasher 16 bytes at a time, a number below 255 that need not be so small (the discriminant of
/// an `enum`, the length of a slice) as one byte.
///
/// A packed state is a handful of those and of bytes, each of which would cost the hasher as much as 8 or 16 bytes.
/// What reaches the hasher tells two states apart as well as what they wrote does: as long as they write the same, so
/// does the packer, where they first differ its bits do, and no number begins like another.
struct Packer {
    hasher: RapidHasher<'static>,
    /// The first half of the block, once it is full.
    half: Option<u64>,
    /// The half being filled.
    packed: u64,
    /// Of `packed`; below 64.
    bits: u32,
}

impl Packer {
    /// Takes `bits` bits, at most 64; the others of `value` are zero.
    #[inline(always)]
    fn push(&mut self, value: u64, bits: u32) {
        self.packed |= value << self.bits;
        let room = u64::BITS - self.bits;
        if bits < room {
            self.bits += bits;
        } else {
            let full = std::mem::replace(&mut self.packed, value.checked_shr(room).unwrap_or(0));
            self.bits = bits - room;
            self.half = match self.half {
                None => Some(full),
                Some(half) => {
                    self.hasher.write_u128(block(half, full));
                    None
                }
            };
        }
    }

    #[inline(always)]
    fn push_mostly_small(&mut self, value: u64) {
        const LARGE: u8 = u8::MAX;
        if value < u64::from(LARGE) {
            self.push(value, u8::BITS);
        } else {
            self.push(LARGE.into(), u8::BITS);
            self.push(value, u64::BITS);
        }
    }

    /// What is in an unfinished block, if anything.
    #[inline(always)]
    fn rest(&self) -> Option<u128> {
        match self.half {
            None => (self.bits > 0).then_some(self.packed.into()),
            Some(half) => Some(block(half, self.packed)),
        }
    }
}

#[inline(always)]
fn block(low: u64, high: u64) -> u128 {
    u128::from(low) | u128::from(high) << u64::BITS
}

impl Hasher for Packer {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) {
        if bytes.len() <= 16 {
            for bytes in bytes.chunks(8) {
                let value = bytes.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b));
                self.push(value, 8 * bytes.len() as u32);
            }
        } else {
            if let Some(rest) = self.rest() {
                self.hasher.write_u128(rest);
                (self.half, self.packed, self.bits) = (None, 0, 0);
            }
            self.hasher.write(bytes);
        }
    }

    #[inline(always)]
    fn write_u8(&mut self, i: u8) {
        self.push(i.into(), u8::BITS);
    }

    #[inline(always)]
    fn write_u16(&mut self, i: u16) {
        self.push(i.into(), u16::BITS);
    }

    #[inline(always)]
    fn write_u32(&mut self, i: u32) {
        self.push(i.into(), u32::BITS);
    }

    #[inline(always)]
    fn write_u64(&mut self, i: u64) {
        self.push(i, u64::BITS);
    }

    #[inline(always)]
    fn write_u128(&mut self, i: u128) {
        self.push(i as u64, u64::BITS);
        self.push((i >> u64::BITS) as u64, u64::BITS);
    }

    #[inline(always)]
    fn write_usize(&mut self, i: usize) {
        self.push_mostly_small(i as u64);
    }

    #[inline(always)]
    fn write_isize(&mut self, i: isize) {
        self.push_mostly_small(i as u64);
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        let mut hasher = self.hasher;
        if let Some(rest) = self.rest() {
            hasher.write_u128(rest);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// The numbers that are packed into a byte, those that are not, behind every number of bytes a block can hold.
    #[test]
    fn numbers_of_any_size_are_told_apart_wherever_they_are_in_a_block() {
        for before in 0..=16usize {
            let numbers = (0..1000).chain((0..64).map(|b| (1usize << b) + 999));
            let seen: HashSet<_> = numbers
                .map(|n| fingerprint(&(vec![0u8; before], n, 7u16)))
                .collect();
            // 1000 small ones and 64 powers of two, pushed above them.
            assert_eq!(seen.len(), 1064);
        }
    }

    proptest! {
        /// A bit of the input that did not count would show as equal fingerprints.
        #[test]
        fn a_flipped_bit_changes_the_fingerprint(
            bytes in proptest::collection::vec(any::<u8>(), 1..70),
            words in any::<(u16, u64, u128)>(),
            cut in any::<prop::sample::Index>(),
            flip in any::<prop::sample::Index>(),
        ) {
            let cut = cut.index(bytes.len());
            let flipped = flip.index(8 * bytes.len());
            let print = |bytes: &[u8]| fingerprint(&(&bytes[..cut], words, &bytes[cut..]));
            let mut other = bytes.clone();
            other[flipped / 8] ^= 1 << (flipped % 8);
            prop_assert_ne!(print(&bytes), print(&other));
            prop_assert_ne!(
                fingerprint(&(&bytes, words)),
                fingerprint(&(&bytes, (words.0, words.1 ^ 1 << (flipped % 64), words.2)))
            );
            prop_assert_ne!(
                fingerprint(&(&bytes, words)),
                fingerprint(&(&bytes, (words.0, words.1, words.2 ^ 1 << (flipped % 128))))
            );
        }
    }
}
