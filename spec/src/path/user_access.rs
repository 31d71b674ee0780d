//! A store from user mode: through the TLB if the translation is cached, else by a walk that
//! fills it. A walk that finds nothing present faults, and the operation ends there.

use crate::program::{Assembler, Entry, Op, Program, ProgramId};
use crate::select::Select;

pub(super) fn program(_: Select<'_>, entry: Entry) -> Program {
    let (id, source) = match entry {
        Entry::Pte => (ProgramId::UserAccessPte, "*p = x"),
        Entry::Huge => (ProgramId::UserAccessHuge, "*huge = x"),
    };
    let mut p = Assembler::new(id, "user");
    p.step(Op::UserStore(entry), source);
    p.finish("")
}
