//! `split_huge_page` (mm/huge_memory.c, v2.6.38): a huge pmd becomes a table of ptes.
//!
//! Locks: the anon_vma lock throughout (a sleeping lock here: at most one split per mm runs);
//! `page_table_lock` in phases 1 and 3, interrupts on.
//! 1. `__split_huge_page_splitting`: set SPLITTING and flush, if newly set — **not for the TLB
//!    but to wait out fast GUP**, whose walkers have interrupts off.
//! 2. `__split_huge_page_refcount`: the compound page comes apart.
//! 3. `__split_huge_page_map`: pmd not-present, flush, populate (AMD erratum 383 order).
//!
//! Where flushes move after the unlock, SPLITTING stays set meanwhile and the lock is retaken
//! to populate.

use crate::program::{Assembler, Flags, LockRef, Of, Op, Program, ProgramId, Reg, Scope};
use crate::select::{Kind, Select};

pub(super) fn program(s: Select<'_>) -> Program {
    let mut p = Assembler::new(ProgramId::SplitHugePage, "__split_huge_page_splitting");
    let lock = LockRef::PageTableLock(Of::Target);
    let (already, not_huge, split, out) = (p.label(), p.label(), p.label(), p.label());
    let moved = s.after_unlock(Kind::Other);

    s.lock_ptl(&mut p, lock, Flags::Outer);
    p.step(
        Op::SetSplitting {
            not_huge: Assembler::to(not_huge),
            already: Assembler::to(already),
        },
        "pmdp_splitting_flush(vma, address, pmd)",
    );
    if moved {
        s.raise_under_lock(&mut p);
    } else {
        s.flush(&mut p, Scope::Mm);
    }
    p.bind(already);
    s.unlock_ptl(&mut p, lock, Flags::Outer);
    if moved {
        p.branch(Reg::NeedFlush, false, split);
        s.raise_after_unlock(&mut p);
        s.flush(&mut p, Scope::Mm);
        s.drop_pending(&mut p);
    }

    p.bind(split);
    p.enter("__split_huge_page_refcount");
    p.step(
        Op::SplitCompound,
        "atomic_add(page_mapcount(page) + 1, &page_tail->_count)",
    );

    p.enter("__split_huge_page_map");
    s.lock_ptl(&mut p, lock, Flags::Outer);
    p.step(
        Op::PmdNotPresent,
        "set_pmd_at(mm, address, pmd, pmd_mknotpresent(*pmd))",
    );
    if moved {
        s.raise_under_lock(&mut p);
        s.unlock_ptl(&mut p, lock, Flags::Outer);
        s.raise_after_unlock(&mut p);
        s.flush(&mut p, Scope::Mm);
        s.drop_pending(&mut p);
        s.lock_ptl(&mut p, lock, Flags::Outer);
    } else {
        s.flush(&mut p, Scope::Mm);
    }
    p.step(Op::PmdPopulate, "pmd_populate(mm, pmd, pgtable)");
    s.unlock_ptl(&mut p, lock, Flags::Outer);
    p.goto(out);

    p.bind(not_huge);
    p.enter("__split_huge_page_splitting");
    s.unlock_ptl(&mut p, lock, Flags::Outer);
    p.bind(out);
    p.enter("split_huge_page");
    p.finish("return")
}
