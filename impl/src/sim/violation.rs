//! What the simulated machine notices by itself. Properties of whole runs are somebody else's business.

use crate::id::{CpuId, FrameId, MmId};
use crate::kernel::Loc;

/// Something that must not happen, noticed by the machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Violation {
    /// `munmap` returned, yet this CPU still has a translation that was removed.
    StaleTlb {
        /// Who has it.
        cpu: CpuId,
        /// Of which mm.
        mm: MmId,
    },
    /// A frame was touched through the TLB after it was freed.
    FreedFrame {
        /// By whom.
        cpu: CpuId,
        /// Which.
        frame: FrameId,
    },
    /// The words of an mm were used after it was freed.
    FreedMm {
        /// By whom.
        cpu: CpuId,
        /// Which.
        mm: MmId,
        /// Which word.
        loc: Loc,
    },
    /// A reference was taken on a page that was freed, or split, since its entry was read.
    GupOnReusedPage {
        /// By whom.
        cpu: CpuId,
        /// Which.
        frame: FrameId,
    },
    /// A pgd page was written while pinned.
    PinnedWrite {
        /// By whom.
        cpu: CpuId,
        /// Whose.
        mm: MmId,
    },
    /// A lock was released by who does not hold it.
    NotHolder {
        /// By whom.
        cpu: CpuId,
        /// Which.
        loc: Loc,
    },
    /// A word that is read without being a step was written.
    StableWordWritten {
        /// By whom.
        cpu: CpuId,
        /// Which.
        loc: Loc,
    },
    /// A count went below zero.
    Underflow {
        /// By whom.
        cpu: CpuId,
        /// Which.
        loc: Loc,
    },
    /// An operation returned with interrupts off or a lock held.
    LeftLocked {
        /// By whom.
        cpu: CpuId,
    },
}

impl core::fmt::Display for Violation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::StaleTlb { cpu, mm } => write!(
                f,
                "munmap returned while {cpu} still has the translation it removed from {mm}"
            ),
            Self::FreedFrame { cpu, frame } => {
                write!(
                    f,
                    "{cpu} touches {frame} through its TLB after it was freed"
                )
            }
            Self::FreedMm { cpu, mm, loc } => {
                write!(f, "{cpu} uses {loc:?} after {mm} was freed")
            }
            Self::GupOnReusedPage { cpu, frame } => write!(
                f,
                "{cpu} takes a reference on {frame}, which was freed or split since its entry was read"
            ),
            Self::PinnedWrite { cpu, mm } => {
                write!(
                    f,
                    "{cpu} stores into the pgd page of {mm}, which Xen has pinned"
                )
            }
            Self::NotHolder { cpu, loc } => {
                write!(f, "{cpu} releases {loc:?}, which it does not hold")
            }
            Self::StableWordWritten { cpu, loc } => {
                write!(
                    f,
                    "{cpu} writes {loc:?}, which is read as if it never changed"
                )
            }
            Self::Underflow { cpu, loc } => write!(f, "{cpu} takes {loc:?} below zero"),
            Self::LeftLocked { cpu } => write!(
                f,
                "{cpu} returns from an operation with interrupts off or a lock held"
            ),
        }
    }
}
