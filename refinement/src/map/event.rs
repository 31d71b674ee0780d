//! Events of the code and steps of the protocol.
//!
//! | event | step of the protocol |
//! |---|---|
//! | `Begin`, `End` | the program starts; `Return` |
//! | `IrqEnter FlushTlb(from)`, `IrqEnter PgdFree(mm)` | the IPI is taken; the interrupt that frees |
//! | `IrqExit`, then the hardware's `iret` | stutter; the handler's `Return` |
//! | `IrqSave`, `IrqRestore` | `IrqSave`, `IrqRestore` |
//! | `LockWait` | `Lock`, queued |
//! | `LockAcquired` | `Lock`, granted; stutter right after a `Lock` that was queued, because the unlock granted it already |
//! | `LockReleased` | `Unlock` |
//! | `InitEntrySet`, `InitEntryRead` | `SetInitEntry`, `ReadInitEntry` |
//! | `WalkAt`, `WalkDone` | `ForEachPgd`: on to a pgd; to the end |
//! | `KernelEntryRead`, `PinnedRead`, `KernelEntrySet` | `ReadKernelEntry`, `ReadPinned`, `WriteKernelEntry` |
//! | `MmBorn`, `ListAdd`, `ListDel`, `MmFreed` | `ClonePgd`, `ListAdd`, `ListDel`, `FreeMm` |
//! | `EntryRead` by fast GUP | `GupRead` |
//! | `EntryRead` of the huge pmd under the lock | stutter right before `TestAndClearYoung` or `SetSplitting` if the entry can be worked on; else that step, which refuses it |
//! | `ClearYoung`, `GetAndClear`, `SetSplitting`, `PmdNotPresent`, `PmdPopulate` | the step of that name |
//! | `SplitCompound`, `FrameGet`, `FramePut` | `SplitCompound`, `GetPage`, `PutPage` |
//! | `PendingRaised`, `PendingDropped`, `PendingRead` | `RaisePending`, `DropPending`, `ReadPending` |
//! | `FlushLocal`; `LeaveMm` of a lazy CPU that flushes | `FlushLocal` |
//! | nothing, if the mm is not loaded here | `FlushLocal`, which does nothing: the one hidden step, taken before `MaskRead` |
//! | `MaskRead` | `SendIpi` |
//! | `RequestPublished`, `AcksSet`, `IpiSent` | stutter: done with `SendIpi` |
//! | `AcksComplete` | `AwaitAcks` |
//! | `HypercallFlush` | `FlushHypercall` |
//! | `RequestRead`, `FlushHandled`, `Acked` | stutter; `FlushRequested`; `Ack` |
//! | `MaskSet` | `CpumaskSet`; stutter at the end of `switch_mm` to the mm it is on, if that was still loaded (the bit was set already) |
//! | `LoadCr3`, `MaskCleared` | `LoadCr3`, `CpumaskClearPrev` |
//! | `EnterLazy`, `LeaveLazy`, `LeaveMm` | `EnterLazy`, `StopBeingLazy`, `LeaveMm` |
//! | `TlbFill`, `UserAccess` | the hardware walker's fill; `UserStore` |
//! | `Pinned`, `Unpinned` | `SetPinned` |
//! | `ReturnToUser` | stutter: it is the place before `Return` |
//! | `EntrySet`, `FrameAlloc`, `TlbEvicted` | none: the page-fault handler and the hardware, environment of recorded runs |

use shootdown_impl::event::Event;
use shootdown_impl::irq::Vector;
use shootdown_impl::operation::Operation;
use shootdown_impl::tlb::Slot;
use shootdown_spec::program::Op;

/// What an event is to the protocol.
#[derive(Clone, Copy, Debug)]
pub enum Meaning {
    /// No step.
    Stutter,
    /// A program starts.
    Start(Operation),
    /// An interrupt is taken.
    Interrupt(Vector),
    /// The hardware walker caches a translation.
    Fill(Slot),
    /// The context's next step, which must be one of these; in words.
    Step(&'static str, fn(&Op) -> bool),
    /// `MaskSet`: a step, or the bit was set already.
    BitSet,
    /// `LockAcquired`: a step, or the news that a wait is over.
    Acquired,
    /// `EntryRead`: see the table.
    Read,
    /// The page-fault handler maps or allocates: not the protocol's.
    Environment,
}

macro_rules! step {
    ($pattern:pat) => {
        Meaning::Step(stringify!($pattern), |op| matches!(op, $pattern))
    };
}

/// What the event is to the protocol.
pub fn meaning(event: &Event) -> Meaning {
    match *event {
        Event::Begin { operation } => Meaning::Start(operation),
        Event::End { .. } => step!(Op::Return),
        Event::IrqEnter { vector } => Meaning::Interrupt(vector),
        Event::IrqSave { .. } => step!(Op::IrqSave(_)),
        Event::IrqRestore { .. } => step!(Op::IrqRestore(_)),
        Event::LockWait { .. } => step!(Op::Lock(..)),
        Event::LockAcquired { .. } => Meaning::Acquired,
        Event::LockReleased { .. } => step!(Op::Unlock(_)),
        Event::InitEntrySet {} => step!(Op::SetInitEntry),
        Event::InitEntryRead { .. } => step!(Op::ReadInitEntry { .. }),
        Event::WalkAt { .. } | Event::WalkDone {} => step!(Op::ForEachPgd { .. }),
        Event::KernelEntryRead { .. } => step!(Op::ReadKernelEntry { .. }),
        Event::PinnedRead { .. } => step!(Op::ReadPinned { .. }),
        Event::KernelEntrySet { .. } => step!(Op::WriteKernelEntry { .. }),
        Event::ListAdd { .. } => step!(Op::ListAdd),
        Event::ListDel { .. } => step!(Op::ListDel),
        Event::MmBorn { .. } => step!(Op::ClonePgd),
        Event::MmFreed { .. } => step!(Op::FreeMm),
        Event::EntryRead { .. } => Meaning::Read,
        Event::ClearYoung { .. } => step!(Op::TestAndClearYoung { .. }),
        Event::GetAndClear { .. } => step!(Op::GetAndClear { .. }),
        Event::SetSplitting { .. } => step!(Op::SetSplitting { .. }),
        Event::PmdNotPresent { .. } => step!(Op::PmdNotPresent),
        Event::PmdPopulate { .. } => step!(Op::PmdPopulate),
        Event::SplitCompound { .. } => step!(Op::SplitCompound),
        Event::PendingRaised { .. } => step!(Op::RaisePending),
        Event::PendingDropped { .. } => step!(Op::DropPending),
        Event::PendingRead { .. } => step!(Op::ReadPending),
        Event::FrameGet { .. } => step!(Op::GetPage(_)),
        Event::FramePut { .. } => step!(Op::PutPage(_)),
        Event::FlushLocal { .. } => step!(Op::FlushLocal(_)),
        Event::MaskRead { .. } => step!(Op::SendIpi(_)),
        Event::AcksComplete {} => step!(Op::AwaitAcks),
        Event::HypercallFlush { .. } => step!(Op::FlushHypercall(_)),
        Event::FlushHandled { .. } => step!(Op::FlushRequested),
        Event::Acked { .. } => step!(Op::Ack),
        Event::MaskSet { .. } => Meaning::BitSet,
        Event::MaskCleared { .. } => step!(Op::CpumaskClearPrev),
        Event::LoadCr3 { .. } => step!(Op::LoadCr3),
        Event::EnterLazy {} => step!(Op::EnterLazy),
        Event::LeaveLazy {} => step!(Op::StopBeingLazy { .. }),
        Event::LeaveMm { .. } => step!(Op::LeaveMm | Op::FlushLocal(_)),
        Event::TlbFill { slot, .. } => Meaning::Fill(slot),
        Event::UserAccess { .. } => step!(Op::UserStore(_)),
        Event::Pinned { .. } | Event::Unpinned { .. } => step!(Op::SetPinned(_)),
        Event::IrqExit { .. }
        | Event::RequestPublished { .. }
        | Event::AcksSet { .. }
        | Event::IpiSent { .. }
        | Event::RequestRead { .. }
        | Event::ReturnToUser {} => Meaning::Stutter,
        Event::EntrySet { .. } | Event::FrameAlloc { .. } | Event::TlbEvicted { .. } => {
            Meaning::Environment
        }
    }
}

/// Whether the event can be a step of the protocol.
pub fn is_step(event: &Event) -> bool {
    !matches!(meaning(event), Meaning::Stutter)
}
