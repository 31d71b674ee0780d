//! Read-modify-write operations and sets of CPUs: one step each.

use shootdown_ir::{Binary, Expr as Ir, Set, Unary};

use super::Lower;
use super::arguments::Arguments;
use super::fold;
use super::scope::Target;
use super::value::Val;
use crate::calls::{Change, Gives, MaskOp, Sort};
use crate::code;
use crate::source::Span;

impl Lower<'_, '_> {
    /// What a change does: when it happens, the new value, and whether it happened, all read before.
    pub(crate) fn change_parts(
        &mut self,
        change: Change,
        given: &Arguments,
        old: &Ir,
        span: Span,
        sort: Sort,
    ) -> (Option<Ir>, Ir) {
        let values = given.values();
        let operand = |at: usize, default: i64| {
            values
                .get(at)
                .map_or(fold::number(default), |value| value.e.clone())
        };
        let all = self.all();
        let not = |e: Ir| {
            fold::binary(
                Binary::Sub,
                fold::unary(Unary::Neg, e, all),
                fold::number(1),
            )
        };
        let old = old.clone();
        let one = |n: Ir| fold::one_bit(n);
        if matches!(change, Change::SetBit | Change::ClearBit | Change::FlipBit) {
            let n = operand(0, 0);
            let most = if sort == Sort::Mask {
                self.p.cpus as i64
            } else {
                31
            };
            if let Some(constant) = fold::constant(&n)
                && !(0..most).contains(&constant)
            {
                let message = if sort == Sort::Mask {
                    format!("there is no CPU{constant}: the scenario has {most} CPUs")
                } else {
                    format!("there is no bit {constant}")
                };
                self.error(&code::OUT_OF_RANGE, span, message);
            }
        }
        match change {
            Change::Read => (None, old),
            Change::Set => (None, operand(0, 0)),
            Change::Add => (None, fold::binary(Binary::Add, old, operand(0, 1))),
            Change::Sub => (None, fold::binary(Binary::Sub, old, operand(0, 1))),
            Change::And => (None, fold::binary(Binary::BitAnd, old, operand(0, 0))),
            Change::Or => (None, fold::binary(Binary::BitOr, old, operand(0, 0))),
            Change::Xor => (None, fold::binary(Binary::BitXor, old, operand(0, 0))),
            Change::AndNot => (None, fold::binary(Binary::BitAnd, old, not(operand(0, 0)))),
            Change::SetBit => (None, fold::binary(Binary::BitOr, old, one(operand(0, 0)))),
            Change::ClearBit if sort == Sort::Mask => (
                None,
                fold::binary(
                    Binary::BitAnd,
                    old,
                    fold::unary(Unary::Complement, one(operand(0, 0)), all),
                ),
            ),
            Change::ClearBit => (
                None,
                fold::binary(Binary::BitAnd, old, not(one(operand(0, 0)))),
            ),
            Change::FlipBit => (None, fold::binary(Binary::BitXor, old, one(operand(0, 0)))),
            Change::CompareExchange => (
                Some(fold::binary(Binary::Eq, old, operand(0, 0))),
                operand(1, 0),
            ),
            Change::AddUnless => (
                Some(fold::binary(Binary::Ne, old.clone(), operand(1, 0))),
                fold::binary(Binary::Add, old, operand(0, 1)),
            ),
            Change::DecIfPositive => (
                Some(fold::binary(Binary::Gt, old.clone(), fold::number(0))),
                fold::binary(Binary::Sub, old, fold::number(1)),
            ),
        }
    }

    /// One read-modify-write, its result to `dest`, in one step.
    pub(crate) fn change(
        &mut self,
        change: Change,
        gives: Gives,
        given: &Arguments,
        dest: Option<&Target>,
        span: Span,
    ) {
        let Some(target) = given.object() else {
            return;
        };
        let at = self.here().stmt;
        let sort = self.objects[target.object].sort;
        let old = Ir::Load(self.ir_place(&target));
        let (when, new) = self.change_parts(change, given, &old, span, sort);
        let Some(mut set) = self.set(
            &target,
            Val {
                e: new.clone(),
                ty: self.change_type(change, sort),
            },
            span,
        ) else {
            return;
        };
        set.when = when.clone();
        let Some(dest) = dest.filter(|_| gives != Gives::Nothing) else {
            self.objects[target.object].used = true;
            self.update(vec![set], at);
            return;
        };
        let all = self.all();
        let n = given
            .values()
            .first()
            .map_or(fold::number(0), |value| value.e.clone());
        // The result is computed before the change, into a variable of its own if the change reads where it goes.
        let result = match gives {
            Gives::Nothing | Gives::Old => Val::int(old),
            Gives::New if change == Change::DecIfPositive => {
                Val::int(fold::binary(Binary::Sub, old, fold::number(1)))
            }
            Gives::New => Val::int(new),
            Gives::IsZero => Val::bool(fold::binary(Binary::Eq, new, fold::number(0))),
            Gives::IsNegative => Val::bool(fold::binary(Binary::Lt, new, fold::number(0))),
            Gives::OldBit => Val::bool(fold::bit(old, n)),
            Gives::Did => Val::bool(when.unwrap_or(fold::number(1))),
        };
        let _ = all;
        let place = self.ir_place(dest);
        let reads = |e: &Ir| {
            let mut found = false;
            e.each(&mut |e| found |= matches!(e, Ir::Load(p) if p.var == place.var));
            found
        };
        let clash =
            reads(&set.value) || set.when.as_ref().is_some_and(reads) || set.place.var == place.var;
        if clash {
            let range = self.p.vars[place.var.0 as usize].clone();
            let kept = self.temporary("result", (range.lo, range.hi), span);
            let keep = Set {
                when: None,
                place: shootdown_ir::Place::of(kept),
                value: result.e.clone(),
            };
            let back = Val {
                e: Ir::var(kept),
                ty: result.ty,
            };
            if let Some(last) = self.set(dest, back, span) {
                self.update(vec![keep, set, last], at);
            }
        } else if let Some(first) = self.set(dest, result, span) {
            self.update(vec![first, set], at);
        }
    }

    fn change_type(&self, change: Change, sort: Sort) -> super::value::Ty {
        use super::value::Ty;
        match (change, sort) {
            (Change::SetBit | Change::ClearBit | Change::FlipBit, Sort::Mask) => Ty::Mask,
            _ => Ty::Int,
        }
    }

    pub(crate) fn mask_op(&mut self, op: MaskOp, given: &Arguments, span: Span) {
        let Some(target) = given.target(0) else {
            return;
        };
        let at = self.here().stmt;
        let all = self.all();
        let (a, b) = (given.value(1), given.value(2));
        let value = match op {
            MaskOp::Clear => fold::number(0),
            MaskOp::SetAll => fold::number(all),
            MaskOp::Copy => a,
            MaskOp::Complement => fold::unary(Unary::Complement, a, all),
            MaskOp::And => fold::binary(Binary::BitAnd, a, b),
            MaskOp::Or => fold::binary(Binary::BitOr, a, b),
            MaskOp::Xor => fold::binary(Binary::BitXor, a, b),
            MaskOp::AndNot => {
                fold::binary(Binary::BitAnd, a, fold::unary(Unary::Complement, b, all))
            }
        };
        self.assign(&target, Val::mask(value), at, span);
    }
}
