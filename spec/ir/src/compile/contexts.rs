//! Contexts: when one executes, how it arrives, how it ends.

use super::{Assign, Binary, CompileError, Compiler, ContextId, Here, Kind, Preempt, What, X};
use crate::protocol::Fires;
use crate::system::Check;

impl Compiler<'_> {
    /// The steps of a context.
    pub(super) fn program(&mut self, context: ContextId) -> Result<(), CompileError> {
        if self.yields.is_empty() {
            self.yields = vec![Vec::new(); self.system.contexts.len()];
            self.sleeps = vec![Vec::new(); self.system.contexts.len()];
        }
        let source = self.source(context);
        let cpu = self.system.contexts[context.index()].cpu;
        let places = self.system.contexts[context.index()].places.clone();
        self.system.contexts[context.index()].steps = vec![Vec::new(); places.len() + 1];
        if source.kind == Kind::StoreBuffer {
            // Its step is made when all stores are known: see `store_buffers`.
            return Ok(());
        }
        self.start(context);
        for (i, at) in places.iter().enumerate() {
            if at.queued {
                continue;
            }
            let here = Here {
                context,
                cpu,
                place: i as u32 + 1,
                line: &source.program[at.line],
                pc: at.line,
            };
            self.op(&here)?;
        }
        Ok(())
    }

    /// The steps by which a context begins to run.
    fn start(&mut self, context: ContextId) {
        let it = &self.system.contexts[context.index()];
        let (kind, cpu, slot, place) = (it.kind, self.cpu(it.cpu), it.slot, it.place);
        let queue = self.system.objects.queue[it.cpu].clone();
        let source = it.source;
        let entry = self.resolve(self.source(context), 0);
        let entry = X::Const(i64::from(self.first_place[context.index()][&entry]));
        let mut enter = vec![place.set(entry)];
        if let Some(below) = self.system.objects.below[context.index()] {
            enter.push(below.set(cpu.top.get()));
        }
        enter.push(cpu.top.set(X::Const(slot)));
        match kind {
            Kind::Irq | Kind::Ipi => enter.push(cpu.irqs.set(X::FALSE)),
            // The flag is kept beside the handler: see `saved`.
            Kind::Nmi => {
                let saved = self.saved(context);
                enter.push(saved.set(cpu.irqs.get()));
                enter.push(cpu.irqs.set(X::FALSE));
            }
            Kind::Task
            | Kind::Work
            | Kind::Stopper
            | Kind::Softirq
            | Kind::Timer
            | Kind::StoreBuffer => {}
        }
        // What makes it come, what that uses up, and whether it must come.
        let mut ways: Vec<(X, Vec<Assign>, bool)> = Vec::new();
        if let Some(raised) = self.system.objects.raised[context.index()] {
            ways.push((raised.get().is_not(0), vec![raised.set(X::FALSE)], true));
        }
        if let Some(left) = self.system.objects.left[context.index()]
            && kind != Kind::Task
        {
            let less = X::Binary(Binary::Add, Box::new(left.get()), Box::new(X::Const(-1)));
            let spent = match self.source(context).fires {
                Fires::Times(Fires::ALWAYS) => vec![],
                _ => vec![left.set(less)],
            };
            ways.push((left.get().is_not(0), spent, false));
        }
        if let Some(serving) = self.system.objects.serving[context.index()]
            && let Some(&head) = queue.first()
        {
            let mut assigns = vec![serving.set(head.get())];
            for pair in queue.windows(2) {
                assigns.push(pair[0].set(pair[1].get()));
            }
            if let Some(&last) = queue.last() {
                assigns.push(last.set(X::FALSE));
            }
            ways.push((self.is_call_of(head, source), assigns, true));
        }
        for (ready, mut assigns, owed) in ways {
            assigns.extend(enter.iter().cloned());
            self.push(context, 0, What::Start, ready, assigns, vec![]);
            if let Some(step) = self.system.steps.last_mut() {
                step.owed = owed;
            }
        }
    }

    /// Where an NMI keeps the interrupt flag of what it interrupted.
    fn saved(&mut self, context: ContextId) -> super::CellId {
        let it = &self.system.contexts[context.index()];
        let name = format!("saved_irqs_{}_{}", self.source(context).name, it.cpu);
        self.named_busy(&name)
    }

    pub(super) fn return_op(&mut self, here: &Here<'_>) {
        let it = &self.system.contexts[here.context.index()];
        let (kind, cpu) = (it.kind, self.cpu(here.cpu));
        let place = it.place;
        let mut assigns = Vec::new();
        let mut even = self.holds_any(here.context).not();
        let rcu = self.system.objects.rcu[here.context.index()];
        even = even.and(rcu.get().is(0));
        if Self::is_thread(kind) {
            even = X::all([
                even,
                cpu.preempt.get().is(0),
                cpu.bh.get().is(0),
                cpu.irqs.get().is(1),
            ]);
            let left = self.system.objects.left[here.context.index()];
            let again = match (left, kind) {
                (Some(left), Kind::Task) => {
                    let entry = self.target(here, 0);
                    assigns.push(place.set(left.get().is_not(0).choose(entry, X::FALSE)));
                    let less = X::Binary(Binary::Add, Box::new(left.get()), Box::new(X::Const(-1)));
                    assigns.push(left.set(less).when(left.get().is_not(0)));
                    true
                }
                _ => false,
            };
            if !again {
                assigns.push(place.set(X::FALSE));
            }
            assigns.push(cpu.top.set(X::FALSE));
        } else {
            let Some(below) = self.system.objects.below[here.context.index()] else {
                unreachable!("every interrupt context has a cell for what it interrupted");
            };
            assigns.push(place.set(X::FALSE));
            assigns.push(cpu.top.set(below.get()));
            assigns.push(below.set(X::FALSE));
            match kind {
                Kind::Irq | Kind::Ipi => assigns.push(cpu.irqs.set(X::TRUE)),
                Kind::Nmi => {
                    let saved = self.saved(here.context);
                    assigns.push(cpu.irqs.set(saved.get()));
                    assigns.push(saved.set(X::FALSE));
                }
                // It runs with interrupts on; leaving with them off would leave them off below.
                _ => even = even.and(cpu.irqs.get().is(1)),
            }
        }
        if let Some(serving) = self.system.objects.serving[here.context.index()] {
            for (n, call) in self.system.objects.calls.iter().enumerate() {
                let done = serving.get().is(n as i64 + 1);
                if call.handler == self.system.contexts[here.context.index()].source {
                    assigns.push(call.busy.set(X::FALSE).when(done));
                }
            }
            assigns.push(serving.set(X::FALSE));
        }
        // What a program leaves in its local variables nobody reads: it starts fresh.
        let mut locals: Vec<_> = self.locals[here.context.index()].iter().collect();
        locals.sort();
        for (&var, &base) in locals {
            for i in 0..self.p.var(var).len.unwrap_or(1) {
                let cell = base.plus(i);
                let init = self.system.cells[cell.0 as usize].init;
                assigns.push(cell.set(X::Const(init)));
            }
        }
        self.push(
            here.context,
            here.place,
            What::End,
            X::TRUE,
            assigns,
            vec![(Check::Balance, even)],
        );
    }

    /// Without preemption: a thread may be switched to where it can only spin, and then nobody gets the CPU from it.
    pub(super) fn spinning_threads(&mut self) {
        if self.p.preempt == Preempt::Full {
            return;
        }
        for i in 0..self.system.contexts.len() {
            let context = ContextId(i as u32);
            let it = self.system.contexts[i].clone();
            if !Self::is_thread(it.kind) || self.threads(it.cpu).count() < 2 {
                continue;
            }
            let top = self.cpu(it.cpu).top;
            for place in 1..it.steps.len() as u32 {
                if self.sleeps[i].contains(&place) {
                    continue;
                }
                let ready = X::any(
                    it.steps[place as usize]
                        .iter()
                        .map(|&step| self.system.steps[step as usize].ready.clone()),
                );
                if ready == X::TRUE {
                    continue;
                }
                let spins = ready.not().and(top.get().is_not(it.slot));
                let on = vec![top.set(X::Const(it.slot))];
                self.push(context, place, What::Switch, spins, on, vec![]);
            }
        }
    }

    /// When contexts execute and arrive, now that it is known where threads sleep.
    pub(super) fn scheduling(&mut self) {
        for i in 0..self.system.contexts.len() {
            let context = ContextId(i as u32);
            let it = self.system.contexts[i].clone();
            let cpu = self.cpu(it.cpu);
            let on_top = cpu.top.get().is(it.slot);
            let (executes, arrives) = match it.kind {
                Kind::Task | Kind::Work | Kind::Stopper => {
                    let switch = self.may_switch_to(context);
                    let one_stopper = match it.kind {
                        Kind::Stopper => self.no_other(context, &[Kind::Stopper]),
                        _ => X::TRUE,
                    };
                    (on_top.or(switch.clone()), switch.and(one_stopper))
                }
                Kind::Softirq | Kind::Timer => {
                    let over_thread = X::any(
                        self.threads(it.cpu)
                            .map(|t| self.system.contexts[t.index()].slot)
                            .chain([0])
                            .map(|slot| cpu.top.get().is(slot)),
                    );
                    let open = cpu.irqs.get().is(1).and(cpu.bh.get().is(0));
                    (on_top, open.and(over_thread))
                }
                Kind::Irq | Kind::Ipi => (on_top, cpu.irqs.get().is(1)),
                Kind::Nmi => (on_top, self.no_other(context, &[Kind::Nmi])),
                Kind::StoreBuffer => (X::FALSE, X::FALSE),
            };
            let arrives = arrives.and(match self.system.objects.masked[it.source.0 as usize] {
                Some(masked) => masked.get().is(0),
                None => X::TRUE,
            });
            self.system.contexts[i].pending = self.is_pending(context);
            self.system.contexts[i].executes = executes;
            self.system.contexts[i].arrives = arrives;
        }
    }

    fn threads(&self, cpu: usize) -> impl Iterator<Item = ContextId> + '_ {
        (0..self.system.contexts.len() as u32)
            .map(ContextId)
            .filter(move |c| {
                let it = &self.system.contexts[c.index()];
                it.cpu == cpu && Self::is_thread(it.kind)
            })
    }

    /// No other context of these kinds runs on the CPU.
    fn no_other(&self, context: ContextId, kinds: &[Kind]) -> X {
        let cpu = self.system.contexts[context.index()].cpu;
        X::all(
            self.system
                .contexts
                .iter()
                .enumerate()
                .filter(|(i, c)| *i != context.index() && c.cpu == cpu && kinds.contains(&c.kind))
                .map(|(_, c)| c.place.get().is(0)),
        )
    }

    /// May the scheduler switch to this thread from what its CPU runs now?
    fn may_switch_to(&self, context: ContextId) -> X {
        let it = &self.system.contexts[context.index()];
        let cpu = self.cpu(it.cpu);
        let preemptible = match self.p.preempt {
            Preempt::None => X::FALSE,
            Preempt::Full => X::all([
                cpu.preempt.get().is(0),
                cpu.bh.get().is(0),
                cpu.irqs.get().is(1),
            ]),
        };
        let from = self
            .threads(it.cpu)
            .filter(|&other| other != context)
            .map(|other| {
                let its = &self.system.contexts[other.index()];
                let mut leaves = X::any(self.yields[other.index()].iter().cloned());
                // The stopper class is above all others.
                if its.kind != Kind::Stopper {
                    leaves = leaves.or(preemptible.clone());
                }
                cpu.top.get().is(its.slot).and(leaves)
            });
        cpu.top.get().is(0).or(X::any(from))
    }
}
