//! Changes to a [`System`], for faults of a protocol that nobody wrote by hand: what a condition is
//! made of, what it is without a part of it, and whether a change makes any difference in a state.

use crate::expr::{Binary, Unary};
use crate::machine::Machine;
use crate::system::{Assign, CellRef, ContextId, Step, System, X};
use std::collections::BTreeMap;

/// Calls `f` with every atom of a condition: what stands between `&&`, `||` and `!`.
pub fn atoms<'x>(x: &'x X, f: &mut impl FnMut(&'x X)) {
    match x {
        X::Binary(Binary::And | Binary::Or, a, b) => {
            atoms(a, f);
            atoms(b, f);
        }
        X::Unary(Unary::Not, a) => atoms(a, f),
        X::Const(_) => {}
        atom => f(atom),
    }
}

/// The condition with the atoms that `gone` picks left out of their connectives; `None` if nothing is left.
#[must_use]
pub fn without(x: &X, gone: &mut impl FnMut(&X) -> bool) -> Option<X> {
    match x {
        X::Binary(op @ (Binary::And | Binary::Or), a, b) => {
            match (without(a, gone), without(b, gone)) {
                (Some(a), Some(b)) => Some(X::Binary(*op, Box::new(a), Box::new(b))),
                (a, b) => a.or(b),
            }
        }
        X::Unary(Unary::Not, a) => without(a, gone).map(|a| X::Unary(Unary::Not, Box::new(a))),
        X::Const(_) => Some(x.clone()),
        atom if gone(atom) => None,
        atom => Some(atom.clone()),
    }
}

/// The condition with the atoms that `which` picks asked the other way round.
#[must_use]
pub fn negated(x: &X, which: &mut impl FnMut(&X) -> bool) -> X {
    match x {
        X::Binary(op @ (Binary::And | Binary::Or), a, b) => {
            let (a, b) = (negated(a, which), negated(b, which));
            X::Binary(*op, Box::new(a), Box::new(b))
        }
        X::Unary(Unary::Not, a) => X::Unary(Unary::Not, Box::new(negated(a, which))),
        X::Const(c) => X::Const(*c),
        atom if which(atom) => atom.clone().not(),
        atom => atom.clone(),
    }
}

/// The expression with what `by` gives in place of every part for which it gives something, the whole first.
#[must_use]
pub fn replaced(x: &X, by: &mut impl FnMut(&X) -> Option<X>) -> X {
    if let Some(other) = by(x) {
        return other;
    }
    let mut boxed = |x: &X| Box::new(replaced(x, by));
    match x {
        X::Const(c) => X::Const(*c),
        X::Cell(r) => X::Cell(CellRef {
            index: r.index.as_ref().map(|index| boxed(index)),
            ..r.clone()
        }),
        X::Unary(op, a) => X::Unary(*op, boxed(a)),
        X::Binary(op, a, b) => X::Binary(*op, boxed(a), boxed(b)),
        X::If(c, a, b) => X::If(boxed(c), boxed(a), boxed(b)),
    }
}

/// The same for all that an assignment reads; where it goes stays as it is.
#[must_use]
pub fn reads_replaced(assign: &Assign, by: &mut impl FnMut(&X) -> Option<X>) -> Assign {
    Assign {
        when: assign.when.as_ref().map(|when| replaced(when, by)),
        to: assign.to.clone(),
        value: replaced(&assign.value, by),
    }
}

/// An edit of a system: the steps and the conditions of contexts that are others.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// By number.
    pub steps: BTreeMap<u32, Step>,
    /// By context: its `executes` and its `arrives`.
    pub gates: BTreeMap<u32, (X, X)>,
}

impl Edits {
    /// Is nothing edited?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.gates.is_empty()
    }

    /// The system with the edits in it.
    #[must_use]
    pub fn applied(&self, system: &System) -> System {
        let mut system = system.clone();
        for (&number, step) in &self.steps {
            system.steps[number as usize] = step.clone();
        }
        for (&context, (executes, arrives)) in &self.gates {
            let it = &mut system.contexts[context as usize];
            (it.executes, it.arrives) = (executes.clone(), arrives.clone());
        }
        system
    }
}

/// A system and an edit of it: does a state have other successors with the edit?
#[derive(Debug)]
pub struct Compare<'a> {
    machine: &'a Machine<'a>,
    edits: &'a Edits,
    /// Contexts whose steps may differ, and at which of their places.
    touched: Vec<(ContextId, Vec<bool>)>,
}

impl<'a> Compare<'a> {
    /// Prepares it: looks at which places something is edited.
    pub fn new(machine: &'a Machine<'a>, edits: &'a Edits) -> Compare<'a> {
        let contexts = machine.system().contexts.iter().enumerate();
        let touched = contexts.map(|(c, it)| {
            let gate = edits.gates.get(&(c as u32));
            let places = it.steps.iter().enumerate().map(|(place, steps)| {
                let gates = gate.is_some_and(|(executes, arrives)| match place {
                    0 => *arrives != it.arrives,
                    _ => *executes != it.executes,
                });
                let edited = |number: &u32| edits.steps.contains_key(number);
                !steps.is_empty() && (gates || steps.iter().any(edited))
            });
            (ContextId(c as u32), places.collect::<Vec<_>>())
        });
        let touched = touched
            .filter(|(_, places)| places.contains(&true))
            .collect();
        Compare {
            machine,
            edits,
            touched,
        }
    }

    /// Does some context stand where its steps may differ?
    pub fn is_reached(&self, words: &[u64]) -> bool {
        let view = self.machine.view(words);
        let mut touched = self.touched.iter();
        touched.any(|(c, places)| places[view.place(*c) as usize])
    }

    /// Does the state have other successors, or others that cannot be had, with the edit? Where it does in no reachable
    /// state, the edited system has the same reachable states and transitions.
    pub fn differ(&self, words: &[u64]) -> bool {
        let view = self.machine.view(words);
        self.touched.iter().any(|(c, places)| {
            let place = view.place(*c) as usize;
            places[place]
                && self.successors(*c, place, words, false)
                    != self.successors(*c, place, words, true)
        })
    }

    /// What one context makes of a state, in order; `None` for a step that cannot be carried out.
    fn successors(
        &self,
        context: ContextId,
        place: usize,
        words: &[u64],
        edited: bool,
    ) -> Vec<Option<Vec<u64>>> {
        let system = self.machine.system();
        let it = &system.contexts[context.index()];
        let (executes, arrives) = match self.edits.gates.get(&context.0) {
            Some((executes, arrives)) if edited => (executes, arrives),
            _ => (&it.executes, &it.arrives),
        };
        let gate = if place == 0 { arrives } else { executes };
        let view = self.machine.view(words);
        if !view.is(gate) {
            return Vec::new();
        }
        let steps = it.steps[place].iter().map(|number| {
            let other = self.edits.steps.get(number).filter(|_| edited);
            other.unwrap_or(&system.steps[*number as usize])
        });
        let mut all: Vec<_> = steps
            .filter(|step| view.value(&step.ready) != Some(0))
            .map(|step| {
                let mut next = words.to_vec();
                let done = view.is(&step.ready) && self.machine.apply(&mut next, step).is_ok();
                done.then_some(next)
            })
            .collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::CellId;

    fn is(cell: u32, value: i64) -> X {
        CellId(cell).get().is(value)
    }

    #[test]
    fn an_atom_left_out_leaves_its_connective() {
        let x = is(0, 1).and(is(1, 1).or(is(2, 1)).not());
        let mut count = 0;
        atoms(&x, &mut |_| count += 1);
        assert_eq!(count, 3);
        let gone = |which: u32| without(&x, &mut |atom| *atom == is(which, 1));
        assert_eq!(gone(0), Some(is(1, 1).or(is(2, 1)).not()));
        assert_eq!(gone(1), Some(is(0, 1).and(is(2, 1).not())));
        assert_eq!(without(&x, &mut |_| true), None);
        assert_eq!(gone(3), Some(x));
    }

    #[test]
    fn an_atom_is_negated_where_it_stands() {
        let x = is(0, 1).and(is(1, 1).or(is(2, 1)).not());
        let new = negated(&x, &mut |atom| *atom == is(1, 1));
        let want = is(0, 1).and(is(1, 1).not().or(is(2, 1)).not());
        assert_eq!(new, want);
    }

    #[test]
    fn a_part_is_replaced_wherever_it_stands() {
        let by = |x: &X| (*x == CellId(1).get()).then(|| CellId(7).get());
        let x = is(0, 1).and(is(1, 1)).choose(CellId(1).get(), X::Const(3));
        let want = is(0, 1).and(is(7, 1)).choose(CellId(7).get(), X::Const(3));
        assert_eq!(replaced(&x, &mut { by }), want);
        let assign = CellId(1).set(CellId(1).get()).when(is(1, 0));
        let want = CellId(1).set(CellId(7).get()).when(is(7, 0));
        assert_eq!(reads_replaced(&assign, &mut { by }), want);
    }
}
