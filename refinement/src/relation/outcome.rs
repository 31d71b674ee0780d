//! The result of exploring the code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use shootdown_spec::check::{CheckResult, judge};
use shootdown_spec::search::{Hit, Options, Progress, search};
use shootdown_spec::trace::Trace;
use shootdown_spec::verdict::{Counterexample, Verdict};

use super::joint::{Joint, MISFIT_BIT, NOTICED_BIT, Refinement, STUCK_DIFFERS_BIT};
use crate::code::automaton::Nondeterminism;

/// A judgement about the code that the protocol's properties do not make.
#[derive(Clone, Debug)]
pub struct RelationResult {
    /// Its name.
    pub name: &'static str,
    /// What is promised.
    pub promise: &'static str,
    /// What came out.
    pub verdict: Verdict,
    /// The shortest run that shows a violation.
    pub counterexample: Option<Counterexample>,
}

/// The result of exploring the code.
#[derive(Debug)]
pub struct RefineResult {
    /// The protocol's properties, of the code's states; sizes, time, memory.
    pub check: CheckResult,
    /// Does the code refine the protocol, and what did the machine notice?
    pub relation: Vec<RelationResult>,
    /// How often real code was run.
    pub runs: u64,
    /// Points of the code between two operations.
    pub points: usize,
    /// How often the exploration was done again, because histories that looked alike diverged.
    pub repeated: u32,
    /// The code is no function of its answers; nothing above counts then.
    pub nondeterminism: Option<Nondeterminism>,
}

/// The judgements of the relation: bit, name, promise.
pub const RELATION: &[(usize, &str, &str)] = &[
    (
        MISFIT_BIT,
        "trace_inclusion",
        "whatever the code does, the protocol can do too, and their states agree after every transition",
    ),
    (
        STUCK_DIFFERS_BIT,
        "same_deadlocks",
        "who can never move again in the code cannot in the protocol, and the reverse",
    ),
    (
        NOTICED_BIT,
        "machine_rules",
        "the machine notices nothing that no run may show, unless the protocol violates the property that is about it",
    ),
];

impl RefineResult {
    /// A judgement of the relation, by name.
    pub fn relation(&self, name: &str) -> Option<&RelationResult> {
        self.relation.iter().find(|r| r.name == name)
    }

    /// Does the code refine the protocol, as far as it was explored?
    pub fn refines(&self) -> Verdict {
        let verdicts = || self.relation.iter().map(|r| r.verdict);
        if self.nondeterminism.is_some() || verdicts().any(|v| v == Verdict::Violated) {
            Verdict::Violated
        } else if !self.check.complete {
            Verdict::Incomplete
        } else {
            Verdict::Holds
        }
    }
}

/// Explores every interleaving of the code and judges it.
///
/// `options.keep_graph` is set for `progress`. A bound that cuts the run off makes verdicts *incomplete*, except for
/// what was seen to be violated.
pub fn refine(refinement: &mut Refinement, options: &Options) -> RefineResult {
    let options = Options {
        keep_graph: true,
        ..options.clone()
    };
    let began = Instant::now();
    let (outcome, repeated) = refinement.settled(|r| {
        let facts = |r: &Refinement, s: &Joint| r.facts(s);
        search(r, facts, &until_parted(r, &options))
    });
    let mut check = judge(&*refinement, &refinement.spec.config, &outcome);
    check.elapsed = began.elapsed();
    let relation = RELATION
        .iter()
        .map(|&(bit, name, promise)| {
            let hit = outcome.hit(bit);
            RelationResult {
                name,
                promise,
                verdict: match (hit, outcome.complete) {
                    (Some(_), _) => Verdict::Violated,
                    (_, true) => Verdict::Holds,
                    (_, false) => Verdict::Incomplete,
                },
                counterexample: hit.map(|hit| counterexample(refinement, hit)),
            }
        })
        .collect();
    RefineResult {
        check,
        relation,
        runs: refinement.code.code.runs(),
        points: refinement.code.code.points(),
        repeated,
        nondeterminism: refinement.code.code.nondeterminism(),
    }
}

/// The same, but stopped when histories that were taken for one have diverged: what would follow is void.
///
/// It is looked at between two levels, where nothing depends on how fast the threads are: which histories are kept
/// apart in the end, and with it how many states there are, must not.
pub fn until_parted(refinement: &Refinement, options: &Options) -> Options {
    let diverged = refinement.code.code.has_diverged();
    let stop = Arc::new(AtomicBool::new(false));
    let (outer, progress) = (options.cancel.clone(), options.progress.clone());
    let (inner, level) = (stop.clone(), AtomicUsize::new(usize::MAX));
    let told = move |at: &Progress| {
        // The first call for a level comes before anything of it is expanded.
        let begins = level.swap(at.depth, Relaxed) != at.depth;
        if outer.load(Relaxed) || begins && diverged.load(Relaxed) {
            inner.store(true, Relaxed);
        }
        if let Some(progress) = &progress {
            progress(at);
        }
    };
    Options {
        cancel: stop,
        progress: Some(Arc::new(told)),
        ..options.clone()
    }
}

fn counterexample(refinement: &Refinement, hit: &Hit) -> Counterexample {
    let trace = Trace::from_trail(refinement, refinement.config(), &hit.trail)
        .expect("the search walked this trail");
    Counterexample {
        trace,
        switches: hit.switches,
    }
}
