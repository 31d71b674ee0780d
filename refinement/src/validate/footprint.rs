//! What an event concerns: two events that have nothing in common can be tried in one order for both.
//!
//! A footprint is a set of things, one bit each. Events with disjoint footprints commute: each can happen before the
//! other exactly when it can happen after it, and both orders lead to the same state. A footprint may be too large,
//! which costs time, and must not be too small, which could lose an order and so reject a good trace (never accept a
//! bad one).

use shootdown_impl::event::{Event, Flushed, Lock};
use shootdown_impl::id::{CpuId, FrameId, MmId};
use shootdown_impl::irq::Vector;
use shootdown_impl::operation::Operation;

/// Everything.
pub const ALL: u64 = u64::MAX;

const CPU: u32 = 0;
const INBOX: u32 = 4;
const SENDER: u32 = 8;
/// Life, references, sleeping locks, on which CPUs it is active.
const LIFE: u32 = 12;
const MASK: u32 = 16;
/// User entries, frames, the pending counter.
const ENTRIES: u32 = 20;
/// Kernel entry, pinned.
const KERNEL: u32 = 24;
const PTL: u32 = 28;
const PTE: u32 = 32;
const PGD_LOCK: u64 = 1 << 36;
const LIST: u64 = 1 << 37;
const INIT: u64 = 1 << 38;

fn bit(first: u32, n: u8) -> u64 {
    1 << (first + u32::from(n & 3))
}

fn whole(mm: MmId) -> u64 {
    [LIFE, MASK, ENTRIES, KERNEL]
        .iter()
        .map(|&first| bit(first, mm.0))
        .sum()
}

fn lock(lock: Lock) -> u64 {
    match lock {
        Lock::PgdLock | Lock::PgdRead | Lock::PgdWrite => PGD_LOCK,
        Lock::PageTable(mm) => bit(PTL, mm.0),
        Lock::Pte(mm) => bit(PTE, mm.0),
    }
}

fn mm_of(frame: FrameId) -> u8 {
    frame.0 / 2
}

/// The footprint of an event on a CPU that has `active` as its active mm before it.
pub fn footprint(cpu: CpuId, active: Option<MmId>, event: &Event) -> u64 {
    bit(CPU, cpu.0) | shared(cpu, active, event)
}

/// What it concerns beside its own CPU.
fn shared(cpu: CpuId, active: Option<MmId>, event: &Event) -> u64 {
    let own = |first| active.map_or(0, |mm| bit(first, mm.0));
    match *event {
        Event::Begin {
            operation: Operation::PgdAlloc(mm),
        } => whole(mm),
        Event::Begin { operation } | Event::End { operation } => {
            operation.names().map_or(0, |mm| bit(LIFE, mm.0)) | own(LIFE)
        }
        Event::IrqEnter {
            vector: Vector::FlushTlb(from),
        } => bit(INBOX, cpu.0) | bit(SENDER, from.0),
        Event::IrqEnter {
            vector: Vector::PgdFree(mm),
        }
        | Event::IrqExit {
            vector: Vector::PgdFree(mm),
        } => bit(LIFE, mm.0) | bit(KERNEL, mm.0),
        Event::LockWait { lock: l }
        | Event::LockAcquired { lock: l }
        | Event::LockReleased { lock: l } => lock(l),
        Event::InitEntrySet {} | Event::InitEntryRead { .. } => INIT,
        Event::WalkAt { .. }
        | Event::WalkDone {}
        | Event::ListAdd { .. }
        | Event::ListDel { .. } => LIST,
        Event::KernelEntryRead { mm, .. }
        | Event::PinnedRead { mm, .. }
        | Event::Pinned { mm }
        | Event::Unpinned { mm } => bit(KERNEL, mm.0),
        Event::KernelEntrySet { mm, .. } => bit(KERNEL, mm.0) | bit(LIFE, mm.0),
        Event::MmBorn { mm } | Event::MmFreed { mm } => whole(mm),
        Event::EntryRead { mm, .. }
        | Event::ClearYoung { mm, .. }
        | Event::GetAndClear { mm, .. }
        | Event::SetSplitting { mm, .. }
        | Event::PmdNotPresent { mm }
        | Event::PmdPopulate { mm }
        | Event::EntrySet { mm, .. }
        | Event::PendingRaised { mm }
        | Event::PendingDropped { mm }
        | Event::PendingRead { mm, .. }
        | Event::TlbFill { mm, .. } => bit(ENTRIES, mm.0),
        Event::SplitCompound { frame }
        | Event::FrameGet { frame, .. }
        | Event::FramePut { frame, .. }
        | Event::FrameAlloc { frame } => bit(ENTRIES, mm_of(frame)),
        Event::UserAccess { .. } | Event::TlbEvicted { .. } => own(ENTRIES),
        Event::MaskRead { mm, targets } => {
            let inboxes: u64 = targets.iter().map(|to| bit(INBOX, to.0)).sum();
            bit(MASK, mm.0) | inboxes | bit(SENDER, cpu.0)
        }
        Event::RequestPublished { .. }
        | Event::AcksSet { .. }
        | Event::IpiSent { .. }
        | Event::AcksComplete {} => bit(SENDER, cpu.0),
        Event::RequestRead { from, .. } | Event::Acked { from } => bit(SENDER, from.0),
        // The hypervisor reaches into every TLB.
        Event::HypercallFlush { .. } => ALL,
        Event::FlushHandled {
            mm,
            result: Flushed::LeftMm,
            ..
        } => bit(MASK, mm.0),
        Event::MaskSet { mm } | Event::MaskCleared { mm } | Event::LeaveMm { mm } => {
            bit(MASK, mm.0)
        }
        Event::LoadCr3 { mm } => bit(LIFE, mm.0) | own(LIFE),
        Event::IrqSave { .. }
        | Event::IrqRestore { .. }
        | Event::IrqExit {
            vector: Vector::FlushTlb(_),
        }
        | Event::FlushLocal { .. }
        | Event::FlushHandled { .. }
        | Event::EnterLazy {}
        | Event::LeaveLazy {}
        | Event::ReturnToUser {} => 0,
    }
}
