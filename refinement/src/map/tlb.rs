//! TLBs.
//!
//! | implementation | specification |
//! |---|---|
//! | `Slot::Pte`, `Slot::Huge` | `Entry::Pte`, `Entry::Huge` |
//! | `Scope::Page`, `Scope::All` | `Scope::Page`, `Scope::Mm` |
//! | `CpuState::tlb[slot]`: the frame it leads to | `Tlb::contains(entry)`: the frame is the slot's only one |

use shootdown_impl::tlb::{Scope, Slot};
use shootdown_spec::program;

use super::agree::{Disagreement, Sides, same};
use super::id::cpu_to_spec;
use super::mm::frame;

/// The slot of an entry.
pub fn slot(entry: program::Entry) -> Slot {
    match entry {
        program::Entry::Pte => Slot::Pte,
        program::Entry::Huge => Slot::Huge,
    }
}

/// The entry of a slot.
pub fn entry(slot: Slot) -> program::Entry {
    match slot {
        Slot::Pte => program::Entry::Pte,
        Slot::Huge => program::Entry::Huge,
    }
}

/// How much a flush covers.
pub fn scope(scope: Scope) -> program::Scope {
    match scope {
        Scope::Page => program::Scope::Page,
        Scope::All => program::Scope::Mm,
    }
}

pub(super) fn agree(sides: Sides<'_>) -> Result<(), Disagreement> {
    let machine = &sides.code.machine;
    for cpu in machine.cpu_ids() {
        for s in Slot::ALL {
            let c = &machine.cpus[cpu.index()];
            let cached = c.tlb[s as usize].map(|t| t.frame);
            let contains = sides.spec.cpu(cpu_to_spec(cpu)).tlb.contains(entry(s));
            // Translations are of the mm that is loaded.
            let own = c.tlb_state.active_mm.map(|mm| frame(mm, s));
            let spec = own.filter(|_| contains);
            same(cached, spec, || {
                format!(
                    "{}'s cached translation of the {}",
                    cpu_to_spec(cpu),
                    entry(s)
                )
            })?;
        }
    }
    Ok(())
}
