//! `vmalloc_fault` (arch/x86/mm/fault.c, v2.6.38, 64-bit).
//!
//! Locks: none, and none may be taken: it runs in the page-fault handler, possibly inside an
//! interrupt or a critical section. It races with the walk, and both write the same value.
//! 32-bit reads CR3 instead of `active_mm`; here both are the same mm.

use crate::program::{Assembler, Of, Op, Program, ProgramId};
use crate::select::Select;

pub(super) fn program(s: Select<'_>) -> Program {
    let mut p = Assembler::new(ProgramId::VmallocFault, "vmalloc_fault");
    let out = p.label();
    p.step(
        Op::ReadInitEntry {
            absent: Assembler::to(out),
        },
        "if (pgd_none(*pgd_ref)) return -1",
    );
    p.step(
        Op::ReadKernelEntry {
            of: Of::Target,
            present: Assembler::to(out),
        },
        "if (pgd_none(*pgd))",
    );
    s.set_pgd(&mut p, Of::Target);
    p.bind(out);
    p.finish("return")
}
