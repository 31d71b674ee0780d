//! Sixty-four bits that stand for a state.

use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU64;

use rapidhash::quality::SeedableState;

/// The fingerprint the search knows a state by: the same in every run and on every thread.
///
/// Zero marks an empty slot of the visited set, so it is never a fingerprint.
pub fn fingerprint<S: Hash>(state: &S) -> NonZeroU64 {
    NonZeroU64::new(SeedableState::fixed().hash_one(state)).unwrap_or(NonZeroU64::MIN)
}
