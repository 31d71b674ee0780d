//! Every property of the protocol, one file each: a sentence, who relies on it, what it does
//! not cover, and the predicate.
//!
//! Every "never" is paired with [`Witness`]es, states that must have been reached for the
//! check to mean anything: a property whose witness was not reached is *vacuous*, not *holding*.

mod ack_after_flush;
mod irqs_on_while_waiting_for_ipi;
mod kernel_entries_synced;
mod lock_order;
mod mutual_exclusion;
mod no_deadlock;
mod no_irqs_off_wait_for_flush_lock;
mod no_lock_cycle;
mod no_lock_held_across_ipi_wait;
mod no_stale_tlb_after_return;
mod no_use_of_freed_frame;
mod no_walker_on_reused_table;
mod no_write_to_pinned_pgd;
mod pgd_list_integrity;
mod progress;
pub mod witness;

use crate::config::Config;
use crate::state::State;
pub use witness::{WITNESSES, Witness, WitnessId};

/// How a property is decided.
#[derive(Clone, Copy, Debug)]
pub enum Decided {
    /// By a predicate that is true of a state that violates it.
    OnStates(fn(&Config, &State) -> bool),
    /// On the explored graph.
    OnGraph,
}

/// One promise of the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Its name: the promise.
    pub name: &'static str,
    /// What is promised.
    pub promise: &'static str,
    /// Who relies on it.
    pub relied_on_by: &'static str,
    /// What it does not cover.
    pub not_covered: &'static str,
    /// How it is decided.
    pub decided: Decided,
    /// What must have been reached for the check to mean anything.
    pub witnesses: &'static [WitnessId],
}

/// Every property, in the order of protocol.md §6.
pub const PROPERTIES: &[Property] = &[
    no_deadlock::PROPERTY,
    no_lock_cycle::PROPERTY,
    no_lock_held_across_ipi_wait::PROPERTY,
    irqs_on_while_waiting_for_ipi::PROPERTY,
    no_irqs_off_wait_for_flush_lock::PROPERTY,
    mutual_exclusion::PROPERTY,
    lock_order::PROPERTY,
    pgd_list_integrity::PROPERTY,
    kernel_entries_synced::PROPERTY,
    no_stale_tlb_after_return::PROPERTY,
    no_use_of_freed_frame::PROPERTY,
    no_walker_on_reused_table::PROPERTY,
    no_write_to_pinned_pgd::PROPERTY,
    ack_after_flush::PROPERTY,
    progress::PROPERTY,
];

/// Position of a property's bit, and of the first witness bit, in [`observe`]'s mask.
pub const FIRST_WITNESS_BIT: usize = 16;
/// Position of the bit "nothing runs on this CPU", by CPU: the goals of progress.
pub const FIRST_IDLE_BIT: usize = 36;
/// Position of the bit "an interrupt ran above this program", by program.
pub const FIRST_INTERRUPTED_BIT: usize = 40;

impl Property {
    /// The property of that name.
    pub fn named(name: &str) -> Option<(usize, &'static Property)> {
        PROPERTIES.iter().enumerate().find(|(_, p)| p.name == name)
    }

    /// Does the state violate it? False for a property decided on the graph.
    pub fn is_violated(&self, config: &Config, state: &State) -> bool {
        match self.decided {
            Decided::OnStates(violated) => violated(config, state),
            Decided::OnGraph => false,
        }
    }

    /// The witnesses that apply in this configuration.
    pub fn witnesses(&self, config: &Config) -> impl Iterator<Item = &'static Witness> {
        self.witnesses
            .iter()
            .map(|w| w.info())
            .filter(move |w| (w.applies)(config))
    }
}

/// Everything there is to say about a state, as a bit mask: bit *i* for property *i* violated,
/// then the witnesses, the CPUs on which nothing runs, the programs that an interrupt runs above.
pub fn observe(config: &Config, state: &State) -> u64 {
    let mut mask = 0;
    for (i, property) in PROPERTIES.iter().enumerate() {
        mask |= u64::from(property.is_violated(config, state)) << i;
    }
    for (i, witness) in WITNESSES.iter().enumerate() {
        mask |= u64::from((witness.reached)(config, state)) << (FIRST_WITNESS_BIT + i);
    }
    for (who, cpu) in state.each_cpu(config) {
        let idle = crate::id::Level::ALL
            .iter()
            .all(|&l| !cpu.context(l).is_running());
        mask |= u64::from(idle) << (FIRST_IDLE_BIT + who.index());
        let below = cpu.context(crate::id::Level::Task);
        if cpu.in_irq() && below.is_running() {
            mask |= 1 << (FIRST_INTERRUPTED_BIT + below.program as usize);
        }
    }
    mask
}

// The masks must not overlap.
const _: () = assert!(PROPERTIES.len() <= FIRST_WITNESS_BIT);
const _: () = assert!(FIRST_WITNESS_BIT + WITNESSES.len() <= FIRST_IDLE_BIT);
const _: () = assert!(FIRST_INTERRUPTED_BIT + crate::program::PROGRAM_COUNT <= 64);
