//! `zap_page_range`, `zap_pte_range` and mmu_gather (mm/memory.c, v2.6.38): munmap, and with
//! mmap_sem held only for reading `madvise(MADV_DONTNEED)`.
//!
//! Locks: the pte's lock (split, or `page_table_lock`), interrupts on. In every design the
//! flush (`tlb_finish_mmu`) comes after the unlock and covers the whole mm; frames are freed
//! after it. If nothing was present the kernel does not flush at all: right, as long as
//! "not present" implies "not cached", which is what a deferred flush elsewhere breaks.
//! With a pending counter the flush is also done when somebody else's is pending.

use crate::program::{Assembler, Entry, Flags, LockRef, Of, Op, Program, ProgramId, Reg, Scope};
use crate::select::Select;
use crate::variant::Variant;

pub(super) fn program(s: Select<'_>, id: ProgramId) -> Program {
    let mut p = Assembler::new(id, "zap_page_range");
    let lock = s.pte_lock();
    let (absent, no_flush, put_huge, out) = (p.label(), p.label(), p.label(), p.label());
    let covers_huge = s.deviates(Variant::ZapCoversHuge) && s.config.environment.thp;

    if covers_huge {
        zap_huge_pmd(s, &mut p);
    }
    p.enter("zap_pte_range");
    let early_read = s.deviates(Variant::ReadBeforeLock);
    let read = |p: &mut Assembler| {
        if s.tracked() {
            p.step(Op::ReadPending, "mm_tlb_flush_pending(mm)");
        }
    };
    if early_read {
        read(&mut p);
    }
    s.lock_ptl(&mut p, lock, Flags::Outer);
    if !early_read {
        read(&mut p);
    }
    p.step(
        Op::GetAndClear {
            entry: Entry::Pte,
            absent: Assembler::to(absent),
        },
        "ptep_get_and_clear_full(mm, addr, pte)",
    );
    s.raise_under_lock(&mut p);
    p.bind(absent);
    s.unlock_ptl(&mut p, lock, Flags::Outer);
    p.enter("tlb_finish_mmu");
    p.branch(Reg::NeedFlush, false, out);
    if s.tracked() && s.deviates(Variant::RaiseAfterUnlock) {
        raise_for(s, &mut p, Reg::Changed);
        if covers_huge {
            raise_for(s, &mut p, Reg::ChangedHuge);
        }
    }
    if !s.deviates(Variant::ZapSkipsFlush) {
        s.flush(&mut p, Scope::Mm);
    }
    p.branch(Reg::Changed, false, no_flush);
    s.drop_pending(&mut p);
    p.step(Op::PutPage(Entry::Pte), "free_pages_and_swap_cache()");
    p.bind(no_flush);
    if covers_huge {
        p.branch(Reg::ChangedHuge, false, put_huge);
        s.drop_pending(&mut p);
        p.step(Op::PutPage(Entry::Huge), "free_pages_and_swap_cache()");
    }
    p.bind(put_huge);
    p.bind(out);
    p.enter("zap_page_range");
    p.finish("return to user mode")
}

/// Raises the counter, too late, if this zap changed the entry that `changed` speaks of.
fn raise_for(s: Select<'_>, p: &mut Assembler, changed: Reg) {
    let unchanged = p.label();
    p.branch(changed, false, unchanged);
    s.raise_after_unlock(p);
    p.bind(unchanged);
}

/// `zap_huge_pmd`: under `page_table_lock`; a splitting pmd is waited for without the lock.
fn zap_huge_pmd(s: Select<'_>, p: &mut Assembler) {
    p.enter("zap_huge_pmd");
    let lock = LockRef::PageTableLock(Of::Target);
    let (retry, splitting, unlock, done) = (p.label(), p.label(), p.label(), p.label());
    p.bind(retry);
    s.lock_ptl(p, lock, Flags::Outer);
    p.step(
        Op::TestSplitting {
            splitting: Assembler::to(splitting),
        },
        "pmd_trans_splitting(*pmd)",
    );
    p.step(
        Op::GetAndClear {
            entry: Entry::Huge,
            absent: Assembler::to(unlock),
        },
        "pmdp_get_and_clear(mm, addr, pmd)",
    );
    s.raise_under_lock(p);
    p.bind(unlock);
    s.unlock_ptl(p, lock, Flags::Outer);
    p.goto(done);
    p.bind(splitting);
    s.unlock_ptl(p, lock, Flags::Outer);
    p.step(
        Op::AwaitNotSplitting,
        "wait_split_huge_page(vma->anon_vma, pmd)",
    );
    p.goto(retry);
    p.bind(done);
}
