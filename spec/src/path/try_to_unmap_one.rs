//! `try_to_unmap_one` (mm/rmap.c, v2.6.38), with `ptep_clear_flush` (mm/pgtable-generic.c):
//! reclaim unmaps a page.
//!
//! Locks: the pte's lock (split, or `page_table_lock`), interrupts on. A pte that was cleared
//! is flushed always, not only if young. The caller's reference keeps the frame until the
//! flush is done, in every design.

use crate::program::{Assembler, Entry, Flags, Op, Program, ProgramId, Reg, Scope};
use crate::select::{Kind, Select};
use crate::variant::Variant;

pub(super) fn program(s: Select<'_>) -> Program {
    let mut p = Assembler::new(ProgramId::TryToUnmapOne, "try_to_unmap_one");
    let lock = s.pte_lock();
    let (unlock, out) = (p.label(), p.label());
    let early_put = s.deviates(Variant::FreeBeforeFlush);
    let put = |p: &mut Assembler| p.step(Op::PutPage(Entry::Pte), "page_cache_release(page)");

    s.lock_ptl(&mut p, lock, Flags::Outer);
    p.step(
        Op::GetAndClear {
            entry: Entry::Pte,
            absent: Assembler::to(unlock),
        },
        "ptep_get_and_clear(mm, address, pte)",
    );
    if early_put {
        put(&mut p);
    }
    if s.after_unlock(Kind::Other) {
        s.raise_under_lock(&mut p);
        p.bind(unlock);
        s.unlock_ptl(&mut p, lock, Flags::Outer);
        p.branch(Reg::Changed, false, out);
        s.raise_after_unlock(&mut p);
        s.flush(&mut p, Scope::Page);
        s.drop_pending(&mut p);
    } else {
        s.flush(&mut p, Scope::Page);
        p.bind(unlock);
        s.unlock_ptl(&mut p, lock, Flags::Outer);
        p.branch(Reg::Changed, false, out);
    }
    if !early_put {
        put(&mut p);
    }
    p.bind(out);
    p.finish("return ret")
}
