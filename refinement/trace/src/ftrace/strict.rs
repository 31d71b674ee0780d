//! The strict rule: no lock is held while acknowledgements are awaited.
//!
//! A *chain* is `lock_acquired`, `csd_queue_cpu`, `csd_function_exit` of that request on its target, `lock_release`, in
//! this order. It is counted when the lock is released, once for each lock held and each request. Requests under a lock
//! that miss a link are counted apart: the target may not have been recorded, or the trace ends first.

use super::class::{ClassId, Classes, Name};
use super::context::{Flushes, Held};
use super::event::{AWAITED, ONLY_TOLD};
use super::place::{Address, Place};
use serde::Serialize;
use std::collections::BTreeMap;

/// How many chains of a class are kept to be shown.
const SHOWN: usize = 3;

/// A chain, line by line.
#[derive(Clone, Debug, Serialize)]
pub struct Chain {
    /// The lock's address.
    pub lock: Address,
    /// `lock_acquired`.
    pub taken: Place,
    /// `csd_queue_cpu`.
    pub queued: Place,
    /// Where in the code.
    pub callsite: String,
    /// The request.
    pub csd: Option<Address>,
    /// `csd_function_exit`, on the target.
    pub answered: Place,
    /// `lock_release`.
    pub released: Place,
}

/// What was awaited under the locks of a class.
#[derive(Clone, Debug, Default)]
struct Under {
    chains: u64,
    unanswered: u64,
    out_of_sight: u64,
    cut_off: u64,
    examples: Vec<Chain>,
    longest: Option<Chain>,
}

/// The same, named.
#[derive(Clone, Debug, Serialize)]
pub struct ClassUnder {
    /// The class.
    pub class: Name,
    /// The strict rule is about it: a page-table lock or `pgd_lock`.
    pub watched: bool,
    /// The function awaited.
    pub function: &'static str,
    /// It flushes.
    pub flush: bool,
    /// Chains with every link.
    pub chains: u64,
    /// Released, although an answer was never seen of a target that was.
    pub unanswered: u64,
    /// Released, but the target was not recorded meanwhile.
    pub out_of_sight: u64,
    /// Still held where the trace ends, or events are lost.
    pub cut_off: u64,
    /// Told by `tlb_flush` or the IPI alone: the kernel has no csd events, or they were not recorded.
    #[serde(skip_serializing_if = "is_zero")]
    pub told: u64,
    /// The first few chains.
    pub examples: Vec<Chain>,
    /// The one held longest.
    pub longest: Option<Chain>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Collects.
#[derive(Debug, Default)]
pub struct Strict {
    under: BTreeMap<(ClassId, usize), Under>,
    told: BTreeMap<ClassId, u64>,
}

impl Strict {
    /// A lock is released here, or (`None`) its release will not be seen.
    pub fn released(&mut self, held: &Held, released: Option<Place>) {
        if held.told > 0 {
            *self.told.entry(held.lock.class).or_default() += held.told;
        }
        for flushes in held.flushes.values() {
            let under = self
                .under
                .entry((held.lock.class, flushes.last.function))
                .or_default();
            let Flushes {
                answered,
                unanswered,
                last,
            } = flushes;
            let Some(released) = released else {
                under.cut_off += answered + unanswered + 1;
                continue;
            };
            under.chains += answered;
            under.unanswered += unanswered;
            match last.answered {
                Some(answered) => {
                    under.chains += 1;
                    under.show(Chain {
                        lock: held.lock.address,
                        taken: held.since,
                        queued: last.queued,
                        callsite: last.callsite.clone(),
                        csd: last.csd,
                        answered,
                        released,
                    });
                }
                None if last.out_of_sight => under.out_of_sight += 1,
                None => under.unanswered += 1,
            }
        }
    }

    /// There are csd events, so what was told without them counts twice.
    pub fn forget_told(&mut self) {
        self.told.clear();
    }

    /// What was found.
    pub fn finish(self, classes: &Classes) -> Vec<ClassUnder> {
        let named = self.under.into_iter().map(|((class, function), under)| {
            let class = classes.name(class);
            let (function, flush) = AWAITED[function];
            ClassUnder {
                watched: class.part.watched(),
                class,
                function,
                flush,
                chains: under.chains,
                unanswered: under.unanswered,
                out_of_sight: under.out_of_sight,
                cut_off: under.cut_off,
                told: 0,
                examples: under.examples,
                longest: under.longest,
            }
        });
        let mut named: Vec<ClassUnder> = named.collect();
        named.extend(self.told.into_iter().map(|(class, told)| {
            let class = classes.name(class);
            let (function, flush) = AWAITED[ONLY_TOLD[0]];
            ClassUnder {
                watched: class.part.watched(),
                class,
                function,
                flush,
                chains: 0,
                unanswered: 0,
                out_of_sight: 0,
                cut_off: 0,
                told,
                examples: Vec::new(),
                longest: None,
            }
        }));
        named.sort_by(|a, b| (!a.watched, &a.class).cmp(&(!b.watched, &b.class)));
        named
    }
}

impl Under {
    fn show(&mut self, chain: Chain) {
        let held = |c: &Chain| c.released.time.value.saturating_sub(c.taken.time.value);
        if self.longest.as_ref().is_none_or(|l| held(&chain) > held(l)) {
            self.longest = Some(chain.clone());
        }
        if self.examples.len() < SHOWN {
            self.examples.push(chain);
        }
    }
}
