//! A system of guarded steps written for other model checkers: [`promela`] for Spin, [`tla`] for TLC.
//!
//! Both writers print cells, guards and assignments as they stand in the [`System`]; nothing here says again what an
//! instruction does. What is added is what the other languages do not have: where an expression has no value, and where a
//! value does not fit its cell, our machine has no successor. [`Exported::new`] turns both into conditions on the state
//! before the step.
//!
//! # What the other checker decides
//!
//! * the number of distinct states;
//! * every promise: checks of steps, values out of range, invariants;
//! * `end`: is there a state without a step in which a context still runs or is pending? Spin calls it an invalid end
//!   state. [`ends`] decides the same on our graph. `no_deadlock` says more where something else lives on for ever, and the
//!   other checkers are not asked about that part of it.

use crate::expr::{Binary, Unary};
use crate::protocol::Protocol;
use crate::system::{Assign, CellRef, Check, ContextId, Overflow, Part, System, X};
use std::collections::{BTreeMap, BTreeSet};

pub mod promela;
mod range;
pub mod tla;

pub use range::range;

/// Why a system cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The other checkers compute in 32 bits.
    #[error(
        "a value of `{0}` may need more than 32 bits, and Spin and TLC compute in 32; declare its range (`int n in 0..9`)"
    )]
    Wide(String),
    /// More variables than a state vector of Spin's is made for.
    #[error("a state has {0} variables: at most {1} can be written")]
    Large(usize, usize),
}

/// The most cells that are written.
const MOST_CELLS: usize = 1000;

/// A promise, and when a state breaks it.
#[derive(Clone, Debug)]
pub struct Promise {
    /// The property's name.
    pub name: String,
    /// The context it is about; it must execute. `None`: an invariant.
    pub context: Option<ContextId>,
    /// The place of the context.
    pub at: u32,
    /// Non-zero where it is broken, if the context executes there. Always has a value.
    pub broken: X,
}

/// A step as it is written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its number among the system's steps.
    pub step: u32,
    /// Non-zero where the context executes at its place, it is ready, and can be carried out. Always has a value.
    pub guard: X,
}

/// A system made ready for a writer.
#[derive(Debug)]
pub struct Exported<'a> {
    /// What is written.
    pub system: &'a System,
    /// Its protocol, for names and comments.
    pub protocol: &'a Protocol,
    /// The names of the cells: unique, and a word in none of the languages.
    pub names: Vec<String>,
    /// The steps.
    pub steps: Vec<Written>,
    /// The promises.
    pub promises: Vec<Promise>,
    /// By context: non-zero where it lets its steps execute, at place 0 where it lets it start. Always has a value.
    pub lets: Vec<[X; 2]>,
    /// Non-zero where a context runs or is pending.
    pub active: X,
}

/// Non-zero where the expression has a value. Always has one itself.
pub fn defined(x: &X) -> X {
    match x {
        X::Const(_) => X::TRUE,
        X::Cell(r) => in_row(r),
        X::Unary(_, a) => defined(a),
        X::Binary(Binary::And, a, b) => defined(a).and(either((**a).clone().not(), defined(b))),
        X::Binary(Binary::Or, a, b) => defined(a).and(either((**a).clone().is_not(0), defined(b))),
        X::Binary(op, a, b) => {
            let both = defined(a).and(defined(b));
            let b = (**b).clone();
            match op {
                Binary::Div | Binary::Rem => both.and(b.is_not(0)),
                Binary::Shl | Binary::Shr => both.and(within(b, 0, 62)),
                _ => both,
            }
        }
        X::If(c, a, b) => {
            let (a, b) = (defined(a), defined(b));
            defined(c).and((**c).clone().choose(a, b))
        }
    }
}

/// `a || b`, of which the first is known to have a value.
fn either(a: X, b: X) -> X {
    match b {
        X::Const(c) if c != 0 => X::TRUE,
        b => a.or(b),
    }
}

fn within(x: X, lo: i64, hi: i64) -> X {
    match x {
        X::Const(c) => X::Const(i64::from(lo <= c && c <= hi)),
        x => x
            .clone()
            .op(Binary::Ge, X::Const(lo))
            .and(x.op(Binary::Le, X::Const(hi))),
    }
}

fn in_row(r: &CellRef) -> X {
    match &r.index {
        None => X::TRUE,
        Some(index) => defined(index).and(within((**index).clone(), 0, i64::from(r.len) - 1)),
    }
}

/// `x` as it is after the assignment, in terms of the state before it.
fn before(x: &X, assign: &Assign) -> X {
    let sub = |a: &X| before(a, assign);
    match x {
        X::Const(_) => x.clone(),
        X::Cell(r) => {
            let index = r.index.as_ref().map(|i| sub(i));
            let same = |a: X, b: i64| a.is(b);
            let hit = |cell: u32| -> Option<X> {
                let to = &assign.to;
                if cell < to.base.0 || cell >= to.base.0 + to.len {
                    return None;
                }
                let there = match &to.index {
                    None => X::TRUE,
                    Some(i) => same((**i).clone(), i64::from(cell - to.base.0)),
                };
                Some(match &assign.when {
                    None => there,
                    Some(when) => when.clone().and(there),
                })
            };
            let one = |cell: u32| {
                let old = X::Cell(CellRef::one(crate::system::CellId(cell)));
                match hit(cell) {
                    None => old,
                    Some(hit) => hit.choose(assign.value.clone(), old),
                }
            };
            match index {
                None => one(r.base.0),
                Some(index) => {
                    if r.cells().all(|c| hit(c.0).is_none()) {
                        return CellRef::row(r.base, r.len, index).get();
                    }
                    // Which of the row it is, cell by cell; out of the row it has no value, as before.
                    let none = X::Binary(Binary::Div, Box::new(X::TRUE), Box::new(X::FALSE));
                    (0..r.len).rev().fold(none, |rest, i| {
                        index
                            .clone()
                            .is(i64::from(i))
                            .choose(one(r.base.0 + i), rest)
                    })
                }
            }
        }
        X::Unary(op, a) => X::Unary(*op, Box::new(sub(a))),
        X::Binary(op, a, b) => X::Binary(*op, Box::new(sub(a)), Box::new(sub(b))),
        X::If(c, a, b) => sub(c).choose(sub(a), sub(b)),
    }
}

/// What the writers do not have, in terms of what they have: `cpumask_weight`, `cpumask_first`, the complement of a set.
pub(crate) fn plain(x: &X, system: &System) -> X {
    let sub = |a: &X| plain(a, system);
    match x {
        X::Const(_) => x.clone(),
        X::Cell(r) => X::Cell(CellRef {
            base: r.base,
            len: r.len,
            index: r.index.as_ref().map(|i| Box::new(sub(i))),
        }),
        X::Unary(op @ (Unary::Not | Unary::Neg), a) => X::Unary(*op, Box::new(sub(a))),
        X::Unary(Unary::Complement, a) => {
            // ~a within a mask: what of the mask is not in a.
            let all = X::Const((1 << system.cpus) - 1);
            let a = sub(a).op(Binary::BitAnd, all.clone());
            X::Binary(Binary::Sub, Box::new(all), Box::new(a))
        }
        X::Unary(op, a) => {
            let hi = range(a, system).map_or(0, |r| r.1);
            let bits = (i64::BITS - hi.max(0).leading_zeros()).max(1);
            let a = sub(a);
            let bit = |i: u32| {
                let moved = X::Binary(
                    Binary::Shr,
                    Box::new(a.clone()),
                    Box::new(X::Const(i.into())),
                );
                moved.op(Binary::BitAnd, X::TRUE)
            };
            match op {
                Unary::Weight => (0..bits).fold(X::FALSE, |sum, i| match i {
                    0 => bit(0),
                    i => sum.op(Binary::Add, bit(i)),
                }),
                _ => (0..bits)
                    .rev()
                    .fold(X::Const(system.cpus as i64), |rest, i| {
                        X::If(
                            Box::new(bit(i)),
                            Box::new(X::Const(i.into())),
                            Box::new(rest),
                        )
                    }),
            }
        }
        X::Binary(op, a, b) => X::Binary(*op, Box::new(sub(a)), Box::new(sub(b))),
        X::If(c, a, b) => X::If(Box::new(sub(c)), Box::new(sub(a)), Box::new(sub(b))),
    }
}

impl<'a> Exported<'a> {
    /// Makes the system ready.
    ///
    /// # Errors
    /// If the other checkers could not compute it as we do, or it is too large for them.
    pub fn new(protocol: &'a Protocol, system: &'a System) -> Result<Exported<'a>, ExportError> {
        if system.cells.len() > MOST_CELLS {
            return Err(ExportError::Large(system.cells.len(), MOST_CELLS));
        }
        for cell in &system.cells {
            if i32::try_from(cell.lo).is_err() || i32::try_from(cell.hi).is_err() {
                return Err(ExportError::Wide(cell.name.clone()));
            }
        }
        let narrow = |x: &X| match range(x, system) {
            Some(_) => Ok(()),
            None => {
                let mut name = String::new();
                x.each_read(&mut |r| name = system.cells[r.base.0 as usize].name.clone());
                Err(ExportError::Wide(name))
            }
        };
        let runs = |x: &X| defined(x).and(x.clone());
        let lets: Vec<[X; 2]> = system
            .contexts
            .iter()
            .map(|c| [runs(&c.arrives), runs(&c.executes)])
            .collect();
        let mut steps = Vec::new();
        let mut promises = Vec::new();
        for (number, step) in system.steps.iter().enumerate() {
            narrow(&step.ready)?;
            let mut add = |check: Check, broken: X| {
                if broken != X::FALSE {
                    promises.push(Promise {
                        name: check.name().to_string(),
                        context: Some(step.context),
                        at: step.at,
                        broken,
                    });
                }
            };
            for (check, holds) in &step.checks {
                narrow(holds)?;
                add(*check, defined(holds).and(holds.clone().not()));
            }
            add(Check::Range, defined(&step.ready).not());
            let mut fine = runs(&step.ready);
            for (i, assign) in step.assigns.iter().enumerate() {
                narrow(&assign.value)?;
                if let Some(when) = &assign.when {
                    narrow(when)?;
                }
                for (fits, check) in conditions(system, assign) {
                    let fits = step.assigns[..i]
                        .iter()
                        .rev()
                        .fold(fits, |x, earlier| before(&x, earlier));
                    // Before the first assignment that cannot be carried out all others could be.
                    if let Some(check) = check {
                        add(check, fine.clone().and(fits.clone().not()));
                    }
                    fine = fine.and(fits);
                }
            }
            steps.push(Written {
                step: number as u32,
                guard: fine,
            });
        }
        for invariant in &system.invariants {
            narrow(&invariant.holds)?;
            promises.push(Promise {
                name: invariant.name.clone(),
                context: None,
                at: 0,
                broken: defined(&invariant.holds).and(invariant.holds.clone().not()),
            });
        }
        let active = X::any(
            system
                .contexts
                .iter()
                .map(|c| c.place.get().is_not(0).or(runs(&c.pending))),
        );
        let names = system.cells.iter().map(|c| match c.part {
            // The author's own words may be words of the language.
            Part::Var(..) | Part::Local(..) => format!("v_{}", c.name),
            _ => c.name.clone(),
        });
        Ok(Exported {
            system,
            protocol,
            names: names.collect(),
            steps,
            promises,
            lets,
            active,
        })
    }

    /// The names of all promises.
    pub fn promised(&self) -> BTreeSet<&str> {
        self.promises.iter().map(|p| p.name.as_str()).collect()
    }

    /// Non-zero where the context stands at the place and executes there; at 0, where it may start.
    fn at(&self, context: ContextId, at: u32) -> X {
        self.system.contexts[context.index()]
            .place
            .get()
            .is(i64::from(at))
    }

    /// What a step is, for people.
    fn comment(&self, step: u32) -> String {
        let step = &self.system.steps[step as usize];
        let context = &self.system.contexts[step.context.index()];
        let source = self.protocol.source(context.source);
        let what = match step.at {
            0 if step.what == crate::system::What::Drain => {
                "its oldest store reaches memory".to_string()
            }
            0 => "starts".to_string(),
            at => {
                let at = context.places[at as usize - 1];
                let line = &source.program[at.line];
                let queued = if at.queued { "has waited: " } else { "" };
                let place = match line.span.line {
                    0 => String::new(),
                    n => format!("line {n}: "),
                };
                format!("{place}{queued}{}", line.text.statement)
            }
        };
        let text = format!(
            "{} {} on CPU{}, {what}",
            source.kind, source.name, context.cpu
        );
        text.replace("*/", "* /")
            .replace("*)", "* )")
            .replace(['\n', '\\', '"'], " ")
    }

    /// Promises by name and context, and by the cells that each group reads.
    fn groups(&self) -> Vec<Group> {
        let mut groups: BTreeMap<(String, Option<ContextId>), Vec<&Promise>> = BTreeMap::new();
        for promise in &self.promises {
            groups
                .entry((promise.name.clone(), promise.context))
                .or_default()
                .push(promise);
        }
        groups
            .into_iter()
            .map(|((name, context), promises)| {
                let broken = match context {
                    None => X::any(promises.iter().map(|p| p.broken.clone())),
                    Some(c) => {
                        let part = |runs: usize| {
                            X::any(
                                promises
                                    .iter()
                                    .filter(|p| (p.at != 0) == (runs == 1))
                                    .map(|p| self.at(c, p.at).and(p.broken.clone())),
                            )
                            .and_last(&self.lets[c.index()][runs])
                        };
                        part(0).or(part(1))
                    }
                };
                let mut reads = BTreeSet::new();
                broken.each_read(&mut |r| reads.extend(r.cells().map(|c| c.0)));
                Group {
                    name,
                    broken,
                    reads,
                }
            })
            .collect()
    }
}

/// Promises of one name about one context.
struct Group {
    name: String,
    broken: X,
    reads: BTreeSet<u32>,
}

impl X {
    fn and_last(self, last: &X) -> X {
        match self {
            X::Const(0) => X::FALSE,
            x => x.and(last.clone()),
        }
    }
}

/// What an assignment needs, in order, and the check that fails where it is not so; none where a variable without a range
/// grows: there ours is incomplete and nothing is compared.
fn conditions(system: &System, assign: &Assign) -> Vec<(X, Option<Check>)> {
    let when = |x: X| match &assign.when {
        None => x,
        Some(when) => either(when.clone().not(), x),
    };
    let mut all = Vec::new();
    if let Some(when) = &assign.when {
        all.push((defined(when), Some(Check::Range)));
    }
    all.push((
        when(defined(&assign.value).and(in_row(&assign.to))),
        Some(Check::Range),
    ));
    let (lo, hi) = range(&assign.value, system).unwrap_or((i64::MIN, i64::MAX));
    // The cells of a row are alike.
    let cell = &system.cells[assign.to.base.0 as usize];
    if lo < cell.lo || hi > cell.hi {
        let check = match cell.overflow {
            Overflow::Range => Some(Check::Range),
            Overflow::Balance => Some(Check::Balance),
            Overflow::Grows => None,
        };
        all.push((when(within(assign.value.clone(), cell.lo, cell.hi)), check));
    }
    all.retain(|(x, _)| *x != X::TRUE);
    all
}

/// Is there a state without a step in which a context still runs or is pending?
pub fn ends(machine: &crate::machine::Machine<'_>, graph: &crate::explore::Graph) -> bool {
    (0..graph.len() as u32).any(|n| {
        graph.is_expanded(n) && graph.edges(n).is_empty() && machine.active(graph.state(n)) != 0
    })
}
