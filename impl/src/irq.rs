//! The interrupt flag as a section, and the mark of being inside an interrupt.
//!
//! `local_irq_save`/`local_irq_restore` and `irq_enter`/`irq_exit` of 2.6.38. A handler runs with interrupts off and
//! does not nest; its token is lent for as long as the interrupt lasts, so nothing taken in it can outlive the `iret`.

use crate::cpu::sealed::Sealed;
use crate::cpu::{CarriesNoCpu, Context, Cpu, Cx, Held, NoLock};
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
pub trait IrqState: Sealed {
    /// The state with interrupts off.
    type Off: IrqState;
}
impl Sealed for IrqsOn {}
impl Sealed for IrqsOff {}
impl Sealed for InIrq {}
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
    label = "enter `with_irqs_off()` first: reading without the lock is safe only while no flush IPI can be answered here"
)]
pub trait IrqsAreOff: Context {}
impl<H: Held> IrqsAreOff for Cx<IrqsOff, H> {}
impl<H: Held> IrqsAreOff for Cx<InIrq, H> {}

/// The context inside `local_irq_save()`.
pub type InsideIrqsOff<C> = Cx<<<C as Context>::Irq as IrqState>::Off, <C as Context>::Held>;

/// Opens the door to the interrupt flag.
pub(crate) struct Key(());

/// Restores the flag at the end of the section, also when it unwinds.
struct Restore<'m, M: Machine> {
    machine: &'m M,
    flags: IrqFlags,
}

impl<M: Machine> Drop for Restore<'_, M> {
    fn drop(&mut self) {
        local_irq_restore(self.machine, self.flags);
    }
}

impl<'id, M: Machine, C: Context> Cpu<'id, M, C> {
    /// `local_irq_save(flags)`, `body`, `local_irq_restore(flags)`.
    pub fn with_irqs_off<R>(
        &mut self,
        body: impl FnOnce(&mut Cpu<'id, M, InsideIrqsOff<C>>) -> R + CarriesNoCpu,
    ) -> R {
        let machine = self.m().machine(Key(()));
        let _restore = Restore {
            machine,
            flags: local_irq_save(machine),
        };
        body(&mut self.inside(Key(())))
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
/// Machines get here through [`crate::operation::Code::interrupt`], on the CPU's own stack, in whatever context they
/// interrupt. Kernel code does not: in task context interrupts are on, and a handler's token says that they are off.
pub(crate) fn interrupt<M: Machine>(
    machine: &M,
    vector: Vector,
    handler: impl for<'i> FnOnce(&mut Cpu<'i, M, Cx<InIrq, NoLock>>),
) {
    machine.observe(Event::IrqEnter { vector });
    // The interrupted context's locks stay held, but not by this one: the order rules are per context, and the rule
    // against taking one's own lock from an interrupt is what `no_deadlock` is for.
    handler(&mut Cpu::begin(machine, Key(())));
    machine.observe(Event::IrqExit { vector });
}
