//! `page_referenced_one` (mm/rmap.c, v2.6.38), with `ptep_clear_flush_young` and
//! `pmdp_clear_flush_young` (arch/x86/mm/pgtable.c): page aging.
//!
//! Locks: the pte branch takes the pte's lock (split, or `page_table_lock`); the huge branch
//! always takes `page_table_lock`, and leaves a splitting pmd alone. Interrupts stay on.
//! **The flush, and so the wait for acknowledgements, is under that lock** in the kernel; only
//! an entry that was young is flushed. A pmd flush covers the whole mm.

use crate::program::{Assembler, Entry, Flags, LockRef, Of, Op, Program, ProgramId, Reg, Scope};
use crate::select::{Kind, Select};
use crate::variant::Variant;

pub(super) fn program(s: Select<'_>, entry: Entry) -> Program {
    let (id, lock, scope, source) = match entry {
        Entry::Pte => (
            ProgramId::PageReferencedOnePte,
            s.pte_lock(),
            Scope::Page,
            "ptep_test_and_clear_young(pte)",
        ),
        Entry::Huge => (
            ProgramId::PageReferencedOneHuge,
            LockRef::PageTableLock(Of::Target),
            Scope::Mm,
            "pmdp_test_and_clear_young(pmd)",
        ),
    };
    let mut p = Assembler::new(id, "page_referenced_one");
    let (unlock, out) = (p.label(), p.label());

    s.lock_ptl(&mut p, lock, Flags::Outer);
    p.step(
        Op::TestAndClearYoung {
            entry,
            not_young: Assembler::to(unlock),
        },
        source,
    );
    if s.after_unlock(Kind::Young) {
        s.raise_under_lock(&mut p);
        p.bind(unlock);
        s.unlock_ptl(&mut p, lock, Flags::Outer);
        p.branch(Reg::NeedFlush, false, out);
        s.raise_after_unlock(&mut p);
        let irqs_off = s.deviates(Variant::FlushWithIrqsOff);
        if irqs_off {
            p.step(Op::IrqSave(Flags::Inner), "local_irq_save(flags)");
        }
        s.flush(&mut p, scope);
        if irqs_off {
            p.step(Op::IrqRestore(Flags::Inner), "local_irq_restore(flags)");
        }
        s.drop_pending(&mut p);
    } else {
        s.flush(&mut p, scope);
        p.bind(unlock);
        s.unlock_ptl(&mut p, lock, Flags::Outer);
    }
    p.bind(out);
    p.finish("return referenced")
}
