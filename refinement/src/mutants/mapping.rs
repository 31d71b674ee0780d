//! Faults in the dictionary: two rows swapped, a word taken for another.
//!
//! The dictionary says what an event means; code that reports one event where it should report the other and a
//! dictionary with the two rows swapped are the same thing to the relation. So these faults change nothing but what
//! is reported, or what the kernel believes to be built with.

use shootdown_impl::environment::Environment;
use shootdown_impl::event::{Event, Lock};
use shootdown_impl::id::{CpuMask, FrameId, MmId};
use shootdown_impl::tlb::{Scope, Slot};

use super::bent::{Bent, Fault, bent};
use super::{Mutant, Part, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant(
        Part::Mapping,
        "raised-means-dropped",
        "PendingRaised and PendingDropped are swapped",
        |a| bent(a, &RAISED_IS_DROPPED),
        "none=try_to_unmap_one@mm0/none=idle",
    ),
    mutant(
        Part::Mapping,
        "pte-means-huge",
        "Slot::Pte and Slot::Huge are swapped in ClearYoung",
        |a| bent(a, &SLOTS_SWAPPED),
        "mm0=page_referenced_one/mm0=idle",
    ),
    mutant(
        Part::Mapping,
        "split-lock-means-page-table-lock",
        "Lock::Pte and Lock::PageTable are swapped",
        |a| bent(a, &LOCKS_SWAPPED),
        "mm0=page_referenced_one/mm0=idle",
    ),
    mutant(
        Part::Mapping,
        "page-means-all",
        "Scope::Page and Scope::All are swapped",
        |a| bent(a, &SCOPES_SWAPPED),
        "mm0=page_referenced_one/mm0=idle",
    ),
    mutant(
        Part::Mapping,
        "young-means-old",
        "ClearYoung says the opposite",
        |a| bent(a, &YOUNG_INVERTED),
        "mm0=page_referenced_one/mm0=idle",
    ),
    mutant(
        Part::Mapping,
        "mm-numbers-shifted",
        "WalkAt names the slot after the one meant",
        |a| bent(a, &MM_SHIFTED),
        "none=vmalloc_sync_all/none=idle",
    ),
    mutant(
        Part::Mapping,
        "mask-bit-is-a-stutter",
        "MaskCleared is taken for a stutter",
        |a| bent(a, &MASK_CLEARED_DROPPED),
        "mm0=switch_mm@mm1/none=idle",
    )
    .mms(2),
    mutant(
        Part::Mapping,
        "flush-local-is-a-stutter",
        "FlushLocal is taken for a stutter: the hidden step may hide only what does nothing",
        |a| bent(a, &FLUSH_LOCAL_DROPPED),
        "mm0=try_to_unmap_one/none=idle",
    ),
    mutant(
        Part::Mapping,
        "stutter-is-a-step",
        "SplitCompound is taken for two steps",
        |a| bent(a, &Twice),
        "none=split_huge_page@mm0/none=idle",
    )
    .env("split+thp"),
    mutant(
        Part::Mapping,
        "targets-include-the-sender",
        "MaskRead's targets are mapped with the sender in them",
        |a| bent(a, &TARGETS_WITH_SENDER),
        "mm0=try_to_unmap_one/mm0=idle",
    ),
    mutant(
        Part::Mapping,
        "freed-means-kept",
        "FramePut says the opposite",
        |a| bent(a, &FREED_INVERTED),
        "none=try_to_unmap_one@mm0/none=idle",
    ),
    mutant(
        Part::Mapping,
        "split-ptlocks-means-one-lock",
        "the axis split_ptlocks is mapped the wrong way round",
        |a| bent(a, &AxisSwapped),
        "mm0=page_referenced_one/mm0=idle",
    ),
    mutant(
        Part::Mapping,
        "pinned-means-unpinned",
        "Pinned and Unpinned are swapped",
        |a| bent(a, &PINNED_SWAPPED),
        "none=xen_pgd_pin@mm0/none=idle",
    )
    .env("xen"),
    mutant(
        Part::Mapping,
        "pending-of-another-mm",
        "PendingRaised names the mm after the one meant",
        |a| bent(a, &PENDING_SHIFTED),
        "none=try_to_unmap_one@mm0/none=idle",
    ),
    mutant(
        Part::Mapping,
        "frame-of-another-mm",
        "FramePut names the frame of the mm after the one meant",
        |a| bent(a, &FRAME_SHIFTED),
        "none=try_to_unmap_one@mm0/none=idle",
    ),
    mutant(
        Part::Mapping,
        "splitting-of-another-mm",
        "SetSplitting names the mm after the one meant",
        |a| bent(a, &SPLITTING_SHIFTED),
        "none=split_huge_page@mm0/none=idle",
    )
    .env("split+thp"),
    mutant(
        Part::Mapping,
        "nothing",
        "a machine in between that hands everything on",
        |a| bent(a, &Says(Some)),
        "none=try_to_unmap_one/mm0=zap_page_range",
    )
    .equivalent("the control: there is nothing to notice, and evidence that noticed it would be worth nothing"),
];

/// Another event is reported.
struct Says(fn(Event) -> Option<Event>);
impl Fault for Says {
    fn observe(&self, at: &Bent<'_>, event: Event) {
        if let Some(event) = (self.0)(event) {
            at.machine.observe(event);
        }
    }
}

const RAISED_IS_DROPPED: Says = Says(|event| {
    Some(match event {
        Event::PendingRaised { mm } => Event::PendingDropped { mm },
        Event::PendingDropped { mm } => Event::PendingRaised { mm },
        other => other,
    })
});
const SLOTS_SWAPPED: Says = Says(|event| {
    Some(match event {
        Event::ClearYoung { mm, slot, young } => Event::ClearYoung {
            mm,
            slot: match slot {
                Slot::Pte => Slot::Huge,
                Slot::Huge => Slot::Pte,
            },
            young,
        },
        other => other,
    })
});
fn other_lock(lock: Lock) -> Lock {
    match lock {
        Lock::Pte(mm) => Lock::PageTable(mm),
        Lock::PageTable(mm) => Lock::Pte(mm),
        other => other,
    }
}
const LOCKS_SWAPPED: Says = Says(|event| {
    Some(match event {
        Event::LockAcquired { lock } => Event::LockAcquired {
            lock: other_lock(lock),
        },
        Event::LockReleased { lock } => Event::LockReleased {
            lock: other_lock(lock),
        },
        other => other,
    })
});
fn other_scope(scope: Scope) -> Scope {
    match scope {
        Scope::Page => Scope::All,
        Scope::All => Scope::Page,
    }
}
const SCOPES_SWAPPED: Says = Says(|event| {
    Some(match event {
        Event::FlushLocal { mm, scope } => Event::FlushLocal {
            mm,
            scope: other_scope(scope),
        },
        other => other,
    })
});
const YOUNG_INVERTED: Says = Says(|event| {
    Some(match event {
        Event::ClearYoung { mm, slot, young } => Event::ClearYoung {
            mm,
            slot,
            young: !young,
        },
        other => other,
    })
});
const MM_SHIFTED: Says = Says(|event| {
    Some(match event {
        Event::WalkAt { mm } => Event::WalkAt { mm: MmId(mm.0 + 1) },
        other => other,
    })
});
const MASK_CLEARED_DROPPED: Says =
    Says(|event| (!matches!(event, Event::MaskCleared { .. })).then_some(event));
const FLUSH_LOCAL_DROPPED: Says =
    Says(|event| (!matches!(event, Event::FlushLocal { .. })).then_some(event));
const TARGETS_WITH_SENDER: Says = Says(|event| {
    Some(match event {
        Event::MaskRead { mm, .. } => Event::MaskRead {
            mm,
            targets: CpuMask::first(2),
        },
        other => other,
    })
});
const FREED_INVERTED: Says = Says(|event| {
    Some(match event {
        Event::FramePut { frame, freed } => Event::FramePut {
            frame,
            freed: !freed,
        },
        other => other,
    })
});
const PENDING_SHIFTED: Says = Says(|event| {
    Some(match event {
        Event::PendingRaised { mm } => Event::PendingRaised { mm: MmId(mm.0 + 1) },
        other => other,
    })
});
const FRAME_SHIFTED: Says = Says(|event| {
    Some(match event {
        Event::FramePut { frame, freed } => Event::FramePut {
            frame: FrameId(frame.0 + 2),
            freed,
        },
        other => other,
    })
});
const SPLITTING_SHIFTED: Says = Says(|event| {
    Some(match event {
        Event::SetSplitting { mm, newly } => Event::SetSplitting {
            mm: MmId(mm.0 + 1),
            newly,
        },
        other => other,
    })
});
const PINNED_SWAPPED: Says = Says(|event| {
    Some(match event {
        Event::Pinned { mm } => Event::Unpinned { mm },
        Event::Unpinned { mm } => Event::Pinned { mm },
        other => other,
    })
});

/// One event, twice.
struct Twice;
impl Fault for Twice {
    fn observe(&self, at: &Bent<'_>, event: Event) {
        at.machine.observe(event);
        if matches!(event, Event::SplitCompound { .. }) {
            at.machine.observe(event);
        }
    }
}

/// The kernel believes the opposite of what it was built with.
struct AxisSwapped;
impl Fault for AxisSwapped {
    fn env(&self, env: Environment) -> Environment {
        Environment {
            split_ptlocks: !env.split_ptlocks,
            ..env
        }
    }
}
