//! Functions, put in the place of their calls.

use shootdown_ir::{Expr as Ir, Kind};

use super::Lower;
use super::fold;
use super::program::Frame;
use super::scope::{Local, Object, Target};
use super::stmt::assigns_in;
use super::value::Ty;
use crate::ast::{Expr, Func, Name, Param, TypeKind};
use crate::calls::Sort;
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::parser::shorten;
use crate::source::Span;

impl<'a, 's> Lower<'a, 's> {
    /// `f(args);`
    pub(crate) fn inline(&mut self, func: usize, name: Name<'s>, args: &'a [Expr<'s>], span: Span) {
        self.funcs[func].used = true;
        let ast = self.funcs[func].ast;
        if self.recursive(ast, span) {
            return;
        }
        let wanted = ast.params.len();
        if args.len() != wanted {
            let plural = if wanted == 1 { "" } else { "s" };
            self.report(
                Diagnostic::new(
                    &code::WRONG_ARITY,
                    span,
                    format!(
                        "{}() takes {wanted} argument{plural}, not {}",
                        shorten(name.text),
                        args.len()
                    ),
                )
                .also(ast.name.span, "declared here"),
            );
            return;
        }
        let mut bound = Vec::new();
        for (param, arg) in ast.params.iter().zip(args) {
            if let Some(local) = self.parameter(ast, param, arg) {
                bound.push((param, local));
            }
        }
        self.frame(ast, bound);
    }

    /// A function as the kernel calls it on this CPU for a cross call: with an `info` that is not modelled.
    pub(crate) fn inline_handler(&mut self, func: usize, span: Span) {
        self.funcs[func].used = true;
        let ast = self.funcs[func].ast;
        if self.recursive(ast, span) {
            return;
        }
        let bound = ast
            .params
            .iter()
            .map(|param| (param, Local::Nothing))
            .collect();
        self.frame(ast, bound);
    }

    fn recursive(&mut self, ast: &'a Func<'s>, span: Span) -> bool {
        let here = self.here();
        let Some(at) = here
            .frames
            .iter()
            .skip(1)
            .position(|frame| frame.name == ast.name.text)
        else {
            // A handler's own body is the first frame.
            let own = here.kind == Kind::Ipi && here.frames[0].name == ast.name.text;
            if own {
                self.error(
                    &code::RECURSION,
                    span,
                    format!("{}() calls itself", shorten(ast.name.text)),
                );
            }
            return own;
        };
        let path: Vec<&str> = here.frames[at + 1..]
            .iter()
            .map(|frame| frame.name)
            .chain([ast.name.text])
            .collect();
        let message = match path.as_slice() {
            [_, _] => format!("{}() calls itself", shorten(ast.name.text)),
            _ => format!(
                "{}() calls itself: {}",
                shorten(ast.name.text),
                path.iter()
                    .map(|name| shorten(name))
                    .collect::<Vec<_>>()
                    .join(" -> ")
            ),
        };
        self.report(
            Diagnostic::new(&code::RECURSION, span, message)
                .also(ast.name.span, "declared here")
                .help("functions are inlined: write a loop"),
        );
        true
    }

    fn frame(&mut self, ast: &'a Func<'s>, bound: Vec<(&'a Param<'s>, Local)>) {
        if self.here().too_long || self.exhausted(ast.name.span) {
            return;
        }
        let end = self.label();
        let here = self.here();
        let stmt = here.stmt;
        let base = here.scopes.len();
        here.scopes.push(std::collections::HashMap::new());
        here.frames.push(Frame {
            name: ast.name.text,
            base,
            end,
            labels: std::collections::HashMap::new(),
            breaks: Vec::new(),
        });
        for (param, local) in bound {
            if let Some(name) = param.name {
                self.bind(name.text, local);
            }
        }
        self.function_body(&ast.body);
        self.close_frame();
        self.place_label(end);
        let here = self.here();
        here.frames.pop();
        here.scopes.truncate(base);
        here.stmt = stmt;
    }

    /// What an argument is inside of the function; `None` after an error.
    fn parameter(
        &mut self,
        ast: &'a Func<'s>,
        param: &'a Param<'s>,
        arg: &'a Expr<'s>,
    ) -> Option<Local> {
        if param.ty.kind == TypeKind::Void {
            return Some(Local::Nothing);
        }
        if param.pointer {
            let sort = self.pointer_sort(param.ty)?;
            let wanted = format!("a {}", sort.written());
            let target = self.address(arg, &wanted)?;
            let object = &self.objects[target.object];
            let same = object.sort == sort
                || matches!(
                    (object.sort, sort),
                    (Sort::Int, Sort::Atomic) | (Sort::Atomic, Sort::Int)
                );
            if !same {
                let message = format!(
                    "`{}` is a {}; {}() takes a {}",
                    shorten(&object.name),
                    object.sort.written(),
                    shorten(ast.name.text),
                    sort.written()
                );
                let declared = object.span;
                self.report(
                    Diagnostic::new(&code::WRONG_KIND, arg.span, message)
                        .also(param.span, "the parameter")
                        .also(declared, "declared here"),
                );
                return None;
            }
            self.objects[target.object].used = true;
            return Some(Local::Alias(self.steady(target, arg.span)));
        }
        let Some(ty) = Self::value_type(param.ty) else {
            self.report(
                Diagnostic::new(
                    &code::WRONG_KIND,
                    param.span,
                    "a lock is passed by its address",
                )
                .help("write a pointer, `spinlock_t *lock`, and pass `&lock`"),
            );
            return None;
        };
        let errors = self.out.errors();
        let value = self.value(arg);
        if self.out.errors() > errors {
            return None;
        }
        let name = param.name?.text;
        let assigned = assigns_in(&ast.body, name);
        let mut steady = !assigned;
        value.e.each(&mut |e| {
            steady &= match e {
                Ir::Load(place) => matches!(
                    self.p.vars[place.var.0 as usize].storage,
                    shootdown_ir::Storage::Local(_)
                ),
                Ir::IrqsDisabled | Ir::InInterrupt | Ir::IsLocked(..) | Ir::IsActive(_) => false,
                _ => true,
            };
        });
        if steady {
            let e = match ty {
                Ty::Bool => self.as_bool(value),
                Ty::Mask => self.as_mask(value, arg.span),
                Ty::Int => value.e,
            };
            return Some(Local::Value(e, ty));
        }
        let (sort, range) = match ty {
            Ty::Bool => (Sort::Bool, (0, 1, true)),
            Ty::Mask => (Sort::Mask, (0, self.all(), true)),
            Ty::Int => (Sort::Int, (-128, 255, false)),
        };
        let object = self.local(name, sort, range, None, arg.span);
        self.objects[object].used = true;
        let at = self.here().stmt;
        self.assign(
            &Target {
                object,
                index: None,
            },
            value,
            at,
            arg.span,
        );
        Some(Local::Object(object))
    }

    /// An address is computed once, at the call: an index that can change meanwhile is kept.
    fn steady(&mut self, target: Target, span: Span) -> Target {
        let Some(index) = &target.index else {
            return target;
        };
        let mut steady = true;
        index.each(&mut |e| steady &= !matches!(e, Ir::Load(place) if !matches!(self.p.vars[place.var.0 as usize].storage, shootdown_ir::Storage::Local(_))));
        if steady {
            return target;
        }
        let kept = self.temporary("index", (0, 255), span);
        let at = self.here().stmt;
        self.update(vec![Self::put(kept, index.clone())], at);
        Target {
            index: Some(Ir::var(kept)),
            ..target
        }
    }

    /// The parameters of a function that runs as an IPI handler: what it is passed is not modelled.
    pub(crate) fn handler_parameters(&mut self, ast: &'a Func<'s>) {
        for param in &ast.params {
            if param.ty.kind != TypeKind::Void
                && !(param.pointer && param.ty.kind == TypeKind::Unknown)
            {
                self.report(
                    Diagnostic::new(&code::WRONG_ARITY, param.span, format!("{}() is called by an interrupt: it gets no `{}`", shorten(ast.name.text), shorten(&self.out.file.one_line(param.span))))
                        .help("write `void f(void)` or `void f(void *info)`, and let the caller set a variable"),
                );
            }
            if let Some(name) = param.name {
                self.bind(name.text, Local::Nothing);
            }
        }
    }

    /// Functions that nothing calls are lowered all the same, for what is wrong with them, and thrown away.
    /// Each takes a copy of everything: a file that has more than a few of them is spared that.
    pub(super) fn unused_functions(&mut self) {
        const MOST_UNUSED: usize = 50;
        let mut lowered = 0;
        for func in 0..self.funcs.len() {
            if self.funcs[func].used || self.out.full() {
                continue;
            }
            let ast = self.funcs[func].ast;
            let name = shorten(ast.name.text);
            self.report(Diagnostic::new(
                &code::UNUSED_FUNCTION,
                ast.name.span,
                format!("`{name}` is never called: nothing of it is checked"),
            ));
            lowered += 1;
            if lowered > MOST_UNUSED {
                continue;
            }
            let kept = self.p.clone();
            let objects = self.objects.len();
            self.scratch = true;
            let id = self.add_source(ast.name.text, Kind::Task, ast.name.span);
            self.begin(id, Kind::Task, ast.name.text);
            for param in &ast.params {
                self.scratch_parameter(param);
            }
            self.function_body(&ast.body);
            self.end(ast.name.span);
            // Handlers that only this function names are functions that something calls.
            while let Some((handler, id)) = self.handlers.pop() {
                let ast = self.funcs[handler].ast;
                self.begin(id, Kind::Ipi, ast.name.text);
                self.handler_parameters(ast);
                self.function_body(&ast.body);
                self.end(ast.name.span);
            }
            self.scratch = false;
            self.p = kept;
            self.objects.truncate(objects);
            let sources = self.p.sources.len();
            let kept = |id: shootdown_ir::SourceId| (id.0 as usize) < sources;
            self.callbacks.retain(|c| kept(c.grace));
            self.barriers.retain(|(source, _)| kept(*source));
            for queue in &mut self.queues {
                queue
                    .waiters
                    .retain(|(source, _)| (source.0 as usize) < self.p.sources.len());
                queue
                    .wakeups
                    .retain(|(source, _)| (source.0 as usize) < self.p.sources.len());
            }
            for func in &mut self.funcs {
                func.handler = func
                    .handler
                    .filter(|id| (id.0 as usize) < self.p.sources.len());
            }
            self.hotplug = self
                .hotplug
                .filter(|lock| (lock.0 as usize) < self.p.locks.len());
            self.stop_mutex = self
                .stop_mutex
                .filter(|lock| (lock.0 as usize) < self.p.locks.len());
        }
    }

    fn scratch_parameter(&mut self, param: &'a Param<'s>) {
        let Some(name) = param.name else {
            return;
        };
        let local = match (param.pointer, Self::value_type(param.ty)) {
            _ if param.ty.kind == TypeKind::Void => Local::Nothing,
            (false, Some(ty)) => {
                let sort = match ty {
                    Ty::Bool => Sort::Bool,
                    Ty::Mask => Sort::Mask,
                    Ty::Int => Sort::Int,
                };
                let object = self.local(name.text, sort, (0, 1, false), None, Span::default());
                Local::Object(object)
            }
            _ => {
                let Some(sort) = self.pointer_sort(param.ty) else {
                    return;
                };
                let span = Span::default();
                let object = self.local(name.text, sort, (0, 1, false), None, span);
                let lock = self.hidden_lock(name.text, shootdown_ir::LockKind::Spin);
                let object: &mut Object = &mut self.objects[object];
                object.lock = Some(lock);
                object.queue = None;
                let object = self.objects.len() - 1;
                Local::Alias(Target {
                    object,
                    index: None,
                })
            }
        };
        self.bind(name.text, local);
        let _ = fold::number(0);
    }
}
