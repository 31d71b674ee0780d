//! `smp_invalidate_interrupt` (arch/x86/mm/tlb.c, v2.6.38): the handler of the flush IPI.
//!
//! Locks: none. Interrupts: off, as in every handler here. If the requested mm is this CPU's
//! `active_mm`: flush, or `leave_mm` when lazy. **Then** clear the own bit in the sender's
//! mask, also when the mm did not match.
//! The eight vectors with their `tlbstate_lock` are one vector without a lock here, one
//! interrupt per sender.

use crate::program::{Assembler, Op, Program, ProgramId};
use crate::select::Select;
use crate::variant::Variant;

pub(super) fn program(s: Select<'_>) -> Program {
    let mut p = Assembler::new(ProgramId::FlushTlbInterrupt, "smp_invalidate_interrupt");
    let flush = |p: &mut Assembler| {
        s.leaves_in_two_steps(p);
        p.step(Op::FlushRequested, "local_flush_tlb()");
    };
    let ack = |p: &mut Assembler| {
        if !s.deviates(Variant::LostAck) {
            p.step(Op::Ack, "cpumask_clear_cpu(cpu, f->flush_cpumask)");
        }
    };
    if s.deviates(Variant::AckBeforeFlush) {
        ack(&mut p);
        flush(&mut p);
    } else {
        flush(&mut p);
        ack(&mut p);
    }
    p.finish("iret")
}
