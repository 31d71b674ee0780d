//! What a machine that runs for real checks at the moment it happens.

use core::sync::atomic::Ordering::SeqCst;

use crate::environment::Environment;
use crate::event::Event;
use crate::id::{CpuId, FrameId, MmId};
use crate::kernel::{Kernel, Loc};
use crate::mm::Life;
use crate::tlb::Slot;

/// Something that must not happen, noticed while it did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "violation", rename_all = "snake_case")
)]
pub enum HostViolation {
    /// `munmap` returned, yet this CPU still had a translation that was removed.
    StaleTlb {
        /// Who had it.
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
    /// A walker stood on a pgd that was freed.
    FreedPgd {
        /// Who walked.
        cpu: CpuId,
        /// Whose pgd.
        mm: MmId,
    },
    /// A reference was taken on a page that was freed or split since its entry was read.
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
    /// The hardware walker followed the tables of an mm to a page that is not its own, or to no page.
    ForeignPage {
        /// Whose walker.
        cpu: CpuId,
        /// Whose tables.
        mm: MmId,
    },
}

impl core::fmt::Display for HostViolation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::StaleTlb { cpu, mm } => {
                write!(
                    f,
                    "stale TLB: munmap of {mm}'s page returned while {cpu} still had it cached"
                )
            }
            Self::FreedFrame { cpu, frame } => {
                write!(
                    f,
                    "freed frame used: {cpu} reached {frame} through its TLB after it was freed"
                )
            }
            Self::FreedPgd { cpu, mm } => write!(
                f,
                "freed pgd walked: {cpu} stood on the pgd of {mm}, which was freed"
            ),
            Self::GupOnReusedPage { cpu, frame } => {
                write!(
                    f,
                    "page reused under fast-GUP: {cpu} took a reference on {frame} too late"
                )
            }
            Self::PinnedWrite { cpu, mm } => {
                write!(f, "pinned pgd written: {cpu} stored into {mm}'s pgd page")
            }
            Self::ForeignPage { cpu, mm } => write!(
                f,
                "another's page reached: {cpu} walked the tables of {mm} to a page that is not that mm's"
            ),
        }
    }
}

impl HostViolation {
    /// In one word.
    pub fn pack(self) -> u64 {
        let (kind, cpu, what) = match self {
            Self::StaleTlb { cpu, mm } => (1, cpu, mm.0),
            Self::FreedFrame { cpu, frame } => (2, cpu, frame.0),
            Self::FreedPgd { cpu, mm } => (3, cpu, mm.0),
            Self::GupOnReusedPage { cpu, frame } => (4, cpu, frame.0),
            Self::PinnedWrite { cpu, mm } => (5, cpu, mm.0),
            Self::ForeignPage { cpu, mm } => (6, cpu, mm.0),
        };
        kind << 16 | u64::from(cpu.0) << 8 | u64::from(what)
    }
    /// The inverse of [`Self::pack`].
    pub fn unpack(word: u64) -> Option<Self> {
        let (cpu, what) = (CpuId((word >> 8) as u8), word as u8);
        match word >> 16 {
            1 => Some(Self::StaleTlb {
                cpu,
                mm: MmId(what),
            }),
            2 => Some(Self::FreedFrame {
                cpu,
                frame: FrameId(what),
            }),
            3 => Some(Self::FreedPgd {
                cpu,
                mm: MmId(what),
            }),
            4 => Some(Self::GupOnReusedPage {
                cpu,
                frame: FrameId(what),
            }),
            5 => Some(Self::PinnedWrite {
                cpu,
                mm: MmId(what),
            }),
            6 => Some(Self::ForeignPage {
                cpu,
                mm: MmId(what),
            }),
            _ => None,
        }
    }
}

/// The checks that need nothing but the event and the kernel's memory, right after it happened. Free for events that
/// have none.
#[inline]
pub fn of(kernel: &Kernel, env: &Environment, cpu: CpuId, event: Event) -> Option<HostViolation> {
    let word = |loc| kernel.word(loc).atomic().load(SeqCst);
    match event {
        Event::WalkAt { mm } if Life::from_word(word(Loc::Life(mm))) == Life::Freed => {
            Some(HostViolation::FreedPgd { cpu, mm })
        }
        Event::FrameGet { frame, slot } => {
            // Counted already: alone means that the mapping's reference was gone.
            let alone = word(Loc::FrameRefs(frame)) == 1;
            let late = alone || slot == Slot::Huge && word(Loc::Compound(frame)) == 0;
            late.then_some(HostViolation::GupOnReusedPage { cpu, frame })
        }
        Event::KernelEntrySet {
            mm,
            hypervisor: false,
        } if env.xen_pin && word(Loc::Pinned(mm)) != 0 => {
            Some(HostViolation::PinnedWrite { cpu, mm })
        }
        _ => None,
    }
}
