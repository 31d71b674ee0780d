//! Integrity of pgd_list.

use super::{Decided, Property, WitnessId};
use crate::config::Config;
use crate::mm::Life;
use crate::program::ProgramId;
use crate::state::State;

pub(super) const PROPERTY: Property = Property {
    name: "pgd_list_integrity",
    promise: "a walker never stands on a pgd that is freed or not listed; freed implies unlisted; listed \
              equals alive whenever no alloc or free is under way",
    relied_on_by: "the walk, which follows page->lru and dereferences the mm parked in page->index",
    not_covered: "reuse of a freed page at the same address: mm slots are never reused",
    decided: Decided::OnStates(violated),
    witnesses: &[
        WitnessId::WalkerOnPgd,
        WitnessId::MmFreed,
        WitnessId::MmBorn,
    ],
};

fn violated(config: &Config, state: &State) -> bool {
    let walker_astray = state.each_context(config).any(|(_, ctx)| {
        ctx.program == ProgramId::VmallocSyncAll
            && ctx.cursor.is_some()
            && (!state.list.contains(ctx.cursor) || state.mm(ctx.cursor).life == Life::Freed)
    });
    let changing = state
        .each_context(config)
        .any(|(_, c)| matches!(c.program, ProgramId::PgdAlloc | ProgramId::PgdFree));
    walker_astray
        || state.each_mm(config).any(|(id, mm)| {
            let listed = state.list.contains(id);
            listed && mm.life == Life::Freed || !changing && listed != (mm.life == Life::Alive)
        })
}
