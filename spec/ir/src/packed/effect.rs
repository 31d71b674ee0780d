//! What a step does to the words of a state.

use super::chain::Chains;
use super::node::{Known, Node, number, only_cell};
use crate::machine::Slot;
use crate::system::{Assign, CellId, X};

/// Part of an effect that is more than constants in cells.
#[derive(Clone, Debug)]
enum Act {
    /// Constants into cells.
    Store(Box<[(u32, u64, u64)]>),
    /// A cell gets what the table says for another cell, or itself; [`NONE`] is a fault.
    Map {
        to: Slot,
        from: Slot,
        table: Box<[u64]>,
    },
    /// A value into a cell; what does not fit is a fault.
    Set(Slot, Node),
    /// A value into one of a row.
    SetRow(Box<[Slot]>, Node, Node),
    /// All of these, if the condition holds before the first.
    When(u32, Box<[Act]>),
}

/// A value that there is not.
const NONE: u64 = u64::MAX;

/// What a step does: constants into cells first, then the rest.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    /// By word: what is kept, what is added.
    words: Box<[(u64, u64)]>,
    acts: Box<[Act]>,
}

impl Effect {
    /// Compiles assignments.
    pub(super) fn new(assigns: &[Assign], known: Known<'_>, chains: &mut Chains) -> Effect {
        let mut acts = acts(assigns, known, chains);
        let mut words = vec![(u64::MAX, 0); known.machine.words()];
        if let Some(Act::Store(stores)) = acts.first() {
            for &(word, keep, bits) in stores {
                words[word as usize] = (keep, bits);
            }
            acts.remove(0);
        }
        Effect {
            words: words.into(),
            acts: acts.into(),
        }
    }

    /// The state after it; `None` where a value does not fit or does not exist.
    #[inline(always)]
    pub(super) fn after<const W: usize>(
        &self,
        state: &[u64; W],
        chains: &Chains,
    ) -> Option<[u64; W]> {
        let words: &[(u64, u64); W] = self.words.as_ref().try_into().ok()?;
        let mut next = [0; W];
        for i in 0..W {
            next[i] = state[i] & words[i].0 | words[i].1;
        }
        if !self.acts.is_empty() && !apply(&self.acts, &mut next, chains) {
            return None;
        }
        Some(next)
    }
}

fn apply(acts: &[Act], words: &mut [u64], chains: &Chains) -> bool {
    for act in acts {
        match act {
            Act::Store(stores) => {
                for (word, keep, bits) in stores {
                    let word = &mut words[*word as usize];
                    *word = *word & keep | bits;
                }
            }
            Act::Map { to, from, table } => match table[from.raw(words) as usize] {
                NONE => return false,
                bits => {
                    let word = &mut words[to.word as usize];
                    *word = *word & !(to.mask << to.shift) | bits;
                }
            },
            Act::Set(slot, value) => match number(value, words) {
                Some(value) if slot.fits(value) => slot.put(words, value),
                _ => return false,
            },
            Act::SetRow(row, index, value) => {
                let at = number(index, words).and_then(|i| usize::try_from(i).ok());
                match (at.and_then(|i| row.get(i)), number(value, words)) {
                    (Some(slot), Some(value)) if slot.fits(value) => slot.put(words, value),
                    _ => return false,
                }
            }
            Act::When(when, acts) => {
                if chains.holds(*when, words) && !apply(acts, words, chains) {
                    return false;
                }
            }
        }
    }
    true
}

fn acts(assigns: &[Assign], known: Known<'_>, chains: &mut Chains) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    let mut at = 0;
    let mut here = known;
    while at < assigns.len() {
        let assign = &assigns[at];
        let end = match &assign.when {
            None => at + 1,
            Some(when) => group(assigns, at, when, known.cell),
        };
        let inner: Vec<Act> = assigns[at..end].iter().map(|a| act(a, here)).collect();
        match &assign.when {
            None => acts.extend(inner),
            Some(when) => match here.condition(when) {
                Node::Const(0) => {}
                Node::Const(_) => acts.extend(inner),
                when => acts.push(Act::When(chains.add(when), merge(inner).into())),
            },
        }
        // Once the place was assigned it is not known any more.
        let written = |a: &Assign| a.to.cells().any(|c| c == known.cell);
        if assigns[at..end].iter().any(written) {
            here = Known::nothing(known.machine);
        }
        at = end;
    }
    merge(acts)
}

fn act(assign: &Assign, known: Known<'_>) -> Act {
    let value = known.node(&assign.value);
    match &assign.to.index {
        None => {
            let slot = known.slot(assign.to.base);
            match value {
                Node::Const(c) if slot.fits(c) => {
                    let (word, mask, bits) = slot.masked(c);
                    Act::Store([(word, !mask, bits)].into())
                }
                value => map(slot, &value, known).unwrap_or(Act::Set(slot, value)),
            }
        }
        Some(index) => {
            let row = assign.to.cells().map(|c| known.slot(c)).collect();
            Act::SetRow(row, known.node(index), value)
        }
    }
}

/// A value that depends on one cell alone, as a table.
fn map(to: Slot, value: &Node, known: Known<'_>) -> Option<Act> {
    let from = only_cell(value)?;
    let mut words = vec![0; known.machine.words()];
    let table = (0..=from.hi.abs_diff(from.lo)).map(|raw| {
        words[from.word as usize] = raw << from.shift;
        match number(value, &words) {
            Some(value) if to.fits(value) => to.masked(value).2,
            _ => NONE,
        }
    });
    let table: Box<[u64]> = table.collect();
    // As wide as a word, a value could be taken for none.
    (to.mask != u64::MAX).then_some(Act::Map { to, from, table })
}

/// The end of the assignments from `at` on that have the same condition, none of which changes it or the place.
fn group(assigns: &[Assign], at: usize, when: &X, place: CellId) -> usize {
    let mut read = Vec::new();
    when.each_read(&mut |r| read.extend(r.cells()));
    let mut end = at + 1;
    while end < assigns.len()
        && assigns[end].when.as_ref() == Some(when)
        && assigns[end - 1]
            .to
            .cells()
            .all(|c| c != place && !read.contains(&c))
    {
        end += 1;
    }
    end
}

/// Stores become one as far as they can be moved to each other, or to the front.
fn merge(acts: Vec<Act>) -> Vec<Act> {
    let mut merged: Vec<Act> = Vec::new();
    for act in acts {
        let Act::Store(more) = &act else {
            merged.push(act);
            continue;
        };
        let touches = |slot: &Slot| {
            let mask = slot.mask << slot.shift;
            more.iter().any(|s| s.0 == slot.word && !s.1 & mask != 0)
        };
        let passes = |act: &Act| match act {
            Act::Map { to, from, .. } => !touches(to) && !touches(from),
            _ => false,
        };
        let at = merged.iter().rposition(|act| !passes(act));
        match at.map(|at| (at, &mut merged[at])) {
            Some((_, Act::Store(stores))) => {
                let mut all = stores.to_vec();
                for &(word, keep, bits) in more {
                    match all.iter_mut().find(|s| s.0 == word) {
                        Some((_, k, b)) => {
                            *b = *b & keep | bits;
                            *k &= keep;
                        }
                        None => all.push((word, keep, bits)),
                    }
                }
                *stores = all.into();
            }
            Some((at, _)) => merged.insert(at + 1, act),
            None => merged.insert(0, act),
        }
    }
    merged
}
