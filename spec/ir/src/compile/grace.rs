//! Grace periods: the CPUs that one waits for, besides the readers.

use super::{Assign, Binary, Compiler, ContextId, Kind, Op, Preempt, What, X};
use crate::system::CellId;

impl Compiler<'_> {
    /// A grace period notes the CPUs that are not quiescent when it begins; each is taken off when a step there makes it
    /// quiescent, and the wait ends when those left are.
    pub(super) fn grace_periods(&mut self) {
        let graces: Vec<(usize, CellId)> = (0..self.system.contexts.len())
            .filter_map(|c| Some((c, self.system.objects.grace_cpus[c]?)))
            .collect();
        if graces.is_empty() {
            return;
        }
        let quiescent: Vec<X> = (0..self.p.cpus).map(|cpu| self.quiescent(cpu)).collect();
        let read: Vec<Vec<CellId>> = quiescent
            .iter()
            .map(|x| {
                let mut cells = Vec::new();
                x.each_read(&mut |r| cells.extend(r.cells()));
                cells
            })
            .collect();
        let waits: Vec<bool> = (self.system.steps.iter())
            .map(|step| self.waits_for_readers(step.context, step.at))
            .collect();
        for (number, waits) in waits.into_iter().enumerate() {
            let step = &mut self.system.steps[number];
            let cpu = self.system.contexts[step.context.index()].cpu;
            let own = graces.iter().find(|g| g.0 == step.context.index());
            if let (true, Some(&(_, cell))) = (waits, own) {
                let bits = |cpu: usize| X::Const(1 << cpu);
                if step.what == What::Op {
                    // The caller's own CPU is about to switch.
                    let busy = (0..quiescent.len()).filter(|&other| other != cpu).fold(
                        X::FALSE,
                        |mask, other| {
                            let bit = quiescent[other].clone().choose(X::FALSE, bits(other));
                            mask.op(Binary::BitOr, bit)
                        },
                    );
                    step.assigns.insert(0, cell.set(busy));
                } else {
                    let passed = (0..quiescent.len())
                        .filter(|&other| other != cpu)
                        .map(|other| {
                            let noted = cell.get().op(Binary::BitAnd, bits(other));
                            noted.is(0).or(quiescent[other].clone())
                        });
                    step.ready = step.ready.clone().and(X::all(passed));
                    step.assigns.push(cell.set(X::FALSE));
                }
            }
            let touches = |a: &Assign| a.to.cells().any(|cell| read[cpu].contains(&cell));
            if step.assigns.iter().any(touches) {
                let rest = self.p.all_cpus() & !(1 << cpu);
                for (_, cell) in graces
                    .iter()
                    .filter(|g| self.system.contexts[g.0].cpu != cpu)
                {
                    let without = cell.get().op(Binary::BitAnd, X::Const(rest));
                    step.assigns
                        .push(cell.set(without).when(quiescent[cpu].clone()));
                }
            }
        }
    }

    fn waits_for_readers(&self, context: ContextId, at: u32) -> bool {
        let it = &self.system.contexts[context.index()];
        at > 0
            && matches!(
                self.source(context).program[it.places[at as usize - 1].line].op,
                Op::SynchronizeRcu
            )
    }

    /// Has everything ended on the CPU that a grace period would wait for?
    fn quiescent(&self, cpu: usize) -> X {
        let cells = self.cpu(cpu);
        let here = self.system.contexts.iter().enumerate();
        let threads =
            here.filter(|(_, it)| it.cpu == cpu && matches!(it.kind, Kind::Task | Kind::Work));
        let top = |slot| cells.top.get().is(slot);
        match self.p.preempt {
            // rcu_flavor_sched_clock_irq(): a tick may come, and finds the counts 0.
            Preempt::Full => X::all([
                cells.preempt.get().is(0),
                cells.bh.get().is(0),
                cells.irqs.get().is(1),
                X::any(threads.map(|(_, it)| it.slot).chain([0]).map(top)),
            ]),
            Preempt::None => X::any(
                threads
                    .map(|(i, it)| top(it.slot).and(X::any(self.yields[i].iter().cloned())))
                    .chain([top(0)]),
            ),
        }
    }
}
