//! Who waits for what in a state, and who could end it.

use crate::eval::Cells;
use crate::machine::{Machine, View};
use crate::protocol::{Kind, LockId, Op, Pc, Protocol, SourceId};
use crate::system::{ContextId, StoreBuffer, What, X};

/// What keeps a context from its next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For a lock.
    Lock {
        /// The lock.
        lock: LockId,
        /// The element.
        element: u32,
        /// Who holds it.
        holders: Vec<ContextId>,
        /// Who queues ahead.
        ahead: Vec<ContextId>,
    },
    /// For the handlers of a cross call.
    Acks {
        /// Handlers that have not returned, or not started.
        handlers: Vec<ContextId>,
    },
    /// For call data that is busy with an earlier call.
    CallData {
        /// The handlers that will free it.
        handlers: Vec<ContextId>,
    },
    /// For a condition, which these contexts may yet change.
    Condition {
        /// Contexts whose programs write what the condition reads.
        writers: Vec<ContextId>,
    },
    /// For sources to be quiet.
    Quiet {
        /// Instances that run or are pending.
        instances: Vec<ContextId>,
    },
    /// For readers to leave.
    Readers {
        /// Them.
        readers: Vec<ContextId>,
    },
    /// For the interrupt above it to return.
    Interrupted {
        /// The context on top.
        by: ContextId,
    },
    /// For the stores of its CPU to reach memory.
    Drain {
        /// The store buffer.
        buffer: ContextId,
    },
    /// For its CPU: another thread executes and cannot be preempted.
    Scheduled {
        /// That thread.
        behind: ContextId,
    },
    /// It is pending, and its CPU does not let it start.
    Blocked {
        /// What executes there; `None`: the CPU idles with interrupts or bottom halves off.
        by: Option<ContextId>,
    },
}

impl Wait {
    /// The contexts that could end the wait.
    pub fn on(&self) -> Vec<ContextId> {
        match self {
            Wait::Lock { holders, ahead, .. } => holders.iter().chain(ahead).copied().collect(),
            Wait::Acks { handlers } | Wait::CallData { handlers } => handlers.clone(),
            Wait::Condition { writers } => writers.clone(),
            Wait::Quiet { instances } => instances.clone(),
            Wait::Readers { readers } => readers.clone(),
            Wait::Drain { buffer } => vec![*buffer],
            Wait::Interrupted { by } | Wait::Scheduled { behind: by } => vec![*by],
            Wait::Blocked { by } => by.iter().copied().collect(),
        }
    }
}

impl StoreBuffer {
    /// Is a store to one of these cells on its way?
    fn holds(&self, view: &View<'_>, cells: &[u32]) -> bool {
        self.cells.chunks(2).any(|entry| {
            let what = view.cell(entry[0]);
            self.numbers
                .iter()
                .any(|(cell, number)| *number == what && cells.contains(&cell.0))
        })
    }
}

/// Answers questions about states of one protocol.
#[derive(Debug)]
pub struct Waits<'a> {
    protocol: &'a Protocol,
    machine: &'a Machine<'a>,
    /// By context: the cells its steps write, places aside.
    writes: Vec<Vec<u32>>,
}

impl<'a> Waits<'a> {
    /// Collects who writes what.
    pub fn new(protocol: &'a Protocol, machine: &'a Machine<'a>) -> Waits<'a> {
        let system = machine.system();
        let mut writes = vec![Vec::new(); system.contexts.len()];
        for step in &system.steps {
            for assign in &step.assigns {
                for cell in assign.to.cells() {
                    writes[step.context.index()].push(cell.0);
                }
            }
        }
        // A store is its program's, whatever carries it to memory.
        for buffer in &system.objects.buffers {
            for list in &mut writes {
                list.retain(|cell| !buffer.cells.iter().any(|c| c.0 == *cell));
            }
            for (context, cell) in &buffer.stores {
                writes[context.index()].push(cell.0);
            }
        }
        for list in &mut writes {
            list.sort_unstable();
            list.dedup();
        }
        Waits {
            protocol,
            machine,
            writes,
        }
    }

    /// The program line at which a running context stands.
    pub fn line(&self, view: &View<'_>, context: ContextId) -> Option<Pc> {
        let place = view.place(context);
        let it = &self.machine.system().contexts[context.index()];
        (place > 0).then(|| it.places[place as usize - 1].line)
    }

    /// The context that executes on a CPU.
    pub fn top(&self, view: &View<'_>, cpu: usize) -> Option<ContextId> {
        let system = self.machine.system();
        let slot = view.cell(system.cpu_cells[cpu].top);
        system
            .contexts
            .iter()
            .position(|c| c.cpu == cpu && c.slot == slot)
            .map(|c| ContextId(c as u32))
    }

    /// What keeps an active context from its next step; `None` if it can take one, or is not active.
    pub fn wait(&self, state: &[u64], context: ContextId) -> Option<Wait> {
        let view = self.machine.view(state);
        let it = &self.machine.system().contexts[context.index()];
        let top = self.top(&view, it.cpu);
        if view.place(context) == 0 {
            if !view.is(&it.pending) {
                return None;
            }
            let starts = it.steps[0]
                .iter()
                .any(|&s| view.is(&self.machine.system().steps[s as usize].ready));
            if starts && view.is(&it.arrives) {
                return None;
            }
            return Some(Wait::Blocked { by: top });
        }
        if !view.is(&it.executes) {
            // A thread that sleeps waits for what it sleeps for, no matter what runs on its CPU.
            if let Some(wait) = self.own(&view, context) {
                return Some(wait);
            }
            let top = top?;
            let above = self.machine.system().objects.below[top.index()].is_some();
            return Some(match above {
                true => Wait::Interrupted { by: top },
                false => Wait::Scheduled { behind: top },
            });
        }
        self.own(&view, context)
    }

    /// What the context's own instruction waits for.
    fn own(&self, view: &View<'_>, context: ContextId) -> Option<Wait> {
        let system = self.machine.system();
        let it = &system.contexts[context.index()];
        let place = view.place(context) as usize;
        // Being switched to does not end a wait.
        let steps: Vec<u32> = it.steps[place]
            .iter()
            .copied()
            .filter(|&s| system.steps[s as usize].what != What::Switch)
            .collect();
        if steps
            .iter()
            .any(|&s| view.is(&system.steps[s as usize].ready))
        {
            return None;
        }
        if let Some(buffer) = system.objects.buffers.get(it.cpu)
            && let (Some(first), Some(carrier)) = (buffer.cells.first(), buffer.context)
            && view.cell(*first) != 0
            && steps
                .iter()
                .any(|s| buffer.barriers.binary_search(s).is_ok())
        {
            return Some(Wait::Drain { buffer: carrier });
        }
        let line = self.line(view, context)?;
        let source = self.protocol.source(it.source);
        let queued = steps
            .iter()
            .any(|&s| system.steps[s as usize].what == What::Granted);
        Some(match &source.program[line].op {
            Op::Lock(lock, _) => self.lock(view, context, lock.lock, queued),
            Op::CrossCall { .. } => {
                let busy = self.busy_reads(&system.steps[steps[0] as usize].ready, view);
                Wait::CallData {
                    handlers: self.serve(view, &busy),
                }
            }
            Op::AwaitAcks { .. } => {
                let busy = self.busy_reads(&system.steps[steps[0] as usize].ready, view);
                Wait::Acks {
                    handlers: self.serve(view, &busy),
                }
            }
            Op::Sync { sources, .. } => Wait::Quiet {
                instances: self.instances(view, sources),
            },
            Op::SynchronizeRcu => {
                let grace = system.objects.grace[context.index()];
                let set = grace.map_or(0, |g| view.cell(g));
                let cpus = system.objects.grace_cpus[context.index()];
                let cpus = cpus.map_or(0, |g| view.cell(g));
                let tops = (0..system.cpus)
                    .filter(|cpu| cpus >> cpu & 1 == 1)
                    .filter_map(|cpu| self.top(view, cpu));
                let mut readers: Vec<ContextId> = (0..system.contexts.len() as u32)
                    .filter(|c| set >> c & 1 == 1)
                    .map(ContextId)
                    .chain(tops)
                    .collect();
                readers.sort();
                readers.dedup();
                Wait::Readers { readers }
            }
            Op::Update(_)
            | Op::Branch { .. }
            | Op::Goto(_)
            | Op::Await { .. }
            | Op::TryLock { .. }
            | Op::Unlock(..)
            | Op::Downgrade(_)
            | Op::Irq(_)
            | Op::BhDisable(_)
            | Op::PreemptDisable(_)
            | Op::RcuRead(_)
            | Op::SendIpi { .. }
            | Op::Raise { .. }
            | Op::Cancel(_)
            | Op::Mask(..)
            | Op::Choose(_)
            | Op::Assert { .. }
            | Op::MightSleep
            | Op::Yield
            | Op::Return => {
                let mut read = Vec::new();
                for &s in &steps {
                    system.steps[s as usize]
                        .ready
                        .each_read(&mut |r| read.extend(r.cells().map(|c| c.0)));
                }
                Wait::Condition {
                    writers: self.writers(view, context, &read),
                }
            }
        })
    }

    /// Contexts that run, are pending or may still come, and write one of the cells.
    fn writers(&self, view: &View<'_>, but: ContextId, cells: &[u32]) -> Vec<ContextId> {
        let system = self.machine.system();
        (0..system.contexts.len())
            .filter(|&c| c != but.index())
            .filter(|&c| {
                cells
                    .iter()
                    .any(|cell| self.writes[c].binary_search(cell).is_ok())
            })
            .filter(|&c| {
                let it = &system.contexts[c];
                if it.kind == Kind::StoreBuffer {
                    return system.objects.buffers[it.cpu].holds(view, cells);
                }
                let left = system.objects.left[c].is_some_and(|l| view.cell(l) > 0);
                view.cell(it.place) != 0 || view.is(&it.pending) || left
            })
            .map(|c| ContextId(c as u32))
            .collect()
    }

    fn lock(&self, view: &View<'_>, context: ContextId, lock: LockId, queued: bool) -> Wait {
        let system = self.machine.system();
        let cells = &system.objects.locks[lock.0 as usize];
        let me = cells
            .takers
            .iter()
            .position(|&c| c == context)
            .map_or(0, |p| p as i64 + 1);
        let taker = |number: i64| cells.takers[number as usize - 1];
        let queue_of = |e: u32| -> Vec<i64> {
            cells.queue.map_or_else(Vec::new, |base| {
                (0..cells.depth)
                    .map(|i| view.cell(base.plus((e * cells.depth + i) as usize)))
                    .filter(|&n| n != 0)
                    .collect()
            })
        };
        // With several elements: the one it queues for, else the first that is held.
        let element = (0..cells.len)
            .find(|&e| queued && queue_of(e).contains(&me))
            .or_else(|| (0..cells.len).find(|&e| !self.holders(view, lock, e).is_empty()))
            .unwrap_or(0);
        let ahead = queue_of(element)
            .into_iter()
            .take_while(|&n| n != me)
            .map(taker)
            .collect();
        Wait::Lock {
            lock,
            element,
            holders: self.holders(view, lock, element),
            ahead,
        }
    }

    /// Who holds an element of a lock, in any mode.
    pub fn holders(&self, view: &View<'_>, lock: LockId, element: u32) -> Vec<ContextId> {
        let cells = &self.machine.system().objects.locks[lock.0 as usize];
        let owner = view.cell(cells.owner.plus(element as usize));
        let mut holders: Vec<ContextId> = Vec::new();
        if owner != 0 {
            holders.push(cells.takers[owner as usize - 1]);
        }
        if let Some(readers) = cells.readers {
            let count = cells.takers.len();
            for (i, &taker) in cells.takers.iter().enumerate() {
                if view.cell(readers.plus(element as usize * count + i)) != 0 {
                    holders.push(taker);
                }
            }
        }
        holders
    }

    /// The locks a context holds: lock and element. A spinlock handed over to a context that has not noticed is among them.
    pub fn held(&self, state: &[u64], context: ContextId) -> Vec<(LockId, u32)> {
        let view = self.machine.view(state);
        let mut held = Vec::new();
        for (l, cells) in self.machine.system().objects.locks.iter().enumerate() {
            for e in 0..cells.len {
                if self.holders(&view, LockId(l as u32), e).contains(&context) {
                    held.push((LockId(l as u32), e));
                }
            }
        }
        held
    }

    /// The busy call data cells that an expression reads.
    fn busy_reads(&self, x: &X, view: &View<'_>) -> Vec<u32> {
        let mut busy = Vec::new();
        x.each_read(&mut |r| {
            busy.extend(r.cells().filter(|&c| view.cell(c) != 0).map(|c| c.0));
        });
        busy
    }

    /// The handlers that run for, or are queued with, one of the call data.
    fn serve(&self, view: &View<'_>, busy: &[u32]) -> Vec<ContextId> {
        let objects = &self.machine.system().objects;
        let is_of =
            |number: i64| number > 0 && busy.contains(&objects.calls[number as usize - 1].busy.0);
        let mut found = Vec::new();
        for (c, it) in self.machine.system().contexts.iter().enumerate() {
            let serves = objects.serving[c].is_some_and(|s| is_of(view.cell(s)));
            let queued = objects.queue[it.cpu].iter().any(|&cell| {
                let number = view.cell(cell);
                is_of(number) && objects.calls[number as usize - 1].handler == it.source
            });
            if serves || (queued && objects.serving[c].is_some()) {
                found.push(ContextId(c as u32));
            }
        }
        found
    }

    fn instances(&self, view: &View<'_>, sources: &[SourceId]) -> Vec<ContextId> {
        self.machine
            .system()
            .contexts
            .iter()
            .enumerate()
            .filter(|(_, c)| sources.contains(&c.source))
            .filter(|(_, c)| view.cell(c.place) != 0 || view.is(&c.pending))
            .map(|(i, _)| ContextId(i as u32))
            .collect()
    }

    /// Does the context wait for acknowledgements: of a cross call, or of a bare IPI by a set of CPUs that its handler
    /// changes?
    pub fn awaits_ipi(&self, state: &[u64], context: ContextId) -> bool {
        let view = self.machine.view(state);
        match self.own(&view, context) {
            Some(Wait::Acks { .. }) => true,
            Some(Wait::Condition { .. }) => self
                .line(&view, context)
                .is_some_and(|line| self.reads_mask_of_handler(context, line)),
            _ => false,
        }
    }

    fn reads_mask_of_handler(&self, context: ContextId, line: Pc) -> bool {
        let system = self.machine.system();
        let source = self
            .protocol
            .source(system.contexts[context.index()].source);
        let Op::Await { until, .. } = &source.program[line].op else {
            return false;
        };
        let mut found = false;
        until.each(&mut |e| {
            let crate::Expr::Load(place) = e else { return };
            let var = self.protocol.var(place.var);
            let Some(base) = system.objects.vars[place.var.0 as usize] else {
                return;
            };
            let by_handler = system.contexts.iter().enumerate().any(|(c, it)| {
                it.kind == crate::Kind::Ipi && self.writes[c].binary_search(&base.0).is_ok()
            });
            found |= var.is_mask && by_handler;
        });
        found
    }

    /// Can the protocol's contexts wait for IPIs at this place at all?
    pub fn is_ipi_wait(&self, context: ContextId, line: Pc) -> bool {
        let it = &self.machine.system().contexts[context.index()];
        let op = &self.protocol.source(it.source).program[line].op;
        matches!(op, Op::AwaitAcks { .. }) || self.reads_mask_of_handler(context, line)
    }

    /// The context, if there is one, that awaits an IPI while it, or what it interrupted, holds a lock.
    pub fn lock_held_across_ipi_wait(&self, state: &[u64]) -> Option<ContextId> {
        let view = self.machine.view(state);
        let system = self.machine.system();
        (0..system.contexts.len() as u32)
            .map(ContextId)
            .filter(|&c| view.place(c) != 0 && self.awaits_ipi(state, c))
            .find(|&c| {
                let cpu = system.contexts[c.index()].cpu;
                let mut at = Some(c);
                while let Some(context) = at {
                    if !self.held(state, context).is_empty() {
                        return true;
                    }
                    let below = system.objects.below[context.index()].map(|b| view.cell(b));
                    at = below.filter(|&slot| slot != 0).and_then(|slot| {
                        let found = system
                            .contexts
                            .iter()
                            .position(|it| it.cpu == cpu && it.slot == slot);
                        found.map(|i| ContextId(i as u32))
                    });
                }
                false
            })
    }

    /// Of the contexts in `stuck`, those that wait only for each other, for nobody, or for what no longer runs: the part in
    /// which the deadlock is there for all to see.
    pub fn closed(&self, state: &[u64], stuck: u64) -> u64 {
        let active = self.machine.active(state);
        let contexts = self.machine.system().contexts.len();
        let mut closed = stuck;
        loop {
            let mut rest = closed;
            for c in (0..contexts).filter(|c| closed >> c & 1 == 1) {
                let lets_go = match self.wait(state, ContextId(c as u32)) {
                    None => true,
                    Some(wait) => wait.on().iter().any(|on| {
                        let may_run = active >> on.0 & 1 == 1 || self.may_come(state, *on);
                        may_run && closed >> on.0 & 1 == 0
                    }),
                };
                if lets_go {
                    rest &= !(1 << c);
                }
            }
            if rest == closed {
                return closed;
            }
            closed = rest;
        }
    }

    fn may_come(&self, state: &[u64], context: ContextId) -> bool {
        let view = self.machine.view(state);
        let objects = &self.machine.system().objects;
        objects.left[context.index()].is_some_and(|left| view.cell(left) > 0)
    }

    /// The context, if there is one, that waits with interrupts off, through any chain of holders, for a lock whose holder
    /// awaits an IPI.
    pub fn irqs_off_wait_for_flush_lock(&self, state: &[u64]) -> Option<ContextId> {
        let view = self.machine.view(state);
        let system = self.machine.system();
        (0..system.contexts.len() as u32)
            .map(ContextId)
            .find(|&context| {
                let it = &system.contexts[context.index()];
                let off = view.cell(system.cpu_cells[it.cpu].irqs) == 0;
                if !off || view.place(context) == 0 || !view.is(&it.executes) {
                    return false;
                }
                let (mut seen, mut todo) = (0u64, vec![context]);
                while let Some(at) = todo.pop() {
                    if let Some(Wait::Lock { holders, .. }) = self.own(&view, at) {
                        for holder in holders {
                            if self.awaits_ipi(state, holder) {
                                return true;
                            }
                            if seen >> holder.0 & 1 == 0 {
                                seen |= 1 << holder.0;
                                todo.push(holder);
                            }
                        }
                    }
                }
                false
            })
    }

    /// A cycle of waits from a context that is stuck: each waits for the next, the last for the first. Empty if its waits
    /// lead to no cycle (it waits for something that nobody is left to do).
    pub fn cycle(&self, state: &[u64], from: ContextId, among: u64) -> Vec<ContextId> {
        let mut path = vec![from];
        let mut dead = 0u64;
        while let Some(&at) = path.last() {
            let next = self
                .wait(state, at)
                .map_or_else(Vec::new, |w| w.on())
                .into_iter()
                .find(|c| among >> c.0 & 1 == 1 && dead >> c.0 & 1 == 0);
            match next {
                Some(to) => {
                    if let Some(start) = path.iter().position(|&c| c == to) {
                        return path[start..].to_vec();
                    }
                    path.push(to);
                }
                None => {
                    path.pop();
                    dead |= 1 << at.0;
                }
            }
        }
        Vec::new()
    }
}
