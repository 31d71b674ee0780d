//! `enter_lazy_tlb` (asm/mmu_context.h) and `leave_mm` (arch/x86/mm/tlb.c), v2.6.38.
//!
//! Locks: none. A lazy CPU keeps CR3 and its cpumask bit, so it still receives the flush IPI
//! and must acknowledge. `leave_mm` is one step here; the C code clears the bit first and loads
//! `swapper_pg_dir` second, and a flush in between misses the CPU: the deviation
//! `leave-mm-clear-first`, which holds for the `leave_mm` that a flush becomes on a lazy CPU, too. `active_mm`, and with it the reference on the mm, stays until the
//! next `switch_mm`.

use crate::program::{Assembler, Op, Program, ProgramId};
use crate::select::Select;
use crate::variant::Variant;

pub(super) fn enter_lazy_tlb(_: Select<'_>) -> Program {
    let mut p = Assembler::new(ProgramId::EnterLazyTlb, "enter_lazy_tlb");
    p.step(
        Op::EnterLazy,
        "percpu_write(cpu_tlbstate.state, TLBSTATE_LAZY)",
    );
    p.finish("return")
}

pub(super) fn leave_mm(s: Select<'_>) -> Program {
    let mut p = Assembler::new(ProgramId::LeaveMm, "leave_mm");
    if s.deviates(Variant::LeaveMmClearFirst) {
        p.step(
            Op::CpumaskClearOwn,
            "cpumask_clear_cpu(cpu, mm_cpumask(active_mm))",
        );
        p.step(Op::LoadSwapper, "load_cr3(swapper_pg_dir)");
    } else {
        p.step(Op::LeaveMm, "cpumask_clear_cpu(); load_cr3(swapper_pg_dir)");
    }
    p.finish("return")
}
