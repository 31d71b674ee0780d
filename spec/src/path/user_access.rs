//! A store from user mode, as the walk that it may cause: present, it sets ACCESSED and DIRTY and
//! fills the TLB; absent, it faults, and the operation ends there.
//!
//! That a *cached* translation could be used instead needs no step of its own: the properties
//! look at what the TLBs hold, not at who uses it.

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
