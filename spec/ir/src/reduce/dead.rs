//! Dead values: what nobody will read before it is written again is put to the lowest value.
//!
//! A cell that no step, no gate and no question reads is dead everywhere. A cell that only one context's steps read is dead
//! where that context stands at a place from which every way writes it before it reads it: liveness backwards over the
//! places, as compilers do it. Two states that differ in dead values alone can do the same, step by step, and answer every
//! question alike.

use super::Asked;
use super::fold::{Known, leaves};
use crate::machine::{Machine, Slot};
use crate::system::{CellId, ContextId, Step, System, X};
use std::collections::{HashMap, HashSet};

/// Bits to be cleared in each word.
type Masks = Vec<(u32, u64)>;

/// What is dead where.
#[derive(Clone, Debug, Default)]
pub(super) struct Dead {
    everywhere: Masks,
    /// By context and place.
    at: Vec<(Slot, Vec<Masks>)>,
}

impl Dead {
    pub(super) fn new(machine: &Machine<'_>, asked: &Asked) -> Dead {
        let system = machine.system();
        let read_by = readers(system, asked);
        let mut everywhere = Vec::new();
        let mut own: Vec<Vec<CellId>> = vec![Vec::new(); system.contexts.len()];
        for (i, readers) in read_by.iter().enumerate() {
            let cell = CellId(i as u32);
            match readers {
                Readers::None => everywhere.push(cell),
                Readers::One(context) => own[context.index()].push(cell),
                Readers::Many => {}
            }
        }
        let at = own.iter().enumerate().filter(|(_, own)| !own.is_empty());
        let at = at.map(|(c, own)| {
            let context = ContextId(c as u32);
            let live = Live::find(system, context, own, asked);
            let dead = live.iter().map(|live| {
                let dead = own.iter().zip(live).filter(|(_, live)| !**live);
                masks(machine, dead.map(|(cell, _)| *cell))
            });
            (machine.slot(system.contexts[c].place), dead.collect())
        });
        Dead {
            everywhere: masks(machine, everywhere),
            at: at.collect(),
        }
    }

    #[inline]
    pub(super) fn clear(&self, words: &mut [u64]) {
        for &(word, mask) in &self.everywhere {
            words[word as usize] &= !mask;
        }
        for (place, masks) in &self.at {
            for &(word, mask) in &masks[place.raw(words) as usize] {
                words[word as usize] &= !mask;
            }
        }
    }

    /// Is there nothing to be cleared?
    pub(super) fn is_empty(&self) -> bool {
        let mut at = self.at.iter().flat_map(|(_, at)| at);
        self.everywhere.is_empty() && at.all(Vec::is_empty)
    }
}

fn masks(machine: &Machine<'_>, cells: impl IntoIterator<Item = CellId>) -> Masks {
    let mut masks: Masks = Vec::new();
    for cell in cells {
        let slot = machine.slot(cell);
        let mask = slot.mask << slot.shift;
        match masks.iter_mut().find(|(word, _)| *word == slot.word) {
            Some((_, all)) => *all |= mask,
            None => masks.push((slot.word, mask)),
        }
    }
    masks.retain(|(_, mask)| *mask != 0);
    masks
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Readers {
    None,
    One(ContextId),
    Many,
}

/// Who reads each cell: the steps of nobody, of one context, or anything else.
fn readers(system: &System, asked: &Asked) -> Vec<Readers> {
    let mut read_by = vec![Readers::None; system.cells.len()];
    let mut reads = |x: &X, by: Option<ContextId>| {
        x.each_read(&mut |r| {
            for cell in r.cells() {
                let it = &mut read_by[cell.0 as usize];
                *it = match (*it, by) {
                    (Readers::None, Some(by)) => Readers::One(by),
                    (Readers::One(one), Some(by)) if one == by => *it,
                    _ => Readers::Many,
                };
            }
        });
    };
    for context in &system.contexts {
        for gate in [&context.executes, &context.arrives, &context.pending] {
            reads(gate, None);
        }
        // Places say where everything stands.
        reads(&context.place.get(), None);
    }
    for step in &system.steps {
        each_read(step, &mut |x| reads(x, Some(step.context)));
    }
    for (context, _, x) in &asked.at {
        reads(x, Some(*context));
    }
    let promises = system.invariants.iter().map(|i| &i.holds);
    for x in promises.chain(&asked.everywhere) {
        reads(x, None);
    }
    for &cell in &asked.always {
        reads(&cell.get(), None);
    }
    read_by
}

fn each_read(step: &Step, reads: &mut impl FnMut(&X)) {
    reads(&step.ready);
    step.checks.iter().for_each(|(_, holds)| reads(holds));
    for assign in &step.assigns {
        assign.when.iter().for_each(&mut *reads);
        assign.to.index.iter().for_each(|x| reads(x));
        reads(&assign.value);
    }
}

/// Liveness of a context's own cells.
struct Live;

impl Live {
    /// By place, by cell: may it be read before it is written?
    fn find(system: &System, context: ContextId, own: &[CellId], asked: &Asked) -> Vec<Vec<bool>> {
        let it = &system.contexts[context.index()];
        let places = it.steps.len();
        let position: HashMap<CellId, usize> = own.iter().copied().zip(0..).collect();
        let mut live = vec![vec![false; own.len()]; places];
        let marks = |x: &X, live: &mut Vec<bool>, but: &[bool]| {
            x.each_read(&mut |r| {
                for cell in r.cells() {
                    if let Some(&i) = position.get(&cell)
                        && !but[i]
                    {
                        live[i] = true;
                    }
                }
            });
        };
        for (_, place, x) in asked.at.iter().filter(|(c, ..)| *c == context) {
            marks(x, &mut live[*place as usize], &vec![false; own.len()]);
        }
        // Where the context goes from each place, and what is written on the way.
        let mut ways: Vec<(usize, usize, Vec<bool>)> = Vec::new();
        let known = Known::constants(system);
        for (place, steps) in it.steps.iter().enumerate() {
            for step in steps.iter().map(|&s| &system.steps[s as usize]) {
                let mut written = vec![false; own.len()];
                marks(&step.ready, &mut live[place], &written);
                for (_, holds) in &step.checks {
                    marks(holds, &mut live[place], &written);
                }
                for assign in &step.assigns {
                    assign
                        .when
                        .iter()
                        .for_each(|x| marks(x, &mut live[place], &written));
                    let index = assign.to.index.iter();
                    index.for_each(|x| marks(x, &mut live[place], &written));
                    marks(&assign.value, &mut live[place], &written);
                    if assign.when.is_none()
                        && assign.to.len == 1
                        && let Some(&i) = position.get(&assign.to.base)
                    {
                        written[i] = true;
                    }
                }
                let assigns = step.assigns.iter();
                for to in targets(&known, it.place, places, place, assigns) {
                    ways.push((place, to, written.clone()));
                }
            }
        }
        // Others may move it on: whoever gives it a lock it queues for.
        let mut seen = HashSet::new();
        for step in system.steps.iter().filter(|s| s.context != context) {
            for assign in &step.assigns {
                let moves = assign.to.cells().any(|cell| cell == it.place);
                if !moves || !seen.insert((&assign.when, &assign.to, &assign.value)) {
                    continue;
                }
                for place in 0..places {
                    let assigns = std::iter::once(assign);
                    for to in targets(&known, it.place, places, place, assigns) {
                        ways.push((place, to, vec![false; own.len()]));
                    }
                }
            }
        }
        let mut changed = true;
        while changed {
            changed = false;
            for (from, to, written) in &ways {
                for (i, written) in written.iter().enumerate() {
                    if live[*to][i] && !written && !live[*from][i] {
                        live[*from][i] = true;
                        changed = true;
                    }
                }
            }
        }
        live
    }
}

/// The places where assignments may leave a context that stands at `place`.
fn targets<'a>(
    known: &Known<'_>,
    cell: CellId,
    places: usize,
    place: usize,
    assigns: impl Iterator<Item = &'a crate::system::Assign>,
) -> Vec<usize> {
    let mut now = vec![place as i64];
    for assign in assigns {
        if assign.to.cells().all(|c| c != cell) {
            continue;
        }
        let mut next = Vec::new();
        for &value in &now {
            let here = known.with(cell, value);
            let when = assign.when.as_ref().map(|when| here.fold(when));
            if when == Some(X::FALSE) {
                next.push(value);
                continue;
            }
            if when.is_some_and(|when| when != X::TRUE) || assign.to.len > 1 {
                next.push(value);
            }
            match leaves(&here.fold(&assign.value)) {
                Some(values) => next.extend(values),
                None => next.extend(0..places as i64),
            }
        }
        next.sort_unstable();
        next.dedup();
        now = next;
    }
    let inside = now.into_iter().filter_map(|v| usize::try_from(v).ok());
    inside.filter(|&v| v < places).collect()
}
