//! Random runs of the code beside the protocol, for spaces too large to exhaust.
//!
//! Each run goes on until nothing can happen. The same seed gives the same runs. A failing run is made small before
//! it is shown: whatever can be left out, so that the rest still is a run and still fails in the same way, is left out
//! (delta debugging, Zeller and Hildebrandt 2002), and steps of one CPU are moved together. Finding nothing proves
//! nothing.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use shootdown_spec::config::Start;
use shootdown_spec::model::Action;
use shootdown_spec::search::{Options, Scheduled};
use shootdown_spec::trace::Trace;
use stateright::Model;

use super::joint::Refinement;

/// The result of random runs.
#[derive(Clone, Debug, Default)]
pub struct RandomResult {
    /// Runs made.
    pub runs: u64,
    /// Steps of the code in all of them.
    pub steps: u64,
    /// The first run that has one of the facts asked for, made small, and the facts it has.
    pub failing: Option<(Trace, u64)>,
    /// It was stopped before all runs were made.
    pub cut_off: bool,
    /// How often a run was made again, because histories of the code that looked alike diverged in it.
    pub repeated: u32,
}

/// Numbers that look random: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), eight lines and the same everywhere.
#[derive(Clone, Copy, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    /// The numbers that belong to a seed.
    pub fn new(seed: u64) -> SplitMix {
        SplitMix(seed)
    }

    /// The next number, below `n`; 0 where there is none.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n.max(1) as u64) as usize
    }
}

/// Makes `runs` random runs and stops at the first state with one of the facts in `wanted`
/// ([`Refinement::facts`]).
pub fn explore(
    refinement: &mut Refinement,
    seed: u64,
    runs: u64,
    wanted: u64,
    options: &Options,
) -> RandomResult {
    let (began, mut random, mut result) = (Instant::now(), SplitMix(seed), RandomResult::default());
    while result.runs < runs {
        let late = options.timeout.is_some_and(|most| began.elapsed() >= most);
        if options.cancel.load(Relaxed) || late {
            result.cut_off = true;
            break;
        }
        // The runs before this one stand: every history of a point was followed to where they went.
        let (made, repeated) = refinement.settled(|r| one(r, random, wanted));
        result.runs += 1;
        result.repeated += repeated;
        result.steps += made.steps;
        if made.failing.is_some() {
            result.failing = made.failing;
            break;
        }
        random = made.random;
    }
    result
}

/// A random run.
struct Made {
    steps: u64,
    failing: Option<(Trace, u64)>,
    random: SplitMix,
}

fn one(refinement: &Refinement, mut random: SplitMix, wanted: u64) -> Made {
    let starts = refinement.config().starts();
    let start = starts[random.below(starts.len())];
    let (mut at, mut run, mut actions) = (refinement.initial(&start), Vec::new(), Vec::new());
    let failing = loop {
        let facts = refinement.facts(&at) & wanted;
        if facts != 0 {
            break Some(facts);
        }
        actions.clear();
        refinement.actions(&at, &mut actions);
        let Some(&action) = actions.get(random.below(actions.len())) else {
            break None;
        };
        at = refinement.step(&at, &action).0;
        run.push(action);
    };
    Made {
        steps: run.len() as u64,
        failing: failing.map(|facts| (minimised(refinement, &start, run, facts), facts)),
        random,
    }
}

/// Does the sequence of actions run, and end in a state with these facts? How much of it is needed for that.
fn fails(refinement: &Refinement, start: &Start, run: &[Action], facts: u64) -> Option<usize> {
    let mut at = refinement.initial(start);
    for (i, action) in run.iter().enumerate() {
        if refinement.facts(&at) & facts != 0 {
            return Some(i);
        }
        at = refinement.next_state(&at, *action)?;
    }
    (refinement.facts(&at) & facts != 0).then_some(run.len())
}

fn switches(refinement: &Refinement, run: &[Action]) -> usize {
    let movers: Vec<_> = run.iter().filter_map(|a| refinement.mover(a)).collect();
    movers.windows(2).filter(|w| w[0] != w[1]).count()
}

/// The run with everything left out that can be, its switches as few as moving single steps makes them.
fn minimised(refinement: &Refinement, start: &Start, mut run: Vec<Action>, facts: u64) -> Trace {
    loop {
        let before = (switches(refinement, &run), run.len());
        let mut size = run.len().max(1);
        while size > 0 {
            let mut at = 0;
            while at < run.len() {
                let mut shorter = run.clone();
                shorter.drain(at..(at + size).min(run.len()));
                match fails(refinement, start, &shorter, facts) {
                    Some(needed) => {
                        shorter.truncate(needed);
                        run = shorter;
                    }
                    None => at += size,
                }
            }
            size /= 2;
        }
        // A step is done as early as it can be without another switch.
        for from in 1..run.len() {
            for to in 0..from {
                let mut moved = run.clone();
                let action = moved.remove(from);
                moved.insert(to, action);
                let fewer = switches(refinement, &moved) < switches(refinement, &run);
                if fewer && fails(refinement, start, &moved, facts) == Some(moved.len()) {
                    run = moved;
                    break;
                }
            }
        }
        if (switches(refinement, &run), run.len()) >= before {
            return Trace {
                start: *start,
                actions: run,
                loops_to: None,
            };
        }
    }
}
