//! `pgd_list` and the reference kernel entry.
//!
//! | implementation | specification |
//! |---|---|
//! | the `next` links from `pgd_list` on | `PgdList::iter`, head first |
//! | `swapper_pg_dir`'s kernel entry, P bit | `PgdList::init_entry` |
//!
//! `list_add` and `list_del` take effect with their last store, the one that a walker can see.

use shootdown_impl::kernel::Loc;
use shootdown_impl::page_table::Entry;

use super::agree::{Disagreement, Sides, same, same_order};
use super::id::mm_to_spec;

pub(super) fn agree(sides: Sides<'_>) -> Result<(), Disagreement> {
    let machine = &sides.code.machine;
    let init_entry = Entry(machine.word(Loc::InitEntry)).present();
    same(init_entry, sides.spec.list.init_entry, || {
        "init_mm.kernel_entry".to_string()
    })?;
    same_order(
        || machine.listed().map(|mm| mm_to_spec(Some(mm))),
        || sides.spec.list.iter(),
        || "pgd_list".to_string(),
    )
}
