//! What is reported about a run: one [`Event`] per step that means something to the protocol.
//!
//! Kernel code reports an event right after the door call that is its linearisation point (the machine itself reports
//! the interrupt flag, because a handler may run before the call returns). An event is small and `Copy`, packs into
//! one 64-bit word ([`Event::pack`]) so that a recorder needs no locks, and serialises to one JSON object.

use crate::id::{CpuId, CpuMask, FrameId, MmId, NR_CPUS, NR_FRAMES, NR_MMS};
use crate::irq::Vector;
use crate::operation::Operation;
use crate::tlb::{AccessKind, Scope, Slot};

/// A lock by name, with how it is held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Lock {
    /// `pgd_lock`, a spinlock.
    PgdLock,
    /// `pgd_lock`, an rwlock held for reading.
    PgdRead,
    /// `pgd_lock`, an rwlock held for writing.
    PgdWrite,
    /// `mm->page_table_lock`.
    PageTable(MmId),
    /// The split lock of an mm's pte page.
    Pte(MmId),
}

impl core::fmt::Display for Lock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::PgdLock => f.write_str("pgd_lock"),
            Self::PgdRead => f.write_str("pgd_lock (read)"),
            Self::PgdWrite => f.write_str("pgd_lock (write)"),
            Self::PageTable(mm) => write!(f, "{mm}.page_table_lock"),
            Self::Pte(mm) => write!(f, "{mm}.pte_lock"),
        }
    }
}

/// How a flush was dealt with on the CPU it reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Flushed {
    /// The TLB was flushed.
    Flushed,
    /// The CPU was lazy and left the mm.
    LeftMm,
    /// Another mm, or none, is loaded: nothing to do.
    NotLoaded,
}

/// A value that packs into one byte of an event.
trait Byte: Sized {
    fn byte(self) -> u8;
    fn of(byte: u8) -> Option<Self>;
}

macro_rules! bytes {
    ($($type:ty { $($value:expr => $byte:literal),* $(,)? })*) => {$(
        impl Byte for $type {
            fn byte(self) -> u8 {
                match self { $(v if v == $value => $byte,)* _ => u8::MAX }
            }
            fn of(byte: u8) -> Option<Self> {
                match byte { $($byte => Some($value),)* _ => None }
            }
        }
    )*};
}
bytes! {
    bool { false => 0, true => 1 }
    Slot { Slot::Pte => 0, Slot::Huge => 1 }
    Scope { Scope::Page => 0, Scope::All => 1 }
    AccessKind { AccessKind::Load => 0, AccessKind::Store => 1 }
    Flushed { Flushed::Flushed => 0, Flushed::LeftMm => 1, Flushed::NotLoaded => 2 }
}

macro_rules! id_bytes {
    ($($type:ident < $limit:expr),*) => {$(
        impl Byte for $type {
            fn byte(self) -> u8 { self.0 }
            fn of(byte: u8) -> Option<Self> { $type::new(byte.into()) }
        }
        impl Byte for Option<$type> {
            fn byte(self) -> u8 { self.map_or(u8::MAX, |id| id.0) }
            fn of(byte: u8) -> Option<Self> {
                if byte == u8::MAX { Some(None) } else { $type::new(byte.into()).map(Some) }
            }
        }
        const _: () = assert!($limit < u8::MAX as usize);
    )*};
}
id_bytes!(CpuId < NR_CPUS, MmId < NR_MMS, FrameId < NR_FRAMES);

impl Byte for u8 {
    fn byte(self) -> u8 {
        self
    }
    fn of(byte: u8) -> Option<Self> {
        Some(byte)
    }
}
impl Byte for CpuMask {
    fn byte(self) -> u8 {
        self.0
    }
    fn of(byte: u8) -> Option<Self> {
        Some(Self(byte))
    }
}
impl Byte for Lock {
    fn byte(self) -> u8 {
        match self {
            Self::PgdLock => 0,
            Self::PgdRead => 1,
            Self::PgdWrite => 2,
            Self::PageTable(mm) => 0x40 | mm.0,
            Self::Pte(mm) => 0x80 | mm.0,
        }
    }
    fn of(byte: u8) -> Option<Self> {
        let mm = MmId::new((byte & 0x3f).into());
        match (byte >> 6, byte) {
            (0, 0) => Some(Self::PgdLock),
            (0, 1) => Some(Self::PgdRead),
            (0, 2) => Some(Self::PgdWrite),
            (1, _) => mm.map(Self::PageTable),
            (2, _) => mm.map(Self::Pte),
            _ => None,
        }
    }
}
impl Byte for Vector {
    fn byte(self) -> u8 {
        match self {
            Self::FlushTlb(from) => from.0,
            Self::PgdFree(mm) => 0x80 | mm.0,
        }
    }
    fn of(byte: u8) -> Option<Self> {
        if byte & 0x80 == 0 {
            CpuId::new(byte.into()).map(Self::FlushTlb)
        } else {
            MmId::new((byte & 0x7f).into()).map(Self::PgdFree)
        }
    }
}
impl Byte for Operation {
    fn byte(self) -> u8 {
        self.code()
    }
    fn of(byte: u8) -> Option<Self> {
        Self::from_code(byte)
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty),* $(,)? } = $tag:literal),* $(,)?) => {
        /// One step of the protocol, as it happened.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(tag = "event", rename_all = "snake_case"))]
        pub enum Event { $($(#[$doc])* $name { $($(#[$fdoc])* $field: $type),* }),* }

        impl Event {
            /// The event in one word: the kind in the lowest byte, then its fields.
            pub fn pack(self) -> u64 {
                match self {
                    $(Self::$name { $($field),* } => {
                        #[allow(unused_mut, unused_assignments, unused_variables, reason = "events without fields")]
                        {
                            let (mut word, mut shift) = ($tag as u64, 8);
                            $(word |= u64::from(Byte::byte($field)) << shift; shift += 8;)*
                            word
                        }
                    })*
                }
            }

            /// The inverse of [`Self::pack`]; `None` for a word that is no event.
            pub fn unpack(word: u64) -> Option<Self> {
                match word as u8 {
                    $($tag => {
                        #[allow(unused_mut, unused_assignments, unused_variables, reason = "events without fields")]
                        {
                            let mut rest = word >> 8;
                            $(let $field = <$type as Byte>::of(rest as u8)?; rest >>= 8;)*
                            if rest == 0 { Some(Self::$name { $($field),* }) } else { None }
                        }
                    })*
                    _ => None,
                }
            }

            /// The name of the kind, as in the trace.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name { .. } => stringify!($name)),* }
            }
        }
    };
}

events! {
    /// A program starts.
    Begin { /// Which.
        operation: Operation } = 1,
    /// It is done.
    End { /// Which.
        operation: Operation } = 2,
    /// `local_irq_save`: interrupts are off now.
    IrqSave { /// What they were.
        enabled: bool } = 3,
    /// `local_irq_restore`.
    IrqRestore { /// What they are now.
        enabled: bool } = 4,
    /// An interrupt is taken.
    IrqEnter { /// Which.
        vector: Vector } = 5,
    /// Its handler is done; the next thing is the `iret`.
    IrqExit { /// Which.
        vector: Vector } = 6,
    /// A ticket was drawn and others are first.
    LockWait { /// Of which lock.
        lock: Lock } = 7,
    /// The lock is ours.
    LockAcquired { /// Which.
        lock: Lock } = 8,
    /// The lock is no longer ours.
    LockReleased { /// Which.
        lock: Lock } = 9,
    /// `init_mm`'s kernel entry was set (or found set).
    InitEntrySet {} = 10,
    /// `init_mm`'s kernel entry was read.
    InitEntryRead { /// Whether it is there.
        present: bool } = 11,
    /// The walk stands on this pgd.
    WalkAt { /// Whose.
        mm: MmId } = 12,
    /// The walk is back at the head.
    WalkDone {} = 13,
    /// An mm's kernel entry was read.
    KernelEntryRead { /// Whose.
        mm: MmId,
        /// Whether it is there.
        present: bool } = 14,
    /// An mm's kernel entry was written.
    KernelEntrySet { /// Whose.
        mm: MmId,
        /// By the hypervisor, for us.
        hypervisor: bool } = 15,
    /// Whether the pgd page is pinned was read.
    PinnedRead { /// Whose.
        mm: MmId,
        /// What was read.
        pinned: bool } = 16,
    /// `list_add` is visible.
    ListAdd { /// Whose pgd.
        mm: MmId } = 17,
    /// `list_del` is visible.
    ListDel { /// Whose pgd.
        mm: MmId } = 18,
    /// The mm is alive from here on (its slot was fresh).
    MmBorn { /// Which.
        mm: MmId } = 19,
    /// The mm and its tables are free memory from here on.
    MmFreed { /// Which.
        mm: MmId } = 20,
    /// A user entry was read.
    EntryRead { /// Whose.
        mm: MmId,
        /// Which.
        slot: Slot,
        /// Whether it maps a page of that size.
        present: bool,
        /// Whether a huge page is being split.
        splitting: bool } = 21,
    /// ACCESSED was tested and cleared.
    ClearYoung { /// Whose.
        mm: MmId,
        /// In which entry.
        slot: Slot,
        /// Whether it was set.
        young: bool } = 22,
    /// An entry was read and cleared.
    GetAndClear { /// Whose.
        mm: MmId,
        /// Which.
        slot: Slot,
        /// What it mapped, if anything.
        frame: Option<FrameId> } = 23,
    /// SPLITTING was set.
    SetSplitting { /// Whose.
        mm: MmId,
        /// Whether it was not set before.
        newly: bool } = 24,
    /// The huge pmd is not present any more.
    PmdNotPresent { /// Whose.
        mm: MmId } = 25,
    /// The pmd points to a table now.
    PmdPopulate { /// Whose.
        mm: MmId } = 26,
    /// A page was mapped by the fault handler (not part of the specification's programs).
    EntrySet { /// Whose.
        mm: MmId,
        /// Which entry.
        slot: Slot,
        /// What it maps.
        frame: FrameId } = 27,
    /// The compound page is split.
    SplitCompound { /// Which.
        frame: FrameId } = 28,
    /// The pending-flush counter was raised.
    PendingRaised { /// Whose.
        mm: MmId } = 29,
    /// The pending-flush counter was lowered.
    PendingDropped { /// Whose.
        mm: MmId } = 30,
    /// The pending-flush counter was read.
    PendingRead { /// Whose.
        mm: MmId,
        /// What it said, 255 for more.
        count: u8 } = 31,
    /// A reference on a frame was taken.
    FrameGet { /// Which.
        frame: FrameId,
        /// Through which kind of entry.
        slot: Slot } = 32,
    /// A reference on a frame was dropped.
    FramePut { /// Which.
        frame: FrameId,
        /// Whether it was the last.
        freed: bool } = 33,
    /// This CPU flushed its own TLB on behalf of its own flush.
    FlushLocal { /// Of which mm.
        mm: MmId,
        /// How much.
        scope: Scope } = 34,
    /// `mm_cpumask` was read; this CPU is left out.
    MaskRead { /// Whose.
        mm: MmId,
        /// Who has to be told.
        targets: CpuMask } = 35,
    /// The flush request was published.
    RequestPublished { /// Of which mm.
        mm: MmId,
        /// How much.
        scope: Scope } = 36,
    /// The acknowledgement word was set: these CPUs have yet to answer.
    AcksSet { /// Who.
        targets: CpuMask } = 37,
    /// An IPI was sent.
    IpiSent { /// To whom.
        to: CpuId } = 38,
    /// All have answered.
    AcksComplete {} = 39,
    /// Everybody's TLB was flushed by the hypervisor.
    HypercallFlush { /// Of which mm.
        mm: MmId,
        /// How much.
        scope: Scope } = 40,
    /// The flush handler read the sender's request.
    RequestRead { /// Whose request.
        from: CpuId,
        /// For which mm.
        mm: MmId } = 41,
    /// The flush handler did what was asked.
    FlushHandled { /// On behalf of whom.
        from: CpuId,
        /// For which mm.
        mm: MmId,
        /// How much.
        scope: Scope,
        /// The result.
        result: Flushed } = 42,
    /// The flush handler acknowledged.
    Acked { /// To whom.
        from: CpuId } = 43,
    /// This CPU's bit was set in a cpumask.
    MaskSet { /// Whose.
        mm: MmId } = 44,
    /// This CPU's bit was cleared in a cpumask.
    MaskCleared { /// Whose.
        mm: MmId } = 45,
    /// A pgd was loaded.
    LoadCr3 { /// Whose.
        mm: MmId } = 46,
    /// The CPU is lazy.
    EnterLazy {} = 47,
    /// The CPU is not lazy any more, on the mm it already had.
    LeaveLazy {} = 48,
    /// A lazy CPU left its mm: bit cleared, `swapper_pg_dir` loaded.
    LeaveMm { /// Which mm.
        mm: MmId } = 49,
    /// The hardware walker put a translation into this CPU's TLB of its own accord.
    TlbFill { /// Of which mm.
        mm: MmId,
        /// From which entry.
        slot: Slot,
        /// As for which access (a store sets DIRTY).
        kind: AccessKind } = 50,
    /// User mode touched a page.
    UserAccess { /// Through which entry.
        slot: Slot,
        /// How.
        kind: AccessKind,
        /// What it reached; nothing means a page fault.
        frame: Option<FrameId>,
        /// Whether by a walk of the tables, which is cached now (and set ACCESSED, for a store DIRTY).
        filled: bool } = 51,
    /// Xen pinned the pgd page.
    Pinned { /// Whose.
        mm: MmId } = 52,
    /// Xen unpinned it.
    Unpinned { /// Whose.
        mm: MmId } = 53,
    /// The CPU returns to user mode.
    ReturnToUser {} = 54,
    /// The fault handler took a free frame (not part of the specification's programs).
    FrameAlloc { /// Which.
        frame: FrameId } = 55,
    /// The hardware had dropped a translation of its own accord, as the access that comes next found.
    TlbEvicted { /// Of which mm.
        mm: MmId,
        /// From which entry.
        slot: Slot } = 56,
}

/// Somebody who wants to know.
///
/// A machine asks [`Self::ACTIVE`] first, so that for `()` neither the event nor the call remains in the code.
pub trait Observer {
    /// Whether anything is done with events at all.
    const ACTIVE: bool;

    /// Takes note of an event on this CPU. Called in interrupt context too: must not block on another CPU.
    fn event(&self, cpu: CpuId, event: Event);

    /// A door call is about to happen: its event, if it has one, took effect after this.
    fn before(&self, _: CpuId) {}

    /// An interrupt is about to be served between a door call and its event; the answer is for [`Self::resume`].
    fn suspend(&self, _: CpuId) -> u64 {
        0
    }

    /// The interrupt is over.
    fn resume(&self, _: CpuId, _: u64) {}
}

/// Nobody.
impl Observer for () {
    const ACTIVE: bool = false;
    fn event(&self, _: CpuId, _: Event) {}
}

/// Sends every event to `tracing`, for people: `TRACE` level, target `shootdown`.
#[cfg(feature = "tracing")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing;

#[cfg(feature = "tracing")]
impl Observer for Tracing {
    const ACTIVE: bool = true;
    fn event(&self, cpu: CpuId, event: Event) {
        tracing::trace!(target: "shootdown", cpu = cpu.0, kind = event.name(), ?event);
    }
}
