//! When the flush that a changed entry calls for happens: before the unlock or after it, counted or not.
//!
//! This is the one file with an escape hatch. Kernels before ours awaited IPI acknowledgements with a page-table lock
//! held; [`BreaksTheRule::pretend_nothing_is_held`] is how their designs get past the types. It exists only for the
//! type [`UnderLock`], so a design whose moments are all [`AfterUnlock`] cannot reach it: `tests/compile_fail` shows
//! the error, and the simulated machine counts what happens in fact.

use crate::cpu::{Context, Cpu, Task};
use crate::design::{Design, FlushPolicy, Spinning};
use crate::id::MmId;
use crate::machine::Machine;
use crate::mm::{Covers, PtlGuard, drop_pending};
use crate::path::flush_tlb::{flush_tlb_mm, flush_tlb_page};
use crate::tlb::Scope;

/// A flush that a change calls for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flush {
    /// Whose entry changed.
    pub mm: MmId,
    /// Which translations may be stale.
    pub scope: Scope,
}

impl Flush {
    /// `flush_tlb_page` or `flush_tlb_mm`.
    pub(crate) fn run<M: Machine>(self, cpu: &mut Cpu<'_, M, Task>) {
        match self.scope {
            Scope::Page => flush_tlb_page(cpu, self.mm),
            Scope::All => flush_tlb_mm(cpu, self.mm),
        }
    }
}

/// When a flush happens, relative to the unlock of the lock under which the entry was changed.
pub trait Moment: 'static {
    /// Whether the lock has to be dropped and taken again for it.
    const AFTER_UNLOCK: bool;
    /// Called before the unlock.
    fn under_lock<M: Machine, T: Spinning, C: Context, S: Covers>(
        guard: &mut PtlGuard<'_, M, T, C, S>,
        flush: Flush,
    );
    /// Called after it, with the whole CPU.
    fn after_unlock<M: Machine>(cpu: &mut Cpu<'_, M, Task>, flush: Flush);
}

/// Before the unlock: what the rule forbids.
pub struct UnderLock;
/// After the unlock.
pub struct AfterUnlock;

/// **The escape hatch.** Implemented for [`UnderLock`] alone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` keeps the rule and has no way around it",
    label = "only designs that flush under a lock on purpose may pretend that nothing is held"
)]
pub trait BreaksTheRule {
    /// Pretends that this CPU holds no lock and has interrupts on, so that it may await acknowledgements. If another
    /// CPU spins for a lock that is held here, with interrupts off, both wait forever.
    fn pretend_nothing_is_held<'c, M: Machine, C>(cpu: &'c mut Cpu<'_, M, C>) -> Cpu<'c, M, Task> {
        cpu.narrow()
    }
}
impl BreaksTheRule for UnderLock {}

impl Moment for UnderLock {
    const AFTER_UNLOCK: bool = false;
    fn under_lock<M: Machine, T: Spinning, C: Context, S: Covers>(
        guard: &mut PtlGuard<'_, M, T, C, S>,
        flush: Flush,
    ) {
        flush.run(&mut Self::pretend_nothing_is_held(guard.cpu()));
    }
    fn after_unlock<M: Machine>(_: &mut Cpu<'_, M, Task>, _: Flush) {}
}

impl Moment for AfterUnlock {
    const AFTER_UNLOCK: bool = true;
    fn under_lock<M: Machine, T: Spinning, C: Context, S: Covers>(
        _: &mut PtlGuard<'_, M, T, C, S>,
        _: Flush,
    ) {
    }
    fn after_unlock<M: Machine>(cpu: &mut Cpu<'_, M, Task>, flush: Flush) {
        flush.run(cpu);
    }
}

/// The count of flushes owed to an mm, or its absence.
pub trait Counter: 'static {
    /// Under the lock, with the change: a flush is owed from here on.
    fn raise<M: Machine, T: Spinning, C: Context, S: Covers>(guard: &mut PtlGuard<'_, M, T, C, S>);
    /// Under the lock: whether somebody else still owes one, so that "not present" does not mean "not cached".
    fn owed<M: Machine, T: Spinning, C: Context, S: Covers>(
        guard: &mut PtlGuard<'_, M, T, C, S>,
    ) -> bool;
    /// After the flush is complete.
    fn settle<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId);
}

/// Nothing is counted.
pub struct NoCounter;
/// `mm->tlb_flush_pending`.
pub struct PendingCounter;

impl Counter for NoCounter {
    fn raise<M: Machine, T: Spinning, C: Context, S: Covers>(_: &mut PtlGuard<'_, M, T, C, S>) {}
    fn owed<M: Machine, T: Spinning, C: Context, S: Covers>(
        _: &mut PtlGuard<'_, M, T, C, S>,
    ) -> bool {
        false
    }
    fn settle<M: Machine>(_: &mut Cpu<'_, M, Task>, _: MmId) {}
}

impl Counter for PendingCounter {
    fn raise<M: Machine, T: Spinning, C: Context, S: Covers>(guard: &mut PtlGuard<'_, M, T, C, S>) {
        guard.raise_pending();
    }
    fn owed<M: Machine, T: Spinning, C: Context, S: Covers>(
        guard: &mut PtlGuard<'_, M, T, C, S>,
    ) -> bool {
        guard.read_pending()
    }
    fn settle<M: Machine>(cpu: &mut Cpu<'_, M, Task>, mm: MmId) {
        drop_pending(cpu.m(), mm);
    }
}

/// The moment of page-aging flushes in a design.
pub(crate) type Young<D> = <<D as Design>::Flush as FlushPolicy>::Young;
/// The moment of unmapping and splitting flushes in a design.
pub(crate) type Unmap<D> = <<D as Design>::Flush as FlushPolicy>::Unmap;
/// The counter of a design.
pub(crate) type Pending<D> = <<D as Design>::Flush as FlushPolicy>::Pending;

/// Under the lock, after a change that calls for `flush`: flushes now, or counts it as owed.
pub(crate) fn changed<D: Design, W: Moment, M: Machine, C: Context, S: Covers>(
    guard: &mut PtlGuard<'_, M, D::PtLock, C, S>,
    flush: Flush,
) {
    if W::AFTER_UNLOCK {
        Pending::<D>::raise(guard);
    }
    W::under_lock(guard, flush);
}

/// After the unlock: pays what [`changed`] left owed.
pub(crate) fn unlocked<D: Design, W: Moment, M: Machine>(cpu: &mut Cpu<'_, M, Task>, flush: Flush) {
    W::after_unlock(cpu, flush);
    if W::AFTER_UNLOCK {
        Pending::<D>::settle(cpu, flush.mm);
    }
}
