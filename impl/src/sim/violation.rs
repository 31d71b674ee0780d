//! What the simulated machine notices by itself. Properties of whole runs are somebody else's business.

use crate::event::Event;
use crate::id::{CpuId, FrameId, MmId};
use crate::kernel::{Loc, Node};
use crate::mm::Life;
use crate::sim::{Op, SimState};
use crate::tlb::Slot;

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
    /// The hardware walker followed the tables of an mm to a page that is not its own, or to no page.
    ForeignPage {
        /// Whose walker.
        cpu: CpuId,
        /// Whose tables.
        mm: MmId,
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
            Self::ForeignPage { cpu, mm } => write!(
                f,
                "{cpu} walks the tables of {mm} to a page that is not that mm's"
            ),
            Self::LeftLocked { cpu } => write!(
                f,
                "{cpu} returns from an operation with interrupts off or a lock held"
            ),
        }
    }
}

/// The mm whose memory a word is in, if its memory can be freed.
fn memory_of(loc: Loc) -> Option<MmId> {
    match loc {
        Loc::ListNext(Node::Page(mm))
        | Loc::ListPrev(Node::Page(mm))
        | Loc::PageIndex(mm)
        | Loc::Pinned(mm)
        | Loc::KernelEntry(mm)
        | Loc::PtePmd(mm)
        | Loc::UserEntry(mm, _)
        | Loc::DepositedPte(mm)
        | Loc::PageTableLock(mm)
        | Loc::PteLock(mm)
        | Loc::Cpumask(mm)
        | Loc::FlushPending(mm) => Some(mm),
        _ => None,
    }
}

impl SimState {
    /// What no operation may do to memory: use a freed mm's, write a pinned pgd page, change a stable word.
    pub(super) fn check_memory(&mut self, cpu: CpuId, op: Op) {
        let (loc, writes) = match op {
            Op::Load(l)
            | Op::TicketWait(l)
            | Op::RwWait(l)
            | Op::ReadLock(l)
            | Op::ReadUnlock(l)
            | Op::WriteLock(l)
            | Op::WriteUnlock(l) => (l, false),
            Op::Store(l, _) | Op::FetchOr(l, _) | Op::FetchAnd(l, _) | Op::FetchAdd(l, _) => {
                (l, true)
            }
            Op::HypervisorStore(l, _) | Op::TicketDraw(l) | Op::TicketRelease(l) => (l, false),
            _ => return,
        };
        if let Some(mm) = memory_of(loc)
            && self.life(mm) == Life::Freed
        {
            self.violated(Violation::FreedMm { cpu, mm, loc });
        }
        if writes {
            match loc {
                Loc::KernelEntry(mm) if self.word(Loc::Pinned(mm)) != 0 => {
                    self.violated(Violation::PinnedWrite { cpu, mm });
                }
                Loc::PageIndex(_) | Loc::PtePmd(_) => {
                    self.violated(Violation::StableWordWritten { cpu, loc })
                }
                _ => {}
            }
        }
    }

    /// Takes note of what the code reported, for the checks that need to know what an operation meant.
    pub fn note(&mut self, cpu: CpuId, event: Event) {
        match event {
            Event::Begin { operation } => self.cpus[cpu.index()].running = Some(operation),
            Event::FrameGet { frame, slot } => {
                // Counted already: one reference means that the page was free.
                let freed = self.word(Loc::FrameRefs(frame)) == 1;
                if freed || slot == Slot::Huge && self.word(Loc::Compound(frame)) == 0 {
                    self.violated(Violation::GupOnReusedPage { cpu, frame });
                }
            }
            Event::ReturnToUser {} => {
                if let Some(mm) = self.cpus[cpu.index()].tlb_state.current_mm() {
                    self.check_stale(mm);
                }
            }
            _ => {}
        }
    }

    fn check_stale(&mut self, mm: MmId) {
        let mapped = self.entry(mm, Slot::Pte).frame();
        let stale = self.cpu_ids().find(|c| {
            let c = self.cpus[c.index()];
            let on_mm = c.tlb_state.loaded && c.tlb_state.active_mm == Some(mm);
            on_mm && c.tlb[Slot::Pte as usize].is_some_and(|t| Some(t.frame) != mapped)
        });
        if let Some(cpu) = stale {
            self.violated(Violation::StaleTlb { cpu, mm });
        }
    }

    pub(super) fn violated(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }
}
