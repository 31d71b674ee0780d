//! Address spaces, their entries and frames.
//!
//! | implementation | specification |
//! |---|---|
//! | `Life::Fresh` | `Unborn`, or `Forking` while `pgd_alloc` is at work |
//! | `Life::Alive` | `Alive`, or `Dying` while `pgd_free` is at work |
//! | `Life::Freed` | `Freed`; nothing else of the mm is compared then |
//! | `mm_cpumask`, `tlb_flush_pending`, `PagePinned` | `cpumask`, `pending`, `pinned` |
//! | the pgd's kernel entry, P bit | `kernel_entry` |
//! | `UserEntry(mm, slot)`: P, A, D, SPLITTING | `entries[entry]`: present, accessed, dirty, splitting |
//! | huge pmd present without PSE | `table`; its A and D bits say nothing then |
//! | the address in an entry | the mm's own page, or its own table where `table` |
//! | `FrameRefs`, `Compound` | `frames[entry]`: refs, not `split` |

use shootdown_impl::id::{CpuMask, FrameId, MmId};
use shootdown_impl::kernel::{Loc, Table, Target, compound_frame, small_frame};
use shootdown_impl::mm::Life;
use shootdown_impl::page_table::Entry;
use shootdown_impl::sim::layout;
use shootdown_impl::tlb::Slot;
use shootdown_spec::mm::{self as spec, UserEntry};
use shootdown_spec::program;

use super::agree::{Disagreement, Sides, same};
use super::id::{cpus, mm_to_spec};
use super::tlb;

/// Where the mm of a slot is in its life, as far as the code can tell.
fn life(spec: spec::Life) -> Life {
    match spec {
        spec::Life::Unborn | spec::Life::Forking => Life::Fresh,
        spec::Life::Alive | spec::Life::Dying => Life::Alive,
        spec::Life::Freed => Life::Freed,
    }
}

/// An entry of the code as the specification has it.
pub fn user_entry(entry: Entry, slot: Slot) -> UserEntry {
    let table = slot == Slot::Huge && entry.present() && !entry.trans_huge();
    UserEntry {
        present: entry.present(),
        accessed: entry.young() && !table,
        dirty: entry.dirty() && !table,
        splitting: entry.splitting(),
        table,
    }
}

/// What an entry of the specification leads to: it has names for the pages and tables of one mm only, its own.
fn target(mm: MmId, slot: Slot, entry: UserEntry) -> Target {
    match entry {
        UserEntry { present: false, .. } => Target::Nothing,
        UserEntry { table: true, .. } => Target::Table(mm, Table::Deposited),
        _ => Target::Frame(frame(mm, slot)),
    }
}

/// The frame behind a slot.
pub fn frame(mm: MmId, slot: Slot) -> FrameId {
    match slot {
        Slot::Pte => small_frame(mm),
        Slot::Huge => compound_frame(mm),
    }
}

/// Which entry's frame it is.
pub fn entry_of_frame(frame: FrameId) -> program::Entry {
    if frame.0.is_multiple_of(2) {
        program::Entry::Pte
    } else {
        program::Entry::Huge
    }
}

pub(super) fn agree(sides: Sides<'_>) -> Result<(), Disagreement> {
    let machine = &sides.code.machine;
    for mm in (0..sides.config.slots() as u8).map(MmId) {
        let id = mm_to_spec(Some(mm));
        let spec = sides.spec.mm(id);
        let of = |what: &str| format!("{id}.{what}");
        same(machine.life(mm), life(spec.life), || of("life"))?;
        if !matches!(spec.life, spec::Life::Alive | spec::Life::Dying) {
            continue;
        }
        let mask = cpus(CpuMask::from_word(machine.word(Loc::Cpumask(mm))));
        same(mask, spec.cpumask, || of("cpumask"))?;
        let kernel_entry = Entry(machine.word(Loc::KernelEntry(mm))).present();
        same(kernel_entry, spec.kernel_entry, || of("kernel_entry"))?;
        same(machine.word(Loc::Pinned(mm)) != 0, spec.pinned, || {
            of("pinned")
        })?;
        same(
            machine.word(Loc::FlushPending(mm)),
            spec.pending.into(),
            || of("pending"),
        )?;
        for slot in Slot::ALL {
            let (entry, behind) = (tlb::entry(slot), frame(mm, slot));
            let found = machine.entry(mm, slot);
            same(user_entry(found, slot), *spec.entry(entry), || {
                of(&entry.to_string())
            })?;
            same(
                layout().target(found, slot),
                target(mm, slot, *spec.entry(entry)),
                || format!("what {id}.{entry} leads to"),
            )?;
            let refs = machine.word(Loc::FrameRefs(behind));
            same(refs, spec.frame(entry).refs.into(), || {
                of(&format!("{entry} frame references"))
            })?;
        }
        if spec.frame(program::Entry::Huge).refs > 0 {
            let deposited = Entry(machine.word(Loc::DepositedPte(mm)));
            same(
                layout().target(deposited, Slot::Pte),
                Target::Frame(compound_frame(mm)),
                || format!("what the deposited table of {id} leads to"),
            )?;
            let whole = machine.word(Loc::Compound(compound_frame(mm))) != 0;
            same(!whole, spec.frame(program::Entry::Huge).split, || {
                of("compound page split")
            })?;
        }
    }
    Ok(())
}
