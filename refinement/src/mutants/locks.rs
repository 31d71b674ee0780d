//! Faults in locking: not taken, the wrong one, released too early or too often, interrupts left as they are.

use shootdown_impl::design::{AfterUnlockTracked, Combined, IrqSave, PgdSpin, Plain, TrackedPlain};
use shootdown_impl::event::{Event, Lock};
use shootdown_impl::id::MmId;
use shootdown_impl::kernel::Loc;
use shootdown_impl::machine::{IrqFlags, Word};
use shootdown_impl::operation::Operation;
use shootdown_impl::spinlock::Draw;
use shootdown_spec::design::{Design as SpecDesign, Flush, PgdLock, Ptl};
use shootdown_spec::variant::Variant;

use super::bent::{Bent, Fault, bent, policy};
use super::{Mutant, Part, mutant, place};

/// The default design with page-table locks or `pgd_lock` taken otherwise.
const fn spec(pgd_lock: PgdLock, walk_takes_ptl: bool, ptl: Ptl) -> SpecDesign {
    SpecDesign {
        pgd_lock,
        walk_takes_ptl,
        ptl,
        flush: Flush::AfterUnlockTracked,
    }
}

pub(super) const MUTANTS: &[Mutant] = &[
    mutant(
        Part::Locks,
        "pgd-free-without-pgd-lock",
        "pgd_dtor() calls pgd_list_del() without pgd_lock",
        |a| bent(a, &WITHOUT_IN_FREE),
        "none=pgd_free@mm0/none=vmalloc_sync_all",
    )
    .mms(2)
    .model(Variant::FreeWithoutPgdLock),
    mutant(
        Part::Locks,
        "pgd-alloc-without-pgd-lock",
        "pgd_ctor() clones and calls pgd_list_add() without pgd_lock",
        |a| bent(a, &WITHOUT_IN_ALLOC),
        "mm0=pgd_alloc/none=vmalloc_sync_all",
    ),
    mutant(
        Part::Locks,
        "walk-without-pgd-lock",
        "vmalloc_sync_all() walks pgd_list without pgd_lock",
        |a| bent(a, &WITHOUT_IN_WALK),
        "none=vmalloc_sync_all/mm0=pgd_free@mm1",
    )
    .mms(2),
    mutant(
        Part::Locks,
        "walk-without-ptl",
        "vmalloc_sync_all() does not take page_table_lock: v2.6.36 under Xen (617d34d9e5d8)",
        |_| policy::<WalkWithoutPtl>(),
        "none=vmalloc_sync_all/none=xen_pgd_pin@mm0",
    )
    .env("xen")
    .model_design(spec(PgdLock::Irqsave, false, Ptl::Irqsave)),
    mutant(
        Part::Locks,
        "pgd-lock-without-irqsave",
        "spin_lock(&pgd_lock) where an interrupt may free an mm",
        |_| policy::<PlainPgdLock>(),
        "none=vmalloc_sync_all/none=idle",
    )
    .env("irq-free")
    .model_design(spec(PgdLock::Plain, true, Ptl::Irqsave))
    .order(),
    mutant(
        Part::Locks,
        "ptl-without-irqsave",
        "spin_lock(&mm->page_table_lock) where the walk waits for it with interrupts off",
        |_| policy::<TrackedPlain>(),
        "mm0=page_referenced_one/none=vmalloc_sync_all",
    )
    .env("nosplit")
    .model_design(spec(PgdLock::Irqsave, true, Ptl::Plain))
    .model_at(super::Place {
        env: "nosplit+irq-free",
        mms: 2,
        ..place("none=page_referenced_one/none=vmalloc_sync_all")
    })
    .order(),
    mutant(
        Part::Locks,
        "missing-irq-restore",
        "spin_unlock(ptl) in place of spin_unlock_irqrestore(ptl, flags)",
        |a| bent(a, &PTL_NEVER_RESTORES),
        "mm0=page_referenced_one/mm0=page_referenced_one",
    ),
    mutant(
        Part::Locks,
        "missing-irq-restore-of-pgd-lock",
        "spin_unlock(&pgd_lock) in place of spin_unlock_irqrestore(&pgd_lock, flags)",
        |a| bent(a, &PGD_LOCK_NEVER_RESTORES),
        "none=vmalloc_sync_all/none=idle",
    ),
    mutant(
        Part::Locks,
        "irq-restore-before-unlock",
        "local_irq_restore(flags) before spin_unlock(&pgd_lock)",
        |a| bent(a, &RestoreBeforeUnlock),
        "mm0=pgd_free@mm1/none=idle",
    )
    .env("irq-free")
    .mms(2),
    mutant(
        Part::Locks,
        "ptl-not-taken",
        "try_to_unmap_one() does not take the pte's lock",
        |a| bent(a, &PtlNotTaken),
        "mm0=try_to_unmap_one/mm0=try_to_unmap_one",
    ),
    mutant(
        Part::Locks,
        "ptl-released-early",
        "the pte's lock is released before ptep_get_and_clear()",
        |a| bent(a, &ReleasedEarly),
        "mm0=try_to_unmap_one/mm0=try_to_unmap_one",
    )
    .types("an_entry_after_its_unlock"),
    mutant(
        Part::Locks,
        "unlocked-twice",
        "pte_unmap_unlock() twice",
        |a| bent(a, &UnlockedTwice),
        "mm0=page_referenced_one/mm0=page_referenced_one",
    ),
    mutant(
        Part::Locks,
        "unlock-lost",
        "__ticket_spin_unlock() does not serve the next ticket",
        |a| bent(a, &UnlockLost),
        "mm0=page_referenced_one/mm0=page_referenced_one",
    ),
    mutant(
        Part::Locks,
        "ptl-of-another-mm",
        "pte_lockptr() of another mm",
        |a| bent(a, &OtherMmsLock),
        "mm0=page_referenced_one@mm0/mm0=try_to_unmap_one@mm0",
    )
    .mms(2),
    mutant(
        Part::Locks,
        "split-lock-for-the-huge-pmd",
        "the huge pmd is changed under the pte page's own lock",
        |a| bent(a, &SplitLockForHuge),
        "mm0=split_huge_page@mm0/mm0=page_referenced_one_huge@mm0",
    )
    .env("split+thp")
    .types("an_entry_under_another_lock"),
    mutant(
        Part::Locks,
        "read-lock-for-write-lock",
        "pgd_ctor() and pgd_dtor() take read_lock(&pgd_lock)",
        |a| bent(a, &ReadForWrite),
        "none=pgd_free@mm0/none=pgd_free@mm1",
    )
    .design("rwlock")
    .mms(2),
    mutant(
        Part::Locks,
        "write-lock-for-read-lock",
        "vmalloc_sync_all() takes write_lock(&pgd_lock)",
        |a| bent(a, &WriteForRead),
        "none=vmalloc_sync_all/none=vmalloc_sync_all",
    )
    .design("rwlock"),
    mutant(
        Part::Locks,
        "inverted-lock-order",
        "pgd_free() takes page_table_lock and inside it pgd_lock",
        |a| bent(a, &Inverted),
        "mm0=pgd_free@mm1/mm0=vmalloc_sync_all",
    )
    .mms(2)
    .model(Variant::InvertedLockOrder)
    .order()
    .types("pgd_lock_inside_a_page_table_lock"),
    mutant(
        Part::Locks,
        "two-page-table-locks",
        "try_to_unmap_one() takes page_table_lock around the pte's lock",
        |a| bent(a, &TwoPtls),
        "mm0=try_to_unmap_one/none=idle",
    )
    .types("two_page_table_locks"),
];

type WalkWithoutPtl = Combined<PgdSpin<IrqSave>, false, IrqSave, AfterUnlockTracked>;
type PlainPgdLock = Combined<PgdSpin<Plain>, true, IrqSave, AfterUnlockTracked>;

/// `spin_lock_irqsave` of a page-table lock or of `pgd_lock` whose unlock leaves interrupts off.
struct NeverRestores(fn(Lock) -> bool);
const PTL_NEVER_RESTORES: NeverRestores =
    NeverRestores(|lock| matches!(lock, Lock::Pte(_) | Lock::PageTable(_)));
const PGD_LOCK_NEVER_RESTORES: NeverRestores = NeverRestores(|lock| lock == Lock::PgdLock);
impl Fault for NeverRestores {
    fn observe(&self, at: &Bent<'_>, event: Event) {
        at.machine.observe(event);
        // The restore comes right after the unlock.
        at.set(match event {
            Event::LockReleased { lock } => (self.0)(lock).into(),
            _ => 0,
        });
    }
    fn local_irq_restore(&self, at: &Bent<'_>, flags: IrqFlags) {
        if !at.noted(1) {
            at.machine.local_irq_restore(flags);
        }
        at.set(0);
    }
}

/// No `pgd_lock` in one operation: neither lock nor interrupt flag nor event.
struct WithoutPgdLock(fn(Operation) -> bool);
const WITHOUT_IN_FREE: WithoutPgdLock = WithoutPgdLock(|o| matches!(o, Operation::PgdFree(_)));
const WITHOUT_IN_ALLOC: WithoutPgdLock = WithoutPgdLock(|o| matches!(o, Operation::PgdAlloc(_)));
const WITHOUT_IN_WALK: WithoutPgdLock = WithoutPgdLock(|o| o == Operation::VmallocSyncAll);

impl WithoutPgdLock {
    fn here(&self, at: &Bent<'_>) -> bool {
        at.operation.is_some_and(self.0)
    }
}

impl Fault for WithoutPgdLock {
    fn ticket_draw(&self, at: &Bent<'_>, lock: &Word) -> Draw {
        match at.loc(lock) {
            Some(Loc::PgdLock) if self.here(at) => Draw::Served,
            _ => at.machine.ticket_draw(lock),
        }
    }
    fn ticket_release(&self, at: &Bent<'_>, lock: &Word) {
        if at.loc(lock) != Some(Loc::PgdLock) || !self.here(at) {
            at.machine.ticket_release(lock);
        }
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        let of_the_lock = matches!(
            event,
            Event::LockAcquired {
                lock: Lock::PgdLock
            } | Event::LockReleased {
                lock: Lock::PgdLock
            }
        );
        if !of_the_lock || !self.here(at) {
            at.machine.observe(event);
        }
    }
}

/// The release of `pgd_lock` is put off until interrupts are on again.
struct RestoreBeforeUnlock;
impl Fault for RestoreBeforeUnlock {
    fn ticket_release(&self, at: &Bent<'_>, lock: &Word) {
        if at.loc(lock) == Some(Loc::PgdLock) {
            at.set(1);
        } else {
            at.machine.ticket_release(lock);
        }
    }
    fn local_irq_restore(&self, at: &Bent<'_>, flags: IrqFlags) {
        at.machine.local_irq_restore(flags);
        if at.noted(1) {
            at.set(0);
            at.unlock(Lock::PgdLock, at.word(Loc::PgdLock));
        }
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        if !(at.noted(1) && matches!(event, Event::LockReleased { .. })) {
            at.machine.observe(event);
        }
    }
}

fn is_pte_lock(at: &Bent<'_>, lock: &Word) -> bool {
    matches!(at.loc(lock), Some(Loc::PteLock(_)))
}

/// Says that it took the lock, and did not.
struct PtlNotTaken;
impl Fault for PtlNotTaken {
    fn ticket_draw(&self, at: &Bent<'_>, lock: &Word) -> Draw {
        if is_pte_lock(at, lock) {
            Draw::Served
        } else {
            at.machine.ticket_draw(lock)
        }
    }
    fn ticket_release(&self, at: &Bent<'_>, lock: &Word) {
        if !is_pte_lock(at, lock) {
            at.machine.ticket_release(lock);
        }
    }
}

/// Lets go as soon as it has it, and says so where it should have let go.
struct ReleasedEarly;
impl Fault for ReleasedEarly {
    fn ticket_release(&self, at: &Bent<'_>, lock: &Word) {
        if !is_pte_lock(at, lock) {
            at.machine.ticket_release(lock);
        }
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        at.machine.observe(event);
        if let Event::LockAcquired {
            lock: Lock::Pte(mm),
        } = event
        {
            at.machine.ticket_release(at.word(Loc::PteLock(mm)));
        }
    }
}

struct UnlockedTwice;
impl Fault for UnlockedTwice {
    fn ticket_release(&self, at: &Bent<'_>, lock: &Word) {
        at.machine.ticket_release(lock);
        at.machine.ticket_release(lock);
    }
}

struct UnlockLost;
impl Fault for UnlockLost {
    fn ticket_release(&self, _: &Bent<'_>, _: &Word) {}
}

/// One mm's locks stand for the other's.
struct OtherMmsLock;
impl OtherMmsLock {
    fn other<'w>(&self, at: &'w Bent<'_>, lock: &'w Word) -> &'w Word {
        match at.loc(lock) {
            Some(Loc::PteLock(MmId(mm))) if at.operation_is_unmap() => {
                at.word(Loc::PteLock(MmId(mm ^ 1)))
            }
            _ => lock,
        }
    }
}
impl Bent<'_> {
    fn operation_is_unmap(&self) -> bool {
        matches!(self.operation, Some(Operation::TryToUnmapOne(_)))
    }
}
impl Fault for OtherMmsLock {
    fn ticket_draw(&self, at: &Bent<'_>, lock: &Word) -> Draw {
        at.machine.ticket_draw(self.other(at, lock))
    }
    fn ticket_release(&self, at: &Bent<'_>, lock: &Word) {
        at.machine.ticket_release(self.other(at, lock));
    }
}

/// `split_huge_page` takes the pte page's lock for `page_table_lock`.
struct SplitLockForHuge;
impl SplitLockForHuge {
    fn pte_lock<'w>(&self, at: &'w Bent<'_>, lock: &'w Word) -> &'w Word {
        match (at.operation, at.loc(lock)) {
            (Some(Operation::SplitHugePage(_)), Some(Loc::PageTableLock(mm))) => {
                at.word(Loc::PteLock(mm))
            }
            _ => lock,
        }
    }
}
impl Fault for SplitLockForHuge {
    fn ticket_draw(&self, at: &Bent<'_>, lock: &Word) -> Draw {
        at.machine.ticket_draw(self.pte_lock(at, lock))
    }
    fn ticket_release(&self, at: &Bent<'_>, lock: &Word) {
        at.machine.ticket_release(self.pte_lock(at, lock));
    }
}

struct ReadForWrite;
impl Fault for ReadForWrite {
    fn write_lock(&self, at: &Bent<'_>, lock: &Word) {
        at.machine.read_lock(lock);
    }
    fn write_unlock(&self, at: &Bent<'_>, lock: &Word) {
        at.machine.read_unlock(lock);
    }
}

struct WriteForRead;
impl Fault for WriteForRead {
    fn read_lock(&self, at: &Bent<'_>, lock: &Word) {
        at.machine.write_lock(lock);
    }
    fn read_unlock(&self, at: &Bent<'_>, lock: &Word) {
        at.machine.write_unlock(lock);
    }
}

/// What the types refuse, written with bare door calls.
struct Inverted;
impl Fault for Inverted {
    fn replaces(&self, operation: Operation) -> bool {
        matches!(operation, Operation::PgdFree(_))
    }
    fn path(&self, at: &Bent<'_>, operation: Operation) {
        let Operation::PgdFree(mm) = operation else {
            return;
        };
        let ptl = at.word(Loc::PageTableLock(mm));
        let flags = at.machine.local_irq_save();
        at.lock(Lock::PageTable(mm), ptl);
        super::list::list_del(at, mm);
        at.unlock(Lock::PageTable(mm), ptl);
        at.machine.local_irq_restore(flags);
        super::list::free_mm(at, mm);
    }
}

/// `page_table_lock` around whatever else is taken.
struct TwoPtls;
impl Fault for TwoPtls {
    fn ticket_draw(&self, at: &Bent<'_>, lock: &Word) -> Draw {
        if let Some(Loc::PteLock(mm)) = at.loc(lock) {
            at.lock(Lock::PageTable(mm), at.word(Loc::PageTableLock(mm)));
        }
        at.machine.ticket_draw(lock)
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        at.machine.observe(event);
        if let Event::LockReleased {
            lock: Lock::Pte(mm),
        } = event
        {
            at.unlock(Lock::PageTable(mm), at.word(Loc::PageTableLock(mm)));
        }
    }
}
