//! Locks: taking, queueing, releasing.

use super::{
    Assign, Binary, CellRef, CompileError, Compiler, ContextId, Here, Line, LockKind, Op, X,
};
use crate::protocol::{Fairness, Kind, LockId, LockRef, Mode};
use crate::system::Check;

/// One element of a lock, as one context sees it.
pub(super) struct Element {
    /// The context's number among its takers.
    me: i64,
    takers: usize,
    owner: CellRef,
    /// Its queue, first in line first; empty for locks without one.
    queue: Vec<CellRef>,
    /// Read counts of all takers; empty for locks without readers.
    readers: Vec<CellRef>,
}

impl Element {
    /// The cell that says who holds it exclusively.
    pub(super) fn owner_cell(&self) -> CellRef {
        self.owner.clone()
    }

    fn mine(&self) -> CellRef {
        self.readers[self.me as usize - 1].clone()
    }

    fn no_readers(&self) -> X {
        X::all(self.readers.iter().map(|r| r.clone().get().is(0)))
    }

    fn nobody_writes(&self) -> X {
        self.owner.clone().get().is(0)
    }

    fn nobody_queues(&self) -> X {
        match self.queue.first() {
            Some(first) => first.clone().get().is(0),
            None => X::TRUE,
        }
    }

    /// Queues this context, if `when`. From the last cell to the first, so that only one of them fits.
    fn enqueue(&self, when: &X) -> Vec<Assign> {
        (0..self.queue.len())
            .rev()
            .map(|i| {
                let free = self.queue[i].clone().get().is(0);
                let after = match i {
                    0 => X::TRUE,
                    _ => self.queue[i - 1].clone().get().is_not(0),
                };
                self.queue[i]
                    .clone()
                    .set(X::Const(self.me))
                    .when(when.clone().and(free).and(after))
            })
            .collect()
    }

    /// Moves the queue up by one.
    fn dequeue(&self) -> Vec<Assign> {
        let mut assigns: Vec<Assign> = self
            .queue
            .windows(2)
            .map(|pair| pair[0].clone().set(pair[1].clone().get()))
            .collect();
        if let Some(last) = self.queue.last() {
            assigns.push(last.clone().set(X::FALSE));
        }
        assigns
    }

    fn add(cell: CellRef, n: i64) -> Assign {
        cell.clone().set(X::Binary(
            Binary::Add,
            Box::new(cell.get()),
            Box::new(X::Const(n)),
        ))
    }

    /// Holds it exclusively or shared.
    pub(super) fn held(&self) -> X {
        let writes = self.owner.clone().get().is(self.me);
        match self.readers.is_empty() || self.takers == 0 {
            true => writes,
            false => writes.or(self.mine().get().is_not(0)),
        }
    }
}

/// What taking a lock does in one mode.
struct Taking {
    /// Can it be had at once?
    free: X,
    /// Having it at once.
    take: Vec<Assign>,
    /// Queueing, if it has a queue.
    queue: bool,
    /// After queueing: is it this context's turn?
    turn: X,
    /// Having it then.
    granted: Vec<Assign>,
}

impl Compiler<'_> {
    pub(super) fn element(&self, lock: LockId, index: &X, context: ContextId) -> Element {
        let cells = &self.system.objects.locks[lock.0 as usize];
        let position = cells.takers.iter().position(|&c| c == context);
        let row = |base: crate::system::CellId, width: u32, at: u32| {
            let offset = index
                .clone()
                .op(Binary::Mul, X::Const(i64::from(width)))
                .op(Binary::Add, X::Const(i64::from(at)));
            CellRef::row(base, cells.len * width, offset)
        };
        let takers = cells.takers.len() as u32;
        Element {
            me: position.map_or(0, |p| p as i64 + 1),
            takers: takers as usize,
            owner: row(cells.owner, 1, 0),
            queue: cells.queue.map_or_else(Vec::new, |base| {
                (0..cells.depth)
                    .map(|at| row(base, cells.depth, at))
                    .collect()
            }),
            readers: cells.readers.map_or_else(Vec::new, |base| {
                (0..takers).map(|at| row(base, takers, at)).collect()
            }),
        }
    }

    fn element_of(&self, lock: &LockRef, here: &Here<'_>) -> Result<Element, CompileError> {
        let index = match &lock.index {
            None => X::FALSE,
            Some(index) => self.expression(index, Some(here.context), here.cpu)?,
        };
        Ok(self.element(lock.lock, &index, here.context))
    }

    /// Is the element held by anybody, in any mode?
    pub(super) fn held_by_anybody(&self, lock: LockId, index: &X) -> X {
        let element = self.element(lock, index, ContextId(u32::MAX));
        element.nobody_writes().not().or(element.no_readers().not())
    }

    /// Does the context hold any lock at all?
    pub(super) fn holds_any(&self, context: ContextId) -> X {
        let mut any = X::FALSE;
        for (l, cells) in self.system.objects.locks.iter().enumerate() {
            if !cells.takers.contains(&context) {
                continue;
            }
            for e in 0..cells.len {
                let element = self.element(LockId(l as u32), &X::Const(i64::from(e)), context);
                any = any.or(element.held());
            }
        }
        any
    }

    fn taking(&self, lock: &LockRef, mode: Mode, e: &Element, kind: Kind) -> Taking {
        let how = self.p.lock(lock.lock).kind;
        let exclusive = e.owner.clone().set(X::Const(e.me));
        match (how, mode) {
            (LockKind::Spin, _) => Taking {
                free: e.nobody_writes(),
                take: vec![exclusive],
                queue: true,
                // The unlock hands it over; until this context is out of the queue it has not noticed.
                turn: X::all(e.queue.iter().map(|q| q.clone().get().is_not(e.me)))
                    .and(e.owner.clone().get().is(e.me)),
                granted: vec![],
            },
            (LockKind::Mutex, _) => Taking {
                free: e.nobody_writes(),
                take: vec![exclusive],
                queue: false,
                turn: X::FALSE,
                granted: vec![],
            },
            (LockKind::Rw(_) | LockKind::RwSem, Mode::Exclusive) => {
                let free = e.nobody_writes().and(e.no_readers());
                let first = match e.queue.first() {
                    Some(first) => first.clone().get().is(e.me),
                    None => X::TRUE,
                };
                let mut granted = e.dequeue();
                granted.push(exclusive.clone());
                Taking {
                    free: free.clone().and(e.nobody_queues()),
                    take: vec![exclusive],
                    queue: true,
                    turn: first.and(free),
                    granted,
                }
            }
            (LockKind::Rw(fairness), Mode::Shared) => {
                let read = Element::add(e.mine(), 1);
                let waits_for_writer_only = match fairness {
                    Fairness::ReaderPref => true,
                    Fairness::Fair => kind >= Kind::Softirq,
                    Fairness::Strict => false,
                };
                if waits_for_writer_only {
                    return Taking {
                        free: e.nobody_writes(),
                        take: vec![read.clone()],
                        queue: false,
                        turn: e.nobody_writes(),
                        granted: vec![read],
                    };
                }
                self.fair_read(e, read)
            }
            (LockKind::RwSem, Mode::Shared) => {
                let read = Element::add(e.mine(), 1);
                self.fair_read(e, read)
            }
        }
    }

    fn fair_read(&self, e: &Element, read: Assign) -> Taking {
        let mut granted = e.dequeue();
        granted.push(read.clone());
        let first = e.queue[0].clone().get().is(e.me);
        Taking {
            free: e.nobody_writes().and(e.nobody_queues()),
            take: vec![read],
            queue: true,
            turn: first.and(e.nobody_writes()),
            granted,
        }
    }

    /// Does taking the lock have a second place, where it is waited for?
    pub(super) fn lock_queues(&self, lock: LockId) -> bool {
        self.p.lock(lock).kind != LockKind::Mutex
    }

    pub(super) fn lock_op(&mut self, here: &Here<'_>) -> Result<(), CompileError> {
        let Op::Lock(lock, mode) = &here.line.op else {
            unreachable!("called for locks only");
        };
        let e = self.element_of(lock, here)?;
        let kind = self.system.contexts[here.context.index()].kind;
        let taking = self.taking(lock, *mode, &e, kind);
        let how = self.p.lock(lock.lock).kind;
        let checks = match how.sleeps() {
            true => vec![(Check::NoSleepInAtomic, self.may_sleep(here))],
            false => vec![],
        };
        if how == LockKind::Mutex {
            let mut assigns = taking.take;
            assigns.push(self.go(here, here.pc + 1));
            self.step(here, false, taking.free.clone(), assigns, checks);
            self.sleeps_at(here, here.place, taking.free);
            return Ok(());
        }
        // First half: take it, or queue.
        let mut assigns = Vec::new();
        if !how.sleeps() {
            assigns.push(self.count_preempt(here, 1));
        }
        assigns.push(self.go_if(here, taking.free.clone(), here.pc + 1, here.place + 1));
        if taking.queue {
            assigns.extend(e.enqueue(&taking.free.clone().not()));
        }
        // What was free may not be after the first of these.
        let [take] = <[Assign; 1]>::try_from(taking.take)
            .unwrap_or_else(|_| unreachable!("a lock is taken by one assignment"));
        assigns.push(take.when(taking.free));
        self.step(here, false, X::TRUE, assigns, checks);
        // Second half.
        let mut assigns = taking.granted;
        assigns.push(self.go(here, here.pc + 1));
        self.step(here, true, taking.turn.clone(), assigns, vec![]);
        if how.sleeps() {
            self.sleeps_at(here, here.place + 1, taking.turn);
        }
        Ok(())
    }

    pub(super) fn try_lock_op(&mut self, here: &Here<'_>) -> Result<(), CompileError> {
        let Op::TryLock {
            lock,
            mode,
            otherwise,
        } = &here.line.op
        else {
            unreachable!("called for trylocks only");
        };
        let e = self.element_of(lock, here)?;
        let kind = self.system.contexts[here.context.index()].kind;
        let taking = self.taking(lock, *mode, &e, kind);
        let mut assigns = Vec::new();
        if !self.p.lock(lock.lock).kind.sleeps() {
            assigns.push(self.count_preempt(here, 1).when(taking.free.clone()));
        }
        let (yes, no) = (
            self.target(here, here.pc + 1),
            self.target(here, *otherwise),
        );
        let place = self.place_cell(here);
        assigns.push(place.set(taking.free.clone().choose(yes, no)));
        for take in taking.take {
            assigns.push(take.when(taking.free.clone()));
        }
        self.taken_if
            .insert(self.system.steps.len() as u32, taking.free);
        self.step(here, false, X::TRUE, assigns, vec![]);
        Ok(())
    }

    pub(super) fn unlock_op(&mut self, here: &Here<'_>) -> Result<(), CompileError> {
        let Op::Unlock(lock, mode) = &here.line.op else {
            unreachable!("called for unlocks only");
        };
        let how = self.p.lock(lock.lock).kind;
        let index = match &lock.index {
            None => X::FALSE,
            Some(index) => self.expression(index, Some(here.context), here.cpu)?,
        };
        let e = self.element(lock.lock, &index, here.context);
        let held = match (how, mode) {
            (LockKind::Rw(_) | LockKind::RwSem, Mode::Shared) => e.mine().get().is_not(0),
            _ => e.owner.clone().get().is(e.me),
        };
        let mut assigns = self.release_assigns(lock.lock, *mode, &index, here.context);
        if Self::releases_by_a_store(how, *mode) {
            self.releases.push(super::buffers::Release {
                step: self.system.steps.len() as u32,
                lock: lock.lock,
                mode: *mode,
                index,
            });
        }
        if !how.sleeps() {
            assigns.push(self.count_preempt(here, -1));
        }
        assigns.push(self.go(here, here.pc + 1));
        self.step(
            here,
            false,
            held.clone(),
            assigns,
            vec![(Check::UnlockHeld, held)],
        );
        Ok(())
    }

    /// What a release does to the lock.
    pub(super) fn release_assigns(
        &self,
        lock: LockId,
        mode: Mode,
        index: &X,
        context: ContextId,
    ) -> Vec<Assign> {
        let e = self.element(lock, index, context);
        match (self.p.lock(lock).kind, mode) {
            (LockKind::Spin, _) => {
                let next = match e.queue.first() {
                    Some(first) => first.clone().get(),
                    None => X::FALSE,
                };
                let mut assigns = vec![e.owner.clone().set(next)];
                assigns.extend(e.dequeue());
                assigns
            }
            (_, Mode::Shared) => vec![Element::add(e.mine(), -1)],
            (_, Mode::Exclusive) => vec![e.owner.clone().set(X::FALSE)],
        }
    }

    pub(super) fn downgrade_op(&mut self, here: &Here<'_>) -> Result<(), CompileError> {
        let Op::Downgrade(lock) = &here.line.op else {
            unreachable!("called for downgrades only");
        };
        let e = self.element_of(lock, here)?;
        let held = e.owner.clone().get().is(e.me);
        let assigns = vec![
            e.owner.clone().set(X::FALSE),
            Element::add(e.mine(), 1),
            self.go(here, here.pc + 1),
        ];
        self.step(
            here,
            false,
            held.clone(),
            assigns,
            vec![(Check::UnlockHeld, held)],
        );
        Ok(())
    }

    /// Does this line have a second place?
    pub(super) fn queues(&self, source: &crate::protocol::Source, line: usize) -> bool {
        let Line { op, .. } = &source.program[line];
        match op {
            Op::Lock(lock, _) => self.lock_queues(lock.lock),
            Op::SynchronizeRcu => true,
            Op::Sync { cancel, sleeps, .. } => *cancel && *sleeps,
            _ => false,
        }
    }
}
