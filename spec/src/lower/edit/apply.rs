//! A change made in every copy of a statement.

use super::words::Words;
use super::{Change, Editable, Spot};
use shootdown_ir::edit::{Edits, negated, reads_replaced, replaced, without};
use shootdown_ir::system::{Assign, Cell, CellId, Step, X};

impl Editable<'_> {
    /// What a change edits; `None` where the configuration does not have what is changed.
    pub fn edited(&self, spot: &Spot, change: &Change) -> Option<Edits> {
        let steps = self.spots.get(spot)?;
        let mut edits = Edits::default();
        if let Some(level) = super::GATES.iter().position(|g| *g == spot.program) {
            self.edit_gates(level, change, &mut edits);
        }
        for &number in steps {
            let here = self.here(number);
            let words = match spot.program {
                super::EVERY_UNLOCK => self.words_of_queue(here),
                _ => self.words(here),
            };
            let mut step = self.lowered.system.steps[number as usize].clone();
            if self.edit(&words, &mut step, change) {
                edits.steps.insert(number, step);
            }
        }
        (!edits.is_empty()).then_some(edits)
    }

    fn edit_gates(&self, level: usize, change: &Change, edits: &mut Edits) {
        let (clause, negated) = match change {
            Change::Clause { of: None, clause } => (clause, false),
            Change::Opposite { of: None, clause } => (clause, true),
            _ => return,
        };
        for code in (level..2 * self.lowered.config.cpus()).step_by(2) {
            let here = super::Here {
                cpu: code / 2,
                ..self.gate_here(level)
            };
            let words = self.words(here);
            let context = &self.lowered.system.contexts[code];
            let (mut executes, mut arrives) = (context.executes.clone(), context.arrives.clone());
            let mut changed = false;
            for gate in [&mut executes, &mut arrives] {
                changed |= match negated {
                    true => negate_clause(&words, gate, clause),
                    false => drop_clause(&words, gate, clause),
                };
            }
            if changed {
                edits.gates.insert(code as u32, (executes, arrives));
            }
        }
    }

    /// Makes the change in one copy; was there anything to change?
    fn edit(&self, words: &Words<'_>, step: &mut Step, change: &Change) -> bool {
        let is = |assign: &Assign, text: &String| words.assign(assign) == *text;
        match change {
            Change::Clause { of: None, clause } => drop_clause(words, &mut step.ready, clause),
            Change::Clause {
                of: Some(text),
                clause,
            } => each(
                step,
                |a| is(a, text),
                |a| {
                    let when = a.when.as_ref()?;
                    let left = without(when, &mut |atom| words.x(atom) == *clause);
                    Some(Assign {
                        when: left,
                        ..a.clone()
                    })
                },
            ),
            Change::Opposite { of: None, clause } => negate_clause(words, &mut step.ready, clause),
            Change::Opposite {
                of: Some(text),
                clause,
            } => each(
                step,
                |a| is(a, text),
                |a| {
                    let mut new = a.clone();
                    negate_clause(words, new.when.as_mut()?, clause);
                    Some(new)
                },
            ),
            Change::Drop(text) => {
                let before = step.assigns.len();
                step.assigns.retain(|a| !is(a, text));
                step.assigns.len() < before
            }
            Change::Always(text) => each(
                step,
                |a| is(a, text),
                |a| {
                    Some(Assign {
                        when: None,
                        ..a.clone()
                    })
                },
            ),
            Change::Guard(always) => {
                step.ready = X::Const(i64::from(*always));
                true
            }
            Change::Also { cell, value } => {
                let cpu = &self.lowered.cells.cpus[words.here.cpu];
                let cells = [cpu.irqs, cpu.lazy, cpu.loaded];
                let found = cells
                    .into_iter()
                    .find(|&c| self.roles.words(&words.here, c) == *cell);
                let Some(found) = found else { return false };
                step.ready = step.ready.clone().and(found.get().is(*value));
                true
            }
            Change::Swap(a, b) => {
                let first = step.assigns.iter().position(|x| is(x, a));
                let second = step.assigns.iter().rposition(|x| is(x, b));
                match (first, second) {
                    (Some(i), Some(j)) if i < j => {
                        step.assigns.swap(i, j);
                        true
                    }
                    _ => false,
                }
            }
            Change::Operand { of, cell, to } => {
                let other = |c: CellId| -> Option<CellId> {
                    if self.roles.words(&words.here, c) != *cell {
                        return None;
                    }
                    let like = self.roles.like(c).into_iter();
                    let mut like = like.filter(|(axis, _)| *axis == to.axis);
                    like.next().map(|(_, other)| other)
                };
                let mut by = |x: &X| match x {
                    X::Cell(r) if r.index.is_none() => other(r.base).map(CellId::get),
                    _ => None,
                };
                match of {
                    None => {
                        let new = replaced(&step.ready, &mut by);
                        let changed = new != step.ready;
                        step.ready = new;
                        changed
                    }
                    Some(text) => each(
                        step,
                        |a| is(a, text),
                        |a| {
                            let mut new = reads_replaced(a, &mut by);
                            if new == *a
                                && a.to.index.is_none()
                                && let Some(other) = other(a.to.base)
                            {
                                new.to.base = other;
                            }
                            Some(new)
                        },
                    ),
                }
            }
            Change::Constant { of: None, part } => {
                let mut by = |x: &X| match x {
                    X::Binary(op, a, b) if words.x(x) == *part => {
                        let X::Const(c) = **b else { return None };
                        let other = X::Const(self.another(a, c));
                        Some(X::Binary(*op, a.clone(), Box::new(other)))
                    }
                    _ => None,
                };
                let new = replaced(&step.ready, &mut by);
                let changed = new != step.ready;
                step.ready = new;
                changed
            }
            Change::Constant { of: Some(text), .. } => each(
                step,
                |a| is(a, text),
                |a| {
                    let value = match &a.value {
                        X::Const(c) => {
                            let to = self.decl(a.to.base);
                            X::Const(near(to, *c))
                        }
                        X::Binary(op, x, b) => {
                            let X::Const(c) = **b else { return None };
                            X::Binary(*op, x.clone(), Box::new(X::Const(-c)))
                        }
                        _ => return None,
                    };
                    Some(Assign { value, ..a.clone() })
                },
            ),
            Change::Skip => {
                let before = step.assigns.len();
                step.assigns.retain(|a| words.is_place(a));
                step.assigns.len() < before
            }
            Change::Nothing => true,
        }
    }

    fn decl(&self, cell: CellId) -> &Cell {
        &self.lowered.system.cells[cell.0 as usize]
    }

    /// Another constant to compare with.
    fn another(&self, with: &X, c: i64) -> i64 {
        match with {
            X::Cell(r) => near(self.decl(r.base), c),
            _ => c + 1,
        }
    }
}

/// Another value of the cell: the next one, or the one before.
fn near(cell: &Cell, c: i64) -> i64 {
    if c < cell.hi { c + 1 } else { c - 1 }
}

fn drop_clause(words: &Words<'_>, x: &mut X, clause: &str) -> bool {
    let new = without(x, &mut |atom| words.x(atom) == clause).unwrap_or(X::TRUE);
    let changed = new != *x;
    *x = new;
    changed
}

fn negate_clause(words: &Words<'_>, x: &mut X, clause: &str) -> bool {
    let new = negated(x, &mut |atom| words.x(atom) == clause);
    let changed = new != *x;
    *x = new;
    changed
}

/// Puts what `by` gives in place of every assignment that is meant; was there one that differs?
fn each(
    step: &mut Step,
    meant: impl Fn(&Assign) -> bool,
    mut by: impl FnMut(&Assign) -> Option<Assign>,
) -> bool {
    let mut changed = false;
    for assign in &mut step.assigns {
        if meant(assign)
            && let Some(new) = by(assign)
        {
            changed |= new != *assign;
            *assign = new;
        }
    }
    changed
}
