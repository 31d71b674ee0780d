//! User mode: a load or store through the TLB, or through the page tables by the hardware walker.
//!
//! Not kernel code. Locks: none. Interrupts: on.

use crate::cpu::{Cpu, Task};
use crate::event::Event;
use crate::machine::Machine;
use crate::tlb::{Access, AccessKind, Slot};

/// Touches the page behind `slot` of the own mm. A page fault does nothing here.
pub fn user_access<M: Machine>(cpu: &mut Cpu<'_, M, Task>, slot: Slot, kind: AccessKind) {
    let m = cpu.m();
    let (frame, filled) = match m.user_access(slot, kind) {
        Access::Hit(frame) => (Some(frame), false),
        Access::Filled(frame) => (Some(frame), true),
        Access::Fault => (None, false),
    };
    m.observe(Event::UserAccess {
        slot,
        kind,
        frame,
        filled,
    });
}
