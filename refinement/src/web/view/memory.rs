//! Locks and mms in one state.

use serde::Serialize;
use shootdown_spec::id::{Context, Level};
use shootdown_spec::mm::Life;
use shootdown_spec::program::Mode;

/// A lock.
#[derive(Clone, Debug, Serialize)]
pub struct LockView {
    /// `pgd_lock`, `mm0.page_table_lock`, `mm0.ptl(pte)`.
    pub name: String,
    /// Who holds it.
    pub owners: Vec<Who>,
    /// Who waits, the next one first.
    pub waiters: Vec<Who>,
}

/// A context, as holder or waiter.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Who {
    /// The CPU.
    pub cpu: u8,
    /// Process or interrupt context.
    pub level: Level,
    /// Shared for a reader of an rwlock.
    pub mode: Mode,
}

impl Who {
    /// A holder or waiter.
    pub fn new(context: Context, mode: Mode) -> Who {
        Who {
            cpu: context.cpu.0,
            level: context.level,
            mode,
        }
    }
}

/// An mm.
#[derive(Clone, Debug, Serialize)]
pub struct MmView {
    /// `mm0`.
    pub name: String,
    /// How far its life has come.
    pub life: Life,
    /// `mm_cpumask`.
    pub cpumask: Vec<u8>,
    /// CPUs whose `active_mm` it is.
    pub active: Vec<u8>,
    /// Its kernel half has the entry.
    pub kernel_entry: bool,
    /// Flushes owed after an unlock.
    pub pending_flush: u8,
    /// Read-only for the guest (Xen).
    pub pinned: bool,
    /// The user entries.
    pub entries: Vec<EntryView>,
}

/// A user entry and the frame behind it.
#[derive(Clone, Debug, Serialize)]
pub struct EntryView {
    /// `pte` or `pmd`.
    pub name: String,
    /// The bits that are set, `-` for none.
    pub bits: String,
    /// `_PAGE_PRESENT`.
    pub present: bool,
    /// `_PAGE_ACCESSED`.
    pub accessed: bool,
    /// `_PAGE_DIRTY`.
    pub dirty: bool,
    /// `_PAGE_SPLITTING`.
    pub splitting: bool,
    /// The pmd points to a table of ptes.
    pub table: bool,
    /// References on the frame.
    pub frame_refs: u8,
    /// The frame was freed.
    pub frame_freed: bool,
    /// The compound page was split.
    pub frame_split: bool,
}
