//! `vmalloc_sync_all` (arch/x86/mm/fault.c) and, on 64-bit, `sync_global_pgds`
//! (arch/x86/mm/init_64.c), v2.6.36 to v2.6.38.
//!
//! Locks: `pgd_lock`; inside it, per pgd on the list, that mm's `page_table_lock`
//! (617d34d9e5d8, for Xen only). Interrupts: off throughout with `pgd_lock` irqsave, as up to
//! v2.6.37: **there the inner lock is spun for with interrupts off**.
//!
//! The caller made init_mm's entry present just before (vmap, memory hot-add); that store is
//! the first step here. One kernel entry is modelled, hence one round of the outer loop over
//! addresses; the 32-bit early exit of that loop has no counterpart.

use crate::program::{Assembler, Flags, LockRef, Mode, Of, Op, Program, ProgramId};
use crate::select::{Select, Side};
use crate::variant::Variant;

pub(super) fn program(s: Select<'_>) -> Program {
    let mut p = Assembler::new(ProgramId::VmallocSyncAll, "vmalloc_sync_all");
    let ptl = LockRef::PageTableLock(Of::Cursor);
    let (done, present) = (p.label(), p.label());

    p.step(Op::SetInitEntry, "set_pgd(pgd_offset_k(address), ...)");
    let take_lock = s.lock_pgd(&mut p, Side::Walker);
    let mut after_refusal = None;
    let next = p.here();
    p.step(
        Op::ForEachPgd {
            done: Assembler::to(done),
        },
        "list_for_each_entry(page, &pgd_list, lru)",
    );
    if s.config.design.walk_takes_ptl {
        if s.deviates(Variant::TrylockRetry) {
            let busy = p.label();
            p.step(
                Op::TryLock {
                    lock: ptl,
                    busy: Assembler::to(busy),
                },
                "if (!spin_trylock(pgt_lock))",
            );
            after_refusal = Some(busy);
        } else {
            s.lock_ptl_in_walk(&mut p, ptl);
        }
    }
    p.step(
        Op::ReadKernelEntry {
            of: Of::Cursor,
            present: Assembler::to(present),
        },
        "if (pgd_none(*pgd))",
    );
    s.set_pgd(&mut p, Of::Cursor);
    if s.deviates(Variant::EarlyBreak) {
        // The deviation: a pgd that has the entry already ends the walk.
        s.unlock_ptl_in_walk(&mut p, ptl);
        p.goto(next);
        p.bind(present);
        s.unlock_ptl_in_walk(&mut p, ptl);
    } else {
        p.bind(present);
        s.unlock_ptl_in_walk(&mut p, ptl);
        p.goto(next);
    }
    p.bind(done);
    s.unlock_pgd(&mut p, Side::Walker);
    if let Some(busy) = after_refusal {
        // The deviation: let pgd_lock go and take it again, interrupts as they are.
        let out = p.label();
        p.goto(out);
        p.bind(busy);
        p.step(Op::Unlock(LockRef::PgdLock), "spin_unlock(&pgd_lock)");
        p.goto(take_lock);
        p.bind(out);
    }
    p.finish("return")
}

impl Select<'_> {
    fn lock_ptl_in_walk(&self, p: &mut Assembler, ptl: LockRef) {
        if self.config.design.ptl == crate::design::Ptl::Irqsave {
            p.step(Op::IrqSave(Flags::Inner), "local_irq_save(flags)");
        }
        p.step(Op::Lock(ptl, Mode::Exclusive), "spin_lock(pgt_lock)");
    }

    fn unlock_ptl_in_walk(&self, p: &mut Assembler, ptl: LockRef) {
        if !self.config.design.walk_takes_ptl {
            return;
        }
        p.step(Op::Unlock(ptl), "spin_unlock(pgt_lock)");
        if self.config.design.ptl == crate::design::Ptl::Irqsave
            && !self.deviates(Variant::TrylockRetry)
        {
            p.step(Op::IrqRestore(Flags::Inner), "local_irq_restore(flags)");
        }
    }
}
