//! Expressions where the values of some cells are known.

use crate::eval;
use crate::expr::{Binary, Unary};
use crate::system::{CellId, CellRef, Step, System, X};
use std::rc::Rc;

/// Values that cells are known to have.
#[derive(Clone, Debug)]
pub(super) struct Known<'a> {
    pub(super) system: &'a System,
    /// What is known anyway.
    constants: Rc<[Option<i64>]>,
    /// What is known here; the last of a cell counts.
    here: Vec<(CellId, Option<i64>)>,
}

impl<'a> Known<'a> {
    /// Constants, and nothing else.
    pub(super) fn constants(system: &'a System) -> Known<'a> {
        let constant = |cell: &crate::system::Cell| (cell.lo == cell.hi).then_some(cell.lo);
        Known {
            system,
            constants: system.cells.iter().map(constant).collect(),
            here: Vec::new(),
        }
    }

    pub(super) fn get(&self, cell: CellId) -> Option<i64> {
        match self.here.iter().rfind(|(it, _)| *it == cell) {
            Some((_, value)) => *value,
            None => self.constants[cell.0 as usize],
        }
    }

    pub(super) fn set(&mut self, cell: CellId, value: Option<i64>) {
        self.here.push((cell, value));
    }

    /// The same with one value more.
    pub(super) fn with(&self, cell: CellId, value: i64) -> Known<'a> {
        let mut more = self.clone();
        more.set(cell, Some(value));
        more
    }

    /// The expression with everything folded in that is known. Where the folded one has no value, the first one has none;
    /// the reverse does not hold.
    pub(super) fn fold(&self, x: &X) -> X {
        match x {
            X::Const(c) => X::Const(*c),
            X::Cell(r) => {
                let r = self.cell(r);
                match (&r.index, self.get(r.base)) {
                    (None, Some(value)) => X::Const(value),
                    _ => X::Cell(r),
                }
            }
            X::Unary(Unary::Not, a) => self.fold(a).not(),
            X::Unary(op, a) => match self.fold(a) {
                X::Const(c) if eval::unary(*op, c, self.system.cpus).is_some() => {
                    X::Const(eval::unary(*op, c, self.system.cpus).unwrap_or_default())
                }
                a => X::Unary(*op, Box::new(a)),
            },
            X::Binary(op @ (Binary::And | Binary::Or), a, b) => {
                let (a, b) = (self.fold(a), self.fold(b));
                match (op, &b) {
                    (Binary::And, X::Const(0)) if !may_fault(&a) => X::FALSE,
                    (Binary::Or, X::Const(c)) if *c != 0 && !may_fault(&a) => X::TRUE,
                    _ => a.op(*op, b),
                }
            }
            X::Binary(op, a, b) => self.fold(a).op(*op, self.fold(b)),
            X::If(c, a, b) => self.fold(c).choose(self.fold(a), self.fold(b)),
        }
    }

    /// The cell, or the row with what is known of the index.
    pub(super) fn cell(&self, r: &CellRef) -> CellRef {
        match &r.index {
            None => r.clone(),
            Some(index) => CellRef::row(r.base, r.len, self.fold(index)),
        }
    }

    /// Is it sure that the step cannot be taken where this is known?
    pub(super) fn forbids(&self, step: &Step) -> bool {
        let context = &self.system.contexts[step.context.index()];
        let at = i64::from(step.at);
        if self.get(context.place).is_some_and(|place| place != at) {
            return true;
        }
        let here = self.with(context.place, at);
        let gate = match step.at {
            0 => &context.arrives,
            _ => &context.executes,
        };
        here.fold(gate) == X::FALSE || here.fold(&step.ready) == X::FALSE
    }

    /// Everything about the step that is left to be found out where this is known: conditions, checks, assignments.
    pub(super) fn folded(&self, step: &Step) -> Folded {
        let context = &self.system.contexts[step.context.index()];
        let mut now = self.with(context.place, i64::from(step.at));
        let gate = match step.at {
            0 => &context.arrives,
            _ => &context.executes,
        };
        let mut asks = vec![now.fold(gate), now.fold(&step.ready)];
        let checks = step.checks.iter().map(|(_, holds)| now.fold(holds));
        asks.extend(checks);
        let mut assigns = Vec::new();
        for assign in &step.assigns {
            let when = assign.when.as_ref().map(|when| now.fold(when));
            if when == Some(X::FALSE) {
                continue;
            }
            let (to, value) = (now.cell(&assign.to), now.fold(&assign.value));
            // What is there already changes nothing.
            let same = |v: i64| to.index.is_none() && now.get(to.base) == Some(v);
            if matches!(value, X::Const(v) if same(v)) {
                continue;
            }
            for cell in to.cells() {
                now.set(cell, None);
            }
            assigns.push((when, to, value));
        }
        Folded { asks, assigns }
    }
}

/// What is left of a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Folded {
    pub(super) asks: Vec<X>,
    pub(super) assigns: Vec<(Option<X>, CellRef, X)>,
}

impl Folded {
    /// What is asked of it where it cannot be taken: nothing if it does not even execute there, else its checks.
    pub(super) fn asked_if(mut self, ruled_out: bool) -> Folded {
        if ruled_out {
            self.assigns.clear();
            self.asks[1] = X::FALSE;
            if self.asks[0] == X::FALSE {
                self.asks.truncate(1);
            }
        }
        self
    }

    pub(super) fn reads(&self) -> Vec<CellId> {
        let mut cells = Vec::new();
        let mut add = |x: &X| x.each_read(&mut |r| cells.extend(r.cells()));
        for x in &self.asks {
            add(x);
        }
        for (when, to, value) in &self.assigns {
            when.iter().for_each(&mut add);
            to.index.iter().for_each(|x| add(x));
            add(value);
        }
        cells.sort();
        cells.dedup();
        cells
    }

    pub(super) fn writes(&self) -> Vec<CellId> {
        let mut cells: Vec<_> = self
            .assigns
            .iter()
            .flat_map(|(_, to, _)| to.cells())
            .collect();
        cells.sort();
        cells.dedup();
        cells
    }
}

/// May the expression have no value?
fn may_fault(x: &X) -> bool {
    match x {
        X::Const(_) => false,
        X::Cell(r) => r.index.is_some(),
        X::Unary(_, a) => may_fault(a),
        X::Binary(op, a, b) => {
            let partial = matches!(
                op,
                Binary::Div | Binary::Rem | Binary::Shl | Binary::Shr | Binary::Mul
            );
            partial || may_fault(a) || may_fault(b)
        }
        X::If(c, a, b) => may_fault(c) || may_fault(a) || may_fault(b),
    }
}

/// The values that an expression can have, if it is a choice between constants.
pub(super) fn leaves(x: &X) -> Option<Vec<i64>> {
    match x {
        X::Const(c) => Some(vec![*c]),
        X::If(_, a, b) => {
            let (mut a, b) = (leaves(a)?, leaves(b)?);
            a.extend(b);
            a.sort_unstable();
            a.dedup();
            Some(a)
        }
        _ => None,
    }
}
