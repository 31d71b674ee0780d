//! The visited set: a flat table of fingerprints, written by all threads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Keys of the hash: odd and random enough.
const KEYS: [u64; 10] = [
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b9,
    0x94d0_49bb_1331_11eb,
    0xd6e8_feb8_6659_fd93,
    0xa076_1d64_78bd_642f,
    0xe703_7ed1_a0b4_28db,
    0x8ebc_6af0_9c88_c6e3,
    0x5899_65cc_7537_4cc3,
    0x1d8e_4e27_c47d_124f,
    0xeb44_acca_b455_d165,
];

/// The fingerprint of a state, never 0: products of pairs of words (NH, Black et al., *UMAC*, 1999), folded. Two states
/// collide with odds of about 2^-63.
#[inline]
pub(crate) fn fingerprint<const W: usize>(words: &[u64; W]) -> u64 {
    let mut sum = 0u128;
    let mut i = 0;
    while i < W {
        let a = words[i].wrapping_add(KEYS[i]);
        let b = match words.get(i + 1) {
            Some(word) => word.wrapping_add(KEYS[i + 1]),
            None => KEYS[i + 1],
        };
        sum = sum.wrapping_add(u128::from(a) * u128::from(b));
        i += 2;
    }
    let x = sum as u64 ^ (sum >> 64) as u64;
    let mixed = u128::from(x) * u128::from(KEYS[4]);
    (mixed as u64 ^ (mixed >> 64) as u64).max(1)
}

/// Open addressing, linear probing, a power of two of slots. A slot is claimed by a compare-and-swap.
pub(super) struct Table {
    slots: Vec<AtomicU64>,
    len: AtomicU64,
}

impl Table {
    /// An empty table; `None` if there is no memory for it. `slots` is a power of two.
    pub(super) fn new(slots: usize) -> Option<Table> {
        Some(Table {
            slots: zeroed(slots)?,
            len: AtomicU64::new(0),
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.len.load(Relaxed)
    }

    pub(super) fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.slots.len() as u64 * 8
    }

    /// The fingerprints.
    pub(super) fn entries(&self) -> impl Iterator<Item = u64> {
        let all = self.slots.iter().map(|slot| slot.load(Relaxed));
        all.filter(|&print| print != 0)
    }

    /// Counts insertions; the new total.
    pub(super) fn add(&self, new: u64) -> u64 {
        self.len.fetch_add(new, Relaxed) + new
    }

    #[inline]
    fn home(&self, print: u64) -> usize {
        (print >> 8) as usize & (self.slots.len() - 1)
    }

    /// Has the processor fetch the slot that [`insert`](Self::insert) will look at first.
    #[inline]
    pub(super) fn prefetch(&self, print: u64) {
        let slot = self.slots.as_ptr().wrapping_add(self.home(print));
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: every x86-64 has the instruction; it is a hint that changes nothing and faults at no address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(slot.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = slot;
    }

    /// Enters a fingerprint; was it new? There must be a free slot.
    #[inline]
    pub(super) fn insert(&self, print: u64) -> bool {
        let mut at = self.home(print);
        loop {
            let slot = &self.slots[at];
            let seen = slot.load(Relaxed);
            if seen == print {
                return false;
            }
            if seen == 0 {
                match slot.compare_exchange(0, print, Relaxed, Relaxed) {
                    Ok(_) => return true,
                    Err(other) if other == print => return false,
                    Err(_) => {}
                }
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Twice as many slots; false, and nothing changed, if there is no memory for them.
    pub(super) fn grow(&mut self) -> bool {
        let Some(slots) = zeroed(self.slots.len() * 2) else {
            return false;
        };
        let old = std::mem::replace(&mut self.slots, slots);
        for slot in old {
            let print = slot.into_inner();
            if print != 0 {
                self.insert(print);
            }
        }
        true
    }
}

/// Zeroed slots, on huge pages where the system has them.
fn zeroed(slots: usize) -> Option<Vec<AtomicU64>> {
    let mut vec: Vec<AtomicU64> = Vec::new();
    vec.try_reserve_exact(slots).ok()?;
    huge_pages(&mut vec);
    vec.resize_with(slots, AtomicU64::default);
    Some(vec)
}

#[cfg(target_os = "linux")]
fn huge_pages(vec: &mut Vec<AtomicU64>) {
    const PAGE: usize = 4096;
    let bytes = vec.capacity() * size_of::<AtomicU64>();
    let start = (vec.as_mut_ptr() as usize).next_multiple_of(PAGE);
    let end = vec.as_mut_ptr() as usize + bytes;
    if end > start + (1 << 21) {
        // SAFETY: the range lies inside the vector's own allocation, whole pages of it; the advice changes how it is
        // backed, not what it holds.
        let _ = unsafe {
            libc::madvise(
                start as *mut libc::c_void,
                (end - start) / PAGE * PAGE,
                libc::MADV_HUGEPAGE,
            )
        };
    }
}

#[cfg(not(target_os = "linux"))]
fn huge_pages(_: &mut Vec<AtomicU64>) {}
