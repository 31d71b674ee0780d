//! One name per thing, whatever the language it is written in.

use crate::program::{Entry, LockRef, Of, ProgramId, Reg};
use crate::program::{Names, Pc};

/// The name of a local variable; `None` for one that is written as an expression or is not
/// needed: which mm `switch_mm` comes from says both [`Reg::SameMm`] and [`Reg::NoPrev`], and
/// [`Reg::PgdLockInside`] is judged where the lock is asked for.
pub fn register(reg: Reg) -> Option<&'static str> {
    Some(match reg {
        Reg::Changed => "changed",
        Reg::NeedFlush => "need_flush",
        Reg::SentIpi => "sent_ipi",
        Reg::SeenPinned => "seen_pinned",
        Reg::Flushed => "flushed",
        Reg::FlagsOuter => "flags",
        Reg::FlagsInner => "flags_inner",
        Reg::ChangedHuge => "changed_huge",
        Reg::SameMm | Reg::NoPrev | Reg::PgdLockInside => return None,
    })
}

/// The name of a user entry.
pub fn entry(entry: Entry) -> &'static str {
    match entry {
        Entry::Pte => "pte",
        Entry::Huge => "pmd",
    }
}

/// The name of the frame behind a user entry.
pub fn frame(entry: Entry) -> &'static str {
    match entry {
        Entry::Pte => "page",
        Entry::Huge => "huge_page",
    }
}

/// The name of a lock's class, and whose it is if it is an mm's.
pub fn lock(lock: LockRef) -> (&'static str, Option<Of>) {
    match lock {
        LockRef::PgdLock => ("pgd_lock", None),
        LockRef::PageTableLock(of) => ("page_table_lock", Some(of)),
        LockRef::SplitPtl(of) => ("pte_lock", Some(of)),
    }
}

/// The label of a step that a jump leads to.
pub fn label(program: ProgramId, pc: Pc) -> String {
    format!("{}_{pc}", program.name())
}

/// Does the program keep the mm that it comes from, as `switch_mm` does?
pub fn keeps_prev(program: ProgramId) -> bool {
    program == ProgramId::SwitchMm
}

/// Does it name an mm?
pub fn names_mm(program: ProgramId) -> bool {
    program.info().names != Names::Nothing || program == ProgramId::FlushTlbInterrupt
}
