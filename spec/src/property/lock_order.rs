//! Lock order.

use super::{Decided, Property, WitnessId};
use crate::id::LockId;

pub(super) const PROPERTY: Property = Property {
    name: "lock_order",
    promise: "no context asks for pgd_lock while it holds a page-table lock: pgd_lock is the outer one",
    relied_on_by: "the walk, which takes every page_table_lock inside pgd_lock (mm/rmap.c's list of lock orders)",
    not_covered: "an interrupt that takes pgd_lock above code holding a page-table lock: each context \
                  keeps the order, and no_lock_cycle catches what comes of it",
    decided: Decided::OnStates(|config, state| {
        state.each_context(config).any(|(_, ctx)| {
            ctx.took_pgd_lock_inside()
                || ctx.held.any_page_table_lock() && ctx.spins_for() == Some(LockId::PgdLock)
        })
    }),
    witnesses: &[WitnessId::BothKindsOfLocksHeld],
};
