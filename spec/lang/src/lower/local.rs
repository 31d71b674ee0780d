//! Declarations in bodies.

use super::Lower;
use super::fold;
use super::scope::{Local, Target};
use crate::ast::{Decl, Expr, ExprKind, Init};
use crate::calls::Sort;
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::parser::shorten;
use crate::source::Span;

impl<'a, 's> Lower<'a, 's> {
    /// A declaration in a body.
    pub(super) fn declare_locals(&mut self, decl: &'a Decl<'s>, span: Span) {
        let sort = self.sort(decl.ty).unwrap_or(Sort::Int);
        for declarator in &decl.declarators {
            if !sort.is_value() && !matches!(sort, Sort::Csd | Sort::RcuHead) {
                self.report(
                    Diagnostic::new(
                        &code::WRONG_KIND,
                        declarator.span,
                        format!(
                            "a {} cannot be local: nobody else could use it",
                            sort.written()
                        ),
                    )
                    .help("declare it at top level"),
                );
                continue;
            }
            if let Some(found) = self
                .here()
                .scopes
                .last()
                .and_then(|scope| scope.get(declarator.name.text))
                .cloned()
            {
                let first = match found {
                    Local::Object(i) => self.objects[i].span,
                    _ => declarator.name.span,
                };
                self.report(
                    Diagnostic::new(
                        &code::DUPLICATE,
                        declarator.name.span,
                        format!("`{}` is declared twice", shorten(declarator.name.text)),
                    )
                    .also(first, "first here"),
                );
                continue;
            }
            let range = self.range(decl.ty, sort, declarator);
            let len = self.length(declarator);
            let object = self.local(declarator.name.text, sort, range, len, declarator.name.span);
            self.objects[object].constant = false;
            match &declarator.init {
                None => {}
                Some(Init::List(..)) => {
                    let values = self.initial(sort, declarator, range, len.unwrap_or(1));
                    if let Some(var) = self.objects[object].var {
                        self.p.vars[var.0 as usize].init = values;
                    }
                }
                Some(Init::One(e)) => self.local_initial(object, e, span),
            }
            self.bind(declarator.name.text, Local::Object(object));
        }
    }

    /// `int n = expr;`: without a step of its own where the value is constant and the line is reached once.
    fn local_initial(&mut self, object: usize, e: &'a Expr<'s>, span: Span) {
        let target = Target {
            object,
            index: None,
        };
        let in_loop = self.here().loops > 0 || self.here().gather.is_some();
        if !in_loop && !matches!(e.kind, ExprKind::Call(..)) {
            let value = self.value(e);
            if let (Some(constant), Some(var)) =
                (fold::constant(&value.e), self.objects[object].var)
            {
                let constant = if self.objects[object].sort == Sort::Bool {
                    i64::from(constant != 0)
                } else {
                    constant
                };
                self.fits(&target, constant, e.span);
                self.p.vars[var.0 as usize].init = vec![constant];
                return;
            }
            self.assign(&target, value, span, e.span);
            return;
        }
        self.assign_expr(&target, e, span);
    }
}
