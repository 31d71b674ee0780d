//! The interrupt flag as a guard, and the mark of being inside an interrupt.
//!
//! `local_irq_save`/`local_irq_restore` and `irq_enter`/`irq_exit` of 2.6.38. A handler runs with interrupts off and
//! does not nest; its token lives as long as the interrupt, so no guard taken in it can outlive the `iret`.

use crate::cpu::{Context, Cpu, Cx, Held, NoLock};
use crate::event::Event;
use crate::id::{CpuId, MmId};
use crate::machine::{IrqFlags, Machine};

/// Interrupts are on.
pub struct IrqsOn;
/// Interrupts are off (`local_irq_save`, `spin_lock_irqsave`).
pub struct IrqsOff;
/// Inside a hard interrupt, where they are off as well.
pub struct InIrq;

/// The three states, and which one `local_irq_save` leads to.
pub trait IrqState {
    /// The state with interrupts off.
    type Off: IrqState;
}
impl IrqState for IrqsOn {
    type Off = IrqsOff;
}
impl IrqState for IrqsOff {
    type Off = IrqsOff;
}
impl IrqState for InIrq {
    type Off = InIrq;
}

/// Interrupts are off in this context.
#[diagnostic::on_unimplemented(
    message = "interrupts are not off in the context `{Self}`",
    label = "take `local_irq_save()` first: reading without the lock is safe only while no flush IPI can be answered here"
)]
pub trait IrqsAreOff: Context {}
impl<H: Held> IrqsAreOff for Cx<IrqsOff, H> {}
impl<H: Held> IrqsAreOff for Cx<InIrq, H> {}

/// Interrupts are off until this is dropped.
pub struct IrqGuard<'a, M: Machine, C: Context> {
    cpu: Cpu<'a, M, Cx<<C::Irq as IrqState>::Off, C::Held>>,
    flags: IrqFlags,
}

impl<M: Machine, C: Context> Cpu<'_, M, C> {
    /// `local_irq_save(flags)`.
    pub fn local_irq_save(&mut self) -> IrqGuard<'_, M, C> {
        let flags = local_irq_save(self.m());
        IrqGuard {
            cpu: self.narrow(),
            flags,
        }
    }
}

impl<'a, M: Machine, C: Context> IrqGuard<'a, M, C> {
    /// The CPU as it is with interrupts off.
    pub fn cpu(&mut self) -> &mut Cpu<'a, M, Cx<<C::Irq as IrqState>::Off, C::Held>> {
        &mut self.cpu
    }

    /// `local_irq_restore(flags)`; dropping does the same.
    pub fn local_irq_restore(self) {}
}

impl<M: Machine, C: Context> Drop for IrqGuard<'_, M, C> {
    fn drop(&mut self) {
        local_irq_restore(self.cpu.m(), self.flags);
    }
}

pub(crate) fn local_irq_save<M: Machine>(m: &M) -> IrqFlags {
    // The machine reports the change itself: a handler may run before `local_irq_restore` returns.
    m.local_irq_save()
}

pub(crate) fn local_irq_restore<M: Machine>(m: &M, flags: IrqFlags) {
    m.local_irq_restore(flags);
}

/// Which interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Vector {
    /// The flush IPI of this sender (`INVALIDATE_TLB_VECTOR`).
    FlushTlb(CpuId),
    /// An interrupt that drops the last reference to this mm, if the environment has such.
    PgdFree(MmId),
}

/// Runs a handler as the hardware and the entry code do: interrupts off, nothing held by this context.
///
/// Machines call it on the CPU's own stack, in whatever context they interrupt. The token the handler gets cannot
/// leave it.
pub fn interrupt<M: Machine>(
    machine: &M,
    vector: Vector,
    handler: impl for<'i> FnOnce(Cpu<'i, M, Cx<InIrq, NoLock>>),
) {
    machine.observe(Event::IrqEnter { vector });
    // The interrupted context's locks stay held, but not by this one: the order rules are per context, and the rule
    // against taking one's own lock from an interrupt is what `no_deadlock` is for.
    handler(Cpu::forge(machine));
    machine.observe(Event::IrqExit { vector });
}
