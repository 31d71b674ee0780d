//! Store buffers: what x86 lets a CPU do with its stores ([`Memory::Tso`](crate::protocol::Memory)).
//!
//! A store of a plain statement goes into a buffer of its CPU, first in first out, and reaches memory by a step of its
//! own, at any moment. The CPU itself reads its newest store, the others read memory. What is a full barrier on x86
//! (locked instructions, `mfence`, sending an interrupt, taking one and returning from it, switching threads) is taken
//! only where the buffer is empty. The release of a spinlock, and of an rwlock held for writing, is a plain store, too.
//! (Owens, Sarkar, Sewell: A better x86 memory model: x86-TSO, 2009.)
//!
//! Written over the steps of a system that is sequentially consistent: reads are replaced by reads through the buffer, a
//! store by an entry, and conditions get "and the buffer is empty" or "and there is room".

use super::{Assign, CellId, CellRef, Compiler, ContextId, Kind, LockKind, Op, Part, What, X};
use crate::buffer::Buffer;
use crate::expr::Binary;
use crate::protocol::{Access, LockId, Memory, Mode};
use crate::system::{Check, Step, StoreBuffer};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An unlock that is a plain store.
pub(super) struct Release {
    pub(super) step: u32,
    pub(super) lock: LockId,
    pub(super) mode: Mode,
    /// The element.
    pub(super) index: X,
}

/// What a CPU's programs store through its buffer.
#[derive(Clone, Default)]
struct Stores {
    buffer: Buffer,
    /// Which contexts buffer which cells.
    by: BTreeSet<(ContextId, CellId)>,
    /// Numbers of releases: lock, mode and context; the step's place decides nothing.
    releases: Vec<(LockId, Mode, ContextId, i64)>,
}

impl Stores {
    fn told(&self) -> StoreBuffer {
        let it = &self.buffer;
        StoreBuffer {
            cells: it.entries.iter().flat_map(|e| [e.0, e.1]).collect(),
            numbers: it.stores.iter().map(|c| (*c, it.numbers[c])).collect(),
            stores: self.by.iter().copied().collect(),
            ..StoreBuffer::default()
        }
    }

    /// Is a release under way that one of these numbers names?
    fn releases(&self, of: impl Fn(LockId) -> bool) -> X {
        let numbers = self.releases.iter().filter(|r| of(r.0)).map(|r| r.3);
        self.buffer.holds_any(&numbers.collect::<Vec<_>>())
    }
}

impl Compiler<'_> {
    /// Makes the system one with store buffers, if the protocol's memory has them.
    pub(super) fn store_buffers(&mut self) {
        if self.p.memory == Memory::Sc {
            return;
        }
        let shared = self.shared_cells();
        let mut buffers = vec![Stores::default(); self.p.cpus];
        // Which stores are buffered.
        let mut stores: HashMap<usize, usize> = HashMap::new();
        for n in 0..self.system.steps.len() {
            if let Some(at) = self.buffered_store(n, &shared) {
                let step = &self.system.steps[n];
                let cpu = self.system.contexts[step.context.index()].cpu;
                buffers[cpu]
                    .buffer
                    .stores
                    .extend(step.assigns[at].to.cells());
                let by = step.assigns[at].to.cells().map(|cell| (step.context, cell));
                buffers[cpu].by.extend(by);
                stores.insert(n, at);
            }
        }
        let numbers: BTreeMap<CellId, i64> =
            shared.iter().zip(1..).map(|(&cell, n)| (cell, n)).collect();
        let mut next = numbers.len() as i64 + 1;
        for release in &self.releases {
            let context = self.system.steps[release.step as usize].context;
            let buffer = &mut buffers[self.system.contexts[context.index()].cpu];
            let known = buffer
                .releases
                .iter()
                .any(|r| (r.0, r.1, r.2) == (release.lock, release.mode, context));
            if !known {
                buffer
                    .releases
                    .push((release.lock, release.mode, context, next));
                next += 1;
            }
        }
        for (cpu, buffer) in buffers.iter_mut().enumerate() {
            buffer.buffer.numbers.clone_from(&numbers);
            self.allocate_buffer(cpu, buffer, next);
        }
        self.system.objects.buffers = buffers.iter().map(Stores::told).collect();
        let all_empty = X::all(buffers.iter().map(|it| it.buffer.empty()));
        for n in 0..self.system.steps.len() {
            let context = self.system.steps[n].context;
            let it = &self.system.contexts[context.index()];
            if it.kind != Kind::StoreBuffer {
                let cpu = it.cpu;
                let buffer = &buffers[cpu];
                if self.is_barrier(n) != X::FALSE {
                    self.system.objects.buffers[cpu].barriers.push(n as u32);
                }
                let step = self.buffered_step(n, stores.get(&n).copied(), buffer, &all_empty);
                self.system.steps[n] = step;
            }
        }
        for i in 0..self.system.contexts.len() {
            let it = &self.system.contexts[i];
            let buffer = buffers[it.cpu].clone();
            if it.kind == Kind::StoreBuffer {
                self.system.objects.buffers[it.cpu].context = Some(ContextId(i as u32));
                self.drain(ContextId(i as u32), &buffer);
            } else {
                let (executes, arrives) = (
                    buffer.buffer.through(&it.executes),
                    buffer.buffer.through(&it.arrives),
                );
                self.system.contexts[i].executes = executes;
                self.system.contexts[i].arrives = arrives;
            }
        }
    }

    /// Declared variables that more than one CPU's programs read or write, arrays as a whole. What only one CPU touches and
    /// invariants read is there for them: it says at once what it says.
    fn shared_cells(&self) -> BTreeSet<CellId> {
        let mut users: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
        let var = |cell: CellId| match self.system.cells[cell.0 as usize].part {
            Part::Var(v, _) => Some(v),
            _ => None,
        };
        // A per-CPU variable is one row, too; its elements count one by one.
        let mut by_cell: BTreeMap<CellId, BTreeSet<usize>> = BTreeMap::new();
        let mut note = |row: &CellRef, who: usize| {
            for cell in row.cells() {
                by_cell.entry(cell).or_default().insert(who);
            }
        };
        for step in &self.system.steps {
            let cpu = self.system.contexts[step.context.index()].cpu;
            let mut read = |x: &X| x.each_read(&mut |row| note(row, cpu));
            read(&step.ready);
            step.checks.iter().for_each(|(_, x)| read(x));
            for assign in &step.assigns {
                assign.when.iter().for_each(&mut read);
                read(&assign.value);
                assign.to.index.iter().for_each(|i| read(i));
            }
            for assign in &step.assigns {
                note(&assign.to, cpu);
            }
        }
        for (cell, who) in by_cell {
            if let Some(v) = var(cell)
                && who.len() > 1
            {
                users.entry(v).or_default().extend(who);
            }
        }
        (0..self.system.cells.len() as u32)
            .map(CellId)
            .filter(|&cell| var(cell).is_some_and(|v| users.contains_key(&v)))
            .collect()
    }

    /// The assignment of a step that goes into the buffer: the only one to shared memory, of a plain step.
    fn buffered_store(&self, n: usize, shared: &BTreeSet<CellId>) -> Option<usize> {
        let step = &self.system.steps[n];
        if step.what != What::Op || self.is_barrier(n) == X::TRUE {
            return None;
        }
        let mut found = (0..step.assigns.len())
            .filter(|&i| step.assigns[i].to.cells().any(|c| shared.contains(&c)));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// Where it is non-zero the step is a full barrier on x86, or may count as one. See `docs/memory.md`.
    fn is_barrier(&self, n: usize) -> X {
        let step = &self.system.steps[n];
        let it = &self.system.contexts[step.context.index()];
        match step.what {
            What::Drain => return X::FALSE,
            What::Switch => return X::TRUE,
            // A task that runs again comes back from user space, which is no barrier.
            What::End => {
                let again = self.system.objects.left[step.context.index()];
                return match again {
                    Some(left) if it.kind == Kind::Task => left.get().is(0),
                    _ => X::TRUE,
                };
            }
            // The softirq of an interrupt runs right behind its handler, which was entered by a barrier; bottom halves
            // that local_bh_enable() runs are called like a function.
            What::Start => {
                return X::Const(i64::from(!matches!(it.kind, Kind::Softirq | Kind::Timer)));
            }
            What::Op | What::Granted => {}
        }
        // The next step of a thread that does not execute is a switch to it.
        let threads = self.system.contexts.iter();
        let threads = threads.filter(|c| c.cpu == it.cpu && Self::is_thread(c.kind));
        let switched = match Self::is_thread(it.kind) && threads.count() > 1 {
            true => self.cpu(it.cpu).top.get().is_not(it.slot),
            false => X::FALSE,
        };
        let line = &self.p.source(it.source).program[it.places[step.at as usize - 1].line];
        let locked = X::Const(i64::from(line.access == Access::Locked));
        let own = match (&line.op, step.what) {
            (Op::Lock(..) | Op::SynchronizeRcu, What::Granted) => X::FALSE,
            // Half done: see `buffered_step`.
            (Op::Sync { .. }, _)
            | (Op::Lock(..), _)
            | (Op::Downgrade(_), _)
            | (Op::SynchronizeRcu, _)
            | (Op::SendIpi { .. }, _)
            | (Op::CrossCall { .. }, _)
            | (Op::AwaitAcks { .. }, _)
            | (Op::Cancel(_), _)
            | (Op::Mask(..), _)
            | (Op::Return, _) => X::TRUE,
            (Op::Update(_) | Op::Raise { .. } | Op::Yield, _) => locked,
            // A wait that ends only reads; it has slept behind a barrier, or found at once what it waits for.
            (Op::Await { then, .. }, _) if then.is_empty() => X::FALSE,
            (Op::Await { .. }, _) => locked,
            // One that fails only reads.
            (Op::TryLock { .. }, _) => self.taken_if.get(&(n as u32)).cloned().unwrap_or(X::TRUE),
            (Op::Unlock(lock, mode), _) => X::Const(i64::from(!Self::releases_by_a_store(
                self.p.lock(lock.lock).kind,
                *mode,
            ))),
            (
                Op::Branch { .. }
                | Op::Goto(_)
                | Op::Irq(_)
                | Op::BhDisable(_)
                | Op::PreemptDisable(_)
                | Op::RcuRead(_)
                | Op::Choose(_)
                | Op::Assert { .. }
                | Op::MightSleep,
                _,
            ) => X::FALSE,
        };
        own.or(switched)
    }

    /// `spin_unlock` and `write_unlock` are plain stores; `read_unlock`, `mutex_unlock` and `up_*` are locked.
    pub(super) fn releases_by_a_store(kind: LockKind, mode: Mode) -> bool {
        matches!(
            (kind, mode),
            (LockKind::Spin, _) | (LockKind::Rw(_), Mode::Exclusive)
        )
    }

    /// Does anybody ask whether the lock is taken, and go on if it is?
    fn looked_at(&self, lock: LockId) -> bool {
        self.system.steps.iter().any(|step| {
            let waits = match step.at {
                0 => true,
                at => {
                    let it = &self.system.contexts[step.context.index()];
                    let line = it.places[at as usize - 1].line;
                    let op = &self.p.source(it.source).program[line].op;
                    matches!(
                        op,
                        Op::Lock(..) | Op::Unlock(..) | Op::Downgrade(_) | Op::Return
                    )
                }
            };
            let mut found = false;
            let mut look = |x: &X| {
                x.each_read(&mut |row| {
                    let part = self.system.cells[row.base.0 as usize].part;
                    found |= part == Part::Lock(lock.0);
                });
            };
            look(&step.ready);
            for assign in &step.assigns {
                assign.when.iter().for_each(&mut look);
                look(&assign.value);
            }
            found && !waits
        })
    }

    fn allocate_buffer(&mut self, cpu: usize, it: &mut Stores, numbers: i64) {
        if it.buffer.stores.is_empty() {
            // No store that the release could pass: it is only late, and who waits for the lock cannot tell.
            it.releases.retain(|r| self.looked_at(r.0));
        }
        if it.buffer.stores.is_empty() && it.releases.is_empty() {
            return;
        }
        let cells = it.buffer.stores.iter();
        let cells = cells.map(|c| &self.system.cells[c.0 as usize]);
        let (lo, hi) = cells.fold((0, 0), |(lo, hi), c| (c.lo.min(lo), c.hi.max(hi)));
        let elements = it.releases.iter();
        let elements = elements.map(|r| i64::from(self.system.objects.locks[r.0.0 as usize].len));
        let hi = elements.fold(hi, i64::max);
        it.buffer.allocate(&mut self.system, cpu, numbers, (lo, hi));
    }

    /// The same step, with a buffer between its CPU and memory.
    fn buffered_step(
        &self,
        n: usize,
        store: Option<usize>,
        stores: &Stores,
        all_empty: &X,
    ) -> Step {
        let buffer = &stores.buffer;
        let step = &self.system.steps[n];
        let mut barrier = self.is_barrier(n);
        let release = self.releases.iter().find(|r| r.step as usize == n);
        let release = release.and_then(|r| {
            let of = |known: &&(LockId, Mode, ContextId, i64)| {
                (known.0, known.1, known.2) == (r.lock, r.mode, step.context)
            };
            Some((r, stores.releases.iter().find(of)?.3))
        });
        // More than one store to shared memory: as one, it is an `atomic` block's.
        let shared = |c: &CellId| buffer.numbers.contains_key(c);
        let to_shared = step
            .assigns
            .iter()
            .filter(|a| a.to.cells().any(|c| shared(&c)));
        if store.is_none() && to_shared.count() > 0 {
            barrier = X::TRUE;
        }
        let line = match step.at {
            0 => None,
            at => {
                let it = &self.system.contexts[step.context.index()];
                Some(&self.p.source(it.source).program[it.places[at as usize - 1].line].op)
            }
        };
        if step.what == What::Granted && matches!(line, Some(Op::SynchronizeRcu)) {
            // Every CPU has executed a barrier when a grace period ends.
            barrier = X::TRUE;
        }
        let mut locks_read = BTreeSet::new();
        let mut look = |x: &X| {
            x.each_read(&mut |row| {
                if let Part::Lock(l) = self.system.cells[row.base.0 as usize].part {
                    locks_read.insert(LockId(l));
                }
            });
        };
        look(&step.ready);
        step.checks.iter().for_each(|(_, x)| look(x));
        for assign in &step.assigns {
            assign.when.iter().for_each(&mut look);
            look(&assign.value);
        }
        let mut ready = buffer.through(&step.ready);
        ready = ready.and(buffer.through(&barrier).choose(
            match (step.what, line) {
                (What::Granted, Some(Op::SynchronizeRcu)) => all_empty.clone(),
                _ => buffer.empty(),
            },
            X::TRUE,
        ));
        // Its own release of a lock, where it looks at that lock.
        ready = ready.and(stores.releases(|l| locks_read.contains(&l)).not());
        if store.is_some() || release.is_some() {
            ready = ready.and(buffer.room());
        }
        let mut assigns = Vec::new();
        for (i, assign) in step.assigns.iter().enumerate() {
            let when = assign.when.as_ref().map(|x| buffer.through(x));
            let value = buffer.through(&assign.value);
            let to = buffer.row_through(&assign.to);
            if store == Some(i)
                && let Some(number) = buffer.number(&to)
            {
                let cell = &self.system.cells[to.base.0 as usize];
                let fits = match value {
                    X::Const(c) => X::Const(i64::from(c >= cell.lo && c <= cell.hi)),
                    _ => value
                        .clone()
                        .op(Binary::Ge, X::Const(cell.lo))
                        .and(value.clone().op(Binary::Le, X::Const(cell.hi))),
                };
                // A value that does not fit is reported where it is stored.
                let outside = Assign {
                    when: when.clone(),
                    to: to.clone(),
                    value: value.clone(),
                };
                let outside = outside.when(fits.clone().not());
                assigns.extend((outside.when != Some(X::FALSE)).then_some(outside));
                let number = match when {
                    Some(when) => when.choose(number, X::FALSE),
                    None => number,
                };
                assigns.extend(buffer.push(number, fits.choose(value, X::FALSE)));
                continue;
            }
            if let Some((of, number)) = release
                && matches!(self.system.cells[to.base.0 as usize].part, Part::Lock(_))
            {
                if assign.to == self.element_owner(of) {
                    assigns.extend(buffer.push(X::Const(number), buffer.through(&of.index)));
                }
                continue;
            }
            assigns.push(Assign { when, to, value });
        }
        // A lock whose release is on its way is not held for who looks at the end.
        let checks = step.checks.iter().map(|(check, x)| {
            let x = buffer.through(x);
            match (check, step.what) {
                (Check::Balance, What::End) => (*check, x.or(stores.releases(|_| true))),
                _ => (*check, x),
            }
        });
        Step {
            ready,
            assigns: assigns
                .into_iter()
                .filter(|a| a.when != Some(X::FALSE))
                .collect(),
            checks: checks.collect(),
            ..step.clone()
        }
    }

    /// The cell that says who owns the element.
    fn element_owner(&self, of: &Release) -> CellRef {
        let context = self.system.steps[of.step as usize].context;
        self.element(of.lock, &of.index, context).owner_cell()
    }

    /// The step in which the oldest entry reaches memory.
    fn drain(&mut self, context: ContextId, stores: &Stores) {
        let Some(&(first, _)) = stores.buffer.entries.first() else {
            return;
        };
        let assigns = stores.buffer.drained(|first, value| {
            let mut assigns = Vec::new();
            for &(lock, mode, of, number) in &stores.releases {
                let this = first.get().is(number);
                let len = self.system.objects.locks[lock.0 as usize].len;
                let index = match len {
                    1 => X::FALSE,
                    _ => value.get(),
                };
                for assign in self.release_assigns(lock, mode, &index, of) {
                    assigns.push(assign.when(this.clone()));
                }
            }
            assigns
        });
        let some = first.get().is_not(0);
        self.push(context, 0, What::Drain, some.clone(), assigns, vec![]);
        let it = &mut self.system.contexts[context.index()];
        it.pending = some;
        it.arrives = X::TRUE;
    }
}
