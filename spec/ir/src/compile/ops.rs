//! Each instruction as guarded assignments.

use super::{
    Assign, Binary, CellId, CompileError, Compiler, ContextId, Expr, Here, Kind, Op, Pc, Source,
    Step, What, X,
};
use crate::protocol::{IrqOp, Preempt, Set};
use crate::system::Check;
use std::collections::HashSet;

impl Compiler<'_> {
    /// Where a jump to `line` ends: at the first line with a step of its own. A jump in a circle without a step ends where
    /// it began; nothing ever happens there.
    pub(super) fn resolve(&self, source: &Source, line: Pc) -> Pc {
        let mut at = line;
        let mut seen = HashSet::new();
        while seen.insert(at) {
            match &source.program[at].op {
                Op::Goto(to) => at = *to,
                Op::Branch {
                    cond: Expr::Const(c),
                    otherwise,
                } => at = if *c != 0 { at + 1 } else { *otherwise },
                _ => return at,
            }
        }
        at
    }

    /// The lines that may follow `line`.
    pub(super) fn after(&self, source: &Source, line: Pc) -> Vec<Pc> {
        match &source.program[line].op {
            Op::Return => vec![],
            // In a circle of jumps: see `resolve`.
            Op::Goto(_)
            | Op::Branch {
                cond: Expr::Const(_),
                ..
            } => vec![],
            Op::Branch { otherwise, .. } | Op::TryLock { otherwise, .. } => {
                vec![line + 1, *otherwise]
            }
            Op::Choose(to) => to.clone(),
            Op::Update(_)
            | Op::Await { .. }
            | Op::Lock(..)
            | Op::Unlock(..)
            | Op::Downgrade(_)
            | Op::Irq(_)
            | Op::BhDisable(_)
            | Op::PreemptDisable(_)
            | Op::RcuRead(_)
            | Op::SynchronizeRcu
            | Op::SendIpi { .. }
            | Op::CrossCall { .. }
            | Op::AwaitAcks { .. }
            | Op::Raise { .. }
            | Op::Cancel(_)
            | Op::Sync { .. }
            | Op::Mask(..)
            | Op::Assert { .. }
            | Op::MightSleep
            | Op::Yield => vec![line + 1],
        }
    }

    /// The place cell of the context.
    pub(super) fn place_cell(&self, here: &Here<'_>) -> CellId {
        self.system.contexts[here.context.index()].place
    }

    /// The place that a jump to `line` ends at.
    pub(super) fn target(&self, here: &Here<'_>, line: Pc) -> X {
        let line = self.resolve(self.source(here.context), line);
        X::Const(i64::from(self.first_place[here.context.index()][&line]))
    }

    pub(super) fn go(&self, here: &Here<'_>, line: Pc) -> Assign {
        self.place_cell(here).set(self.target(here, line))
    }

    /// To `line` if `cond`, else to `place`.
    pub(super) fn go_if(&self, here: &Here<'_>, cond: X, line: Pc, place: u32) -> Assign {
        let line = self.target(here, line);
        self.place_cell(here)
            .set(cond.choose(line, X::Const(i64::from(place))))
    }

    pub(super) fn count_preempt(&self, here: &Here<'_>, by: i64) -> Assign {
        Self::count(self.cpu(here.cpu).preempt, by)
    }

    fn count(cell: CellId, by: i64) -> Assign {
        cell.set(X::Binary(
            Binary::Add,
            Box::new(cell.get()),
            Box::new(X::Const(by)),
        ))
    }

    /// Adds a step at the place of `here`, or at the one after it.
    pub(super) fn step(
        &mut self,
        here: &Here<'_>,
        queued: bool,
        ready: X,
        mut assigns: Vec<Assign>,
        checks: Vec<(Check, X)>,
    ) {
        let it = &self.system.contexts[here.context.index()];
        if Self::is_thread(it.kind) {
            let top = self.cpu(here.cpu).top.set(X::Const(it.slot));
            assigns.insert(0, top);
        }
        let at = here.place + u32::from(queued);
        let what = if queued { What::Granted } else { What::Op };
        self.push(here.context, at, what, ready, assigns, checks);
    }

    pub(super) fn push(
        &mut self,
        context: ContextId,
        at: u32,
        what: What,
        ready: X,
        assigns: Vec<Assign>,
        checks: Vec<(Check, X)>,
    ) {
        let number = self.system.steps.len() as u32;
        let steps = &mut self.system.contexts[context.index()].steps;
        if steps.len() <= at as usize {
            steps.resize(at as usize + 1, Vec::new());
        }
        steps[at as usize].push(number);
        self.system.steps.push(Step {
            context,
            at,
            what,
            owed: true,
            ready,
            assigns: assigns
                .into_iter()
                .filter(|a| a.when != Some(X::FALSE))
                .collect(),
            checks: checks.into_iter().filter(|(_, x)| *x != X::TRUE).collect(),
        });
    }

    /// `might_sleep()`: process context, counts 0, interrupts on, no RCU reader.
    pub(super) fn may_sleep(&self, here: &Here<'_>) -> X {
        let it = &self.system.contexts[here.context.index()];
        if !matches!(it.kind, Kind::Task | Kind::Work) {
            return X::FALSE;
        }
        let cpu = self.cpu(here.cpu);
        X::all([
            cpu.preempt.get().is(0),
            cpu.bh.get().is(0),
            cpu.irqs.get().is(1),
            self.system.objects.rcu[here.context.index()].get().is(0),
        ])
    }

    /// While `ready` is 0 at `place`, the context sleeps.
    pub(super) fn sleeps_at(&mut self, here: &Here<'_>, place: u32, ready: X) {
        let at = self.place_cell(here).get().is(i64::from(place));
        self.yields[here.context.index()].push(at.and(ready.not()));
        self.sleeps[here.context.index()].push(place);
    }

    pub(super) fn sets(&self, sets: &[Set], here: &Here<'_>) -> Result<Vec<Assign>, CompileError> {
        sets.iter()
            .map(|set| {
                let to = self.place(&set.place, Some(here.context), here.cpu)?;
                let value = self.expression(&set.value, Some(here.context), here.cpu)?;
                let mut assign = to.set(value);
                if let Some(when) = &set.when {
                    assign = assign.when(self.expression(when, Some(here.context), here.cpu)?);
                }
                Ok(assign)
            })
            .collect()
    }

    pub(super) fn op(&mut self, here: &Here<'_>) -> Result<(), CompileError> {
        let next = here.pc + 1;
        match &here.line.op {
            Op::Update(sets) => {
                let mut assigns = self.sets(sets, here)?;
                assigns.push(self.go(here, next));
                self.step(here, false, X::TRUE, assigns, vec![]);
            }
            // A jump in a circle, see `resolve`: never ready.
            Op::Goto(_)
            | Op::Branch {
                cond: Expr::Const(_),
                ..
            } => self.step(here, false, X::FALSE, vec![], vec![]),
            Op::Branch { cond, otherwise } => {
                let cond = self.expression(cond, Some(here.context), here.cpu)?;
                let (yes, no) = (self.target(here, next), self.target(here, *otherwise));
                let go = self.place_cell(here).set(cond.choose(yes, no));
                self.step(here, false, X::TRUE, vec![go], vec![]);
            }
            Op::Await {
                until,
                sleeps,
                then,
            } => {
                let until = self.expression(until, Some(here.context), here.cpu)?;
                let mut assigns = self.sets(then, here)?;
                assigns.push(self.go(here, next));
                let checks = match sleeps {
                    true => vec![(Check::NoSleepInAtomic, self.may_sleep(here))],
                    false => vec![],
                };
                self.step(here, false, until.clone(), assigns, checks);
                if *sleeps {
                    self.sleeps_at(here, here.place, until);
                }
            }
            Op::Lock(..) => self.lock_op(here)?,
            Op::TryLock { .. } => self.try_lock_op(here)?,
            Op::Unlock(..) => self.unlock_op(here)?,
            Op::Downgrade(_) => self.downgrade_op(here)?,
            Op::Irq(op) => self.irq_op(here, op)?,
            Op::BhDisable(on) => {
                let by = if *on { 1 } else { -1 };
                let assigns = vec![Self::count(self.cpu(here.cpu).bh, by), self.go(here, next)];
                self.step(here, false, X::TRUE, assigns, vec![]);
            }
            Op::PreemptDisable(on) => {
                let by = if *on { 1 } else { -1 };
                let assigns = vec![self.count_preempt(here, by), self.go(here, next)];
                self.step(here, false, X::TRUE, assigns, vec![]);
            }
            Op::RcuRead(on) => self.rcu_op(here, *on),
            Op::SynchronizeRcu => self.synchronize_op(here),
            Op::SendIpi { to, handler } => self.send_ipi_op(here, to, *handler)?,
            Op::CrossCall { to, handler, csd } => self.cross_call_op(here, to, *handler, csd)?,
            Op::AwaitAcks { from, csd, .. } => self.await_acks_op(here, from, csd)?,
            Op::Raise { source, cpu } => self.raise_op(here, *source, cpu)?,
            Op::Cancel(source) => self.cancel_op(here, *source),
            Op::Sync {
                sources,
                pending,
                cancel,
                sleeps,
            } => self.sync_op(here, sources, (*pending, *cancel, *sleeps)),
            Op::Mask(source, on) => self.mask_op(here, *source, *on),
            Op::Choose(to) => {
                for &line in to {
                    let assigns = vec![self.go(here, line)];
                    self.step(here, false, X::TRUE, assigns, vec![]);
                }
            }
            Op::Assert { cond } => {
                let cond = self.expression(cond, Some(here.context), here.cpu)?;
                let assigns = vec![self.go(here, next)];
                self.step(
                    here,
                    false,
                    X::TRUE,
                    assigns,
                    vec![(Check::Assertion, cond)],
                );
            }
            Op::MightSleep => {
                let checks = vec![(Check::NoSleepInAtomic, self.may_sleep(here))];
                let assigns = vec![self.go(here, next)];
                self.step(here, false, X::TRUE, assigns, checks);
            }
            Op::Yield => {
                let checks = vec![(Check::NoSleepInAtomic, self.may_sleep(here))];
                let assigns = vec![self.go(here, next)];
                self.step(here, false, X::TRUE, assigns, checks);
                let at = self.place_cell(here).get().is(i64::from(here.place));
                self.yields[here.context.index()].push(at);
            }
            Op::Return => self.return_op(here),
        }
        Ok(())
    }

    fn irq_op(&mut self, here: &Here<'_>, op: &IrqOp) -> Result<(), CompileError> {
        let irqs = self.cpu(here.cpu).irqs;
        let place = |p| self.place(p, Some(here.context), here.cpu);
        let mut assigns = match op {
            IrqOp::Save(flags) => vec![place(flags)?.set(irqs.get()), irqs.set(X::FALSE)],
            IrqOp::Restore(flags) => vec![irqs.set(place(flags)?.get())],
            IrqOp::Off => vec![irqs.set(X::FALSE)],
            IrqOp::On => vec![irqs.set(X::TRUE)],
        };
        assigns.push(self.go(here, here.pc + 1));
        self.step(here, false, X::TRUE, assigns, vec![]);
        Ok(())
    }

    fn rcu_op(&mut self, here: &Here<'_>, on: bool) {
        let nest = self.system.objects.rcu[here.context.index()];
        let mut assigns = vec![Self::count(nest, if on { 1 } else { -1 })];
        if self.p.preempt == Preempt::None {
            assigns.push(self.count_preempt(here, if on { 1 } else { -1 }));
        }
        if !on {
            // The outermost section ends: no grace period waits for this context any more.
            let bit = 1i64 << here.context.0;
            for grace in self.system.objects.grace.iter().flatten() {
                let without = grace.get().op(Binary::BitAnd, X::Const(!bit));
                assigns.push(grace.set(without).when(nest.get().is(0)));
            }
        }
        assigns.push(self.go(here, here.pc + 1));
        self.step(here, false, X::TRUE, assigns, vec![]);
    }

    fn synchronize_op(&mut self, here: &Here<'_>) {
        let Some(grace) = self.system.objects.grace[here.context.index()] else {
            unreachable!("allocated for every context that waits for a grace period");
        };
        let readers = (0..self.system.contexts.len())
            .filter(|&c| self.system.cells[self.system.objects.rcu[c].0 as usize].hi > 0)
            .fold(X::FALSE, |mask, c| {
                let reads = self.system.objects.rcu[c].get().is_not(0);
                mask.op(Binary::BitOr, reads.op(Binary::Mul, X::Const(1 << c)))
            });
        let checks = vec![(Check::NoSleepInAtomic, self.may_sleep(here))];
        let wait = self
            .place_cell(here)
            .set(X::Const(i64::from(here.place) + 1));
        self.step(here, false, X::TRUE, vec![grace.set(readers), wait], checks);
        let over = grace.get().is(0);
        let assigns = vec![self.go(here, here.pc + 1)];
        self.step(here, true, over, assigns, vec![]);
        // What CPUs it waits for is added when it is known where threads sleep: see `grace_periods`.
        self.sleeps_at(here, here.place + 1, X::FALSE);
    }
}
