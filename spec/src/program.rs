//! Kernel paths as data: short programs over a small fixed set of abstract steps.
//!
//! A [`Program`] is what one file under `path/` builds for one configuration. Every executed
//! step is one atomic transition of the model; [`Op::Goto`] and [`Op::Branch`] only choose the
//! next step and take no transition of their own. Because programs are data they can be run
//! ([`crate::cpu`]), printed, analysed without running them, and written out in other languages.

use crate::id::{LockId, MmId};
use serde::{Deserialize, Serialize};
use std::fmt;
use zerocopy::{Immutable, IntoBytes};

/// Which program a context runs. The two branches of a kernel function that differ in the
/// entry they touch are two programs.
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
pub enum ProgramId {
    /// No program: user mode, or idle.
    None,
    /// Walk of `pgd_list` (`sync_global_pgds` on 64-bit).
    VmallocSyncAll,
    /// Lockless copy of the kernel entry from the fault handler.
    VmallocFault,
    /// fork: clone the kernel half and list the pgd.
    PgdAlloc,
    /// Last `mmdrop`: unlist the pgd and free the mm. Also runs in an interrupt.
    PgdFree,
    /// Page aging of a pte.
    PageReferencedOnePte,
    /// Page aging of a huge pmd.
    PageReferencedOneHuge,
    /// Reclaim unmaps a pte.
    TryToUnmapOne,
    /// munmap.
    ZapPageRange,
    /// `madvise(MADV_DONTNEED)`: the code of `zap_page_range`, several at once.
    MadviseDontneed,
    /// Split of a huge pmd into ptes.
    SplitHugePage,
    /// Lockless walk to a pte.
    GupFastPte,
    /// Lockless walk to a huge pmd.
    GupFastHuge,
    /// Context switch to another mm.
    SwitchMm,
    /// Context switch to a kernel thread, which borrows the mm.
    EnterLazyTlb,
    /// A lazy CPU loads `swapper_pg_dir`.
    LeaveMm,
    /// Xen: turn the pgd page read-only.
    XenPgdPin,
    /// Xen: turn the pgd page writable.
    XenPgdUnpin,
    /// User mode stores through the pte's translation.
    UserAccessPte,
    /// User mode stores through the huge pmd's translation.
    UserAccessHuge,
    /// Handler of the TLB-flush IPI (`smp_invalidate_interrupt`).
    FlushTlbInterrupt,
}

/// Which mm a program names when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// None: the program finds its mms on `pgd_list`.
    Nothing,
    /// Any live mm (rmap reaches every mm from any CPU).
    AnyMm,
    /// The mm whose user code this CPU runs (not lazy).
    CurrentMm,
    /// This CPU's `active_mm`, lazy or not.
    ActiveMm,
    /// `active_mm` of a lazy CPU that still has it loaded.
    LazyMm,
    /// A slot in which no mm was ever born.
    NewMm,
    /// A live mm without any reference.
    UnreferencedMm,
    /// A live mm that is nobody's `active_mm` (Xen pins before the first load, unpins after the last).
    UnloadedMm,
}

/// What is fixed about a program, whatever the configuration.
#[derive(Clone, Copy, Debug)]
pub struct ProgramInfo {
    /// The program.
    pub id: ProgramId,
    /// Name in workloads, traces and schedule strings.
    pub name: &'static str,
    /// The mm it names.
    pub names: Names,
    /// Does it touch the huge pmd, so that it needs `thp`?
    pub huge: bool,
    /// One line for `shootdown list`.
    pub about: &'static str,
}

const fn info(
    id: ProgramId,
    name: &'static str,
    names: Names,
    huge: bool,
    about: &'static str,
) -> ProgramInfo {
    ProgramInfo {
        id,
        name,
        names,
        huge,
        about,
    }
}

/// Every program, in [`ProgramId`] order without `None`.
pub const PROGRAMS: &[ProgramInfo] = &[
    info(
        ProgramId::VmallocSyncAll,
        "vmalloc_sync_all",
        Names::Nothing,
        false,
        "copies the kernel entry into every pgd on pgd_list (64-bit: sync_global_pgds)",
    ),
    info(
        ProgramId::VmallocFault,
        "vmalloc_fault",
        Names::ActiveMm,
        false,
        "copies the kernel entry into the running pgd, without locks",
    ),
    info(
        ProgramId::PgdAlloc,
        "pgd_alloc",
        Names::NewMm,
        false,
        "fork: clones the kernel half and lists the pgd under pgd_lock",
    ),
    info(
        ProgramId::PgdFree,
        "pgd_free",
        Names::UnreferencedMm,
        false,
        "last mmdrop: unlists the pgd under pgd_lock, then frees the mm",
    ),
    info(
        ProgramId::PageReferencedOnePte,
        "page_referenced_one_pte",
        Names::AnyMm,
        false,
        "page aging of a pte: test-and-clear ACCESSED, flush if it was set",
    ),
    info(
        ProgramId::PageReferencedOneHuge,
        "page_referenced_one_huge",
        Names::AnyMm,
        true,
        "page aging of a huge pmd under page_table_lock",
    ),
    info(
        ProgramId::TryToUnmapOne,
        "try_to_unmap_one",
        Names::AnyMm,
        false,
        "reclaim: get-and-clear the pte, flush, free the frame",
    ),
    info(
        ProgramId::ZapPageRange,
        "zap_page_range",
        Names::CurrentMm,
        false,
        "munmap: clear under the lock, flush after it, free, return to user",
    ),
    info(
        ProgramId::MadviseDontneed,
        "madvise_dontneed",
        Names::CurrentMm,
        false,
        "as zap_page_range, but several may run at once",
    ),
    info(
        ProgramId::SplitHugePage,
        "split_huge_page",
        Names::AnyMm,
        true,
        "SPLITTING, flush, split the compound page, flush, map the ptes",
    ),
    info(
        ProgramId::GupFastPte,
        "gup_fast_pte",
        Names::CurrentMm,
        false,
        "lockless walk to a pte with interrupts off, takes a reference on the frame",
    ),
    info(
        ProgramId::GupFastHuge,
        "gup_fast_huge",
        Names::CurrentMm,
        true,
        "lockless walk to a huge pmd with interrupts off",
    ),
    info(
        ProgramId::SwitchMm,
        "switch_mm",
        Names::AnyMm,
        false,
        "loads another mm: set its cpumask bit, load CR3, clear the old bit",
    ),
    info(
        ProgramId::EnterLazyTlb,
        "enter_lazy_tlb",
        Names::CurrentMm,
        false,
        "a kernel thread borrows the mm: CR3 and cpumask bit stay",
    ),
    info(
        ProgramId::LeaveMm,
        "leave_mm",
        Names::LazyMm,
        false,
        "a lazy CPU loads swapper_pg_dir and leaves mm_cpumask",
    ),
    info(
        ProgramId::XenPgdPin,
        "xen_pgd_pin",
        Names::UnloadedMm,
        false,
        "Xen: page tables become read-only, under page_table_lock",
    ),
    info(
        ProgramId::XenPgdUnpin,
        "xen_pgd_unpin",
        Names::UnloadedMm,
        false,
        "Xen: page tables become writable again",
    ),
    info(
        ProgramId::UserAccessPte,
        "user_access_pte",
        Names::CurrentMm,
        false,
        "user mode stores through the pte's translation",
    ),
    info(
        ProgramId::UserAccessHuge,
        "user_access_huge",
        Names::CurrentMm,
        true,
        "user mode stores through the huge pmd's translation",
    ),
    info(
        ProgramId::FlushTlbInterrupt,
        "flush_tlb_interrupt",
        Names::Nothing,
        false,
        "handler of the flush IPI: flush if the mm is loaded, then acknowledge",
    ),
];

/// Number of values of [`ProgramId`].
pub const PROGRAM_COUNT: usize = PROGRAMS.len() + 1;

impl ProgramId {
    /// What is fixed about the program.
    ///
    /// # Panics
    /// For [`ProgramId::None`], which is not a program.
    pub fn info(self) -> &'static ProgramInfo {
        &PROGRAMS[self as usize - 1]
    }

    /// Its name, or `-` for no program.
    pub fn name(self) -> &'static str {
        if self == ProgramId::None {
            "-"
        } else {
            self.info().name
        }
    }

    /// The program of that name.
    pub fn named(name: &str) -> Option<ProgramId> {
        PROGRAMS.iter().find(|p| p.name == name).map(|p| p.id)
    }
}

impl fmt::Display for ProgramId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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
    /// Read a pgd's kernel entry, and on Xen whether its page is pinned; `present` if there is one.
    ReadKernelEntry { of: Of, present: Pc },
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

/// A step with its place in the kernel source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it does.
    pub op: Op,
    /// The C statement it stands for, as a trace shows it.
    pub source: &'static str,
    /// The kernel function that contains the statement.
    pub function: &'static str,
}

/// A kernel path for one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Which path.
    pub id: ProgramId,
    /// Its steps; the last one is [`Op::Return`].
    pub lines: Vec<Line>,
}

impl Program {
    /// The line at `pc`.
    pub fn line(&self, pc: Pc) -> &Line {
        &self.lines[pc as usize]
    }
}

/// A jump target that may lie ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// Builds a [`Program`] line by line; labels are resolved at the end.
#[derive(Debug)]
pub struct Assembler {
    id: ProgramId,
    function: &'static str,
    lines: Vec<Line>,
    /// Line number of each label, once bound.
    labels: Vec<Option<usize>>,
}

impl Assembler {
    /// Starts the program `id`, whose first lines are in kernel function `function`.
    pub fn new(id: ProgramId, function: &'static str) -> Assembler {
        Assembler {
            id,
            function,
            lines: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// The following lines are in kernel function `function`; returns the one before.
    pub fn enter(&mut self, function: &'static str) -> &'static str {
        std::mem::replace(&mut self.function, function)
    }

    /// A label to be bound later.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Binds `label` to the next line.
    pub fn bind(&mut self, label: Label) {
        let slot = &mut self.labels[label.0];
        assert!(slot.is_none(), "label bound twice in {}", self.id);
        *slot = Some(self.lines.len());
    }

    /// A label bound to the next line.
    pub fn here(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    /// Appends a step with the C statement it stands for.
    pub fn step(&mut self, op: Op, source: &'static str) {
        self.lines.push(Line {
            op,
            source,
            function: self.function,
        });
    }

    /// The placeholder that jump fields hold until [`Assembler::finish`] resolves them.
    pub fn to(label: Label) -> Pc {
        label.0 as Pc
    }

    /// Appends a branch taken when `reg` is `value`.
    pub fn branch(&mut self, reg: Reg, value: bool, to: Label) {
        self.step(
            Op::Branch {
                reg,
                value,
                to: Self::to(to),
            },
            "",
        );
    }

    /// Appends a jump.
    pub fn goto(&mut self, to: Label) {
        self.step(Op::Goto { to: Self::to(to) }, "");
    }

    /// Ends the program: appends [`Op::Return`] and resolves every label.
    ///
    /// # Panics
    /// If a label was never bound, which is a mistake in a file under `path/`.
    pub fn finish(mut self, source: &'static str) -> Program {
        self.step(Op::Return, source);
        let (labels, id) = (self.labels, self.id);
        let resolve = |pc: &mut Pc| {
            let line =
                labels[*pc as usize].unwrap_or_else(|| panic!("label without a line in {id}"));
            *pc = line as Pc;
        };
        for line in &mut self.lines {
            match &mut line.op {
                Op::TryLock { busy: to, .. }
                | Op::ReadInitEntry { absent: to }
                | Op::ForEachPgd { done: to }
                | Op::ReadKernelEntry { present: to, .. }
                | Op::TestAndClearYoung { not_young: to, .. }
                | Op::GetAndClear { absent: to, .. }
                | Op::GupRead { slow: to, .. }
                | Op::TestSplitting { splitting: to }
                | Op::StopBeingLazy { loaded: to }
                | Op::Branch { to, .. }
                | Op::Goto { to } => resolve(to),
                Op::SetSplitting { not_huge, already } => {
                    resolve(not_huge);
                    resolve(already);
                }
                _ => {}
            }
        }
        Program {
            id,
            lines: self.lines,
        }
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
