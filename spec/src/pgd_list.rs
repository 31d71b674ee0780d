//! `pgd_list`, and init_mm's kernel entry beside it.
//!
//! The list is guarded by `pgd_lock`; nothing here checks that the caller holds it, that is
//! what the properties are for. `init_mm` itself is never on the list.

use crate::id::{MAX_MMS, MmId};
use zerocopy::{Immutable, IntoBytes};

/// The list of pgds, each standing for its mm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, Immutable)]
#[repr(C)]
pub struct PgdList {
    /// Listed mms, head first; unused places hold [`MmId::NONE`].
    order: [MmId; MAX_MMS],
    /// init_mm's kernel entry is present.
    pub init_entry: bool,
    /// History, kept for the proofs only: a walk has returned.
    pub synced: bool,
}

impl Default for PgdList {
    fn default() -> Self {
        PgdList {
            order: [MmId::NONE; MAX_MMS],
            init_entry: false,
            synced: false,
        }
    }
}

impl PgdList {
    /// Listed mms, head first.
    pub fn iter(&self) -> impl Iterator<Item = MmId> {
        self.order.into_iter().take_while(|m| m.is_some())
    }

    /// Is the mm's pgd listed?
    pub fn contains(&self, mm: MmId) -> bool {
        self.iter().any(|m| m == mm)
    }

    /// `list_add`: at the head. Does nothing if the pgd is listed already.
    pub fn add(&mut self, mm: MmId) {
        if !self.contains(mm) {
            self.order.copy_within(..MAX_MMS - 1, 1);
            self.order[0] = mm;
        }
    }

    /// `list_del`. Does nothing if the pgd is not listed.
    pub fn del(&mut self, mm: MmId) {
        if let Some(at) = self.order.iter().position(|&m| m == mm) {
            self.order.copy_within(at + 1.., at);
            self.order[MAX_MMS - 1] = MmId::NONE;
        }
    }

    /// The pgd after `cursor`, the first one for [`MmId::NONE`], or [`MmId::NONE`] at the end.
    ///
    /// A cursor that is not listed any more (a poisoned `next` pointer) also ends the walk;
    /// `pgd_list_integrity` reports the state before.
    pub fn after(&self, cursor: MmId) -> MmId {
        let next = match self.order.iter().position(|&m| m == cursor) {
            _ if cursor == MmId::NONE => 0,
            Some(at) => at + 1,
            None => MAX_MMS,
        };
        self.order.get(next).copied().unwrap_or(MmId::NONE)
    }
}
