//! One announced operation, and how its answer travels in a word.

use crate::id::{CpuId, FrameId, MmId};
use crate::kernel::Loc;
use crate::operation::Operation;
use crate::tlb::{Access, AccessKind, Scope, Slot, TlbState};

/// What a CPU is about to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Nothing: waits to be given an operation.
    Idle,
    /// Reads a word.
    Load(Loc),
    /// Writes a word.
    Store(Loc, u64),
    /// Sets bits; answers with the old value.
    FetchOr(Loc, u64),
    /// Keeps only these bits; answers with the old value.
    FetchAnd(Loc, u64),
    /// Adds, wrapping; answers with the old value.
    FetchAdd(Loc, u64),
    /// Has the hypervisor write a word.
    HypervisorStore(Loc, u64),
    /// Draws a ticket; answers 0 if it is served at once.
    TicketDraw(Loc),
    /// Waits for the ticket drawn to be served.
    TicketWait(Loc),
    /// Serves the next ticket.
    TicketRelease(Loc),
    /// Becomes a reader if there is no writer, else queues; answers 0 if at once.
    ReadLock(Loc),
    /// Stops being one.
    ReadUnlock(Loc),
    /// Becomes the writer if there is nobody, else queues; answers 0 if at once.
    WriteLock(Loc),
    /// Stops being it.
    WriteUnlock(Loc),
    /// Waits for the read-write lock it queued for.
    RwWait(Loc),
    /// Waits until the word is zero.
    AwaitZero(Loc),
    /// Turns interrupts off; answers 1 if they were on.
    IrqSave,
    /// Sets the interrupt flag.
    IrqRestore(bool),
    /// Makes the flush vector pending on another CPU.
    SendIpi(CpuId),
    /// Reads what this CPU has loaded.
    TlbState,
    /// Flushes this CPU's TLB.
    FlushTlb(Scope),
    /// Loads a pgd.
    LoadCr3(MmId),
    /// Marks the CPU lazy.
    SetLazy,
    /// Marks it not lazy.
    ClearLazy,
    /// Leaves the mm that is loaded, and its mask.
    LeaveMm(Loc),
    /// Flushes the mm from the TLBs of all in the mask.
    HypercallFlush(Loc, MmId, Scope),
    /// A load or store of user mode.
    UserAccess(Slot, AccessKind),
    /// The operation returns.
    End(Operation),
    /// The interrupt returns.
    Iret,
}

impl Op {
    /// Whether nobody but this CPU can tell when it happens, so that it need not be a scheduling point of its own.
    pub const fn is_local(self) -> bool {
        matches!(self, Self::TlbState)
    }

    /// Whether it waits for a condition.
    pub const fn waits(self) -> bool {
        matches!(
            self,
            Self::TicketWait(_) | Self::RwWait(_) | Self::AwaitZero(_) | Self::Idle
        )
    }
}

/// A type that an operation answers with.
pub(super) trait Answer: Sized {
    fn encode(self) -> u64;
    fn decode(word: u64) -> Self;
}

impl Answer for TlbState {
    fn encode(self) -> u64 {
        let mm = self.active_mm.map_or(0xff, |mm| mm.0.into());
        mm | u64::from(self.lazy) << 8 | u64::from(self.loaded) << 9
    }
    fn decode(word: u64) -> Self {
        Self {
            active_mm: MmId::new(word as usize & 0xff),
            lazy: word >> 8 & 1 == 1,
            loaded: word >> 9 & 1 == 1,
        }
    }
}

impl Answer for Access {
    fn encode(self) -> u64 {
        match self {
            Self::Fault => 0,
            Self::Hit(frame) => 0x100 | u64::from(frame.0),
            Self::Filled(frame) => 0x200 | u64::from(frame.0),
        }
    }
    fn decode(word: u64) -> Self {
        let frame = FrameId(word as u8);
        match word >> 8 {
            1 => Self::Hit(frame),
            2 => Self::Filled(frame),
            _ => Self::Fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_the_word() {
        for active_mm in [None, Some(MmId(0)), Some(MmId(7))] {
            for (lazy, loaded) in [(false, false), (false, true), (true, false), (true, true)] {
                let state = TlbState {
                    active_mm,
                    lazy,
                    loaded,
                };
                assert_eq!(TlbState::decode(state.encode()), state);
            }
        }
        for access in [
            Access::Fault,
            Access::Hit(FrameId(0)),
            Access::Filled(FrameId(15)),
        ] {
            assert_eq!(Access::decode(access.encode()), access);
        }
    }
}
