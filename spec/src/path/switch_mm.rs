//! `switch_mm` (arch/x86/include/asm/mmu_context.h) in the order of 831d52bc153.
//!
//! Locks: none of ours (the run-queue lock is not modelled). Interrupts: off.
//! `next != prev`: set the bit in `mm_cpumask(next)`, load CR3, **then** clear the bit in
//! `mm_cpumask(prev)`. Up to v2.6.37 the bit in `prev` was cleared first, while CR3 still
//! pointed at it: the deviation `cpumask-clear-first`.
//! `next == prev`: the CPU stops being lazy; if `leave_mm` ran meanwhile it reloads CR3.

use crate::program::{Assembler, Flags, Op, Program, ProgramId, Reg};
use crate::select::Select;
use crate::variant::Variant;

pub(super) fn program(s: Select<'_>) -> Program {
    let mut p = Assembler::new(ProgramId::SwitchMm, "switch_mm");
    let (same, done) = (p.label(), p.label());
    let clear_first = s.deviates(Variant::CpumaskClearFirst);
    let clear_prev = |p: &mut Assembler| {
        let no_prev = p.label();
        p.branch(Reg::NoPrev, true, no_prev);
        p.step(
            Op::CpumaskClearPrev,
            "cpumask_clear_cpu(cpu, mm_cpumask(prev))",
        );
        p.bind(no_prev);
    };

    p.step(Op::IrqSave(Flags::Outer), "local_irq_disable()");
    p.branch(Reg::SameMm, true, same);
    if clear_first {
        clear_prev(&mut p);
    }
    p.step(Op::CpumaskSet, "cpumask_set_cpu(cpu, mm_cpumask(next))");
    p.step(Op::LoadCr3, "load_cr3(next->pgd)");
    if !clear_first {
        clear_prev(&mut p);
    }
    p.goto(done);

    p.bind(same);
    p.step(
        Op::StopBeingLazy {
            loaded: Assembler::to(done),
        },
        "percpu_write(cpu_tlbstate.state, TLBSTATE_OK)",
    );
    p.step(
        Op::CpumaskSet,
        "cpumask_test_and_set_cpu(cpu, mm_cpumask(next))",
    );
    p.step(Op::LoadCr3, "load_cr3(next->pgd)");
    p.bind(done);
    p.step(Op::IrqRestore(Flags::Outer), "local_irq_enable()");
    p.finish("return")
}
