//! The upstream rule: no CPU waits with interrupts off for a lock that is held while acknowledgements are awaited, nor
//! for a lock whose holder waits for such a lock.
//!
//! Which locks those are is known by class, and only at the end of the trace; until then the waits are kept, by the
//! chain of classes that each was for. `lock_contended` is the sign of a wait. A kernel without LOCK_STAT prints none:
//! then an attempt counts that finds the lock held by somebody else, as far as the trace shows.

use super::class::{ClassId, Classes, Name};
use super::context::Off;
use super::place::{Address, Place};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How many waits of a chain are kept to be shown.
const SHOWN: usize = 32;

/// How many locks are remembered by address.
const ADDRESSES: usize = 1 << 16;

/// A wait with interrupts off.
#[derive(Clone, Debug, Serialize)]
pub struct OffWait {
    /// `lock_contended`, or `lock_acquire` where there is none.
    pub place: Place,
    /// The lock's address.
    pub lock: Address,
    /// Who turned interrupts off, if that was seen.
    pub off: Option<Off>,
    /// Where the holder took the lock, if that was seen.
    pub held_since: Option<Place>,
    /// Where it got the lock, if it did.
    pub got: Option<Place>,
}

/// The waits with interrupts off that were for the same classes.
#[derive(Clone, Debug, Serialize)]
pub struct Waits {
    /// What was waited for; then what its holder waited for, and so on.
    pub chain: Vec<Name>,
    /// How many.
    pub count: u64,
    /// How many of them got the lock.
    pub got: u64,
    /// The classes of the chain that are held, somewhere in this trace, while acknowledgements are awaited.
    pub held_across: Vec<Name>,
    /// How many of those shown were for a lock that itself was held so, as far as addresses are remembered.
    pub very_lock: u64,
    /// The rule is violated: `held_across` is not empty.
    pub violated: bool,
    /// The first of them, and the last.
    pub shown: Vec<OffWait>,
}

/// The attempts with interrupts off at the locks of a class.
#[derive(Clone, Debug, Serialize)]
pub struct Attempts {
    /// The class.
    pub class: Name,
    /// How many.
    pub count: u64,
    /// The class is held, somewhere in this trace, while acknowledgements are awaited.
    pub held_across: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Upstream {
    /// Waits with interrupts off.
    pub waits: Vec<Waits>,
    /// Attempts with interrupts off, whether or not they had to wait.
    pub attempts: Vec<Attempts>,
    /// How often a lock of a class was held while an acknowledgement was awaited, requests without an answer included.
    pub held_across: BTreeMap<String, u64>,
}

impl Upstream {
    /// Is the rule violated?
    pub fn violated(&self) -> bool {
        self.waits.iter().any(|w| w.violated)
    }

    /// Waits with interrupts off for a page-table lock.
    pub fn for_page_table_locks(&self) -> u64 {
        let direct = |w: &&Waits| {
            w.chain
                .first()
                .is_some_and(|c| c.part == super::class::Part::PageTableLock)
        };
        self.waits.iter().filter(direct).map(|w| w.count).sum()
    }
}

#[derive(Debug, Default)]
struct Group {
    count: u64,
    got: u64,
    shown: Vec<OffWait>,
}

/// Which wait, to say later that it is over.
#[derive(Clone, Debug)]
struct Open {
    chain: Vec<ClassId>,
    shown: usize,
}

/// Collects.
#[derive(Debug, Default)]
pub struct Collect {
    groups: BTreeMap<Vec<ClassId>, Group>,
    attempts: BTreeMap<ClassId, u64>,
    held_across: BTreeMap<ClassId, u64>,
    locks: HashSet<Address>,
    /// The same, as far as only `tlb_flush` or the IPI is there.
    told: (BTreeMap<ClassId, u64>, HashSet<Address>),
    /// Waits that are not over, by lock and CPU.
    open: HashMap<(Address, u16), Open>,
}

impl Collect {
    /// Somebody tries, with interrupts off.
    pub fn attempt(&mut self, class: ClassId) {
        *self.attempts.entry(class).or_default() += 1;
    }

    /// Somebody waits, with interrupts off.
    pub fn wait(&mut self, chain: Vec<ClassId>, wait: OffWait) {
        let group = self.groups.entry(chain.clone()).or_default();
        group.count += 1;
        let at = (wait.lock, wait.place.cpu);
        if group.shown.len() < SHOWN {
            group.shown.push(wait);
        } else {
            group.shown[SHOWN - 1] = wait;
        }
        let shown = group.shown.len() - 1;
        if self.open.len() < ADDRESSES {
            self.open.insert(at, Open { chain, shown });
        }
    }

    /// A lock is taken: a wait for it on that CPU is over.
    pub fn took(&mut self, lock: Address, place: Place) {
        if self.open.is_empty() {
            return;
        }
        let Some(open) = self.open.remove(&(lock, place.cpu)) else {
            return;
        };
        let Some(group) = self.groups.get_mut(&open.chain) else {
            return;
        };
        group.got += 1;
        let shown = group.shown.get_mut(open.shown).filter(|w| w.lock == lock);
        if let Some(wait) = shown.filter(|w| w.got.is_none() && w.place.cpu == place.cpu) {
            wait.got = Some(place);
        }
    }

    /// An acknowledgement is awaited while this lock is held.
    pub fn held_across(&mut self, class: ClassId, lock: Address) {
        *self.held_across.entry(class).or_default() += 1;
        if self.locks.len() < ADDRESSES {
            self.locks.insert(lock);
        }
    }

    /// The same for a flush of which only `tlb_flush` or the IPI is there.
    pub fn told_across(&mut self, class: ClassId, lock: Address) {
        *self.told.0.entry(class).or_default() += 1;
        if self.told.1.len() < ADDRESSES {
            self.told.1.insert(lock);
        }
    }

    /// There are csd events, so what was told without them counts twice.
    pub fn forget_told(&mut self) {
        self.told = Default::default();
    }

    /// What was found.
    pub fn finish(mut self, classes: &Classes) -> Upstream {
        for (class, count) in std::mem::take(&mut self.told.0) {
            *self.held_across.entry(class).or_default() += count;
        }
        self.locks.extend(std::mem::take(&mut self.told.1));
        let across = |class: &ClassId| self.held_across.contains_key(class);
        let name = |class: &ClassId| classes.name(*class);
        let mut waits: Vec<Waits> = self
            .groups
            .into_iter()
            .map(|(chain, group)| {
                let held_across: Vec<Name> = chain.iter().filter(|c| across(c)).map(name).collect();
                let very = group.shown.iter().filter(|w| self.locks.contains(&w.lock));
                Waits {
                    violated: !held_across.is_empty(),
                    held_across,
                    very_lock: very.count() as u64,
                    chain: chain.iter().map(name).collect(),
                    count: group.count,
                    got: group.got,
                    shown: group.shown,
                }
            })
            .collect();
        waits.sort_by(|a, b| (!a.violated, &a.chain).cmp(&(!b.violated, &b.chain)));
        let attempts = self.attempts.iter().map(|(class, count)| Attempts {
            class: name(class),
            count: *count,
            held_across: across(class),
        });
        Upstream {
            waits,
            attempts: attempts.collect(),
            held_across: self
                .held_across
                .iter()
                .map(|(class, count)| (name(class).name, *count))
                .collect(),
        }
    }
}
