//! Fills at once: what hardware may put into a bit at any time, unseen by any step, it may have put there already.
//!
//! A bit qualifies if only the fills themselves ask for it (is it still 0?), a fill leaves its context where it is and need
//! not come, and every question that reads the bit can only turn from no to yes when it is set: that is decided from the
//! question's expression. A fill that changes nothing but its bit leads from one of two states to the other, and no step can
//! tell them apart; so both are one from then on, with a third value of the bit, [`MAYBE`]. A fill that changes more, as it
//! marks an entry that was not, is a step as before, possible where the bit is 0 or may be.
//!
//! Nothing is added: a state with bits that may be set stands for states that can all be reached.

use super::Asked;
use crate::expr::{Binary, Unary};
use crate::system::{CellId, Step, System, X};

/// The bit is 0 or 1: both states can be reached.
pub const MAYBE: i64 = 2;

/// A fill: its bit, and when setting it is all that it does.
#[derive(Clone, Debug)]
pub struct Fill {
    /// The bit.
    pub bit: CellId,
    /// Non-zero where the bit is 0, and may be set with nothing else changed.
    pub at_once: X,
}

/// Gives bits that qualify their third value. Questions must take [`MAYBE`] for 1.
pub fn widen(system: &mut System, asked: &Asked<'_>) -> Vec<Fill> {
    let of_steps: Vec<Option<CellId>> =
        (0..system.steps.len()).map(|s| bit_of(system, s)).collect();
    let mut bits: Vec<CellId> = of_steps.iter().flatten().copied().collect();
    bits.sort();
    bits.dedup();
    bits.retain(|&bit| is_free(system, asked, bit, &of_steps));
    let mut fills = Vec::new();
    for (step, bit) in system.steps.iter_mut().zip(of_steps) {
        let Some(bit) = bit.filter(|bit| bits.contains(bit)) else {
            continue;
        };
        let open = without(&step.ready, bit);
        let others = step.assigns.iter().filter(|a| a.to.base != bit);
        let pure = X::all(others.map(|a| a.to.clone().get().op(Binary::Eq, a.value.clone())));
        fills.push(Fill {
            bit,
            at_once: X::all([open.clone(), bit.get().is(0), pure.clone()]),
        });
        step.ready = X::all([open, bit.get().is_not(1), pure.not()]);
    }
    for bit in bits {
        system.cells[bit.0 as usize].hi = MAYBE;
    }
    fills
}

/// The bit that the step fills, if it is a fill: it asks for a 0 and makes it 1, assigns constants besides, stays where it
/// is, and need not come.
fn bit_of(system: &System, number: usize) -> Option<CellId> {
    let step = &system.steps[number];
    let place = system.contexts[step.context.index()].place;
    let plain = |a: &crate::system::Assign| {
        a.when.is_none()
            && a.to.index.is_none()
            && a.to.base != place
            && matches!(a.value, X::Const(_))
    };
    if step.owed || !step.checks.is_empty() || !step.assigns.iter().all(plain) {
        return None;
    }
    let mut to = step.assigns.iter().map(|a| a.to.base);
    to.find(|&bit| {
        let it = &system.cells[bit.0 as usize];
        let sets = |a: &&crate::system::Assign| a.to.base == bit;
        let set: Vec<_> = step.assigns.iter().filter(sets).collect();
        (it.lo, it.hi) == (0, 1)
            && asks_for_0(&step.ready, bit)
            && matches!(set.as_slice(), [one] if one.value == X::TRUE)
            && !reads(&without(&step.ready, bit), bit)
    })
}

/// Is `bit == 0` one of the conditions that all have to hold?
fn asks_for_0(x: &X, bit: CellId) -> bool {
    match x {
        X::Binary(Binary::And, a, b) => asks_for_0(a, bit) || asks_for_0(b, bit),
        x => *x == bit.get().is(0),
    }
}

/// The condition without `bit == 0`.
fn without(x: &X, bit: CellId) -> X {
    match x {
        X::Binary(Binary::And, a, b) => without(a, bit).and(without(b, bit)),
        x if *x == bit.get().is(0) => X::TRUE,
        x => x.clone(),
    }
}

fn reads(x: &X, bit: CellId) -> bool {
    let mut found = false;
    x.each_read(&mut |r| found |= r.cells().any(|cell| cell == bit));
    found
}

/// Does nothing depend on the bit but its fills, and questions that it can only turn to yes?
fn is_free(system: &System, asked: &Asked<'_>, bit: CellId, fills: &[Option<CellId>]) -> bool {
    let gates = system.contexts.iter();
    let mut gates = gates.flat_map(|c| [&c.executes, &c.arrives, &c.pending]);
    let mut steps = system.steps.iter().zip(fills);
    let promises = system.invariants.iter().map(|i| (&i.holds, false));
    let questions = asked.at.iter().map(|(_, _, x)| (x, true));
    let everywhere = asked.everywhere.iter().map(|x| (x, true));
    !asked.always.contains(&bit)
        && !gates.any(|x| reads(x, bit))
        && !steps.any(|(step, fill)| step_reads(step, bit, *fill == Some(bit)))
        && promises
            .chain(questions)
            .chain(everywhere)
            .all(|(x, up)| grows(x, bit, up))
}

/// Does the step depend on the bit, other than as a fill of it?
fn step_reads(step: &Step, bit: CellId, fills: bool) -> bool {
    let ready = !fills && reads(&step.ready, bit);
    let checks = step.checks.iter().any(|(_, x)| reads(x, bit));
    let assigns = step.assigns.iter().any(|a| {
        let row = a.to.index.as_ref();
        let condition = a.when.as_ref().is_some_and(|x| reads(x, bit));
        // What is put into the bit must be known: 0 or 1.
        let odd = a.to.cells().any(|c| c == bit) && !matches!(a.value, X::Const(0 | 1));
        condition || odd || row.is_some_and(|x| reads(x, bit)) || reads(&a.value, bit)
    });
    ready || checks || assigns
}

/// Can setting the bit only turn the condition from no to yes (`up`), or only from yes to no?
fn grows(x: &X, bit: CellId, up: bool) -> bool {
    if !reads(x, bit) {
        return true;
    }
    match x {
        X::Cell(r) => up && r.index.is_none(),
        X::Unary(Unary::Not, a) => grows(a, bit, !up),
        X::Binary(Binary::And | Binary::Or, a, b) => grows(a, bit, up) && grows(b, bit, up),
        X::Binary(op, a, b) if **a == bit.get() => match (op, &**b) {
            (Binary::Ne, X::Const(0)) => up,
            (Binary::Eq, X::Const(0)) => !up,
            // Of three values, this one does not take the third for the second.
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_way_a_question_can_turn_is_read_off_its_expression() {
        let (bit, other) = (CellId(0), CellId(1));
        let set = bit.get().is_not(0);
        assert!(grows(&set, bit, true) && !grows(&set, bit, false));
        assert!(grows(&set.clone().not(), bit, false));
        assert!(grows(&set.clone().and(other.get().is(0)), bit, true));
        assert!(!grows(&bit.get().is(0).or(other.get()), bit, true));
        assert!(grows(&other.get().is(0), bit, true));
        // A sum, or a comparison with 1, is not trusted.
        assert!(!grows(&bit.get().is(1), bit, true));
        assert!(!grows(&bit.get().op(Binary::Add, X::TRUE), bit, true));
    }
}
