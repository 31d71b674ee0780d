//! `xen_pgd_pin`, `xen_pgd_unpin` (arch/x86/xen/mmu.c, v2.6.38), from `xen_activate_mm` and
//! `xen_exit_mmap`.
//!
//! Locks: the mm's `page_table_lock`. The hypervisor changes the type of the page-table pages;
//! a plain store into a pinned page faults. Only an mm that no CPU has loaded is pinned or
//! unpinned, and nobody switches to it meanwhile. The batches of split locks inside (with
//! interrupts off) are not modelled.

use crate::program::{Assembler, Flags, LockRef, Of, Op, Program, ProgramId};
use crate::select::Select;

pub(super) fn program(s: Select<'_>, pin: bool) -> Program {
    let (id, function, source) = if pin {
        (ProgramId::XenPgdPin, "xen_pgd_pin", "MMUEXT_PIN_L4_TABLE")
    } else {
        (
            ProgramId::XenPgdUnpin,
            "xen_pgd_unpin",
            "MMUEXT_UNPIN_TABLE",
        )
    };
    let lock = LockRef::PageTableLock(Of::Target);
    let mut p = Assembler::new(id, function);
    s.lock_ptl(&mut p, lock, Flags::Outer);
    p.step(Op::SetPinned(pin), source);
    s.unlock_ptl(&mut p, lock, Flags::Outer);
    p.finish("return")
}
