//! The one file with an escape hatch.
//!
//! Kernels before ours awaited IPI acknowledgements with a page-table lock held, and their designs have to run.
//! [`UnderLock`] is the moment they flush at, and `pretend_nothing_is_held` is how it gets past the types: a function
//! that no other file can name. A design whose moments are all [`super::AfterUnlock`] does not come here:
//! `tests/compile_fail` shows the errors, and the simulated machine counts what happens in fact.

use crate::cpu::sealed::Sealed;
use crate::cpu::{Cpu, Task};
use crate::flush::{Flush, Moment};
use crate::machine::Machine;

/// Before the unlock: what the rule forbids.
pub struct UnderLock;

/// Makes the token that nobody else may make.
pub(crate) struct Key(());

impl UnderLock {
    /// **The escape hatch.** Pretends that this CPU holds no lock and has interrupts on, so that it may await
    /// acknowledgements. If another CPU spins for a lock that is held here, with interrupts off, both wait forever.
    fn pretend_nothing_is_held<'id, M, C>(cpu: &mut Cpu<'id, M, C>) -> Cpu<'id, M, Task> {
        cpu.inside(Key(()))
    }
}

impl Sealed for UnderLock {}
impl Moment for UnderLock {
    const AFTER_UNLOCK: bool = false;
    fn under_lock<M: Machine, C>(cpu: &mut Cpu<'_, M, C>, flush: &Flush) {
        flush.run(&mut Self::pretend_nothing_is_held(cpu));
    }
    fn after_unlock<M: Machine>(_: &mut Cpu<'_, M, Task>, _: &Flush) {}
}
