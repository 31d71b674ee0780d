//! `pgd_alloc`, `pgd_ctor` (arch/x86/mm/pgtable.c, v2.6.38): fork's new page directory.
//!
//! Locks: `pgd_lock`, as the design takes it. The clone of the kernel half and the listing are
//! atomic under it, so that no walk can fall between them.
//! PAE's pre-population of pmds is not modelled.

use crate::program::{Assembler, Op, Program, ProgramId};
use crate::select::{Select, Side};
use crate::variant::Variant;

pub(super) fn program(s: Select<'_>) -> Program {
    let mut p = Assembler::new(ProgramId::PgdAlloc, "pgd_alloc");
    if s.deviates(Variant::CloneBeforeLock) {
        clone_kernel_half(&mut p);
        s.lock_pgd(&mut p, Side::Writer);
    } else {
        s.lock_pgd(&mut p, Side::Writer);
        clone_kernel_half(&mut p);
    }
    p.enter("pgd_list_add");
    p.step(Op::ListAdd, "list_add(&page->lru, &pgd_list)");
    p.enter("pgd_alloc");
    s.unlock_pgd(&mut p, Side::Writer);
    p.finish("return pgd")
}

fn clone_kernel_half(p: &mut Assembler) {
    p.enter("pgd_ctor");
    let absent = p.label();
    // An absent entry is cloned as well: the branch only says what was read.
    p.step(
        Op::ReadInitEntry {
            absent: Assembler::to(absent),
        },
        "swapper_pg_dir + KERNEL_PGD_BOUNDARY",
    );
    p.bind(absent);
    p.step(
        Op::ClonePgd,
        "clone_pgd_range(pgd + KERNEL_PGD_BOUNDARY, ...)",
    );
    p.enter("pgd_alloc");
}
