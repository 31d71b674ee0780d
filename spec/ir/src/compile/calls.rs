//! IPIs, cross calls and what raises or stops other sources.

use super::{
    Assign, Binary, CellId, CellRef, CompileError, Compiler, ContextId, Expr, Here, Kind, Span, X,
};
use crate::protocol::{Csd, SourceId};
use crate::system::Check;

impl Compiler<'_> {
    /// The cell that is 1 while the call data is busy that `context` uses for a call to `target`.
    pub(super) fn busy(
        &mut self,
        context: ContextId,
        csd: &Csd,
        target: usize,
        span: Span,
    ) -> Result<CellId, CompileError> {
        let cpu = self.system.contexts[context.index()].cpu;
        Ok(match csd {
            Csd::PerTarget => self.named_busy(&format!("csd_{cpu}_for_{target}")),
            Csd::PerCpu => self.named_busy(&format!("csd_{cpu}")),
            Csd::OnStack => {
                let name = self.source(context).name.clone();
                self.named_busy(&format!("csd_on_stack_of_{name}_{cpu}"))
            }
            Csd::Object(place) => {
                let cell = self.place(place, Some(context), cpu)?;
                if cell.len != 1 {
                    return self.error(
                        span,
                        "which call_single_data_t this is depends on a variable; name one, or use this_cpu_ptr()",
                    );
                }
                cell.base
            }
        })
    }

    /// Is bit `cpu` set?
    fn bit(mask: &X, cpu: usize) -> X {
        match mask {
            X::Const(c) => X::Const(c >> cpu & 1),
            mask => mask
                .clone()
                .op(Binary::BitAnd, X::Const(1 << cpu))
                .is_not(0),
        }
    }

    fn handler_on(&self, handler: SourceId, cpu: usize) -> Option<ContextId> {
        self.contexts_of(handler)
            .find(|c| self.system.contexts[c.index()].cpu == cpu)
    }

    /// A mask of CPUs that do not exist, or on which nothing can be done, is an error of the step.
    fn only(&self, mask: &X, cpus: impl Iterator<Item = usize>) -> X {
        let allowed = cpus.fold(0, |all, cpu| all | 1 << cpu);
        match mask {
            X::Const(c) => X::Const(i64::from(c & !allowed == 0)),
            mask => mask.clone().op(Binary::BitAnd, X::Const(!allowed)).is(0),
        }
    }

    pub(super) fn send_ipi_op(
        &mut self,
        here: &Here<'_>,
        to: &Expr,
        handler: SourceId,
    ) -> Result<(), CompileError> {
        let mask = self.expression(to, Some(here.context), here.cpu)?;
        let mut assigns = Vec::new();
        for cpu in 0..self.p.cpus {
            let Some(context) = self.handler_on(handler, cpu) else {
                continue;
            };
            if let Some(raised) = self.system.objects.raised[context.index()] {
                assigns.push(raised.set(X::TRUE).when(Self::bit(&mask, cpu)));
            }
        }
        let range = self.only(&mask, 0..self.p.cpus);
        assigns.push(self.go(here, here.pc + 1));
        self.step(here, false, X::TRUE, assigns, vec![(Check::Range, range)]);
        Ok(())
    }

    pub(super) fn cross_call_op(
        &mut self,
        here: &Here<'_>,
        to: &Expr,
        handler: SourceId,
        csd: &Csd,
    ) -> Result<(), CompileError> {
        let mask = self.expression(to, Some(here.context), here.cpu)?;
        let mut free = X::TRUE;
        let mut assigns = Vec::new();
        for target in 0..self.p.cpus {
            let busy = self.busy(here.context, csd, target, here.line.span)?;
            let wanted = Self::bit(&mask, target);
            free = free.and(wanted.clone().not().or(busy.get().is(0)));
            let number = self
                .system
                .objects
                .calls
                .iter()
                .position(|c| c.handler == handler && c.busy == busy)
                .map_or(0, |n| n as i64 + 1);
            let queue = self.system.objects.queue[target].clone();
            for i in (0..queue.len()).rev() {
                let after = match i {
                    0 => X::TRUE,
                    _ => queue[i - 1].get().is_not(0),
                };
                let fits = queue[i].get().is(0).and(after);
                assigns.push(
                    queue[i]
                        .set(X::Const(number))
                        .when(wanted.clone().and(fits)),
                );
            }
            assigns.push(busy.set(X::TRUE).when(wanted));
        }
        let single = !matches!(csd, Csd::PerTarget);
        let mut range = self.only(&mask, 0..self.p.cpus);
        if single {
            range = range.and(match &mask {
                X::Const(c) => X::Const(i64::from(c.count_ones() <= 1)),
                mask => X::Unary(crate::expr::Unary::Weight, Box::new(mask.clone()))
                    .op(Binary::Le, X::Const(1)),
            });
        }
        assigns.push(self.go(here, here.pc + 1));
        self.step(here, false, free, assigns, vec![(Check::Range, range)]);
        Ok(())
    }

    pub(super) fn await_acks_op(
        &mut self,
        here: &Here<'_>,
        from: &Expr,
        csd: &Csd,
    ) -> Result<(), CompileError> {
        let mask = self.expression(from, Some(here.context), here.cpu)?;
        let mut done = X::TRUE;
        for target in 0..self.p.cpus {
            let busy = self.busy(here.context, csd, target, here.line.span)?;
            done = done.and(Self::bit(&mask, target).not().or(busy.get().is(0)));
        }
        let irqs_on = self.cpu(here.cpu).irqs.get().is(1);
        let checks = vec![(Check::IrqsOnWhileWaitingForIpi, done.clone().or(irqs_on))];
        let assigns = vec![self.go(here, here.pc + 1)];
        self.step(here, false, done, assigns, checks);
        Ok(())
    }

    pub(super) fn raise_op(
        &mut self,
        here: &Here<'_>,
        source: SourceId,
        cpu: &Expr,
    ) -> Result<(), CompileError> {
        let cpu = self.expression(cpu, Some(here.context), here.cpu)?;
        let mut assigns = Vec::new();
        let mut possible = X::FALSE;
        let contexts: Vec<ContextId> = self.contexts_of(source).collect();
        for context in contexts {
            let there = cpu
                .clone()
                .is(self.system.contexts[context.index()].cpu as i64);
            possible = possible.or(there.clone());
            if let Some(raised) = self.system.objects.raised[context.index()] {
                assigns.push(raised.set(X::TRUE).when(there));
            }
        }
        if possible == X::FALSE {
            let name = &self.p.source(source).name;
            return self.error(
                here.line.span,
                format!("`{name}` cannot run on the CPU it is raised on"),
            );
        }
        assigns.push(self.go(here, here.pc + 1));
        assigns.retain(|a| a.when != Some(X::FALSE));
        self.step(
            here,
            false,
            X::TRUE,
            assigns,
            vec![(Check::Range, possible)],
        );
        Ok(())
    }

    /// Withdraws the source wherever it is pending or may still come by itself.
    fn withdraw(&self, source: SourceId) -> Vec<Assign> {
        self.contexts_of(source)
            .flat_map(|c| {
                let objects = &self.system.objects;
                [objects.raised[c.index()], objects.left[c.index()]]
            })
            .flatten()
            .map(|cell| cell.set(X::FALSE))
            .collect()
    }

    pub(super) fn cancel_op(&mut self, here: &Here<'_>, source: SourceId) {
        let mut assigns = self.withdraw(source);
        assigns.push(self.go(here, here.pc + 1));
        self.step(here, false, X::TRUE, assigns, vec![]);
    }

    pub(super) fn sync_op(
        &mut self,
        here: &Here<'_>,
        sources: &[SourceId],
        (pending, cancel, sleeps): (bool, bool, bool),
    ) {
        let quiet = X::all(sources.iter().flat_map(|&s| self.contexts_of(s)).map(|c| {
            let runs_not = self.system.contexts[c.index()].place.get().is(0);
            match pending {
                true => runs_not.and(self.is_pending(c).not()),
                false => runs_not,
            }
        }));
        let withdraw: Vec<Assign> = match cancel {
            true => sources.iter().flat_map(|&s| self.withdraw(s)).collect(),
            false => vec![],
        };
        let checks = match sleeps {
            true => vec![(Check::NoSleepInAtomic, self.may_sleep(here))],
            false => vec![],
        };
        if cancel && sleeps {
            // cancel_work_sync: takes it off the queue first, then waits for the instance that runs.
            let mut assigns = withdraw;
            let place = self.place_cell(here);
            assigns.push(place.set(X::Const(i64::from(here.place) + 1)));
            self.step(here, false, X::TRUE, assigns, checks);
            let assigns = vec![self.go(here, here.pc + 1)];
            self.step(here, true, quiet.clone(), assigns, vec![]);
            self.sleeps_at(here, here.place + 1, quiet);
            return;
        }
        let mut assigns = withdraw;
        assigns.push(self.go(here, here.pc + 1));
        self.step(here, false, quiet.clone(), assigns, checks);
        if sleeps {
            self.sleeps_at(here, here.place, quiet);
        }
    }

    pub(super) fn mask_op(&mut self, here: &Here<'_>, source: SourceId, on: bool) {
        let mut assigns = Vec::new();
        if let Some(cell) = self.system.objects.masked[source.0 as usize] {
            let by = if on { 1 } else { -1 };
            assigns.push(cell.set(X::Binary(
                Binary::Add,
                Box::new(cell.get()),
                Box::new(X::Const(by)),
            )));
        }
        assigns.push(self.go(here, here.pc + 1));
        self.step(here, false, X::TRUE, assigns, vec![]);
    }

    /// Was the context raised, sent, queued or armed, and has not started?
    pub(super) fn is_pending(&self, context: ContextId) -> X {
        let it = &self.system.contexts[context.index()];
        let raised = match self.system.objects.raised[context.index()] {
            Some(cell) => cell.get().is_not(0),
            None => X::FALSE,
        };
        if it.kind != Kind::Ipi {
            return raised;
        }
        let queued = self.system.objects.queue.get(it.cpu).map_or(X::FALSE, |q| {
            X::any(q.iter().map(|cell| self.is_call_of(*cell, it.source)))
        });
        raised.or(queued)
    }

    /// Does the cell hold a call of this handler?
    pub(super) fn is_call_of(&self, cell: CellId, handler: SourceId) -> X {
        X::any(
            self.system
                .objects
                .calls
                .iter()
                .enumerate()
                .filter(|(_, call)| call.handler == handler)
                .map(|(n, _)| CellRef::one(cell).get().is(n as i64 + 1)),
        )
    }
}
