//! Expressions: from variables to cells.

use super::{
    Binary, CellRef, CompileError, Compiler, ContextId, Expr, Kind, Place, Span, Storage, X,
};

impl Compiler<'_> {
    /// The cell of a place; an element is chosen by its index when the step is taken.
    pub(super) fn place(
        &self,
        place: &Place,
        context: Option<ContextId>,
        cpu: usize,
    ) -> Result<CellRef, CompileError> {
        let var = self.p.var(place.var);
        let base = match var.storage {
            Storage::Local(_) => {
                context.and_then(|c| self.locals[c.index()].get(&place.var).copied())
            }
            _ => self.system.objects.vars[place.var.0 as usize],
        };
        let Some(base) = base else {
            return self.error(
                var.span,
                format!("`{}` is a local variable of another source", var.name),
            );
        };
        let len = match var.storage {
            Storage::PerCpu => self.p.cpus,
            _ => var.len.unwrap_or(1),
        };
        Ok(match &place.index {
            None => CellRef::one(base),
            Some(index) => CellRef::row(base, len as u32, self.expression(index, context, cpu)?),
        })
    }

    pub(super) fn expression(
        &self,
        expr: &Expr,
        context: Option<ContextId>,
        cpu: usize,
    ) -> Result<X, CompileError> {
        let sub = |e: &Expr| self.expression(e, context, cpu);
        Ok(match expr {
            Expr::Const(c) => X::Const(*c),
            Expr::ThisCpu => X::Const(cpu as i64),
            Expr::Load(place) => self.place(place, context, cpu)?.get(),
            Expr::IrqsDisabled => self.cpu(cpu).irqs.get().is(0),
            Expr::InInterrupt => match context {
                Some(c) if self.system.contexts[c.index()].kind >= Kind::Softirq => X::TRUE,
                _ => self.cpu(cpu).bh.get().is_not(0),
            },
            Expr::IsLocked(lock, index) => {
                let index = match index {
                    Some(index) => sub(index)?,
                    None => X::FALSE,
                };
                self.held_by_anybody(*lock, &index)
            }
            Expr::IsActive(source) => X::any(self.contexts_of(*source).map(|c| {
                let running = self.system.contexts[c.index()].place.get().is_not(0);
                running.or(self.is_pending(c))
            })),
            Expr::Unary(op, a) => {
                let a = sub(a)?;
                match a {
                    X::Const(c) => match crate::eval::unary(*op, c, self.p.cpus) {
                        Some(value) => X::Const(value),
                        None => return self.error(Span::default(), "a constant is too large"),
                    },
                    a => X::Unary(*op, Box::new(a)),
                }
            }
            Expr::Binary(op, a, b) => {
                let (a, b) = (sub(a)?, sub(b)?);
                match (op, &a) {
                    // What is left over gives 0 or 1, too.
                    (Binary::And, X::Const(0)) => X::FALSE,
                    (Binary::And, X::Const(_)) | (Binary::Or, X::Const(0)) => b.is_not(0),
                    (Binary::Or, X::Const(_)) => X::TRUE,
                    (Binary::And | Binary::Or, _) => X::Binary(*op, Box::new(a), Box::new(b)),
                    _ => a.op(*op, b),
                }
            }
            Expr::If(c, a, b) => sub(c)?.choose(sub(a)?, sub(b)?),
        })
    }
}
