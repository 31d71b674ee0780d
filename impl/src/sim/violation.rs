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
