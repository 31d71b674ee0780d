//! Who moves next: decided outside the machine. Three simple ones for tests; searching is somebody else's business.

use std::vec::Vec;

use crate::sim::{Choice, SimState};

/// Chooses what happens next.
pub trait Scheduler {
    /// One of `choices` (never empty) by its index, or `None` to stop.
    fn choose(&mut self, state: &SimState, choices: &[Choice]) -> Option<usize>;
}

/// Each CPU in turn, interrupts as soon as they can be taken, no speculative TLB fills.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin {
    last: u8,
}

impl Scheduler for RoundRobin {
    fn choose(&mut self, _: &SimState, choices: &[Choice]) -> Option<usize> {
        let rank = |choice: &Choice| match choice {
            Choice::Fill(..) => None,
            Choice::Interrupt(cpu, _) => Some((0, cpu.0)),
            _ => Some((1, choice.cpu().0.wrapping_sub(self.last + 1) & 7)),
        };
        let (at, _) = choices
            .iter()
            .enumerate()
            .filter(|(_, c)| rank(c).is_some())
            .min_by_key(|(_, c)| rank(c))?;
        self.last = choices[at].cpu().0;
        Some(at)
    }
}

/// Any of them, by a seed: the same seed gives the same run.
#[derive(Clone, Copy, Debug)]
pub struct RandomScheduler {
    state: u64,
    steps: u64,
}

impl RandomScheduler {
    /// At most `steps` choices from this seed.
    pub const fn new(seed: u64, steps: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            steps,
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }
}

impl Scheduler for RandomScheduler {
    fn choose(&mut self, _: &SimState, choices: &[Choice]) -> Option<usize> {
        self.steps = self.steps.checked_sub(1)?;
        Some((self.next() % choices.len() as u64) as usize)
    }
}

/// Exactly these choices; stops at the end, or at the first that is not possible.
#[derive(Clone, Debug)]
pub struct Scripted {
    script: Vec<Choice>,
    at: usize,
}

impl Scripted {
    /// A script.
    pub fn new(script: impl Into<Vec<Choice>>) -> Self {
        Self {
            script: script.into(),
            at: 0,
        }
    }

    /// How far it came.
    pub fn done(&self) -> usize {
        self.at
    }
}

impl Scheduler for Scripted {
    fn choose(&mut self, _: &SimState, choices: &[Choice]) -> Option<usize> {
        let wanted = self.script.get(self.at)?;
        let found = choices.iter().position(|c| c == wanted)?;
        self.at += 1;
        Some(found)
    }
}
