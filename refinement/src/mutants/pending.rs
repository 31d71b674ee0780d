//! Faults in counting the flushes that are put off: `tlb_flush_pending` as a flag, too late, too early, not at all.

use shootdown_impl::design::{Combined, FlushAfterUnlock, IrqSave, PgdSpin};
use shootdown_impl::event::{Event, Lock};
use shootdown_impl::kernel::Loc;
use shootdown_impl::machine::Word;
use shootdown_impl::operation::Operation;
use shootdown_impl::path::flush_tlb::flush_tlb_page;
use shootdown_spec::design::Flush;
use shootdown_spec::variant::Variant;

use super::bent::{Bent, Fault, bent, policy};
use super::flush::{put_page, spec};
use super::{Mutant, Part, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant(
        Part::Flush,
        "flag-for-counter",
        "tlb_flush_pending is a flag: set and cleared, not counted (16af97dc5a89)",
        |a| bent(a, &FlagForCounter),
        "mm0=page_referenced_one/none=try_to_unmap_one/mm0=zap_page_range",
    )
    .model(Variant::FlagForCounter),
    mutant(
        Part::Flush,
        "counter-raised-after-the-unlock",
        "inc_tlb_flush_pending() after the unlock",
        |a| bent(a, &RaisedLate),
        "none=try_to_unmap_one/mm0=zap_page_range",
    )
    .model(Variant::RaiseAfterUnlock),
    mutant(
        Part::Flush,
        "counter-read-before-the-lock",
        "mm_tlb_flush_pending() before the pte's lock is taken",
        |a| bent(a, &ReadEarly),
        "none=try_to_unmap_one/mm0=zap_page_range",
    )
    .model(Variant::ReadBeforeLock),
    mutant(
        Part::Flush,
        "counter-dropped-before-the-flush",
        "dec_tlb_flush_pending() before the flush is complete",
        |a| bent(a, &DroppedEarly),
        "none=try_to_unmap_one/mm0=zap_page_range",
    ),
    mutant(
        Part::Flush,
        "counter-dropped-twice",
        "dec_tlb_flush_pending() twice",
        |a| bent(a, &DroppedTwice),
        "none=try_to_unmap_one@mm0/none=idle",
    ),
    mutant(
        Part::Flush,
        "no-counter",
        "flushes are deferred and nobody counts them",
        |_| policy::<NotCounted>(),
        "mm0=try_to_unmap_one/mm0=zap_page_range",
    )
    .model_design(spec(Flush::AfterUnlock)),
];

struct FlagForCounter;
impl Fault for FlagForCounter {
    fn fetch_add(&self, at: &Bent<'_>, word: &Word, delta: u64) -> u64 {
        match at.loc(word) {
            Some(Loc::FlushPending(_)) => {
                at.machine.store(word, u64::from(delta == 1));
                0
            }
            _ => at.machine.fetch_add(word, delta),
        }
    }
}

/// The increment is put off until the pte's lock is released.
struct RaisedLate;
impl Fault for RaisedLate {
    fn fetch_add(&self, at: &Bent<'_>, word: &Word, delta: u64) -> u64 {
        match at.loc(word) {
            Some(Loc::FlushPending(_)) if delta == 1 => {
                at.set(1);
                0
            }
            _ => at.machine.fetch_add(word, delta),
        }
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        match event {
            Event::PendingRaised { .. } => {}
            Event::LockReleased {
                lock: Lock::Pte(mm),
            } if at.noted(1) => {
                at.machine.observe(event);
                at.machine.fetch_add(at.word(Loc::FlushPending(mm)), 1);
                at.machine.observe(Event::PendingRaised { mm });
            }
            _ => at.machine.observe(event),
        }
    }
}

/// The counter is read when `munmap` begins; 1 more than what was read is remembered.
struct ReadEarly;
impl Fault for ReadEarly {
    fn begin(&self, at: &Bent<'_>, operation: Operation) {
        at.machine.begin(operation);
        if operation == Operation::ZapPageRange
            && let Some(mm) = at.machine.tlb_state().current_mm()
        {
            let count = at.machine.load(at.word(Loc::FlushPending(mm)));
            at.set(1 + count);
            let count = count.min(255) as u8;
            at.machine.observe(Event::PendingRead { mm, count });
        }
    }
    fn load(&self, at: &Bent<'_>, word: &Word) -> u64 {
        match (at.note.get(), at.loc(word)) {
            (1.., Some(Loc::FlushPending(_))) => at.note.get() - 1,
            _ => at.machine.load(word),
        }
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        if !matches!(event, Event::PendingRead { .. }) || at.noted(0) {
            at.machine.observe(event);
        }
    }
}

/// `tracked` that puts its flushes off and does not count them.
type NotCounted = Combined<PgdSpin<IrqSave>, true, IrqSave, FlushAfterUnlock>;

/// `dec_tlb_flush_pending` first, then the flush: the decrement is done where the acknowledgements are not yet asked
/// for, and not where it belongs.
struct DroppedEarly;
impl Fault for DroppedEarly {
    fn replaces(&self, operation: Operation) -> bool {
        matches!(operation, Operation::TryToUnmapOne(_))
    }
    fn path(&self, at: &Bent<'_>, operation: Operation) {
        let Operation::TryToUnmapOne(mm) = operation else {
            return;
        };
        let old = at.with_pte_lock(mm, || {
            let old = at.get_and_clear(mm);
            if old.frame().is_some() {
                at.raise_pending(mm);
            }
            old
        });
        if let Some(frame) = old.frame() {
            at.drop_pending(mm);
            at.cpu(|cpu| flush_tlb_page(cpu, mm));
            put_page(at, frame);
        }
    }
}

struct DroppedTwice;
impl Fault for DroppedTwice {
    fn observe(&self, at: &Bent<'_>, event: Event) {
        at.machine.observe(event);
        if let Event::PendingDropped { mm } = event {
            let minus_one = 1u64.wrapping_neg();
            at.machine
                .fetch_add(at.word(Loc::FlushPending(mm)), minus_one);
            at.machine.observe(event);
        }
    }
}
