//! Locks: a queue is the rank of each context that waits.

use super::{Here, Lowered, Place};
use crate::id::{LockId, MmId};
use crate::program::{LockRef, Mode, Op, Reg};
use shootdown_ir::expr::Binary;
use shootdown_ir::system::{Assign, CellId, What, X};

/// 1 for `pgd_lock`, then the page-table locks by mm, then the split ones.
fn lock_number(lock: LockId, slots: usize) -> usize {
    match lock {
        LockId::PgdLock => 1,
        LockId::PageTableLock(mm) => 2 + mm.index(),
        LockId::SplitPtl(mm) => 2 + slots + mm.index(),
    }
}

fn plus(cell: CellId, by: X) -> Assign {
    cell.set(cell.get().op(Binary::Add, by))
}

impl Lowered<'_> {
    pub(super) fn lock_number_of(&self, lock: LockRef, place: Place) -> usize {
        lock_number(lock.resolve(place.mm, place.cursor), self.config.slots())
    }

    /// What the tables say of a place: the lock taken there (0: none), the place after it, and whether it is shared.
    pub(super) fn lock_of(&self, level: usize, number: u32, place: Place) -> (i64, i64, i64) {
        let program = self.config.program(place.program);
        let Op::Lock(lock, mode) = program.line(place.pc).op else {
            return (0, i64::from(number), 0);
        };
        let next = match self.go_constant(level, place, place.pc + 1) {
            Some(next) => next,
            None => unreachable!("no program branches right after it took a lock"),
        };
        let shared = i64::from(mode == Mode::Shared);
        (self.lock_number_of(lock, place) as i64, next, shared)
    }

    fn owner(&self, lock: usize) -> CellId {
        self.cells.owners[lock - 1]
    }

    /// Could the lock be had in that mode?
    fn available(&self, lock: usize, mode: Mode) -> X {
        let unowned = self.owner(lock).get().is(0);
        if lock == 1 && mode == Mode::Exclusive {
            return unowned.and(X::all(
                self.cells.readers.iter().map(|reader| reader.get().is(0)),
            ));
        }
        unowned
    }

    /// A context that believes to hold the lock: is it not so, or has it somebody else as well?
    pub(super) fn not_exclusive(&self, code: usize, lock: usize) -> X {
        let owner = self.owner(lock).get();
        let mine = owner.clone().is(code as i64 + 1);
        let readers = &self.cells.readers;
        if lock != 1 || readers.is_empty() {
            return mine.not();
        }
        let alone = X::all(readers.iter().map(|reader| reader.get().is(0)));
        let shared = readers[code].get().is(1).and(owner.is(0));
        mine.and(alone).or(shared).not()
    }

    /// Does the context stand in the lock's queue?
    fn waits(&self, code: usize, lock: usize) -> X {
        let Some(table) = self.cells.lock_at[code % 2] else {
            return X::FALSE;
        };
        self.cells.rank[code]
            .get()
            .is_not(0)
            .and(table.at(self.cells.at[code].get()).is(lock as i64))
    }

    fn codes(&self) -> std::ops::Range<usize> {
        0..2 * self.config.cpus()
    }

    /// Is a page-table lock held at the place?
    fn holds_page_table_lock(&self, place: Place) -> bool {
        self.places
            .held(place)
            .iter()
            .any(|lock| *lock != LockRef::PgdLock)
    }

    /// The register that says that `pgd_lock` was taken inside a page-table lock.
    fn note_inside(&self, here: &Here, lock: usize) -> Vec<Assign> {
        match self.cells.regs[here.code()][Reg::PgdLockInside as usize] {
            Some(reg) if lock == 1 => {
                vec![reg.set(X::Const(i64::from(self.holds_page_table_lock(here.place))))]
            }
            _ => vec![],
        }
    }

    pub(super) fn take(&mut self, here: &Here, lock: LockRef, mode: Mode) {
        let lock = self.lock_number_of(lock, here.place);
        let code = here.code();
        let free = self.available(lock, mode);
        let new = self.cells.rank[code].get().is(0);
        let mut assigns = match mode {
            Mode::Exclusive => vec![self.owner(lock).set(X::Const(code as i64 + 1))],
            Mode::Shared => vec![self.cells.readers[code].set(X::TRUE)],
        };
        assigns.extend(self.note_inside(here, lock));
        assigns.push(self.go(here, here.place.pc + 1));
        let at_once = new.clone().and(free.clone());
        self.push(code, here.number, What::Op, at_once, assigns);
        // Behind those who wait already.
        let ahead = self.codes().filter(|&k| k != code).fold(X::TRUE, |n, k| {
            let waits = self.waits(k, lock).choose(X::TRUE, X::FALSE);
            n.op(Binary::Add, waits)
        });
        let queue = vec![self.cells.rank[code].set(ahead)];
        self.push(code, here.number, What::Op, new.and(free.not()), queue);
    }

    pub(super) fn try_take(&mut self, here: &Here, lock: LockRef, busy: u8) {
        let number = self.lock_number_of(lock, here.place);
        let code = here.code();
        let free = self.available(number, Mode::Exclusive);
        let mut assigns = vec![self.owner(number).set(X::Const(code as i64 + 1))];
        assigns.extend(self.note_inside(here, number));
        assigns.push(self.go(here, here.place.pc + 1));
        self.push(code, here.number, What::Op, free.clone(), assigns);
        let back = Here {
            place: Place {
                cursor: MmId::NONE,
                ..here.place
            },
            ..*here
        };
        let assigns = vec![self.go(&back, busy)];
        self.push(code, here.number, What::Op, free.not(), assigns);
    }

    pub(super) fn release(&mut self, here: &Here, lock: LockRef) {
        let lock = self.lock_number_of(lock, here.place);
        let code = here.code();
        let owner = self.owner(lock);
        let mine = owner.get().is(code as i64 + 1);
        let rounds = match lock == 1 && !self.cells.readers.is_empty() {
            // Readers are let in together.
            true => 2 * self.config.cpus(),
            false => 1,
        };
        let mut tail: Vec<Assign> = (0..rounds).flat_map(|_| self.serve(lock)).collect();
        tail.push(self.go(here, here.place.pc + 1));
        let mut assigns = vec![owner.set(X::FALSE)];
        assigns.extend(tail.iter().cloned());
        if self.cells.readers.is_empty() || lock != 1 {
            self.push(code, here.number, What::Op, X::TRUE, assigns);
            return;
        }
        self.push(code, here.number, What::Op, mine.clone(), assigns);
        let mut assigns = vec![self.cells.readers[code].set(X::FALSE)];
        assigns.extend(tail);
        self.push(code, here.number, What::Op, mine.not(), assigns);
    }

    /// The first in line gets the lock, if it can be had, and stands at its next step; the others move up.
    fn serve(&self, lock: usize) -> Vec<Assign> {
        let owner = self.owner(lock);
        let mut assigns = Vec::new();
        let readers = lock == 1 && !self.cells.readers.is_empty();
        // Whoever is served gets a rank of its own first, so that the others can be told from it.
        let served = 2 * self.config.cpus() as i64;
        for k in self.codes() {
            let (Some(shared), rank) = (self.cells.shared_at[k % 2], self.cells.rank[k]) else {
                continue;
            };
            let first = rank.get().is(1).and(self.waits(k, lock));
            if readers {
                let is_shared = shared.at(self.cells.at[k].get()).is_not(0);
                let write = first
                    .clone()
                    .and(is_shared.clone().not())
                    .and(self.available(lock, Mode::Exclusive));
                let read = first.and(is_shared).and(self.available(lock, Mode::Shared));
                assigns.push(self.cells.readers[k].set(X::TRUE).when(read.clone()));
                assigns.push(rank.set(X::Const(served)).when(read));
                assigns.push(owner.set(X::Const(k as i64 + 1)).when(write));
            } else {
                assigns.push(owner.set(X::Const(k as i64 + 1)).when(first));
            }
        }
        // The writer that was served: it owns the lock and stands first in line.
        for k in self.codes() {
            let rank = self.cells.rank[k];
            let got = owner
                .get()
                .is(k as i64 + 1)
                .and(rank.get().is(1))
                .and(self.waits(k, lock));
            assigns.push(rank.set(X::Const(served)).when(got));
        }
        let somebody = X::any(
            self.codes()
                .map(|k| self.cells.rank[k].get().is(served).and(self.waits(k, lock))),
        );
        for k in self.codes() {
            let rank = self.cells.rank[k];
            let moves = self.waits(k, lock).and(rank.get().is_not(served));
            assigns.push(plus(rank, X::Const(-1)).when(somebody.clone().and(moves)));
        }
        for k in self.codes() {
            let (Some(granted), rank) = (self.cells.granted[k % 2], self.cells.rank[k]) else {
                continue;
            };
            let got = rank.get().is(served).and(self.waits(k, lock));
            if lock == 1
                && let Some(reg) = self.cells.regs[k][Reg::PgdLockInside as usize]
            {
                let inside: Vec<X> = self
                    .places
                    .of(k % 2)
                    .into_iter()
                    .filter(|(_, place)| self.takes_inside(*place))
                    .map(|(number, _)| self.cells.at[k].get().is(i64::from(number)))
                    .collect();
                assigns.push(reg.set(X::any(inside)).when(got.clone()));
            }
            let at = self.cells.at[k];
            assigns.push(at.set(granted.at(at.get())).when(got.clone()));
            // Its lock is another one now, so the rank alone tells.
            assigns.push(rank.set(X::FALSE).when(rank.get().is(served)));
        }
        assigns
    }

    fn takes_inside(&self, place: Place) -> bool {
        let op = self.config.program(place.program).line(place.pc).op;
        matches!(op, Op::Lock(LockRef::PgdLock, _)) && self.holds_page_table_lock(place)
    }
}
