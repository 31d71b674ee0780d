//! Values.

use shootdown_ir::{Binary, Expr as Ir, Unary};

use super::Lower;
use super::fold;
use super::scope::{Entity, Found, Local, Target};
use super::value::{Ty, Val};
use crate::ast::{Expr, ExprKind, Name};
use crate::calls::{self, Call, Does, Sort};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::parser::shorten;
use crate::source::Span;

impl<'a, 's> Lower<'a, 's> {
    pub(crate) fn all(&self) -> i64 {
        self.p.all_cpus()
    }

    /// This CPU: a number where the source runs on one CPU only.
    pub(crate) fn this_cpu(&self) -> Ir {
        if self.p.cpus == 1 {
            return fold::number(0);
        }
        match self.here.as_ref().and_then(|here| here.on) {
            Some(cpu) => fold::number(cpu as i64),
            None => Ir::ThisCpu,
        }
    }

    /// A value of which only bits of existing CPUs remain.
    pub(crate) fn as_mask(&mut self, value: Val, span: Span) -> Ir {
        let all = self.all();
        if value.ty == Ty::Mask {
            return value.e;
        }
        if let Some(constant) = fold::constant(&value.e) {
            if constant & !all != 0 && constant > 0 {
                let message = format!(
                    "{constant:#x} names a CPU that does not exist: the scenario has {} CPUs",
                    self.p.cpus
                );
                self.report(
                    Diagnostic::new(&code::OUT_OF_RANGE, span, message)
                        .help("raise `cpus`, or use cpu_online_mask"),
                );
            }
            return fold::number(constant & all);
        }
        fold::binary(Binary::BitAnd, value.e, fold::number(all))
    }

    /// A value as 0 or 1.
    pub(crate) fn as_bool(&self, value: Val) -> Ir {
        if value.ty == Ty::Bool {
            value.e
        } else {
            fold::truth(value.e)
        }
    }

    /// The value of an expression. After an error it is 0.
    pub(crate) fn value(&mut self, e: &Expr<'s>) -> Val {
        match &e.kind {
            ExprKind::Int(value) => Val::int(fold::number(*value)),
            ExprKind::Str => {
                self.error(&code::WRONG_KIND, e.span, "a string is no value");
                Val::int(fold::number(0))
            }
            ExprKind::Name(name) => self.name_value(name, e.span),
            ExprKind::Unary(op, inner) => self.unary(op, inner, e.span),
            ExprKind::Binary(op, a, b) => self.binary(op, a, b),
            ExprKind::Ternary(c, a, b) => {
                let c = self.value(c);
                let c = self.as_bool(c);
                let (a, b) = (self.value(a), self.value(b));
                let ty = if a.ty == b.ty { a.ty } else { Ty::Int };
                let e = match fold::constant(&c) {
                    Some(0) => b.e,
                    Some(_) => a.e,
                    None => Ir::If(Box::new(c), Box::new(a.e), Box::new(b.e)),
                };
                Val { e, ty }
            }
            ExprKind::Index(..) => match self.place(e) {
                Some(target) => self.load(&target, e.span),
                None => Val::int(fold::number(0)),
            },
            ExprKind::Call(name, args) => self.call_value(*name, args, e.span),
        }
    }

    fn name_value(&mut self, name: &'s str, span: Span) -> Val {
        let found = self.lookup(name);
        if found.is_none()
            && let Some(value) = self.builtin(name, span)
        {
            return value;
        }
        match found {
            None => {
                self.unknown_name(name, span);
                Val::int(fold::number(0))
            }
            Some(Found::Local(Local::Value(e, ty))) => Val { e, ty },
            Some(Found::Entity(Entity::Const(value, _))) => Val::int(fold::number(value)),
            Some(Found::Local(Local::Object(object)) | Found::Entity(Entity::Object(object))) => {
                let at = Expr {
                    kind: ExprKind::Name(name),
                    span,
                    depth: 0,
                };
                let _ = object;
                match self.place(&at) {
                    Some(target) => self.load(&target, span),
                    None => Val::int(fold::number(0)),
                }
            }
            Some(Found::Local(Local::Alias(target))) => {
                // A pointer as a value: what it points to, as `cpumask_weight(mask)` has it.
                self.load(&target, span)
            }
            Some(found) => {
                let message = format!(
                    "`{}` is {}, not a value",
                    shorten(name),
                    self.describe(&found)
                );
                let mut d = Diagnostic::new(&code::WRONG_KIND, span, message);
                if matches!(found, Found::Local(Local::Nothing)) {
                    d = d.help("what a call passes as `void *info` is not modelled: let the caller set a variable, and read it here");
                }
                self.report(d);
                Val::int(fold::number(0))
            }
        }
    }

    fn builtin(&mut self, name: &str, span: Span) -> Option<Val> {
        let cpus = self.p.cpus as i64;
        Some(match name {
            "this_cpu" => {
                self.needs_cpu(span);
                Val::int(self.this_cpu())
            }
            "NR_CPUS" | "nr_cpu_ids" => Val::int(fold::number(cpus)),
            "true" => Val::bool(fold::number(1)),
            "false" => Val::bool(fold::number(0)),
            "NULL" | "jiffies" => Val::int(fold::number(0)),
            "cpu_online_mask" | "cpu_possible_mask" | "cpu_present_mask" | "cpu_active_mask"
            | "CPU_MASK_ALL" => Val::mask(fold::number(self.all())),
            "CPU_MASK_NONE" => Val::mask(fold::number(0)),
            "EINTR" => Val::int(fold::number(4)),
            "EAGAIN" => Val::int(fold::number(11)),
            "ENOMEM" => Val::int(fold::number(12)),
            "EBUSY" => Val::int(fold::number(16)),
            "EINVAL" => Val::int(fold::number(22)),
            "ERESTARTSYS" => Val::int(fold::number(512)),
            _ => return None,
        })
    }

    /// Only a body runs on a CPU.
    pub(crate) fn needs_cpu(&mut self, span: Span) {
        if self.here.is_none() {
            self.report(
                Diagnostic::new(&code::WRONG_KIND, span, "there is no `this CPU` here")
                    .help("name the CPU: `per_cpu(x, 0)`"),
            );
        }
    }

    /// The value that a place holds.
    pub(crate) fn load(&mut self, target: &Target, span: Span) -> Val {
        let object = &mut self.objects[target.object];
        object.used = true;
        let (sort, name) = (object.sort, object.name.clone());
        if !sort.is_value() {
            let mut d = Diagnostic::new(
                &code::WRONG_KIND,
                span,
                format!("`{}` is a {}, not a value", shorten(&name), sort.written()),
            );
            if matches!(sort, Sort::Spin | Sort::RawSpin | Sort::Mutex | Sort::RwSem) {
                d = d.help(format!(
                    "to ask whether it is held, write {}(&{})",
                    match sort {
                        Sort::Spin => "spin_is_locked",
                        Sort::RawSpin => "raw_spin_is_locked",
                        Sort::Mutex => "mutex_is_locked",
                        _ => "rwsem_is_locked",
                    },
                    shorten(&name)
                ));
            }
            self.report(d);
            return Val::int(fold::number(0));
        }
        if self.objects[target.object].len.is_some() && target.index.is_none() {
            self.report(
                Diagnostic::new(
                    &code::WRONG_KIND,
                    span,
                    format!("`{}` is an array", shorten(&name)),
                )
                .help(format!("name the element: `{}[0]`", shorten(&name))),
            );
            return Val::int(fold::number(0));
        }
        let e = Ir::Load(self.ir_place(target));
        match sort {
            Sort::Bool => Val::bool(e),
            Sort::Mask => Val::mask(e),
            _ => Val::int(e),
        }
    }

    fn unary(&mut self, op: &str, inner: &Expr<'s>, span: Span) -> Val {
        let all = self.all();
        match op {
            "!" => {
                let value = self.value(inner);
                Val::bool(fold::unary(Unary::Not, value.e, all))
            }
            "-" => {
                let value = self.value(inner);
                Val::int(fold::unary(Unary::Neg, value.e, all))
            }
            "+" => self.value(inner),
            "~" => {
                let value = self.value(inner);
                if value.ty == Ty::Mask {
                    return Val::mask(fold::unary(Unary::Complement, value.e, all));
                }
                // ~x == -x - 1, also in C.
                let negative = fold::unary(Unary::Neg, value.e, all);
                Val::int(fold::binary(Binary::Sub, negative, fold::number(1)))
            }
            "*" => match self.deref(inner, span) {
                Some(target) => self.load(&target, span),
                None => Val::int(fold::number(0)),
            },
            _ => {
                self.report(
                    Diagnostic::new(&code::WRONG_KIND, span, "an address is no value")
                        .help("`&x` can only be an argument of a call that takes an object"),
                );
                Val::int(fold::number(0))
            }
        }
    }

    fn binary(&mut self, op: &str, a: &Expr<'s>, b: &Expr<'s>) -> Val {
        let (x, y) = (self.value(a), self.value(b));
        let op = match op {
            "+" => Binary::Add,
            "-" => Binary::Sub,
            "*" => Binary::Mul,
            "/" => Binary::Div,
            "%" => Binary::Rem,
            "&" => Binary::BitAnd,
            "|" => Binary::BitOr,
            "^" => Binary::BitXor,
            "<<" => Binary::Shl,
            ">>" => Binary::Shr,
            "==" => Binary::Eq,
            "!=" => Binary::Ne,
            "<" => Binary::Lt,
            "<=" => Binary::Le,
            ">" => Binary::Gt,
            ">=" => Binary::Ge,
            "&&" => Binary::And,
            _ => Binary::Or,
        };
        self.apply(op, x, y, b.span)
    }

    /// `a op b` of values; `span` is that of `b`, for a division by zero.
    pub(crate) fn apply(&mut self, op: Binary, a: Val, b: Val, span: Span) -> Val {
        if matches!(op, Binary::Div | Binary::Rem) && fold::constant(&b.e) == Some(0) {
            self.error(&code::OUT_OF_RANGE, span, "a division by zero");
            return Val::int(fold::number(0));
        }
        if matches!(op, Binary::Shl | Binary::Shr)
            && fold::constant(&b.e).is_some_and(|n| !(0..=62).contains(&n))
        {
            self.error(
                &code::OUT_OF_RANGE,
                span,
                "a shift by less than 0 or more than 62 bits",
            );
            return Val::int(fold::number(0));
        }
        let masks = (a.ty == Ty::Mask, b.ty == Ty::Mask);
        let ty = match op {
            Binary::Eq
            | Binary::Ne
            | Binary::Lt
            | Binary::Le
            | Binary::Gt
            | Binary::Ge
            | Binary::And
            | Binary::Or => Ty::Bool,
            Binary::BitAnd if masks.0 || masks.1 => Ty::Mask,
            Binary::BitOr | Binary::BitXor if masks == (true, true) => Ty::Mask,
            Binary::BitAnd | Binary::BitOr | Binary::BitXor
                if a.ty == Ty::Bool && b.ty == Ty::Bool =>
            {
                Ty::Bool
            }
            _ => Ty::Int,
        };
        Val {
            e: fold::binary(op, a.e, b.e),
            ty,
        }
    }

    /// A call inside of an expression.
    fn call_value(&mut self, name: Name<'s>, args: &[Expr<'s>], span: Span) -> Val {
        let nothing = Val::int(fold::number(0));
        if let Some(Entity::Func(_)) = self.names.get(name.text) {
            self.report(
                Diagnostic::new(&code::NOT_IN_LANGUAGE, span, format!("`{}` is a function of this file: it has no result", shorten(name.text)))
                    .help("let it assign a variable, call it in a statement of its own, and read the variable here"),
            );
            return nothing;
        }
        let Some(call) = self.known_call(name) else {
            return nothing;
        };
        if let Does::Value(value) = call.does {
            return self.pure_call(call, value, name, args, span);
        }
        if !call.gives() {
            self.report(
                Diagnostic::new(
                    &code::NO_VALUE,
                    span,
                    format!("{}() gives no value", name.text),
                )
                .help("call it in a statement of its own"),
            );
            return nothing;
        }
        if let Does::Change(calls::Change::Read, _) = call.does {
            let Some(given) = self.arguments(call, name, args, span) else {
                return nothing;
            };
            return given
                .target(0)
                .map_or(nothing, |target| self.load(&target, span));
        }
        if let Some(why) = self.pure {
            self.report(
                Diagnostic::new(
                    &code::NEEDS_STATEMENT,
                    span,
                    format!("{}() does something: it cannot stand in {why}", name.text),
                )
                .help(format!(
                    "call it in a statement, `result = {}(...);`, and use the result here",
                    name.text
                )),
            );
            return nothing;
        }
        let result = self.temporary(name.text, self.result_range(call), span);
        let object = self.objects.len() - 1;
        let target = Target {
            object,
            index: None,
        };
        self.effect(call, name, args, span, Some(&target));
        let bool = self.result_range(call) == (0, 1);
        let e = Ir::var(result);
        if bool { Val::bool(e) } else { Val::int(e) }
    }

    pub(crate) fn result_range(&self, call: &Call) -> (i64, i64) {
        match call.does {
            Does::TryLock(..)
            | Does::DownTry
            | Does::TryWaitCompletion
            | Does::WaitCompletionTimeout
            | Does::WaitEventTimeout
            | Does::Bug => (0, 1),
            Does::Change(
                _,
                calls::Gives::IsZero
                | calls::Gives::IsNegative
                | calls::Gives::OldBit
                | calls::Gives::Did,
            ) => (0, 1),
            Does::LockInterruptible(_) | Does::Down(_) => (-4, 0),
            Does::WaitCompletion(_) | Does::WaitEvent(_) => (-512, 0),
            Does::GetCpu => (0, self.p.cpus as i64 - 1),
            Does::SeqBegin | Does::SeqBeginRaw => (0, 15),
            _ => (-128, 255),
        }
    }
}
