//! Locks: who holds them and who waits, in which order.
//!
//! | implementation | specification |
//! |---|---|
//! | `Loc::PgdLock`'s queue: holder, then who drew a ticket | `LockId::PgdLock`: `owner`, `waiters` |
//! | `Loc::PgdRwLock`: writer, readers, `rwlock_waiters` | the same lock, `Mode::Exclusive` and `Mode::Shared` |
//! | `Loc::PageTableLock(mm)`, `Loc::PteLock(mm)` | `LockId::PageTableLock(mm)`, `LockId::SplitPtl(mm)` |
//! | `Lock::PgdLock`, `PgdRead`, `PgdWrite` | `LockId::PgdLock` |
//!
//! A waiter owns the lock from the moment of the unlock on both sides; the code says so (`LockAcquired`) one operation
//! later, which is a stutter.

use shootdown_impl::event::Lock;
use shootdown_impl::id::MmId;
use shootdown_impl::kernel::Loc;
use shootdown_spec::design::{Design, PgdLock};
use shootdown_spec::id::{Context, LockId};
use shootdown_spec::program::Mode;
use shootdown_spec::spinlock;

use super::agree::{Disagreement, Sides, same, same_order};
use super::id::{context, mm_to_code, mm_to_spec};

/// The lock, as the specification calls it.
pub fn lock(lock: Lock) -> LockId {
    match lock {
        Lock::PgdLock | Lock::PgdRead | Lock::PgdWrite => LockId::PgdLock,
        Lock::PageTable(mm) => LockId::PageTableLock(mm_to_spec(Some(mm))),
        Lock::Pte(mm) => LockId::SplitPtl(mm_to_spec(Some(mm))),
    }
}

/// What the code of that design calls the lock when it is held, or asked for, in that mode.
pub fn named(id: LockId, mode: Mode, design: &Design) -> Option<Lock> {
    match (id, design.pgd_lock, mode) {
        (LockId::PgdLock, PgdLock::Rwlock, Mode::Shared) => Some(Lock::PgdRead),
        (LockId::PgdLock, PgdLock::Rwlock, Mode::Exclusive) => Some(Lock::PgdWrite),
        (LockId::PgdLock, _, _) => Some(Lock::PgdLock),
        (LockId::PageTableLock(mm), ..) => mm_to_code(mm).map(Lock::PageTable),
        (LockId::SplitPtl(mm), ..) => mm_to_code(mm).map(Lock::Pte),
    }
}

pub(super) fn agree(sides: Sides<'_>) -> Result<(), Disagreement> {
    let machine = &sides.code.machine;
    for mm in (0..sides.config.slots() as u8).map(MmId) {
        let page_table = (Loc::PageTableLock(mm), Lock::PageTable(mm));
        for (loc, name) in [page_table, (Loc::PteLock(mm), Lock::Pte(mm))] {
            let (id, spec) = (lock(name), sides.spec.lock(lock(name)));
            let queue = || machine.spinlock_queue(loc).map(context);
            same(queue().next(), spec.owner(), || format!("owner of {id}"))?;
            waiters(id, || queue().skip(1), spec)?;
        }
    }
    // One lock of the protocol; the design decides which of the two words of the code it is.
    let (id, spec) = (LockId::PgdLock, sides.spec.lock(LockId::PgdLock));
    let queue = || machine.spinlock_queue(Loc::PgdLock).map(context);
    let owner = machine.rwlock_writer().map(context).or(queue().next());
    same(owner, spec.owner(), || format!("owner of {id}"))?;
    same_order(
        || machine.rwlock_readers().map(context),
        || spec.readers(),
        || format!("readers of {id}"),
    )?;
    let shared = || machine.rwlock_waiters().map(|(who, _)| context(who));
    waiters(id, || queue().skip(1).chain(shared()), spec)
}

fn waiters<I: Iterator<Item = Context>>(
    id: LockId,
    code: impl Fn() -> I,
    spec: &spinlock::Lock,
) -> Result<(), Disagreement> {
    same_order(
        code,
        || spec.waiters().map(|(who, _)| who),
        || format!("queue of {id}"),
    )
}
