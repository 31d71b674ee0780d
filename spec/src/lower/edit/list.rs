//! Everything that could be changed in a step.

use super::super::Here;
use super::words::Words;
use super::{Change, Editable, Like, Spot};
use shootdown_ir::edit::atoms;
use shootdown_ir::expr::Binary;
use shootdown_ir::system::{Assign, CellId, Step, X};
use std::collections::BTreeSet;

impl Editable<'_> {
    /// Every change that this configuration has of a spot.
    pub fn changes(&self, spot: &Spot) -> BTreeSet<Change> {
        let mut changes = BTreeSet::new();
        let Some(steps) = self.spots.get(spot) else {
            return changes;
        };
        if let Some(level) = super::GATES.iter().position(|g| *g == spot.program) {
            let words = self.words(self.gate_here(level));
            clauses(&words, None, self.gate(level), &mut changes);
            return changes;
        }
        for &number in steps {
            let step = &self.lowered.system.steps[number as usize];
            let here = self.here(number);
            match spot.program {
                super::EVERY_UNLOCK => {
                    self.changes_of_queue(&self.words_of_queue(here), step, &mut changes);
                }
                _ => self.changes_of(here, step, &mut changes),
            }
        }
        changes
    }

    /// Every clause of a guard or a condition that this configuration has of a spot.
    pub fn clauses(&self, spot: &Spot) -> BTreeSet<Change> {
        let mut changes = self.changes(spot);
        changes.retain(|change| matches!(change, Change::Clause { .. }));
        changes
    }

    /// What an unlock does if somebody waits: all of it but the release itself.
    fn changes_of_queue(&self, words: &Words<'_>, step: &Step, changes: &mut BTreeSet<Change>) {
        for assign in step.assigns.iter().filter(|a| a.when.is_some()) {
            let text = words.assign(assign);
            changes.insert(Change::Drop(text.clone()));
            changes.insert(Change::Always(text.clone()));
            for x in assign.when.iter().chain([&assign.value]) {
                self.operands(words, Some(&text), x, changes);
            }
            if let Some(when) = &assign.when {
                clauses(words, Some(&text), when, changes);
            }
        }
    }

    fn changes_of(&self, here: Here, step: &Step, changes: &mut BTreeSet<Change>) {
        let words = self.words(here);
        // What becomes of who waits is every unlock's.
        let unlock = step.at != 0 && self.unlocks(here).is_some();
        let assigns = step.assigns.iter();
        let assigns: Vec<_> = assigns.filter(|a| !unlock || a.when.is_none()).collect();
        clauses(&words, None, &step.ready, changes);
        self.operands(&words, None, &step.ready, changes);
        constants(&words, &step.ready, changes);
        if !matches!(step.ready, X::Const(_)) {
            changes.insert(Change::Guard(true));
        }
        changes.insert(Change::Guard(false));
        self.narrower(&words, changes);
        if assigns.iter().any(|a| !words.is_place(a)) {
            changes.insert(Change::Skip);
        }
        for assign in &assigns {
            let text = words.assign(assign);
            changes.insert(Change::Drop(text.clone()));
            if let Some(when) = &assign.when {
                clauses(&words, Some(&text), when, changes);
                changes.insert(Change::Always(text.clone()));
                self.operands(&words, Some(&text), when, changes);
            }
            if words.is_place(assign) {
                continue;
            }
            self.operands(&words, Some(&text), &assign.value, changes);
            let to = assign.to.base;
            if assign.to.index.is_none() {
                self.operand(&words, Some(&text), to, changes);
            }
            let constant = match &assign.value {
                X::Const(_) => true,
                X::Binary(Binary::Add, _, b) => matches!(**b, X::Const(_)),
                _ => false,
            };
            if constant {
                let of = Some(text.clone());
                changes.insert(Change::Constant { of, part: text });
            }
        }
        for (i, a) in assigns.iter().enumerate() {
            for b in &assigns[i + 1..] {
                if depends(a, b) {
                    changes.insert(Change::Swap(words.assign(a), words.assign(b)));
                }
            }
        }
    }

    /// Clauses that a guard could have besides: how the own CPU is.
    fn narrower(&self, words: &Words<'_>, changes: &mut BTreeSet<Change>) {
        let cpu = &self.lowered.cells.cpus[words.here.cpu];
        for cell in [cpu.irqs, cpu.lazy, cpu.loaded] {
            for value in [0, 1] {
                changes.insert(Change::Also {
                    cell: self.roles.words(&words.here, cell),
                    value,
                });
            }
        }
    }

    fn operands(
        &self,
        words: &Words<'_>,
        of: Option<&String>,
        x: &X,
        changes: &mut BTreeSet<Change>,
    ) {
        x.each_read(&mut |r| {
            if r.index.is_none() {
                self.operand(words, of, r.base, changes);
            }
        });
    }

    fn operand(
        &self,
        words: &Words<'_>,
        of: Option<&String>,
        cell: CellId,
        changes: &mut BTreeSet<Change>,
    ) {
        for (axis, other) in self.roles.like(cell) {
            changes.insert(Change::Operand {
                of: of.cloned(),
                cell: self.roles.words(&words.here, cell),
                to: Like {
                    axis,
                    words: self.roles.words(&words.here, other),
                },
            });
        }
    }
}

fn clauses(words: &Words<'_>, of: Option<&String>, x: &X, changes: &mut BTreeSet<Change>) {
    atoms(x, &mut |atom| {
        changes.insert(Change::Clause {
            of: of.cloned(),
            clause: words.x(atom),
        });
    });
}

fn constants(words: &Words<'_>, x: &X, changes: &mut BTreeSet<Change>) {
    atoms(x, &mut |atom| {
        if let X::Binary(_, _, b) = atom
            && matches!(**b, X::Const(_))
        {
            let part = words.x(atom);
            changes.insert(Change::Constant { of: None, part });
        }
    });
}

/// Does it matter in which order the two are done?
fn depends(a: &Assign, b: &Assign) -> bool {
    let reads = |of: &Assign, written: &Assign| {
        let mut found = false;
        let mut look = |x: &X| {
            x.each_read(&mut |r| {
                found |= r.cells().any(|c| written.to.cells().any(|w| w == c));
            });
        };
        look(&of.value);
        of.when.iter().for_each(&mut look);
        found
    };
    let same = a.to.cells().any(|c| b.to.cells().any(|w| w == c));
    same || reads(a, b) || reads(b, a)
}
