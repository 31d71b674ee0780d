//! Operations of the implementation and programs of the specification.
//!
//! | implementation | specification |
//! |---|---|
//! | `PageReferencedOne(mm, slot)` | `page_referenced_one_pte(mm)`, `page_referenced_one_huge(mm)` |
//! | `GupFast(slot)`, on the CPU's own mm | `gup_fast_pte(mm)`, `gup_fast_huge(mm)`, mm being the active one |
//! | `UserAccess(slot, Store)`, on the CPU's own mm | `user_access_pte(mm)`, `user_access_huge(mm)` |
//! | `Vector::FlushTlb(from)` | `flush_tlb_interrupt`, sender `from` |
//! | `Vector::PgdFree(mm)` | `pgd_free(mm)` in interrupt context |
//! | all others | the program of the same name |
//! | `HandleMmFault` | nothing: it supplies long recorded runs with pages |

use shootdown_impl::operation::Operation;
use shootdown_impl::tlb::{AccessKind, Slot};
use shootdown_spec::id::MmId;
use shootdown_spec::program::{Names, ProgramId};

use super::id::{mm_to_code, mm_to_spec};

/// The operation that a program is, on that mm. `None`: nobody can start it.
pub fn operation(program: ProgramId, mm: MmId) -> Option<Operation> {
    use ProgramId as P;
    let named = mm_to_code(mm);
    Some(match program {
        P::VmallocSyncAll => Operation::VmallocSyncAll,
        P::VmallocFault => Operation::VmallocFault,
        P::PgdAlloc => Operation::PgdAlloc(named?),
        P::PgdFree => Operation::PgdFree(named?),
        P::PageReferencedOnePte => Operation::PageReferencedOne(named?, Slot::Pte),
        P::PageReferencedOneHuge => Operation::PageReferencedOne(named?, Slot::Huge),
        P::TryToUnmapOne => Operation::TryToUnmapOne(named?),
        P::ZapPageRange => Operation::ZapPageRange,
        P::MadviseDontneed => Operation::MadviseDontneed,
        P::SplitHugePage => Operation::SplitHugePage(named?),
        P::GupFastPte => Operation::GupFast(Slot::Pte),
        P::GupFastHuge => Operation::GupFast(Slot::Huge),
        P::SwitchMm => Operation::SwitchMm(named?),
        P::EnterLazyTlb => Operation::EnterLazyTlb,
        P::LeaveMm => Operation::LeaveMm,
        P::XenPgdPin => Operation::XenPgdPin(named?),
        P::XenPgdUnpin => Operation::XenPgdUnpin(named?),
        P::UserAccessPte => Operation::UserAccess(Slot::Pte, AccessKind::Store),
        P::UserAccessHuge => Operation::UserAccess(Slot::Huge, AccessKind::Store),
        P::None | P::FlushTlbInterrupt => return None,
    })
}

/// The program that an operation is. `None`: the specification has no such program.
pub fn program(operation: Operation) -> Option<ProgramId> {
    use ProgramId as P;
    Some(match operation {
        Operation::VmallocSyncAll => P::VmallocSyncAll,
        Operation::VmallocFault => P::VmallocFault,
        Operation::PgdAlloc(_) => P::PgdAlloc,
        Operation::PgdFree(_) => P::PgdFree,
        Operation::PageReferencedOne(_, Slot::Pte) => P::PageReferencedOnePte,
        Operation::PageReferencedOne(_, Slot::Huge) => P::PageReferencedOneHuge,
        Operation::TryToUnmapOne(_) => P::TryToUnmapOne,
        Operation::ZapPageRange => P::ZapPageRange,
        Operation::MadviseDontneed => P::MadviseDontneed,
        Operation::SplitHugePage(_) => P::SplitHugePage,
        Operation::GupFast(Slot::Pte) => P::GupFastPte,
        Operation::GupFast(Slot::Huge) => P::GupFastHuge,
        Operation::SwitchMm(_) => P::SwitchMm,
        Operation::EnterLazyTlb => P::EnterLazyTlb,
        Operation::LeaveMm => P::LeaveMm,
        Operation::XenPgdPin(_) => P::XenPgdPin,
        Operation::XenPgdUnpin(_) => P::XenPgdUnpin,
        Operation::UserAccess(Slot::Pte, _) => P::UserAccessPte,
        Operation::UserAccess(Slot::Huge, _) => P::UserAccessHuge,
        Operation::HandleMmFault(_) => return None,
    })
}

/// Does the program act on the mm that its CPU has active, so that the operation does not name it?
pub fn acts_on_active_mm(program: ProgramId) -> bool {
    matches!(
        program.info().names,
        Names::CurrentMm | Names::ActiveMm | Names::LazyMm
    )
}

/// The mm that the program names when this operation begins on a CPU with `active` as its active mm.
pub fn named_mm(operation: Operation, active: MmId) -> MmId {
    match program(operation) {
        Some(p) if acts_on_active_mm(p) => active,
        _ => mm_to_spec(operation.names()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_spec::program::PROGRAMS;

    #[test]
    fn every_program_that_can_be_started_is_an_operation_and_that_operation_is_the_program() {
        for p in PROGRAMS {
            let Some(operation) = operation(p.id, MmId(1)) else {
                assert_eq!(p.id, ProgramId::FlushTlbInterrupt);
                continue;
            };
            assert_eq!(program(operation), Some(p.id));
            let mm = if p.names == Names::Nothing {
                MmId::NONE
            } else {
                MmId(1)
            };
            assert_eq!(named_mm(operation, MmId(1)), mm, "{}", p.name);
        }
    }
}
