//! Everything one actor can say to another.
//!
//! CPUs ask, the others answer; only the flush IPI stays on its way for any length of time,
//! until its target has interrupts on.

use crate::id::{CpuId, Level, LockId, MmId};
use crate::mm::{MmReply, MmRequest};
use crate::program::{Mode, Scope};

/// Who can receive a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Addr {
    /// A CPU.
    Cpu(CpuId),
    /// A lock.
    Lock(LockId),
    /// An mm slot.
    Mm(MmId),
    /// `pgd_list` with init_mm's kernel entry.
    PgdList,
}

/// What is asked of `pgd_list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListRequest {
    /// Make init_mm's kernel entry present.
    SetInitEntry,
    /// Read it.
    ReadInitEntry,
    /// The pgd after this one.
    After(MmId),
    /// `list_add`.
    Add(MmId),
    /// `list_del`.
    Del(MmId),
    /// History: a walk has returned. No reply.
    WalkReturned,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Msg {
    /// CPU to lock: take it for my context at this level.
    Acquire(Level, Mode),
    /// CPU to lock: take it only if it is free.
    TryAcquire(Level),
    /// CPU to lock: release.
    Release(Level),
    /// Lock to CPU: it is yours, at once or after a wait.
    Granted(Level),
    /// Lock to CPU: spin.
    Queued(Level),
    /// Lock to CPU: held by somebody else (answer to [`Msg::TryAcquire`]).
    Busy(Level),
    /// Lock to CPU: released.
    Released(Level),
    /// CPU to mm.
    Mm(MmRequest),
    /// Mm to CPU.
    MmReply(MmReply),
    /// CPU to `pgd_list`.
    List(ListRequest),
    /// `pgd_list` to CPU: the pgd asked for, or whether the entry is there.
    ListReply(MmId, bool),
    /// CPU to CPU: the flush IPI. Delivered only while the target's interrupts are on.
    Ipi(MmId, Scope),
    /// CPU to CPU: my part of your flush is done.
    Ack,
    /// Hypervisor to CPU (sent by the CPU that made the hypercall): flush this mm now.
    FlushTlb(MmId, Scope),
}
