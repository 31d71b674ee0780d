//! Reductions: fewer states, the same verdicts.
//!
//! Each is derived from a system's own steps and from what is asked of its states, so that every protocol gets it, and each
//! is a switch. `docs/engine.md` says for each what it assumes, why it is sound, and where it ends.

use crate::levels::Observe;
use crate::machine::{Machine, Slot};
use crate::packed::{Condition, Packed};
use crate::system::{CellId, ContextId, X};
use std::fmt;
use std::str::FromStr;

mod dead;
pub mod fill;
mod fold;
mod por;

/// Where one of them is switched.
type Switch = fn(&mut Reductions) -> &mut bool;

/// Which reductions are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reductions {
    /// Values that nobody reads any more are forgotten.
    pub dead: bool,
    /// What hardware may put into a bit at any time it may have put there.
    pub fill: bool,
    /// A step that nothing can come before, and that no question sees, is taken at once.
    pub por: bool,
}

impl Reductions {
    /// None of them.
    pub const NONE: Reductions = Reductions {
        dead: false,
        fill: false,
        por: false,
    };
    /// All of them.
    pub const ALL: Reductions = Reductions {
        dead: true,
        fill: true,
        por: true,
    };

    /// By name.
    const NAMES: [(&'static str, Switch); 3] = [
        ("dead", |r| &mut r.dead),
        ("fill", |r| &mut r.fill),
        ("por", |r| &mut r.por),
    ];

    /// Is any of them used?
    pub fn any(self) -> bool {
        self != Reductions::NONE
    }

    /// The names of those that are used.
    pub fn names(mut self) -> Vec<&'static str> {
        let names = Reductions::NAMES.iter();
        names
            .filter(|(_, switch)| *switch(&mut self))
            .map(|(name, _)| *name)
            .collect()
    }
}

impl fmt::Display for Reductions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.any() {
            true => f.write_str(&self.names().join(", ")),
            false => f.write_str("nothing"),
        }
    }
}

/// What is no reduction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no reduction: {}", Reductions::NAMES.map(|(name, _)| name).join(", "))]
pub struct UnknownReduction {
    name: String,
}

impl FromStr for Reductions {
    type Err = UnknownReduction;

    fn from_str(text: &str) -> Result<Reductions, UnknownReduction> {
        let mut reductions = Reductions::NONE;
        for name in text.split(',').map(str::trim) {
            let named = Reductions::NAMES.iter().find(|(n, _)| *n == name);
            let Some((_, switch)) = named else {
                let name = name.to_string();
                return Err(UnknownReduction { name });
            };
            *switch(&mut reductions) = true;
        }
        Ok(reductions)
    }
}

/// May a step at this place of the context, which leads to that one, be taken before anybody looks?
pub type Unseen<'a> = Box<dyn Fn(ContextId, u32, u32) -> bool + 'a>;

/// What is asked of states, besides what steps ask. Reductions leave the answers as they are.
pub struct Asked<'a> {
    /// Cells that are looked at in every state.
    pub always: Vec<CellId>,
    /// What is asked in every state.
    pub everywhere: Vec<X>,
    /// What is asked where the context stands at the place.
    pub at: Vec<(ContextId, u32, X)>,
    /// By context: cells that its steps may change unseen, besides its place, while it can take its step. Every question that
    /// is answered yes while the context has not taken such a step is so right before it, where nobody else has gone on,
    /// or is still so after it.
    pub silent: Vec<Vec<CellId>>,
    /// The same of its place: may it change from this one to that one unseen?
    pub unseen: Unseen<'a>,
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("always", &self.always.len())
            .field("at", &self.at.len())
            .finish_non_exhaustive()
    }
}

/// The reductions of one system.
#[derive(Debug)]
pub struct Reducer {
    dead: Option<dead::Dead>,
    fills: Vec<(Condition, Slot)>,
    por: Option<por::Por>,
}

impl Reducer {
    /// Finds out what can be left out. Without an effect here, a reduction is not used. `fills` are those for which the
    /// machine's system was [widened](fill::widen).
    pub fn new(
        machine: &Machine<'_>,
        asked: &Asked<'_>,
        which: Reductions,
        fills: &[fill::Fill],
    ) -> Reducer {
        let fills = fills.iter();
        let fills = fills.map(|fill| {
            let condition = Condition::on(machine, &fill.at_once);
            (condition, machine.slot(fill.bit))
        });
        let dead = which.dead.then(|| dead::Dead::new(machine, asked));
        let por = which.por.then(|| por::Por::new(machine, asked));
        Reducer {
            dead: dead.filter(|dead| !dead.is_empty()),
            fills: fills.collect(),
            por: por.filter(|por| !por.is_empty()),
        }
    }

    /// The reductions that have an effect here.
    pub fn used(&self) -> Reductions {
        Reductions {
            dead: self.dead.is_some(),
            fill: !self.fills.is_empty(),
            por: self.por.is_some(),
        }
    }

    /// Puts the state that stands for this one in its place. `only` takes the step of a context, if it can take one alone;
    /// `pass` is told of each state that is passed, and whose step follows.
    #[inline]
    pub fn canon<S: AsMut<[u64]> + AsRef<[u64]>>(
        &self,
        state: &mut S,
        only: impl Fn(usize, &S) -> Option<S>,
        mut pass: impl FnMut(&S, usize),
    ) {
        if let Some(por) = &self.por {
            for _ in 0..por::MOST_STEPS {
                let words = state.as_ref();
                let next = por
                    .candidates(words)
                    .find_map(|context| Some((context, only(context, state)?)));
                let Some((context, next)) = next else { break };
                pass(state, context);
                *state = next;
            }
        }
        for (at_once, bit) in &self.fills {
            if at_once.is(state.as_ref()) {
                bit.put(state.as_mut(), fill::MAYBE);
            }
        }
        if let Some(dead) = &self.dead {
            dead.clear(state.as_mut());
        }
    }
}

/// An observer that sees the states that stand for others only.
#[derive(Debug)]
pub struct Reduced<'a, O> {
    packed: &'a Packed<'a>,
    observe: &'a O,
    reducer: &'a Reducer,
}

impl<'a, O: Observe> Reduced<'a, O> {
    /// The same questions, asked of fewer states.
    pub fn new(packed: &'a Packed<'a>, observe: &'a O, reducer: &'a Reducer) -> Reduced<'a, O> {
        Reduced {
            packed,
            observe,
            reducer,
        }
    }
}

impl<O: Observe> Observe for Reduced<'_, O> {
    type Memory = O::Memory;

    fn facts(&self, words: &[u64], memory: &mut O::Memory) -> u64 {
        self.observe.facts(words, memory)
    }

    fn rank(&self, words: &[u64]) -> u64 {
        self.observe.rank(words)
    }

    fn lowers_rank(&self, step: u32) -> bool {
        self.observe.lowers_rank(step)
    }

    fn has_work_left(&self, facts: u64) -> bool {
        self.observe.has_work_left(facts)
    }

    fn reduces(&self) -> bool {
        true
    }

    #[inline]
    fn canon<const W: usize>(&self, words: &mut [u64; W], memory: &mut O::Memory) -> u64 {
        let mut facts = 0;
        let only = |context: usize, state: &[u64; W]| self.packed.only(context, state);
        self.reducer.canon(words, only, |state, _| {
            facts |= self.observe.facts(state, memory);
        });
        facts
    }
}
