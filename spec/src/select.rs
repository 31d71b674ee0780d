//! Where a design chooses between steps.
//!
//! A path file writes down what its kernel function does and calls these helpers wherever
//! the answer depends on a design axis, on the environment or on a deliberate deviation. Only
//! the axis that concerns a single path, `walk_takes_ptl`, is read by that path itself.

use crate::config::Config;
use crate::design::{Flush, PgdLock, Ptl};
use crate::environment::FlushBackend;
use crate::program::{Assembler, Flags, Label, LockRef, Mode, Of, Op, Reg, Scope};
use crate::variant::Variant;

/// What a path is to `pgd_list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Reads the list: the walk.
    Walker,
    /// Changes the list: alloc and free.
    Writer,
}

/// Which flush is meant, for the axis that moves only some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The accessed-bit flush of page aging.
    Young,
    /// Every other flush that the kernel does under the page-table lock.
    Other,
}

/// Selects steps for one configuration.
#[derive(Clone, Copy, Debug)]
pub struct Select<'a> {
    /// The configuration.
    pub config: &'a Config,
}

impl Select<'_> {
    /// Is the deviation asked for?
    pub fn deviates(&self, variant: Variant) -> bool {
        self.config.variants.has(variant)
    }

    /// `pgd_lock`, as the design takes it. Returns where the lock itself is taken, behind the
    /// change of the interrupt flag.
    pub fn lock_pgd(&self, p: &mut Assembler, side: Side) -> Label {
        let (mode, source) = match (self.config.design.pgd_lock, side) {
            (PgdLock::Irqsave, _) => {
                p.step(Op::IrqSave(Flags::Outer), "local_irq_save(flags)");
                (Mode::Exclusive, "spin_lock_irqsave(&pgd_lock, flags)")
            }
            (PgdLock::Plain, _) => (Mode::Exclusive, "spin_lock(&pgd_lock)"),
            (PgdLock::Rwlock, Side::Walker) => (Mode::Shared, "read_lock(&pgd_lock)"),
            (PgdLock::Rwlock, Side::Writer) => (Mode::Exclusive, "write_lock(&pgd_lock)"),
        };
        let here = p.here();
        p.step(Op::Lock(LockRef::PgdLock, mode), source);
        here
    }

    /// The matching unlock.
    pub fn unlock_pgd(&self, p: &mut Assembler, side: Side) {
        let unlock = Op::Unlock(LockRef::PgdLock);
        match (self.config.design.pgd_lock, side) {
            (PgdLock::Irqsave, _) => {
                p.step(unlock, "spin_unlock_irqrestore(&pgd_lock, flags)");
                p.step(Op::IrqRestore(Flags::Outer), "local_irq_restore(flags)");
            }
            (PgdLock::Plain, _) => p.step(unlock, "spin_unlock(&pgd_lock)"),
            (PgdLock::Rwlock, Side::Walker) => p.step(unlock, "read_unlock(&pgd_lock)"),
            (PgdLock::Rwlock, Side::Writer) => p.step(unlock, "write_unlock(&pgd_lock)"),
        }
    }

    /// The lock that guards the pte: its page-table page's own, or `page_table_lock`.
    pub fn pte_lock(&self) -> LockRef {
        if self.config.environment.split_ptlocks {
            LockRef::SplitPtl(Of::Target)
        } else {
            LockRef::PageTableLock(Of::Target)
        }
    }

    /// A page-table lock, as the design takes it. `flags` is the inner variable when the path
    /// already keeps the outer one.
    pub fn lock_ptl(&self, p: &mut Assembler, lock: LockRef, flags: Flags) {
        if self.config.design.ptl == Ptl::Irqsave {
            p.step(Op::IrqSave(flags), "local_irq_save(flags)");
        }
        p.step(Op::Lock(lock, Mode::Exclusive), ptl_source(lock, true));
    }

    /// The matching unlock.
    pub fn unlock_ptl(&self, p: &mut Assembler, lock: LockRef, flags: Flags) {
        p.step(Op::Unlock(lock), ptl_source(lock, false));
        if self.config.design.ptl == Ptl::Irqsave {
            p.step(Op::IrqRestore(flags), "local_irq_restore(flags)");
        }
    }

    /// `set_pgd(pgd, *pgd_ref)`. On Xen (`xen_set_pgd`) it looks first whether the page is pinned, and goes through the
    /// hypervisor if so: two accesses, between which somebody may pin.
    pub fn set_pgd(&self, p: &mut Assembler, of: Of) {
        if self.config.environment.xen_pin {
            let caller = p.enter("xen_set_pgd");
            p.step(Op::ReadPinned { of }, "xen_page_pinned(ptr)");
            p.enter(caller);
        }
        p.step(Op::WriteKernelEntry { of }, "set_pgd(pgd, *pgd_ref)");
    }

    /// Does this flush come after the unlock?
    pub fn after_unlock(&self, kind: Kind) -> bool {
        match self.config.design.flush {
            Flush::UnderLock => false,
            Flush::YoungAfterUnlock => kind == Kind::Young,
            Flush::AfterUnlock | Flush::AfterUnlockTracked => true,
        }
    }

    /// Is there a counter of pending flushes?
    pub fn tracked(&self) -> bool {
        self.config.design.flush == Flush::AfterUnlockTracked
    }

    /// Under the lock, right after a change that owes a flush: raise the counter.
    pub fn raise_under_lock(&self, p: &mut Assembler) {
        if self.tracked() && !self.deviates(Variant::RaiseAfterUnlock) {
            p.step(Op::RaisePending, "inc_tlb_flush_pending(mm)");
        }
    }

    /// After the unlock, before the flush: where the counter must not be raised.
    pub fn raise_after_unlock(&self, p: &mut Assembler) {
        if self.tracked() && self.deviates(Variant::RaiseAfterUnlock) {
            p.step(Op::RaisePending, "inc_tlb_flush_pending(mm)");
        }
    }

    /// After the flush: drop the counter.
    pub fn drop_pending(&self, p: &mut Assembler) {
        if self.tracked() {
            p.step(Op::DropPending, "dec_tlb_flush_pending(mm)");
        }
    }

    /// Before a flush of this CPU: in the C code's order a lazy CPU clears its bit first, and loads `swapper_pg_dir` next.
    pub fn leaves_in_two_steps(&self, p: &mut Assembler) {
        if self.deviates(Variant::LeaveMmClearFirst) {
            p.step(
                Op::CpumaskClearIfLazy,
                "cpumask_clear_cpu(cpu, mm_cpumask(active_mm))",
            );
        }
    }

    /// The flush itself: local half, IPIs, wait; or the hypercall.
    pub fn flush(&self, p: &mut Assembler, scope: Scope) {
        let function = match scope {
            Scope::Page => "flush_tlb_page",
            Scope::Mm => "flush_tlb_mm",
        };
        let caller = p.enter(function);
        match self.config.environment.flush_backend {
            FlushBackend::Hypercall => {
                p.enter("xen_flush_tlb_others");
                p.step(Op::FlushHypercall(scope), "MMUEXT_TLB_FLUSH_MULTI");
            }
            FlushBackend::Ipi => {
                let nobody = p.label();
                self.leaves_in_two_steps(p);
                p.step(Op::FlushLocal(scope), "local_flush_tlb()");
                p.enter("native_flush_tlb_others");
                p.step(Op::SendIpi(scope), "send_IPI_mask(mm_cpumask(mm) & ~self)");
                p.branch(Reg::SentIpi, false, nobody);
                p.step(
                    Op::AwaitAcks,
                    "while (!cpumask_empty(flush_cpumask)) cpu_relax()",
                );
                p.bind(nobody);
            }
        }
        p.enter(caller);
    }
}

fn ptl_source(lock: LockRef, take: bool) -> &'static str {
    match (lock, take) {
        (LockRef::SplitPtl(_), true) => "spin_lock(ptl)",
        (LockRef::SplitPtl(_), false) => "pte_unmap_unlock(pte, ptl)",
        (_, true) => "spin_lock(&mm->page_table_lock)",
        (_, false) => "spin_unlock(&mm->page_table_lock)",
    }
}
