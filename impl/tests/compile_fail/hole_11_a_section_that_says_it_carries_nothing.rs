#![forbid(unsafe_code)]
//! A section behind a trait object of one's own, of which one's own crate says that it brings no token along.
use shootdown_impl::cpu::{CarriesNoCpu, Cpu, Cx, NoLock, Task};
use shootdown_impl::id::MmId;
use shootdown_impl::irq::IrqsOff;
use shootdown_impl::machine::Machine;
use shootdown_impl::path::flush_tlb::flush_tlb_mm;

trait Mine<M>: FnMut(&mut Cpu<'_, M, Cx<IrqsOff, NoLock>>) {}
impl<M, F: FnMut(&mut Cpu<'_, M, Cx<IrqsOff, NoLock>>)> Mine<M> for F {}

impl<M> CarriesNoCpu for &mut (dyn Mine<M> + '_) {}

pub fn waits_with_interrupts_off<M: Machine>(
    a: &mut Cpu<'_, M, Task>,
    b: &mut Cpu<'_, M, Task>,
    mm: MmId,
) {
    let mut section = |_: &mut Cpu<'_, M, _>| flush_tlb_mm(b, mm);
    let section: &mut dyn Mine<M> = &mut section;
    a.with_irqs_off(section);
}

fn main() {}
