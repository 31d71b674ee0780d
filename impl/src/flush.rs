//! When the flush that a changed entry calls for happens: before the unlock or after it, counted or not.
//!
//! A change gives back what it leaves `Owed`, and only `Owed::settle`, with the whole CPU, takes that away: it
//! flushes, and drops the count that the change has raised. Neither can be had without the other.

pub(crate) mod under_lock;

use core::marker::PhantomData;

use crate::cpu::sealed::Sealed;
use crate::cpu::{Brand, Cpu, Task};
use crate::design::{Design, FlushPolicy};
use crate::door::Door;
use crate::id::MmId;
use crate::machine::Machine;
use crate::mm::{Covers, LockedEntry, drop_pending, raise_pending, read_pending};
use crate::path::flush_tlb::{flush_tlb_mm, flush_tlb_page};
use crate::tlb::Scope;

pub use under_lock::UnderLock;

/// A flush that a change calls for. Only this crate makes one.
pub struct Flush {
    /// Whose entry changed.
    mm: MmId,
    /// Which translations may be stale.
    scope: Scope,
}

impl Flush {
    /// `flush_tlb_page` or `flush_tlb_mm`.
    fn run<M: Machine>(&self, cpu: &mut Cpu<'_, M, Task>) {
        match self.scope {
            Scope::Page => flush_tlb_page(cpu, self.mm),
            Scope::All => flush_tlb_mm(cpu, self.mm),
        }
    }
}

/// When a flush happens, relative to the unlock of the lock under which the entry was changed.
pub trait Moment: Sealed + 'static {
    /// Whether the lock has to be dropped and taken again for it.
    const AFTER_UNLOCK: bool;
    /// Called before the unlock.
    fn under_lock<M: Machine, C>(cpu: &mut Cpu<'_, M, C>, flush: &Flush);
    /// Called after it, with the whole CPU.
    fn after_unlock<M: Machine>(cpu: &mut Cpu<'_, M, Task>, flush: &Flush);
}

/// After the unlock.
pub struct AfterUnlock;

impl Sealed for AfterUnlock {}
impl Moment for AfterUnlock {
    const AFTER_UNLOCK: bool = true;
    fn under_lock<M: Machine, C>(_: &mut Cpu<'_, M, C>, _: &Flush) {}
    fn after_unlock<M: Machine>(cpu: &mut Cpu<'_, M, Task>, flush: &Flush) {
        flush.run(cpu);
    }
}

/// The count of flushes owed to an mm, or its absence. Its methods need the `Door`, so only this crate calls them.
pub trait Counter: Sealed + 'static {
    /// What raising leaves behind, and dropping takes away.
    type Raised;
    /// Under the lock, with the change: a flush is owed from here on.
    fn raise<M: Machine>(m: Door<'_, M>, mm: MmId) -> Self::Raised;
    /// Under the lock: whether somebody else still owes one, so that "not present" does not mean "not cached".
    fn owed<M: Machine>(m: Door<'_, M>, mm: MmId) -> bool;
    /// After the flush is complete.
    fn settle<M: Machine>(m: Door<'_, M>, raised: Self::Raised);
}

/// Nothing is counted.
pub struct NoCounter;
/// `mm->tlb_flush_pending`.
pub struct PendingCounter;

/// That `tlb_flush_pending` of an mm has been raised, once, and not dropped yet.
#[must_use]
pub struct PendingRaised(MmId);

impl Sealed for NoCounter {}
impl Counter for NoCounter {
    type Raised = ();
    fn raise<M: Machine>(_: Door<'_, M>, _: MmId) {}
    fn owed<M: Machine>(_: Door<'_, M>, _: MmId) -> bool {
        false
    }
    fn settle<M: Machine>(_: Door<'_, M>, (): ()) {}
}

impl Sealed for PendingCounter {}
impl Counter for PendingCounter {
    type Raised = PendingRaised;
    fn raise<M: Machine>(m: Door<'_, M>, mm: MmId) -> PendingRaised {
        raise_pending(m, mm);
        PendingRaised(mm)
    }
    fn owed<M: Machine>(m: Door<'_, M>, mm: MmId) -> bool {
        read_pending(m, mm)
    }
    fn settle<M: Machine>(m: Door<'_, M>, PendingRaised(mm): PendingRaised) {
        drop_pending(m, mm);
    }
}

/// The moment of page-aging flushes in a design.
pub(crate) type Young<D> = <<D as Design>::Flush as FlushPolicy>::Young;
/// The moment of unmapping and splitting flushes in a design.
pub(crate) type Unmap<D> = <<D as Design>::Flush as FlushPolicy>::Unmap;
/// The counter of a design.
pub(crate) type Pending<D> = <<D as Design>::Flush as FlushPolicy>::Pending;

/// What a change under a lock leaves to be done after the unlock, on the same CPU.
#[must_use = "a flush is owed: call `settle` after the unlock"]
pub(crate) struct Owed<'id, D: Design, W> {
    flush: Flush,
    raised: Option<<Pending<D> as Counter>::Raised>,
    moment: PhantomData<fn() -> W>,
    brand: Brand<'id>,
}

/// Under the lock, after a change that calls for a flush of this scope: flushes now, or counts it as owed.
pub(crate) fn changed<'id, D: Design, W: Moment, M: Machine, C, S: Covers>(
    entry: &LockedEntry<'_, M, S>,
    cpu: &mut Cpu<'id, M, C>,
    scope: Scope,
) -> Owed<'id, D, W> {
    let mm = entry.mm();
    let flush = Flush { mm, scope };
    let raised = if W::AFTER_UNLOCK {
        Some(Pending::<D>::raise(entry.m(), mm))
    } else {
        None
    };
    W::under_lock(cpu, &flush);
    Owed {
        flush,
        raised,
        moment: PhantomData,
        brand: PhantomData,
    }
}

impl<'id, D: Design, W: Moment> Owed<'id, D, W> {
    /// After the unlock: pays what [`changed`] left owed.
    pub(crate) fn settle<M: Machine>(self, cpu: &mut Cpu<'id, M, Task>) {
        W::after_unlock(cpu, &self.flush);
        if let Some(raised) = self.raised {
            Pending::<D>::settle(cpu.m(), raised);
        }
    }
}
