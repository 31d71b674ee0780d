//! The arguments of a call, looked up and checked against the table's entry.

use shootdown_ir::{Expr as Ir, IrqOp};

use super::Lower;
use super::fold;
use super::scope::{Entity, Found, Local, Target};
use super::value::Val;
use crate::ast::{Expr, ExprKind, Name};
use crate::calls::{self, Arg, Call, Sort};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
use crate::parser::shorten;
use crate::source::Span;

/// An argument, looked up.
#[derive(Clone, Debug)]
enum Given {
    Target(Target),
    Value(Val),
    Function(usize, Span),
    Wait(bool),
    Source(usize),
    Nothing,
}

/// The arguments of a call, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    list: Vec<Given>,
}

impl Arguments {
    pub fn target(&self, at: usize) -> Option<Target> {
        match self.list.get(at) {
            Some(Given::Target(target)) => Some(target.clone()),
            _ => None,
        }
    }

    pub fn val(&self, at: usize) -> Val {
        match self.list.get(at) {
            Some(Given::Value(value)) => value.clone(),
            _ => Val::int(fold::number(0)),
        }
    }

    pub fn value(&self, at: usize) -> Ir {
        self.val(at).e
    }

    pub fn source(&self, at: usize) -> Option<usize> {
        match self.list.get(at) {
            Some(Given::Source(source)) => Some(*source),
            _ => None,
        }
    }

    /// The first variable or lock among them.
    pub fn object(&self) -> Option<Target> {
        (0..self.list.len()).find_map(|at| self.target(at))
    }

    /// The values among them.
    pub fn values(&self) -> Vec<Val> {
        self.list
            .iter()
            .filter_map(|given| match given {
                Given::Value(value) => Some(value.clone()),
                _ => None,
            })
            .collect()
    }

    pub fn any_source(&self) -> Option<usize> {
        (0..self.list.len()).find_map(|at| self.source(at))
    }

    pub fn function(&self) -> Option<(usize, Span)> {
        self.list.iter().find_map(|given| match given {
            Given::Function(func, span) => Some((*func, *span)),
            _ => None,
        })
    }

    pub fn wait(&self) -> bool {
        self.list
            .iter()
            .any(|given| matches!(given, Given::Wait(true)))
    }
}

impl<'s> Lower<'_, 's> {
    /// The arguments of a call, each as its entry wants it; `None` after an error.
    pub(crate) fn arguments(
        &mut self,
        call: &'static Call,
        name: Name<'s>,
        args: &[Expr<'s>],
        span: Span,
    ) -> Option<Arguments> {
        let rest = |form: &[Arg]| form.last() == Some(&Arg::Rest) && args.len() + 1 >= form.len();
        let Some(form) = call
            .forms
            .iter()
            .find(|form| form.len() == args.len() && form.last() != Some(&Arg::Rest) || rest(form))
        else {
            let counts: Vec<String> = call
                .forms
                .iter()
                .map(|form| form.len().to_string())
                .collect();
            let plural = if counts == ["1"] { "" } else { "s" };
            let mut counts = counts;
            counts.sort();
            self.report(
                Diagnostic::new(
                    &code::WRONG_ARITY,
                    span,
                    format!(
                        "{}() takes {} argument{plural}, not {}",
                        name.text,
                        counts.join(" or "),
                        args.len()
                    ),
                )
                .help(format!("write `{}`: {}", call.written(), call.doc)),
            );
            return None;
        };
        let mut list = Vec::new();
        let mut failed = false;
        for (arg, e) in form.iter().zip(args) {
            match self.argument(call, name, *arg, e) {
                Some(given) => list.push(given),
                None => failed = true,
            }
        }
        (!failed).then_some(Arguments { list })
    }

    fn argument(
        &mut self,
        call: &'static Call,
        name: Name<'s>,
        arg: Arg,
        e: &Expr<'s>,
    ) -> Option<Given> {
        Some(match arg {
            Arg::Ignored | Arg::Rest => Given::Nothing,
            Arg::Value => {
                let errors = self.out.errors();
                let value = self.value(e);
                if self.out.errors() > errors {
                    return None;
                }
                Given::Value(value)
            }
            Arg::Condition => {
                let errors = self.out.errors();
                let pure = self.pure.replace("the condition of a wait");
                let value = self.value(e);
                self.pure = pure;
                if self.out.errors() > errors {
                    return None;
                }
                Given::Value(Val::bool(self.as_bool(value)))
            }
            Arg::Mask => {
                let errors = self.out.errors();
                let inner = match &e.kind {
                    ExprKind::Unary("&", inner) => inner,
                    _ => e,
                };
                let value = self.value(inner);
                if self.out.errors() > errors {
                    return None;
                }
                Given::Value(Val::mask(self.as_mask(value, e.span)))
            }
            Arg::Object(sort) => {
                let wanted = format!("a {}", sort.written());
                // wait_event() is a macro that takes the queue by its name.
                let by_name = sort == Sort::Queue && matches!(e.kind, ExprKind::Name(_));
                let target = if by_name {
                    self.place(e)?
                } else {
                    self.address(e, &wanted)?
                };
                let object = &self.objects[target.object];
                if object.sort != sort {
                    self.wrong_sort(call, name, sort, &target, e.span);
                    return None;
                }
                self.whole_element(&target, e.span)?;
                self.objects[target.object].used = true;
                Given::Target(target)
            }
            Arg::AnyLock => {
                let target = self.address(e, "a lock")?;
                let object = &self.objects[target.object];
                if object.lock.is_none() {
                    let message = format!(
                        "`{}` is a {}, not a lock",
                        shorten(&object.name),
                        object.sort.written()
                    );
                    self.error(&code::WRONG_KIND, e.span, message);
                    return None;
                }
                self.whole_element(&target, e.span)?;
                self.objects[target.object].used = true;
                Given::Target(target)
            }
            Arg::Number | Arg::MaskPlace => {
                let wanted = if arg == Arg::MaskPlace {
                    "a cpumask_t"
                } else {
                    "a variable"
                };
                let target = self.address(e, wanted)?;
                let object = &self.objects[target.object];
                let (sort, shown, constant) = (object.sort, shorten(&object.name), object.constant);
                let fits = if arg == Arg::MaskPlace {
                    sort == Sort::Mask
                } else {
                    sort.is_value()
                };
                if !fits {
                    self.report(
                        Diagnostic::new(
                            &code::WRONG_KIND,
                            e.span,
                            format!(
                                "`{shown}` is a {}; {}() wants {wanted}",
                                sort.written(),
                                name.text
                            ),
                        )
                        .also(self.objects[target.object].span, "declared here"),
                    );
                    return None;
                }
                if constant {
                    self.error(
                        &code::NOT_ASSIGNABLE,
                        e.span,
                        format!("`{shown}` is constant"),
                    );
                    return None;
                }
                self.whole_element(&target, e.span)?;
                Given::Target(target)
            }
            Arg::Variable => {
                let errors = self.out.errors();
                let target = match &e.kind {
                    ExprKind::Unary("&", inner) => self.place(inner)?,
                    _ => self.place(e)?,
                };
                if self.out.errors() > errors {
                    return None;
                }
                let object = &self.objects[target.object];
                if !object.sort.is_value() {
                    let message = format!(
                        "`{}` is a {}, not a variable with a value",
                        shorten(&object.name),
                        object.sort.written()
                    );
                    self.error(&code::WRONG_KIND, e.span, message);
                    return None;
                }
                self.whole_element(&target, e.span)?;
                Given::Target(target)
            }
            Arg::Flags => Given::Target(self.flags(e)?),
            Arg::Wait => {
                let value = self.constant(e, "`wait`")?;
                Given::Wait(value != 0)
            }
            Arg::Function => self.function_argument(name, e)?,
            Arg::Source(kinds) => Given::Source(self.source_argument(name, kinds, e)?),
        })
    }

    /// An array is not one of its elements.
    fn whole_element(&mut self, target: &Target, span: Span) -> Option<()> {
        let object = &self.objects[target.object];
        if object.len.is_some() && target.index.is_none() {
            let name = shorten(&object.name);
            self.report(
                Diagnostic::new(&code::WRONG_KIND, span, format!("`{name}` is an array"))
                    .help(format!("name the element: `&{name}[0]`")),
            );
            return None;
        }
        Some(())
    }

    fn wrong_sort(
        &mut self,
        call: &'static Call,
        name: Name<'s>,
        wanted: Sort,
        target: &Target,
        span: Span,
    ) {
        let object = &self.objects[target.object];
        let (sort, shown, declared) = (object.sort, shorten(&object.name), object.span);
        let mut d = Diagnostic::new(
            &code::WRONG_KIND,
            span,
            format!(
                "`{shown}` is a {}; {}() takes a {}",
                sort.written(),
                name.text,
                wanted.written()
            ),
        )
        .also(declared, "declared here");
        // The call that does the same to a lock of this sort.
        let other = calls::all().find(|other| {
            other.does == call.does
                && other
                    .forms
                    .iter()
                    .any(|form| form.first() == Some(&Arg::Object(sort)))
        });
        d = match other {
            Some(other) => d.help(format!("write {}(&{shown})", other.name)),
            None => d.help(format!("declare it `{} {shown};`", wanted.written())),
        };
        self.report(d);
    }

    /// A variable for interrupt flags. The kernel's `flags` need no declaration here.
    fn flags(&mut self, e: &Expr<'s>) -> Option<Target> {
        if let ExprKind::Name(name) = &e.kind {
            let found = self.lookup(name);
            let is_flag = matches!(
                found,
                Some(Found::Local(_) | Found::Entity(Entity::Object(_)))
            );
            if !is_flag {
                let object = self.local(name, Sort::Int, (0, 1, false), None, e.span);
                self.objects[object].used = true;
                let base = self.here().frames.last().map_or(0, |frame| frame.base);
                self.here().scopes[base].insert(name, Local::Object(object));
                return Some(Target {
                    object,
                    index: None,
                });
            }
        }
        let target = match &e.kind {
            ExprKind::Unary("&", inner) => self.place(inner)?,
            _ => self.place(e)?,
        };
        let object = &mut self.objects[target.object];
        object.used = true;
        if !object.sort.is_value() || object.sort == Sort::Mask {
            let message = format!(
                "`{}` is a {}: interrupt flags are kept in an `unsigned long`",
                shorten(&object.name),
                object.sort.written()
            );
            self.error(&code::WRONG_KIND, e.span, message);
            return None;
        }
        Some(target)
    }

    pub(crate) fn saves(&mut self, flags: &Target) -> IrqOp {
        let place = self.ir_place(flags);
        self.here().saves.insert(place.var);
        IrqOp::Save(place)
    }

    pub(crate) fn restores(&mut self, flags: &Target, span: Span) -> IrqOp {
        let place = self.ir_place(flags);
        if self.objects[flags.object].local {
            let name = self.objects[flags.object].name.clone();
            self.here().restores.push((place.var, name, span));
        }
        IrqOp::Restore(place)
    }

    fn function_argument(&mut self, call: Name<'s>, e: &Expr<'s>) -> Option<Given> {
        let name = match &e.kind {
            ExprKind::Name(name) => *name,
            ExprKind::Unary("&", inner) => match &inner.kind {
                ExprKind::Name(name) => *name,
                _ => "",
            },
            _ => "",
        };
        match self.names.get(name) {
            Some(&Entity::Func(func)) => Some(Given::Function(func, e.span)),
            Some(&Entity::Source(source)) if call.text.starts_with("stop_") => {
                Some(Given::Source(source))
            }
            other => {
                let what = match other {
                    None if name.is_empty() => "this is no function".to_owned(),
                    None => format!("there is no function `{}`", shorten(name)),
                    Some(entity) => format!(
                        "`{}` is {}, not a function",
                        shorten(name),
                        self.describe(&Found::Entity(*entity))
                    ),
                };
                let own: Vec<&str> = self.funcs.iter().map(|func| func.ast.name.text).collect();
                let near = nearest(name, own);
                self.report(
                    Diagnostic::new(
                        if other.is_none() && !name.is_empty() {
                            &code::UNKNOWN_NAME
                        } else {
                            &code::WRONG_KIND
                        },
                        e.span,
                        what,
                    )
                    .help(match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if name.is_empty() => format!(
                            "write the name of a function of this file: `{}(..., func, 1)`",
                            call.text
                        ),
                        None => {
                            format!("declare it: `void {}(void *info) {{ ... }}`", shorten(name))
                        }
                    }),
                );
                None
            }
        }
    }

    fn source_argument(
        &mut self,
        call: Name<'s>,
        kinds: &'static [&'static str],
        e: &Expr<'s>,
    ) -> Option<usize> {
        let name = match &e.kind {
            ExprKind::Name(name) => *name,
            ExprKind::Unary("&", inner) => match &inner.kind {
                ExprKind::Name(name) => *name,
                _ => "",
            },
            _ => "",
        };
        let wanted = kinds.first().copied().unwrap_or("source");
        match self.names.get(name) {
            Some(&Entity::Source(source))
                if kinds.contains(&self.sources[source].kind_word.as_str()) =>
            {
                Some(source)
            }
            Some(&Entity::Source(source)) => {
                let info = &self.sources[source];
                let message = format!(
                    "`{}` is a {}; {}() takes a {wanted}",
                    shorten(name),
                    info.kind_word,
                    call.text
                );
                let declared = info.span;
                let help = format!("declare it `{wanted} {} ... {{ ... }}`", shorten(name));
                self.report(
                    Diagnostic::new(&code::WRONG_KIND, e.span, message)
                        .also(declared, "declared here")
                        .help(help),
                );
                None
            }
            other => {
                let message = match other {
                    None if name.is_empty() => format!("a {wanted} is wanted here"),
                    None => format!("there is no {wanted} `{}`", shorten(name)),
                    Some(entity) => format!(
                        "`{}` is {}, not a {wanted}",
                        shorten(name),
                        self.describe(&Found::Entity(*entity))
                    ),
                };
                let own: Vec<&str> = self
                    .sources
                    .iter()
                    .map(|source| source.name.as_str())
                    .collect();
                let near = nearest(name, own).map(str::to_owned);
                let code = if other.is_none() && !name.is_empty() {
                    &code::UNKNOWN_NAME
                } else {
                    &code::WRONG_KIND
                };
                self.report(Diagnostic::new(code, e.span, message).help(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "declare it with its function: `{wanted} {} {{ ... }}`",
                        if name.is_empty() { "NAME" } else { name }
                    ),
                }));
                None
            }
        }
    }
}
