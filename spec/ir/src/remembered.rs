//! Answers about parts of states, remembered: neighbours differ in little.

use crate::machine::Bits;

/// Places for answers, a power of two.
const PLACES: usize = 1 << 10;

/// What a thread remembers of the answers, `N` words each, to one question that depends on some bits of a state alone.
#[derive(Clone, Debug, Default)]
pub struct Remembered<const N: usize> {
    /// By place: a flag, the bits that were asked about, the answer.
    places: Vec<u64>,
}

impl<const N: usize> Remembered<N> {
    /// The answer for the bits of this state and the flag, which is either remembered or found. The same question has to be
    /// asked each time.
    #[inline]
    pub fn get(
        &mut self,
        bits: &Bits,
        words: &[u64],
        flag: bool,
        find: impl FnOnce() -> [u64; N],
    ) -> [u64; N] {
        let stride = 1 + bits.words() + N;
        if self.places.len() != PLACES * stride {
            self.places = vec![0; PLACES * stride];
        }
        // 0 is no flag: the place is free.
        let flag = 1 + u64::from(flag);
        let mut hash = flag;
        for word in bits.of(words) {
            hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 32;
        }
        let at = hash as usize % PLACES * stride;
        let (asked, answer) = self.places[at..at + stride].split_at_mut(stride - N);
        let mut differs = asked[0] ^ flag;
        for (asked, word) in asked[1..].iter().zip(bits.of(words)) {
            differs |= asked ^ word;
        }
        let mut found = [0; N];
        if differs == 0 {
            found.copy_from_slice(answer);
        } else {
            found = find();
            asked[0] = flag;
            for (asked, word) in asked[1..].iter_mut().zip(bits.of(words)) {
                *asked = word;
            }
            answer.copy_from_slice(&found);
        }
        found
    }
}
