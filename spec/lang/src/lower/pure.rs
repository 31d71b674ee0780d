//! Calls that compute a value and change nothing.

use shootdown_ir::{Binary, Expr as Ir, Kind, Unary};

use super::Lower;
use super::fold;
use super::value::Val;
use crate::ast::{Expr, ExprKind, Name};
use crate::calls::{Call, Value};
use crate::code;
use crate::source::Span;

impl<'s> Lower<'_, 's> {
    pub(super) fn pure_call(
        &mut self,
        call: &'static Call,
        value: Value,
        name: Name<'s>,
        args: &[Expr<'s>],
        span: Span,
    ) -> Val {
        let zero = Val::int(fold::number(0));
        match value {
            Value::PerCpu | Value::ThisCpuPlace => {
                let whole = Expr {
                    kind: ExprKind::Call(name, args.to_vec()),
                    span,
                    depth: 0,
                };
                return match self.place(&whole) {
                    Some(target) => self.load(&target, span),
                    None => zero,
                };
            }
            Value::ThisCpu => self.needs_cpu(span),
            _ => {}
        }
        let Some(given) = self.arguments(call, name, args, span) else {
            return zero;
        };
        let all = self.all();
        let cpus = fold::number(self.p.cpus as i64);
        let kind = self.here.as_ref().map(|here| here.kind);
        let is = |kinds: &[Kind]| {
            Val::bool(fold::number(i64::from(
                kind.is_some_and(|kind| kinds.contains(&kind)),
            )))
        };
        let v = |i: usize| given.value(i);
        match value {
            Value::ThisCpu => Val::int(self.this_cpu()),
            Value::Cpus => Val::int(cpus),
            Value::Same => match given.target(0) {
                Some(target) => self.load(&target, span),
                None => given.val(0),
            },
            Value::Bit => match fold::constant(&v(0)) {
                Some(n) if call.name == "cpumask_of" && !(0..self.p.cpus as i64).contains(&n) => {
                    self.error(
                        &code::OUT_OF_RANGE,
                        span,
                        format!("there is no CPU{n}: the scenario has {} CPUs", self.p.cpus),
                    );
                    zero
                }
                _ if call.name == "cpumask_of" => Val::mask(fold::one_bit(v(0))),
                _ => {
                    let e = fold::one_bit(v(0));
                    // The bit of an existing CPU is a set of CPUs.
                    let inside = matches!(v(0), Ir::ThisCpu)
                        || fold::constant(&e).is_some_and(|bits| bits & !all == 0);
                    if inside { Val::mask(e) } else { Val::int(e) }
                }
            },
            Value::Empty => Val::bool(fold::binary(Binary::Eq, v(0), fold::number(0))),
            Value::Full => Val::bool(fold::binary(Binary::Eq, v(0), fold::number(all))),
            Value::Weight => Val::int(fold::unary(Unary::Weight, v(0), all)),
            Value::First => Val::int(fold::unary(Unary::First, v(0), all)),
            Value::Next => Val::int(self.next_cpu(v(1), v(0))),
            Value::AnyBut => {
                let others = fold::binary(
                    Binary::BitAnd,
                    v(0),
                    fold::unary(Unary::Complement, fold::one_bit(v(1)), all),
                );
                Val::int(fold::unary(Unary::First, others, all))
            }
            Value::TestCpu => Val::bool(fold::bit(v(1), v(0))),
            Value::TestBit => match given.target(1) {
                Some(target) => {
                    let word = self.load(&target, span);
                    Val::bool(fold::bit(word.e, v(0)))
                }
                None => zero,
            },
            Value::Equal => Val::bool(fold::binary(Binary::Eq, v(0), v(1))),
            Value::Subset => {
                let without = fold::binary(
                    Binary::BitAnd,
                    v(0),
                    fold::unary(Unary::Complement, v(1), all),
                );
                Val::bool(fold::binary(Binary::Eq, without, fold::number(0)))
            }
            Value::Intersects => Val::bool(fold::binary(
                Binary::Ne,
                fold::binary(Binary::BitAnd, v(0), v(1)),
                fold::number(0),
            )),
            Value::CpuOnline => {
                let low = fold::binary(Binary::Ge, v(0), fold::number(0));
                Val::bool(fold::binary(
                    Binary::And,
                    low,
                    fold::binary(Binary::Lt, v(0), cpus),
                ))
            }
            Value::Min | Value::Max => {
                let op = if value == Value::Min {
                    Binary::Lt
                } else {
                    Binary::Gt
                };
                match fold::constant(&fold::binary(op, v(0), v(1))) {
                    Some(0) => Val::int(v(1)),
                    Some(_) => Val::int(v(0)),
                    None => Val::int(Ir::If(
                        Box::new(fold::binary(op, v(0), v(1))),
                        Box::new(v(0)),
                        Box::new(v(1)),
                    )),
                }
            }
            Value::IrqsDisabled => {
                self.needs_cpu(span);
                Val::bool(Ir::IrqsDisabled)
            }
            Value::InInterrupt => {
                self.needs_cpu(span);
                Val::bool(Ir::InInterrupt)
            }
            Value::InTask => is(&[Kind::Task, Kind::Work, Kind::Stopper]),
            Value::InHardirq => is(&[Kind::Irq, Kind::Ipi]),
            Value::InSoftirq => is(&[Kind::Softirq, Kind::Timer]),
            Value::InNmi => is(&[Kind::Nmi]),
            Value::IsLocked => match given.target(0).and_then(|target| self.lock_ref(&target)) {
                Some(lock) => Val::bool(Ir::IsLocked(lock.lock, lock.index.map(Box::new))),
                None => zero,
            },
            Value::CompletionDone => match given.target(0) {
                Some(target) => Val::bool(fold::binary(
                    Binary::Ne,
                    Ir::Load(self.ir_place(&target)),
                    fold::number(0),
                )),
                None => zero,
            },
            Value::SeqRetry => match given.target(0) {
                Some(target) => Val::bool(fold::binary(
                    Binary::Ne,
                    Ir::Load(self.ir_place(&target)),
                    v(1),
                )),
                None => zero,
            },
            Value::IsActive => match given.source(0) {
                Some(source) => Val::bool(Ir::IsActive(self.sources[source].id)),
                None => zero,
            },
            Value::PerCpu | Value::ThisCpuPlace => zero,
        }
    }

    /// The first CPU of `mask` after `cpu`.
    pub(crate) fn next_cpu(&self, mask: Ir, cpu: Ir) -> Ir {
        // The bits above `cpu`: -(1 << (cpu + 1)).
        let above = fold::unary(
            Unary::Neg,
            fold::one_bit(fold::binary(Binary::Add, cpu, fold::number(1))),
            self.all(),
        );
        fold::unary(
            Unary::First,
            fold::binary(Binary::BitAnd, mask, above),
            self.all(),
        )
    }
}
