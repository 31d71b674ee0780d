//! Small identities: CPUs, mms, locks, execution contexts, and sets of CPUs.
//!
//! They are one byte each, so that a whole machine state stays a few hundred bytes and
//! can be hashed as a byte string.

use serde::{Deserialize, Serialize};
use std::fmt;
use zerocopy::{Immutable, IntoBytes};

/// Most CPUs a configuration may have (protocol bound, `cpus` 2–4; 1 is allowed too).
pub const MAX_CPUS: usize = 4;
/// Most mm slots in a state: up to three at the start plus one that `pgd_alloc` may fill.
pub const MAX_MMS: usize = 4;
/// `pgd_lock`, then `page_table_lock` and the split pte lock of every mm slot.
pub const MAX_LOCKS: usize = 1 + 2 * MAX_MMS;

/// A CPU, numbered from 0 as the kernel does.
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
#[repr(transparent)]
#[serde(transparent)]
pub struct CpuId(pub u8);

impl CpuId {
    /// Index into per-CPU arrays.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU{}", self.0)
    }
}

/// An mm slot. Slots are never reused: a freed mm keeps its number, so that a walker on a
/// freed pgd cannot be mistaken for one on a new pgd at the same address.
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
#[repr(transparent)]
#[serde(transparent)]
pub struct MmId(pub u8);

impl MmId {
    /// "No mm": swapper_pg_dir is loaded, or a register is empty.
    pub const NONE: MmId = MmId(0xff);

    /// Index into per-mm arrays; only for a real mm.
    pub fn index(self) -> usize {
        debug_assert!(self.is_some(), "MmId::NONE has no slot");
        self.0 as usize
    }

    /// True unless this is [`MmId::NONE`].
    pub fn is_some(self) -> bool {
        self != MmId::NONE
    }
}

impl fmt::Display for MmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_some() {
            write!(f, "mm{}", self.0)
        } else {
            write!(f, "init_mm")
        }
    }
}

/// A set of CPUs, as in `cpumask_t`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
#[repr(transparent)]
#[serde(transparent)]
pub struct CpuSet(pub u8);

impl CpuSet {
    /// The empty set.
    pub const EMPTY: CpuSet = CpuSet(0);

    /// Is `cpu` in the set?
    pub fn contains(self, cpu: CpuId) -> bool {
        self.0 >> cpu.0 & 1 == 1
    }

    /// Adds `cpu`.
    pub fn insert(&mut self, cpu: CpuId) {
        self.0 |= 1 << cpu.0;
    }

    /// Removes `cpu`.
    pub fn remove(&mut self, cpu: CpuId) {
        self.0 &= !(1 << cpu.0);
    }

    /// The set without `cpu`.
    pub fn without(mut self, cpu: CpuId) -> CpuSet {
        self.remove(cpu);
        self
    }

    /// True when nobody is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Members in ascending order.
    pub fn iter(self) -> impl Iterator<Item = CpuId> {
        (0..8).filter(move |i| self.0 >> i & 1 == 1).map(CpuId)
    }
}

/// A spinlock of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LockId {
    /// `pgd_lock`, which guards `pgd_list`.
    PgdLock,
    /// `mm->page_table_lock`.
    PageTableLock(MmId),
    /// The lock of the page-table page that holds the pte, when `split_ptlocks` is on.
    SplitPtl(MmId),
}

impl LockId {
    /// Position in per-lock arrays.
    pub fn index(self) -> usize {
        match self {
            LockId::PgdLock => 0,
            LockId::PageTableLock(mm) => 1 + mm.index(),
            LockId::SplitPtl(mm) => 1 + MAX_MMS + mm.index(),
        }
    }

    /// The inverse of [`LockId::index`].
    pub fn from_index(index: usize) -> LockId {
        assert!(index < MAX_LOCKS, "lock index {index} out of range");
        match index {
            0 => LockId::PgdLock,
            i if i <= MAX_MMS => LockId::PageTableLock(MmId((i - 1) as u8)),
            i => LockId::SplitPtl(MmId((i - 1 - MAX_MMS) as u8)),
        }
    }

    /// Every page-table lock, split or not: the inner locks of the protocol.
    pub fn is_page_table_lock(self) -> bool {
        self != LockId::PgdLock
    }
}

impl fmt::Display for LockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockId::PgdLock => write!(f, "pgd_lock"),
            LockId::PageTableLock(mm) => write!(f, "{mm}.page_table_lock"),
            LockId::SplitPtl(mm) => write!(f, "{mm}.ptl(pte)"),
        }
    }
}

/// A set of locks, one bit per [`LockId::index`].
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
#[repr(transparent)]
#[serde(transparent)]
pub struct LockSet(pub u16);

impl LockSet {
    /// Is `lock` in the set?
    pub fn contains(self, lock: LockId) -> bool {
        self.0 >> lock.index() & 1 == 1
    }

    /// Adds `lock`.
    pub fn insert(&mut self, lock: LockId) {
        self.0 |= 1 << lock.index();
    }

    /// Removes `lock`.
    pub fn remove(&mut self, lock: LockId) {
        self.0 &= !(1 << lock.index());
    }

    /// True when no lock is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The locks of both sets.
    pub fn union(self, other: LockSet) -> LockSet {
        LockSet(self.0 | other.0)
    }

    /// Members, `pgd_lock` first.
    pub fn iter(self) -> impl Iterator<Item = LockId> {
        (0..MAX_LOCKS)
            .filter(move |i| self.0 >> i & 1 == 1)
            .map(LockId::from_index)
    }

    /// Is any page-table lock, split or not, in the set?
    pub fn any_page_table_lock(self) -> bool {
        self.0 >> 1 != 0
    }
}

/// Where on a CPU something runs: the interrupted program, or the interrupt above it.
///
/// Hard interrupt handlers run with interrupts off and do not nest, so two levels suffice.
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
pub enum Level {
    /// Process context.
    Task = 0,
    /// Hard interrupt context.
    Irq = 1,
}

impl Level {
    /// Both levels, the lower one first.
    pub const ALL: [Level; 2] = [Level::Task, Level::Irq];
}

/// One execution context: a CPU and a level on it. Locks are owned and awaited by contexts,
/// not by CPUs: an interrupt that spins for what its own interrupted code holds is a deadlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Context {
    /// The CPU it runs on.
    pub cpu: CpuId,
    /// Process or interrupt context.
    pub level: Level,
}

impl Context {
    /// Three-bit code, unique per context.
    pub fn code(self) -> u8 {
        self.cpu.0 * 2 + self.level as u8
    }

    /// The inverse of [`Context::code`].
    pub fn from_code(code: u8) -> Context {
        Context {
            cpu: CpuId(code / 2),
            level: if code % 2 == 1 {
                Level::Irq
            } else {
                Level::Task
            },
        }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Task => write!(f, "{}", self.cpu),
            Level::Irq => write!(f, "{} (in interrupt)", self.cpu),
        }
    }
}
