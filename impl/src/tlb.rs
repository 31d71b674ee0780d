//! What a CPU may have cached, and how much of it a flush drops.
//!
//! The machine owns the TLB itself. Here are the words used about it, after `arch/x86/include/asm/tlbflush.h` and
//! `arch/x86/mm/tlb.c` of 2.6.38.

use crate::id::{FrameId, MmId};

/// The two user translations an mm has: behind its pte, and behind its huge pmd.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Slot {
    /// The 4 KiB page.
    Pte,
    /// The transparent huge page (or, once split, what its table maps).
    Huge,
}

impl Slot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pte, Self::Huge];
}

/// How much a flush drops.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Scope {
    /// `flush_tlb_page`: the translation of the 4 KiB page only.
    Page,
    /// `flush_tlb_mm`, `flush_tlb_range` (`TLB_FLUSH_ALL`): everything of the mm.
    All,
}

impl Scope {
    /// Whether a flush of this scope drops the translation in `slot`.
    pub const fn covers(self, slot: Slot) -> bool {
        matches!((self, slot), (Self::All, _) | (Self::Page, Slot::Pte))
    }
}

/// `cpu_tlbstate` of one CPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TlbState {
    /// The mm this CPU last switched to, if any (`active_mm`).
    pub active_mm: Option<MmId>,
    /// `TLBSTATE_LAZY`: a kernel thread runs on a borrowed mm.
    pub lazy: bool,
    /// Whether the active mm's pgd is in CR3; not after [`crate::machine::Machine::leave_mm`].
    pub loaded: bool,
}

impl TlbState {
    /// `current->mm`: the mm whose user code runs here; a lazy CPU has none.
    pub const fn current_mm(self) -> Option<MmId> {
        if self.lazy { None } else { self.active_mm }
    }
}

/// What a user access does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum AccessKind {
    /// Reads the page.
    Load,
    /// Writes it.
    Store,
}

/// How a user access went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Access {
    /// Through a translation that was cached.
    Hit(FrameId),
    /// By a walk, which is cached now.
    Filled(FrameId),
    /// Nothing mapped: page fault.
    Fault,
}
