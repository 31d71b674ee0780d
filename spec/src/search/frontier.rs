//! The states of one level, in the order of their numbers.

use super::merge::Fresh;
use super::route::{Arrival, Origin};

/// What one chunk of the level before contributed: consecutive states of a level.
pub(super) struct Segment<S> {
    pub(super) states: Vec<S>,
    /// How each state was reached; filled when the level is complete.
    pub(super) origins: Vec<Origin>,
    /// Where each state's [`Fresh`] is, while the level is being built.
    pub(super) fresh: Vec<Fresh>,
    /// States (positions in this segment) that have facts never seen at an earlier level, with those facts.
    pub(super) novel: Vec<(u32, u64)>,
    /// The number of the first state within the level.
    pub(super) base: u32,
    /// The kept arrivals of the states, which outlive the segment.
    pub(super) arrivals: Vec<Arrival>,
    /// The number of the first of them within the level; `origins` count from it.
    pub(super) arrivals_base: u32,
}

impl<S> Default for Segment<S> {
    fn default() -> Self {
        Segment {
            states: Vec::new(),
            origins: Vec::new(),
            fresh: Vec::new(),
            novel: Vec::new(),
            base: 0,
            arrivals: Vec::new(),
            arrivals_base: 0,
        }
    }
}

/// A level: segments, none of them empty.
pub(super) struct Frontier<S> {
    pub(super) segments: Vec<Segment<S>>,
    pub(super) len: u32,
}

impl<S> Frontier<S> {
    pub(super) fn empty() -> Self {
        Frontier {
            segments: Vec::new(),
            len: 0,
        }
    }

    pub(super) fn push(&mut self, mut segment: Segment<S>) {
        if !segment.states.is_empty() {
            segment.base = self.len;
            self.len += segment.states.len() as u32;
            self.segments.push(segment);
        }
    }

    /// The states at positions `range` of the level and how they were reached.
    pub(super) fn range(&self, range: std::ops::Range<u32>) -> impl Iterator<Item = (&S, Origin)> {
        let first = self
            .segments
            .partition_point(|s| s.base <= range.start)
            .saturating_sub(1);
        self.segments[first..]
            .iter()
            .take_while(move |s| s.base < range.end)
            .flat_map(move |s| {
                let from = range.start.saturating_sub(s.base) as usize;
                let to = s.states.len().min((range.end - s.base) as usize);
                s.states[from..to]
                    .iter()
                    .zip(&s.origins[from..to])
                    .map(move |(state, origin)| {
                        let first = s.arrivals_base + origin.first;
                        (state, Origin { first, ..*origin })
                    })
            })
    }

    /// Bytes the segments hold, without what states own on the heap and without arrivals.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::bytes).sum()
    }
}

impl<S> Segment<S> {
    pub(super) fn bytes(&self) -> u64 {
        (size_of::<Self>()
            + self.states.capacity() * size_of::<S>()
            + self.origins.capacity() * size_of::<Origin>()
            + self.fresh.capacity() * size_of::<Fresh>()) as u64
    }
}
