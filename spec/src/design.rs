//! Design axes: what the kernel chooses, and the named designs of the protocol.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How `pgd_lock` is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PgdLock {
    /// `spin_lock_irqsave`, up to v2.6.37.
    Irqsave,
    /// `spin_lock`, a79e53d85683 and later.
    Plain,
    /// An `rwlock_t` with interrupts left on: walkers read, alloc and free write.
    Rwlock,
}

/// How page-table locks are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ptl {
    /// `spin_lock`.
    Plain,
    /// `spin_lock_irqsave`; only sensible where nothing is awaited under them.
    Irqsave,
}

/// Where the flush of a changed entry happens relative to the page-table lock.
///
/// `zap_page_range` flushes after the unlock in every design (mmu_gather).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flush {
    /// Before the unlock, as the kernel does.
    UnderLock,
    /// Only the accessed-bit flush of `page_referenced_one` moves after the unlock.
    YoungAfterUnlock,
    /// Every flush moves after the unlock.
    AfterUnlock,
    /// Every flush moves, and a per-mm counter of pending flushes, raised and read under the
    /// lock, keeps "not present" from being read as "not cached" (cf. `mm_tlb_flush_pending`).
    AfterUnlockTracked,
}

macro_rules! axis_names {
    ($ty:ty { $($variant:ident => $name:literal),* $(,)? }) => {
        impl $ty {
            /// Every value with the name the command line uses.
            pub const NAMES: &'static [(&'static str, $ty)] = &[$(($name, <$ty>::$variant)),*];
            /// The command-line name.
            pub fn name(self) -> &'static str {
                match self { $(<$ty>::$variant => $name),* }
            }
        }
        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(crate) use axis_names;

axis_names!(PgdLock { Irqsave => "irqsave", Plain => "plain", Rwlock => "rwlock" });
axis_names!(Ptl { Plain => "plain", Irqsave => "irqsave" });
axis_names!(Flush {
    UnderLock => "under_lock",
    YoungAfterUnlock => "young_after_unlock",
    AfterUnlock => "after_unlock",
    AfterUnlockTracked => "after_unlock_tracked",
});

/// One point in the space of designs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Design {
    /// How `pgd_lock` is taken.
    pub pgd_lock: PgdLock,
    /// Whether the walk of `pgd_list` takes each mm's `page_table_lock` (617d34d9e5d8).
    pub walk_takes_ptl: bool,
    /// How page-table locks are taken.
    pub ptl: Ptl,
    /// Where entries are flushed.
    pub flush: Flush,
}

/// A design that has a name, with where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct NamedDesign {
    /// Name on the command line and in every table.
    pub name: &'static str,
    /// The axes.
    pub design: Design,
    /// Kernel version, commit or mail it stands for.
    pub origin: &'static str,
}

const fn design(pgd_lock: PgdLock, walk_takes_ptl: bool, ptl: Ptl, flush: Flush) -> Design {
    Design {
        pgd_lock,
        walk_takes_ptl,
        ptl,
        flush,
    }
}

/// Every named design, oldest first (protocol.md §4).
pub const DESIGNS: &[NamedDesign] = &[
    NamedDesign {
        name: "v2.6.36",
        design: design(PgdLock::Irqsave, false, Ptl::Plain, Flush::UnderLock),
        origin: "before 617d34d9e5d8: the walk holds pgd_lock only",
    },
    NamedDesign {
        name: "v2.6.37",
        design: design(PgdLock::Irqsave, true, Ptl::Plain, Flush::UnderLock),
        origin: "617d34d9e5d8; with huge pages (2.6.38-rc1) the kernel that hung",
    },
    NamedDesign {
        name: "v2.6.38",
        design: design(PgdLock::Plain, true, Ptl::Plain, Flush::UnderLock),
        origin: "a79e53d85683, the fix that was merged: _irqsave dropped",
    },
    NamedDesign {
        name: "rwlock",
        design: design(PgdLock::Rwlock, true, Ptl::Plain, Flush::UnderLock),
        origin: "considered in the thread: pgd_lock as an rwlock",
    },
    NamedDesign {
        name: "woodman",
        design: design(PgdLock::Irqsave, true, Ptl::Plain, Flush::YoungAfterUnlock),
        origin: "the seed's closing proposal, to the letter",
    },
    NamedDesign {
        name: "deferred",
        design: design(PgdLock::Irqsave, true, Ptl::Plain, Flush::AfterUnlock),
        origin: "the proposal applied to every flush, naively",
    },
    NamedDesign {
        name: "tracked-plain",
        design: design(
            PgdLock::Irqsave,
            true,
            Ptl::Plain,
            Flush::AfterUnlockTracked,
        ),
        origin: "deferral made TLB-safe by a counter of pending flushes",
    },
    NamedDesign {
        name: "tracked",
        design: design(
            PgdLock::Irqsave,
            true,
            Ptl::Irqsave,
            Flush::AfterUnlockTracked,
        ),
        origin: "proposed with this review: tracked-plain with page-table locks irqsave; what impl implements",
    },
];

impl Design {
    /// The named design, if there is one of that name.
    pub fn named(name: &str) -> Option<Design> {
        DESIGNS.iter().find(|d| d.name == name).map(|d| d.design)
    }

    /// The name of this point, if it has one.
    pub fn name(&self) -> Option<&'static str> {
        DESIGNS.iter().find(|d| d.design == *self).map(|d| d.name)
    }
}

impl fmt::Display for Design {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(
                f,
                "pgd_lock={} walk_takes_ptl={} ptl={} flush={}",
                self.pgd_lock,
                if self.walk_takes_ptl { "yes" } else { "no" },
                self.ptl,
                self.flush
            ),
        }
    }
}
