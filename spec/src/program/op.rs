//! The fixed set of abstract steps, and what they name.

use crate::id::{LockId, MmId};
use serde::{Deserialize, Serialize};
use std::fmt;
use zerocopy::{Immutable, IntoBytes};

/// Which mm a step works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// The mm the program names.
    Target,
    /// The mm of the pgd the walk stands on; for `switch_mm`, the mm switched away from.
    Cursor,
}

/// A lock as a program names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockRef {
    /// `pgd_lock`.
    PgdLock,
    /// `mm->page_table_lock`.
    PageTableLock(Of),
    /// The split lock of the pte's page-table page.
    SplitPtl(Of),
}

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `spin_lock`, `write_lock`.
    Exclusive,
    /// `read_lock`.
    Shared,
}

/// Where `local_irq_save` keeps the flag: the `flags` variable of the outer or the inner lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flags {
    /// `flags` of the outer section.
    Outer,
    /// `flags` of a section nested in it.
    Inner,
}

/// A user entry of an mm.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    IntoBytes,
    Immutable,
)]
#[repr(u8)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The pte.
    Pte = 0,
    /// The huge pmd.
    Huge = 1,
}

impl Entry {
    /// Both entries.
    pub const ALL: [Entry; 2] = [Entry::Pte, Entry::Huge];
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Entry::Pte => "pte",
            Entry::Huge => "pmd",
        })
    }
}

/// How much a flush covers.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    IntoBytes,
    Immutable,
)]
#[repr(u8)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// `flush_tlb_page`: the pte's translation.
    Page = 0,
    /// `flush_tlb_mm`, `flush_tlb_range`: x86 had no ranged flush, the whole mm goes.
    Mm = 1,
}

/// A local variable that steers branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "snake_case")]
pub enum Reg {
    /// This path changed the entry itself.
    Changed = 0,
    /// A flush is owed.
    NeedFlush = 1,
    /// IPIs were sent and must be awaited.
    SentIpi = 2,
    /// The pgd page was seen pinned, so the store goes through the hypervisor.
    SeenPinned = 3,
    /// The handler flushed, or found the mm not loaded.
    Flushed = 4,
    /// `flags` of the outer section says interrupts were on.
    FlagsOuter = 5,
    /// `flags` of the inner section says interrupts were on.
    FlagsInner = 6,
    /// `switch_mm` to the mm that is active already.
    SameMm = 7,
    /// `switch_mm` from no mm at all.
    NoPrev = 8,
    /// This path cleared the huge pmd itself.
    ChangedHuge = 9,
    /// History, for `lock_order`: `pgd_lock` was taken inside a page-table lock.
    PgdLockInside = 10,
}

/// Position of a step in its program.
pub type Pc = u8;

/// One abstract step. What each does to the objects is in [`crate::cpu`], [`crate::mm`],
/// [`crate::spinlock`] and [`crate::pgd_list`].
#[expect(
    missing_docs,
    reason = "a jump field is explained by the sentence of its step"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    // ---- interrupt flag
    /// `local_irq_save(flags)`.
    IrqSave(Flags),
    /// `local_irq_restore(flags)`.
    IrqRestore(Flags),

    // ---- locks
    /// Take the lock; spins (FIFO) until it is granted.
    Lock(LockRef, Mode),
    /// Try the lock; `busy` if it is held.
    TryLock { lock: LockRef, busy: Pc },
    /// Release the lock.
    Unlock(LockRef),

    // ---- pgd_list and the kernel entry
    /// init_mm's kernel entry becomes present (vmap, memory hot-add).
    SetInitEntry,
    /// Read init_mm's entry; `absent` if there is none.
    ReadInitEntry { absent: Pc },
    /// `list_for_each_entry`: stand on the next pgd; `done` at the end.
    ForEachPgd { done: Pc },
    /// Read a pgd's kernel entry; `present` if there is one.
    ReadKernelEntry { of: Of, present: Pc },
    /// Xen's `set_pgd` looks whether the pgd page is pinned before it stores.
    ReadPinned { of: Of },
    /// `set_pgd`: store the kernel entry; through the hypervisor if the page was seen pinned.
    WriteKernelEntry { of: Of },
    /// `clone_pgd_range`: the new mm comes alive with the kernel half just read.
    ClonePgd,
    /// `list_add(&page->lru, &pgd_list)`.
    ListAdd,
    /// `list_del(&page->lru)`.
    ListDel,
    /// `free_mm`, pgd page included.
    FreeMm,

    // ---- user entries and frames
    /// `test_and_clear_bit(_PAGE_BIT_ACCESSED)`; `not_young` if absent, splitting or not accessed.
    TestAndClearYoung { entry: Entry, not_young: Pc },
    /// `ptep_get_and_clear`, `pmdp_get_and_clear`; `absent` if not present.
    GetAndClear { entry: Entry, absent: Pc },
    /// Set SPLITTING; `not_huge` if the pmd maps no huge page, `already` if it was set.
    SetSplitting { not_huge: Pc, already: Pc },
    /// The pmd becomes not-present, still marked splitting.
    PmdNotPresent,
    /// `pmd_populate`: the pmd points to a table of ptes.
    PmdPopulate,
    /// Under the lock: is the pmd splitting? Then go to `splitting`.
    TestSplitting { splitting: Pc },
    /// `wait_split_huge_page`: spins, interrupts as they are, until SPLITTING is gone.
    AwaitNotSplitting,
    /// The compound page's reference counts are distributed to its tails.
    SplitCompound,
    /// Lockless read of the entry by fast GUP; `slow` if absent, splitting or of the wrong size.
    GupRead { entry: Entry, slow: Pc },
    /// `get_page`.
    GetPage(Entry),
    /// `put_page`: frees the frame if this was the last reference.
    PutPage(Entry),

    // ---- pending flushes
    /// Raise the mm's counter of pending flushes.
    RaisePending,
    /// Drop it again.
    DropPending,
    /// Read it: a flush is owed if it is not zero.
    ReadPending,

    // ---- flush
    /// The local half: flush, or `leave_mm` on a lazy CPU, if the mm is loaded here.
    FlushLocal(Scope),
    /// Send the flush IPI to every other CPU of `mm_cpumask`.
    SendIpi(Scope),
    /// Spin until every target has acknowledged.
    AwaitAcks,
    /// One hypercall flushes every CPU of `mm_cpumask`.
    FlushHypercall(Scope),
    /// The handler's flush, if the mm is loaded here.
    FlushRequested,
    /// The handler clears its bit in the sender's mask.
    Ack,

    // ---- address-space switch
    /// Set this CPU's bit in `mm_cpumask(next)`.
    CpumaskSet,
    /// Load CR3 with `next`: the TLB is emptied.
    LoadCr3,
    /// Clear this CPU's bit in `mm_cpumask(prev)`.
    CpumaskClearPrev,
    /// `next == prev`: the CPU is not lazy any more; `loaded` if its bit was still set.
    StopBeingLazy { loaded: Pc },
    /// The CPU becomes lazy.
    EnterLazy,
    /// Clear the own cpumask bit and load `swapper_pg_dir`, as one step.
    LeaveMm,
    /// First half of `leave_mm` in the C code's order.
    CpumaskClearOwn,
    /// Second half.
    LoadSwapper,
    /// First half of the `leave_mm` that a flush of this mm becomes on a lazy CPU; nothing on any other.
    CpumaskClearIfLazy,

    // ---- Xen, user mode
    /// The pgd page becomes read-only (`true`) or writable.
    SetPinned(bool),
    /// A store from user mode through the entry's translation.
    UserStore(Entry),

    // ---- control
    /// If the register is `value`, go to `to`. Takes no transition.
    Branch { reg: Reg, value: bool, to: Pc },
    /// Go to `to`. Takes no transition.
    Goto { to: Pc },
    /// The program is over: back to what ran before.
    Return,
}

impl Op {
    /// Control only: executed together with the step before it.
    pub fn is_control(self) -> bool {
        matches!(self, Op::Branch { .. } | Op::Goto { .. })
    }
}

impl LockRef {
    /// The lock this names, given the program's mm and cursor.
    pub fn resolve(self, target: MmId, cursor: MmId) -> LockId {
        let mm = |of| match of {
            Of::Target => target,
            Of::Cursor => cursor,
        };
        match self {
            LockRef::PgdLock => LockId::PgdLock,
            LockRef::PageTableLock(of) => LockId::PageTableLock(mm(of)),
            LockRef::SplitPtl(of) => LockId::SplitPtl(mm(of)),
        }
    }
}
