//! Can it still be avoided?

use super::Graph;

/// Where a state leads, with respect to a set of target states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// No path reaches a target.
    Never,
    /// Some do; or, in a run that was cut off, it is not known.
    Maybe,
    /// Every path that goes on as long as it can reaches a target. A path may run in a loop for ever and thereby avoid
    /// the targets, except in a step from a state to itself: such a step changes nothing and counts as no step.
    Always,
}

/// The graph against its direction.
pub(crate) struct Reversed {
    starts: Vec<u64>,
    sources: Vec<u32>,
}

impl Reversed {
    pub(crate) fn sources(&self, state: u32) -> &[u32] {
        &self.sources
            [self.starts[state as usize] as usize..self.starts[state as usize + 1] as usize]
    }
}

impl Graph {
    /// The graph against its direction, without transitions from a state to itself.
    pub(crate) fn reversed(&self) -> Reversed {
        let mut starts = vec![0u64; self.states() as usize + 1];
        let all = |visit: &mut dyn FnMut(u32, u32)| {
            for source in 0..self.states() {
                for &target in self.targets(source).iter().filter(|&&t| t != source) {
                    visit(source, target);
                }
            }
        };
        all(&mut |_, target| starts[target as usize + 1] += 1);
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut place = starts.clone();
        let mut sources = vec![0; starts[starts.len() - 1] as usize];
        all(&mut |source, target| {
            sources[place[target as usize] as usize] = source;
            place[target as usize] += 1;
        });
        Reversed { starts, sources }
    }

    /// Whether each state never, maybe or always leads to a target (targets themselves: always).
    ///
    /// The step from `Maybe` to `Always` is the point of no return. Note that fairness plays no part: for "can it still
    /// end well", ask for the fate with respect to good ends and read `Never` as "lost".
    #[must_use]
    pub fn fates(&self, is_target: impl Fn(u32) -> bool) -> Vec<Fate> {
        let reversed = self.reversed();
        let count = self.states() as usize;
        let targets: Vec<u32> = (0..self.states()).filter(|&s| is_target(s)).collect();

        // Backwards from the targets, and from states nothing is known about.
        let mut fates = vec![Fate::Never; count];
        let unknown = (0..self.states()).filter(|&s| !self.is_expanded(s));
        let mut work: Vec<u32> = targets.iter().copied().chain(unknown).collect();
        for &state in &work {
            fates[state as usize] = Fate::Maybe;
        }
        while let Some(state) = work.pop() {
            for &source in reversed.sources(state) {
                if fates[source as usize] == Fate::Never {
                    fates[source as usize] = Fate::Maybe;
                    work.push(source);
                }
            }
        }

        // A state all of whose ways out lead to `Always` is `Always`: count down the ways out.
        let mut ways_out: Vec<u32> = (0..self.states())
            .map(|s| self.targets(s).iter().filter(|&&t| t != s).count() as u32)
            .collect();
        let mut work = targets;
        for &state in &work {
            fates[state as usize] = Fate::Always;
        }
        while let Some(state) = work.pop() {
            for &source in reversed.sources(state) {
                let left = &mut ways_out[source as usize];
                *left -= 1;
                if *left == 0 && fates[source as usize] != Fate::Always {
                    fates[source as usize] = Fate::Always;
                    work.push(source);
                }
            }
        }
        fates
    }
}
