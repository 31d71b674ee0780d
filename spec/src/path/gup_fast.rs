//! `get_user_pages_fast`, `gup_pte_range`, `gup_huge_pmd` (arch/x86/mm/gup.c, v2.6.38).
//!
//! Locks: none. Interrupts: **off from the read of the entry to the reference on the page**;
//! this CPU cannot answer a flush IPI meanwhile, so "the flush has returned" implies "no walker
//! that is older than the change". Flushes without IPIs break that (H 5.9, 5.10).
//! The walk is of the CPU's own current mm. The reference is given back at the end.

use crate::program::{Assembler, Entry, Flags, Op, Program, ProgramId};
use crate::select::Select;
use crate::variant::Variant;

pub(super) fn program(s: Select<'_>, entry: Entry) -> Program {
    let (id, function, read) = match entry {
        Entry::Pte => (
            ProgramId::GupFastPte,
            "gup_pte_range",
            "pte = gup_get_pte(ptep)",
        ),
        Entry::Huge => (ProgramId::GupFastHuge, "gup_huge_pmd", "pmd = *pmdp"),
    };
    let mut p = Assembler::new(id, function);
    let (slow, out) = (p.label(), p.label());
    let irqs_off = !s.deviates(Variant::GupIrqsOn);
    let off = |p: &mut Assembler| {
        if irqs_off {
            p.step(Op::IrqSave(Flags::Outer), "local_irq_disable()");
        }
    };
    let on = |p: &mut Assembler| {
        if irqs_off {
            p.step(Op::IrqRestore(Flags::Outer), "local_irq_enable()");
        }
    };

    off(&mut p);
    p.step(
        Op::GupRead {
            entry,
            slow: Assembler::to(slow),
        },
        read,
    );
    p.step(Op::GetPage(entry), "get_page(page)");
    on(&mut p);
    p.step(Op::PutPage(entry), "put_page(page)");
    p.goto(out);
    p.bind(slow);
    on(&mut p);
    p.bind(out);
    p.finish("return nr")
}
