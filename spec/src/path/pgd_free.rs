//! `pgd_free`, `pgd_dtor` (arch/x86/mm/pgtable.c, v2.6.38), reached from the last `mmdrop`.
//!
//! Locks: `pgd_lock`, as the design takes it. Context: process; or an interrupt, when the
//! environment says that one may drop the last reference (KVM async page faults did in the
//! released v2.6.38).
//!
//! `list_del` under `pgd_lock` precedes `free_mm`: that is what makes the walk's mm pointer safe.

use crate::program::{Assembler, Flags, LockRef, Of, Op, Program, ProgramId};
use crate::select::{Select, Side};
use crate::variant::Variant;

pub(super) fn program(s: Select<'_>) -> Program {
    let mut p = Assembler::new(ProgramId::PgdFree, "pgd_dtor");
    let locked = !s.deviates(Variant::FreeWithoutPgdLock);
    let inverted = s.deviates(Variant::InvertedLockOrder);
    let ptl = LockRef::PageTableLock(Of::Target);

    if inverted {
        s.lock_ptl(&mut p, ptl, Flags::Inner);
    }
    if s.deviates(Variant::ListDelAfterFree) {
        free_mm(&mut p);
    }
    if locked {
        s.lock_pgd(&mut p, Side::Writer);
    }
    p.enter("pgd_list_del");
    p.step(Op::ListDel, "list_del(&page->lru)");
    p.enter("pgd_dtor");
    if locked {
        s.unlock_pgd(&mut p, Side::Writer);
    }
    if inverted {
        s.unlock_ptl(&mut p, ptl, Flags::Inner);
    }
    if !s.deviates(Variant::ListDelAfterFree) {
        free_mm(&mut p);
    }
    p.finish("return")
}

fn free_mm(p: &mut Assembler) {
    p.enter("__mmdrop");
    p.step(Op::FreeMm, "free_page(pgd); free_mm(mm)");
    p.enter("pgd_dtor");
}
