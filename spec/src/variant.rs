//! Deliberate deviations from the protocol: rules switched off, steps in the wrong order.
//!
//! None of them is a design. Each exists to show that a rule is needed or that a property
//! can fail (every checker is itself checked), and each names what must break.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! variants {
    ($($(#[doc = $doc:literal])* $id:ident = $bit:literal, $name:literal, $breaks:literal;)*) => {
        /// One deviation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Variant { $($(#[doc = $doc])* $id = $bit),* }

        /// Every deviation with its command-line name, what it does and what it must break.
        pub const VARIANTS: &[NamedVariant] = &[$(NamedVariant {
            variant: Variant::$id,
            name: $name,
            about: concat!($($doc),*),
            breaks: $breaks,
        }),*];
    };
}

/// A deviation as `shootdown list` shows it.
#[derive(Clone, Copy, Debug)]
pub struct NamedVariant {
    /// The deviation.
    pub variant: Variant,
    /// Command-line name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The property that it must violate somewhere, or why it is there.
    pub breaks: &'static str,
}

variants! {
    /// The pending-flush counter is a flag: set and cleared, not counted (16af97dc5a89 fixed this).
    FlagForCounter = 0, "flag-for-counter", "no_stale_tlb_after_return";
    /// The pending-flush counter is raised after the unlock instead of under the lock.
    RaiseAfterUnlock = 1, "raise-after-unlock", "no_stale_tlb_after_return";
    /// zap reads the pending-flush counter before it takes the lock.
    ReadBeforeLock = 2, "read-before-lock", "no_stale_tlb_after_return";
    /// The flush handler acknowledges first and flushes afterwards.
    AckBeforeFlush = 3, "ack-before-flush", "ack_after_flush";
    /// switch_mm clears the old mm's cpumask bit before it loads CR3: v2.6.37's real order (831d52bc153).
    CpumaskClearFirst = 4, "cpumask-clear-first", "no_stale_tlb_after_return";
    /// leave_mm clears the cpumask bit in one step and loads swapper_pg_dir in the next, as the C code does; on behalf of a
    /// flush of a lazy CPU, too.
    LeaveMmClearFirst = 5, "leave-mm-clear-first", "no_stale_tlb_after_return";
    /// Two split_huge_page of one mm may run at once: no anon_vma lock.
    NoAnonVmaLock = 6, "no-anon-vma-lock", "no_walker_on_reused_table";
    /// zap_page_range covers the huge pmd as well as the pte, and so flushes more often.
    ZapCoversHuge = 7, "zap-covers-huge", "nothing: it can only hide";
    /// try_to_unmap_one drops its reference on the frame before the flush.
    FreeBeforeFlush = 8, "free-before-flush", "no_use_of_freed_frame";
    /// pgd_free frees the mm first and unlists its pgd afterwards.
    ListDelAfterFree = 9, "list-del-after-free", "pgd_list_integrity";
    /// pgd_free does not take pgd_lock.
    FreeWithoutPgdLock = 10, "free-without-pgd-lock", "pgd_list_integrity";
    /// pgd_alloc clones the kernel half before it takes pgd_lock.
    CloneBeforeLock = 11, "clone-before-lock", "kernel_entries_synced";
    /// The walk of pgd_list stops at the first pgd that already has the entry.
    EarlyBreak = 12, "early-break", "kernel_entries_synced";
    /// spin_lock succeeds although the lock is held.
    BrokenSpinlock = 13, "broken-spinlock", "mutual_exclusion";
    /// pgd_free takes the mm's page_table_lock and then pgd_lock inside it.
    InvertedLockOrder = 14, "inverted-lock-order", "lock_order";
    /// gup_fast walks with interrupts on.
    GupIrqsOn = 15, "gup-irqs-on", "no_walker_on_reused_table";
    /// The flush handler never acknowledges.
    LostAck = 16, "lost-ack", "no_deadlock";
    /// The walk only tries page_table_lock; if it is held it drops pgd_lock, takes it again and retries, interrupts off throughout.
    TrylockRetry = 17, "trylock-retry", "progress";
    /// zap_page_range does not flush.
    ZapSkipsFlush = 18, "zap-skips-flush", "no_stale_tlb_after_return";
    /// page_referenced_one turns interrupts off around its flush after the unlock.
    FlushWithIrqsOff = 19, "flush-with-irqs-off", "irqs_on_while_waiting_for_ipi";
    /// An interrupt handler returns without restoring the interrupt flag.
    IretKeepsIrqsOff = 20, "iret-keeps-irqs-off", "no_deadlock";
    /// The flush leaves out the highest-numbered CPU of mm_cpumask.
    SkipOneTarget = 21, "skip-one-target", "no_stale_tlb_after_return";
}

/// A set of deviations; empty for the protocol itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VariantSet(u32);

impl VariantSet {
    /// No deviation: the protocol.
    pub const NONE: VariantSet = VariantSet(0);

    /// Just one deviation.
    pub fn only(variant: Variant) -> VariantSet {
        VariantSet(1 << variant as u32)
    }

    /// The set with `variant` added.
    pub fn with(self, variant: Variant) -> VariantSet {
        VariantSet(self.0 | 1 << variant as u32)
    }

    /// Is `variant` in the set?
    pub fn has(self, variant: Variant) -> bool {
        self.0 >> variant as u32 & 1 == 1
    }

    /// True for the protocol itself.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Members in table order.
    pub fn iter(self) -> impl Iterator<Item = &'static NamedVariant> {
        VARIANTS.iter().filter(move |v| self.has(v.variant))
    }
}

impl fmt::Display for VariantSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, v) in self.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { "," }, v.name)?;
        }
        Ok(())
    }
}
