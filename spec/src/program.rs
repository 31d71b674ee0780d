//! Kernel paths as data: short programs over a small fixed set of abstract steps.
//!
//! A [`Program`] is what one file under `path/` builds for one configuration. Every executed
//! step is one atomic transition of the model; [`Op::Goto`] and [`Op::Branch`] only choose the
//! next step and take no transition of their own. Because programs are data they can be run
//! ([`crate::cpu`]), printed, analysed without running them, and written out in other languages.

mod assembler;
mod op;

pub use assembler::{Assembler, Label};
pub use op::{Entry, Flags, LockRef, Mode, Of, Op, Pc, Reg, Scope};

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
