//! Conditions: a step that branches; `&&`, `||` and `!` around calls that do something become branches themselves.

use shootdown_ir::{Binary, Expr as Ir, Op, Set};

use super::Lower;
use super::fold;
use super::program::Label;
use super::scope::{Entity, Target};
use crate::ast::{Expr, ExprKind};
use crate::calls::{self, Change, Does, Gives, Sort};

impl<'a, 's> Lower<'a, 's> {
    /// Whether a call in the expression does something.
    pub(crate) fn acts(&self, e: &Expr<'s>) -> bool {
        match &e.kind {
            ExprKind::Call(name, args) => {
                let own = matches!(self.names.get(name.text), Some(Entity::Func(_)));
                let does = calls::find(name.text).is_none_or(|call| {
                    !matches!(call.does, Does::Value(_) | Does::Change(Change::Read, _))
                });
                own || does || args.iter().any(|arg| self.acts(arg))
            }
            ExprKind::Unary(_, a) => self.acts(a),
            ExprKind::Binary(_, a, b) | ExprKind::Index(a, b) => self.acts(a) || self.acts(b),
            ExprKind::Ternary(c, a, b) => self.acts(c) || self.acts(a) || self.acts(b),
            _ => false,
        }
    }

    /// Goes on if the condition is true, else to `no`.
    pub(crate) fn jump_unless(&mut self, e: &Expr<'s>, no: Label) {
        match &e.kind {
            ExprKind::Unary("!", inner) if self.acts(inner) => self.jump_if(inner, no),
            ExprKind::Binary("&&", a, b) if self.acts(e) => {
                self.jump_unless(a, no);
                self.jump_unless(b, no);
            }
            ExprKind::Binary("||", a, b) if self.acts(e) => {
                let yes = self.label();
                self.jump_if(a, yes);
                self.jump_unless(b, no);
                self.place_label(yes);
            }
            _ => {
                if self.try_lock_condition(e, no) {
                    return;
                }
                let value = self.value(e);
                let cond = self.as_bool(value);
                self.branch(cond, no);
            }
        }
    }

    /// Goes on if the condition is false, else to `yes`.
    fn jump_if(&mut self, e: &Expr<'s>, yes: Label) {
        let at = self.here().stmt;
        match &e.kind {
            ExprKind::Unary("!", inner) if self.acts(inner) => self.jump_unless(inner, yes),
            ExprKind::Binary("||", a, b) if self.acts(e) => {
                self.jump_if(a, yes);
                self.jump_if(b, yes);
            }
            ExprKind::Binary("&&", a, b) if self.acts(e) => {
                let no = self.label();
                self.jump_unless(a, no);
                self.jump_if(b, yes);
                self.place_label(no);
            }
            _ => {
                let no = self.label();
                if self.try_lock_condition(e, no) {
                    self.goto(yes, at);
                    self.place_label(no);
                    return;
                }
                let value = self.value(e);
                let cond = self.as_bool(value);
                self.branch(cond.not(), yes);
            }
        }
    }

    fn branch(&mut self, cond: Ir, no: Label) {
        let at = self.here().stmt;
        match fold::constant(&cond) {
            Some(0) => self.goto(no, at),
            Some(_) => {}
            None => self.emit(
                Op::Branch {
                    cond,
                    otherwise: no,
                },
                at,
            ),
        }
    }

    /// `spin_trylock(&l)` as the whole condition: one step that branches.
    fn try_lock_condition(&mut self, e: &Expr<'s>, no: Label) -> bool {
        let ExprKind::Call(name, args) = &e.kind else {
            return false;
        };
        if self.names.contains_key(name.text) {
            return false;
        }
        let Some(call) = calls::find(name.text) else {
            return false;
        };
        let Does::TryLock(mode, with) = call.does else {
            return false;
        };
        if let Some(given) = self.arguments(call, *name, args, e.span)
            && let Some(target) = given.target(0)
        {
            let flags = given.target(1);
            self.try_take(&target, mode, with, flags.as_ref(), no, e.span);
        }
        true
    }

    /// `while (test_and_set_bit(0, &w)) cpu_relax();` and `while (cmpxchg(&l, 0, 1) != 0) cpu_relax();`: an attempt that fails
    /// changes nothing, so that the loop is one wait, which takes what it waits for in the same step.
    pub(crate) fn retry(&mut self, e: &Expr<'s>) -> Option<(Ir, Vec<Set>)> {
        // What the loop repeats for: the call's result, compared or not.
        let (call_expr, against, same) = match &e.kind {
            ExprKind::Call(..) => (e, fold::number(0), false),
            ExprKind::Unary("!", inner) => (inner.as_ref(), fold::number(0), true),
            ExprKind::Binary(op @ ("!=" | "=="), a, b) => {
                let ExprKind::Call(..) = a.kind else {
                    return None;
                };
                if self.acts(b) {
                    return None;
                }
                let value = self.value(b);
                (a.as_ref(), value.e, *op == "==")
            }
            _ => return None,
        };
        let ExprKind::Call(name, args) = &call_expr.kind else {
            return None;
        };
        if self.names.contains_key(name.text) {
            return None;
        }
        let call = calls::find(name.text)?;
        let Does::Change(change, gives) = call.does else {
            return None;
        };
        let given = self.arguments(call, *name, args, call_expr.span)?;
        let target = given.object()?;
        let sort = self.objects[target.object].sort;
        let old = Ir::Load(self.ir_place(&target));
        let operand = |at: usize| given.values().get(at).map(|value| value.e.clone());
        // When the attempt succeeds; only where a failure changes nothing.
        let until = match (change, gives, same) {
            (Change::SetBit, Gives::OldBit, false) if fold::constant(&against) == Some(0) => {
                fold::binary(
                    Binary::Eq,
                    fold::bit(old.clone(), operand(0)?),
                    fold::number(0),
                )
            }
            (Change::ClearBit, Gives::OldBit, true) if fold::constant(&against) == Some(0) => {
                fold::binary(
                    Binary::Eq,
                    fold::bit(old.clone(), operand(0)?),
                    fold::number(1),
                )
            }
            (Change::CompareExchange, Gives::Old, false) if operand(0)? == against => {
                fold::binary(Binary::Eq, old.clone(), against)
            }
            (Change::AddUnless, Gives::Did, true) if fold::constant(&against) == Some(0) => {
                fold::binary(
                    Binary::Ne,
                    old.clone(),
                    operand(1).unwrap_or(fold::number(0)),
                )
            }
            (Change::Set, Gives::Old, false)
                if sort == Sort::Bool
                    && fold::constant(&against) == Some(0)
                    && fold::constant(&operand(0)?) == Some(1) =>
            {
                fold::binary(Binary::Eq, old.clone(), fold::number(0))
            }
            _ => return None,
        };
        let (_, new) = self.change_parts(change, &given, &old, call_expr.span, sort);
        let value = super::value::Val {
            e: new,
            ty: if sort == Sort::Mask {
                super::value::Ty::Mask
            } else {
                super::value::Ty::Int
            },
        };
        let set = self.set(&target, value, call_expr.span)?;
        Some((until, vec![set]))
    }

    /// A condition that stays what it is: for `atomic` blocks, where it is evaluated into a variable.
    pub(crate) fn gathered_condition(&mut self, e: &Expr<'s>) -> Ir {
        let value = self.value(e);
        let cond = self.as_bool(value);
        if fold::constant(&cond).is_some() {
            return cond;
        }
        let at = self.here().stmt;
        let kept = self.temporary("condition", (0, 1), e.span);
        self.update(vec![Self::put(kept, cond)], at);
        Ir::var(kept)
    }

    /// `place = e`, with the result of a call going there directly.
    pub(crate) fn assign_expr(
        &mut self,
        target: &Target,
        e: &'a Expr<'s>,
        at: crate::source::Span,
    ) {
        if let ExprKind::Call(name, args) = &e.kind
            && !self.names.contains_key(name.text)
            && let Some(call) = calls::find(name.text)
            && call.gives()
            && !matches!(call.does, Does::Value(_) | Does::Change(Change::Read, _))
            && self.objects[target.object].sort != Sort::Mask
        {
            self.objects[target.object].used = true;
            if let Some(var) = self.objects[target.object].var {
                // What the call can give must fit.
                let (lo, hi) = self.result_range(call);
                let v = &mut self.p.vars[var.0 as usize];
                if !v.declared_range && !matches!(call.does, Does::Change(..)) {
                    v.lo = v.lo.min(lo);
                    v.hi = v.hi.max(hi);
                }
            }
            self.effect(call, *name, args, e.span, Some(target));
            return;
        }
        let value = self.value(e);
        self.assign(target, value, at, e.span);
    }
}
