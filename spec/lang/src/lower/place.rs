//! Places: variables, elements, objects that a call takes.

use shootdown_ir::{Binary, Expr as Ir, LockRef, Place};

use super::Lower;
use super::fold;
use super::scope::{Entity, Found, Local, Target};
use crate::ast::{Expr, ExprKind};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::parser::shorten;
use crate::source::Span;

impl<'s> Lower<'_, 's> {
    /// The place of an object, as instructions name it.
    pub(crate) fn ir_place(&self, target: &Target) -> Place {
        let object = &self.objects[target.object];
        let var = object.var.expect("objects with places have variables");
        Place {
            var,
            index: target.index.clone().map(Box::new),
        }
    }

    /// A lock, as instructions name it.
    pub(crate) fn lock_ref(&self, target: &Target) -> Option<LockRef> {
        Some(LockRef {
            lock: self.objects[target.object].lock?,
            index: target.index.clone(),
        })
    }

    /// The place that an expression names: `x`, `a[i]`, `per_cpu(x, cpu)`, `*p`, `*this_cpu_ptr(&x)`.
    pub(crate) fn place(&mut self, e: &Expr<'s>) -> Option<Target> {
        match &e.kind {
            ExprKind::Name(name) => {
                let target = self.object_named(name, e.span)?;
                self.on_this_cpu(target, e.span)
            }
            ExprKind::Index(base, index) => {
                let row = match &base.kind {
                    ExprKind::Name(name) => self.object_named(name, base.span)?,
                    _ => self.raw_place(base)?,
                };
                self.element(row, index)
            }
            ExprKind::Unary("*", inner) => self.deref(inner, e.span),
            ExprKind::Call(..) => {
                let target = self.raw_place(e)?;
                Some(target)
            }
            _ => {
                self.report(
                    Diagnostic::new(&code::NOT_ASSIGNABLE, e.span, "this is no variable")
                        .help("a variable is `x`, `a[i]` or `per_cpu(x, cpu)`"),
                );
                None
            }
        }
    }

    /// `per_cpu(x, cpu)`, `per_cpu_ptr(&x, cpu)`, `this_cpu_ptr(&x)`, `this_cpu_read(x)`.
    fn raw_place(&mut self, e: &Expr<'s>) -> Option<Target> {
        let ExprKind::Call(name, args) = &e.kind else {
            return self.place(e);
        };
        let canonical = crate::calls::find(name.text).map_or(name.text, |call| call.name);
        let wanted = match canonical {
            "per_cpu" | "per_cpu_ptr" => 2,
            "this_cpu_ptr" | "this_cpu_read" => 1,
            _ => {
                self.report(
                    Diagnostic::new(
                        &code::NOT_ASSIGNABLE,
                        e.span,
                        format!("what {}() gives is no variable", shorten(name.text)),
                    )
                    .help("a variable is `x`, `a[i]` or `per_cpu(x, cpu)`"),
                );
                return None;
            }
        };
        if args.len() != wanted {
            self.error(
                &code::WRONG_ARITY,
                e.span,
                format!("{canonical}() takes {wanted} arguments, not {}", args.len()),
            );
            return None;
        }
        let inner = match &args[0].kind {
            ExprKind::Unary("&", inner) => inner,
            _ => &args[0],
        };
        // `per_cpu(a[i], cpu)`: the row first.
        let (name, index) = match &inner.kind {
            ExprKind::Index(base, index) => (base.as_ref(), Some(index.as_ref())),
            _ => (inner, None),
        };
        let ExprKind::Name(variable) = &name.kind else {
            self.error(
                &code::WRONG_KIND,
                name.span,
                "a percpu variable is wanted here",
            );
            return None;
        };
        let target = self.object_named(variable, name.span)?;
        let object = &self.objects[target.object];
        if !object.percpu {
            let (declared, written, shown) =
                (object.span, object.sort.written(), shorten(variable));
            self.report(
                Diagnostic::new(
                    &code::WRONG_KIND,
                    name.span,
                    format!("`{shown}` is not percpu"),
                )
                .also(declared, "declared here")
                .help(format!("declare it `percpu {written} {shown};`")),
            );
            return None;
        }
        let cpu = if wanted == 2 {
            let value = self.value(&args[1]);
            self.check_index(&value.e, self.p.cpus, args[1].span, "CPU");
            value.e
        } else {
            self.needs_cpu(e.span);
            self.this_cpu()
        };
        let row = Target {
            object: target.object,
            index: Some(cpu),
        };
        match index {
            Some(index) => self.element(row, index),
            None => Some(row),
        }
    }

    /// An object by its name, without a CPU or an index.
    fn object_named(&mut self, name: &'s str, span: Span) -> Option<Target> {
        match self.lookup(name) {
            Some(Found::Local(Local::Object(object)) | Found::Entity(Entity::Object(object))) => {
                self.objects[object].used = true;
                Some(Target {
                    object,
                    index: None,
                })
            }
            Some(Found::Local(Local::Alias(target))) => Some(target),
            Some(Found::Local(Local::Value(..))) => {
                self.report(
                    Diagnostic::new(
                        &code::NOT_ASSIGNABLE,
                        span,
                        format!(
                            "`{}` cannot be assigned or taken the address of here",
                            shorten(name)
                        ),
                    )
                    .help("copy it to a local variable first"),
                );
                None
            }
            Some(found) => {
                let what = self.describe(&found);
                self.report(
                    Diagnostic::new(
                        &code::NOT_ASSIGNABLE,
                        span,
                        format!("`{}` is {what}, not a variable", shorten(name)),
                    )
                    .help("only variables can be assigned"),
                );
                None
            }
            None => {
                if super::value::CONSTANTS.contains(&name) {
                    self.error(
                        &code::NOT_ASSIGNABLE,
                        span,
                        format!("`{name}` cannot be assigned"),
                    );
                } else {
                    self.unknown_name(name, span);
                }
                None
            }
        }
    }

    /// A percpu object without a CPU is this CPU's.
    fn on_this_cpu(&mut self, target: Target, span: Span) -> Option<Target> {
        let object = &self.objects[target.object];
        if object.percpu && target.index.is_none() && object.len.is_none() {
            self.needs_cpu(span);
            return Some(Target {
                index: Some(self.this_cpu()),
                ..target
            });
        }
        Some(target)
    }

    fn element(&mut self, row: Target, index: &Expr<'s>) -> Option<Target> {
        let value = self.value(index);
        let object = &self.objects[row.object];
        let (name, len, percpu) = (object.name.clone(), object.len, object.percpu);
        let Some(len) = len else {
            // `x[cpu]` for a percpu x: what people write.
            if percpu && row.index.is_none() {
                self.check_index(&value.e, self.p.cpus, index.span, "CPU");
                return Some(Target {
                    index: Some(value.e),
                    ..row
                });
            }
            self.report(
                Diagnostic::new(
                    &code::WRONG_KIND,
                    index.span,
                    format!("`{}` is not an array", shorten(&name)),
                )
                .help(format!("declare it `{}[N]`", shorten(&name))),
            );
            return None;
        };
        self.check_index(&value.e, len, index.span, "element");
        let index = if percpu {
            let cpu = row.index.unwrap_or_else(|| self.this_cpu());
            let start = fold::binary(Binary::Mul, cpu, fold::number(len as i64));
            fold::binary(Binary::Add, start, value.e)
        } else {
            value.e
        };
        Some(Target {
            object: row.object,
            index: Some(index),
        })
    }

    pub(crate) fn check_index(&mut self, index: &Ir, len: usize, span: Span, what: &str) {
        if let Some(value) = fold::constant(index)
            && !(0..len as i64).contains(&value)
        {
            let message = format!("there is no {what} {value}: there are {len}, counted from 0");
            self.error(&code::OUT_OF_RANGE, span, message);
        }
    }

    /// `*p`.
    pub(crate) fn deref(&mut self, inner: &Expr<'s>, span: Span) -> Option<Target> {
        match &inner.kind {
            ExprKind::Name(name) => match self.lookup(name) {
                Some(Found::Local(Local::Alias(target))) => Some(target),
                Some(Found::Local(Local::Nothing)) => {
                    self.value(inner);
                    None
                }
                _ => {
                    self.report(
                        Diagnostic::new(&code::NOT_IN_LANGUAGE, span, format!("`{}` is no pointer", shorten(name)))
                            .help("write the variable without `*`; only a parameter can be a pointer, `void f(int *x)`"),
                    );
                    None
                }
            },
            ExprKind::Call(..) => self.raw_place(inner),
            ExprKind::Unary("&", x) => self.place(x),
            _ => {
                self.report(
                    Diagnostic::new(&code::NOT_IN_LANGUAGE, span, "pointers do not exist here")
                        .help("write the variable without `*`; only a parameter can be a pointer, `void f(int *x)`"),
                );
                None
            }
        }
    }

    /// The object whose address an argument is: `&x`, `p`, `this_cpu_ptr(&x)`, `a + i`. `value` says that the object itself
    /// will do, as `cpumask_weight(mask)` has it.
    pub(crate) fn address(&mut self, e: &Expr<'s>, wanted: &str) -> Option<Target> {
        match &e.kind {
            ExprKind::Unary("&", inner) => self.place(inner),
            ExprKind::Call(name, _)
                if matches!(
                    crate::calls::find(name.text).map(|call| call.name),
                    Some("per_cpu_ptr" | "this_cpu_ptr")
                ) =>
            {
                self.raw_place(e)
            }
            ExprKind::Name(name) => match self.lookup(name) {
                Some(Found::Local(Local::Alias(target))) => Some(target),
                Some(Found::Local(Local::Object(_)) | Found::Entity(Entity::Object(_))) => {
                    self.report(
                        Diagnostic::new(
                            &code::WRONG_KIND,
                            e.span,
                            format!("the address of {wanted} is wanted here"),
                        )
                        .help(format!("write `&{}`", shorten(name))),
                    );
                    None
                }
                Some(found) => {
                    let what = self.describe(&found);
                    self.error(
                        &code::WRONG_KIND,
                        e.span,
                        format!("`{}` is {what}; {wanted} is wanted here", shorten(name)),
                    );
                    None
                }
                None => {
                    self.unknown_name(name, e.span);
                    None
                }
            },
            ExprKind::Index(..) => {
                let target = self.place(e)?;
                let _ = target;
                let text = self.out.file.one_line(e.span);
                self.report(
                    Diagnostic::new(
                        &code::WRONG_KIND,
                        e.span,
                        format!("the address of {wanted} is wanted here"),
                    )
                    .help(format!("write `&{}`", shorten(&text))),
                );
                None
            }
            _ => {
                self.report(
                    Diagnostic::new(
                        &code::WRONG_KIND,
                        e.span,
                        format!("{wanted} is wanted here"),
                    )
                    .help("write its address, as `&lock`"),
                );
                None
            }
        }
    }
}
