//! What a thread adds up over the states it expands.

use super::{FACTS, Found};

/// Sets of facts that are counted before they are taken apart.
const RECENT: usize = 64;

pub(crate) struct Tally {
    pub(crate) generated: u64,
    pub(crate) terminal: u64,
    counts: [u64; FACTS],
    /// Sets of facts met lately, and how often: few differ.
    recent: [(u64, u64); RECENT],
    pub(crate) ends: u64,
    pub(crate) not_lowered: u64,
    pub(crate) misfit: Option<u32>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            generated: 0,
            terminal: 0,
            counts: [0; FACTS],
            recent: [(0, 0); RECENT],
            ends: 0,
            not_lowered: 0,
            misfit: None,
        }
    }
}

impl Tally {
    /// Counts a state's facts.
    #[inline]
    pub(crate) fn count(&mut self, facts: u64) {
        let at = (facts.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % RECENT;
        if self.recent[at].0 == facts {
            self.recent[at].1 += 1;
        } else {
            let other = std::mem::replace(&mut self.recent[at], (facts, 1));
            self.add_up(other);
        }
    }

    fn add_up(&mut self, (mut facts, count): (u64, u64)) {
        while facts != 0 {
            self.counts[facts.trailing_zeros() as usize] += count;
            facts &= facts - 1;
        }
    }

    /// How many states had each fact.
    pub(crate) fn counts(&mut self) -> &[u64; FACTS] {
        for recent in std::mem::replace(&mut self.recent, [(0, 0); RECENT]) {
            self.add_up(recent);
        }
        &self.counts
    }
}

impl Found {
    /// Before the first state.
    pub(crate) fn nothing() -> Found {
        Found {
            counts: vec![0; FACTS],
            first: vec![None; FACTS],
            ..Found::default()
        }
    }

    /// Facts of states that are passed before the first level.
    pub(super) fn pass(&mut self, mut facts: u64) {
        while facts != 0 {
            let fact = facts.trailing_zeros() as usize;
            self.counts[fact] += 1;
            self.first[fact] = Some(0);
            facts &= facts - 1;
        }
    }

    /// Adds what a thread found at this depth; without one, the first level of a fact is not known.
    pub(crate) fn add(&mut self, tally: &mut Tally, depth: Option<usize>) {
        self.generated += tally.generated;
        self.terminal += tally.terminal;
        self.not_lowered += tally.not_lowered;
        self.ends.0 += tally.ends;
        if tally.ends > 0 {
            self.ends.1 = self.ends.1.or(depth);
        }
        for (fact, &count) in tally.counts().iter().enumerate() {
            self.counts[fact] += count;
            if count > 0 {
                self.first[fact] = self.first[fact].or(depth);
            }
        }
        if let Some(step) = tally.misfit {
            self.stopped.get_or_insert(super::Stopped::Misfit(step));
        }
    }
}
