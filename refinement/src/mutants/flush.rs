//! Faults in flushing: when, whom, how much, waited for or not. How it is counted: `pending.rs`.

use shootdown_impl::event::{Event, Flushed};
use shootdown_impl::fault::Fault as HostFault;
use shootdown_impl::id::{CpuId, CpuMask, FrameId, MmId};
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::Loc;
use shootdown_impl::machine::{Machine, Word};
use shootdown_impl::operation::Operation;
use shootdown_impl::page_table::Entry;
use shootdown_impl::path::flush_tlb::flush_tlb_page;
use shootdown_impl::tlb::{Scope, Slot};
use shootdown_spec::design::{Design as SpecDesign, Flush, PgdLock, Ptl};
use shootdown_spec::variant::Variant;

use super::bent::{Bent, Fault, bent};
use super::{Mutant, Part, mutant, place};

/// The protocol of `tracked` but for when it flushes.
pub(super) const fn spec(flush: Flush) -> SpecDesign {
    SpecDesign {
        pgd_lock: PgdLock::Irqsave,
        walk_takes_ptl: true,
        ptl: Ptl::Irqsave,
        flush,
    }
}

pub(super) const MUTANTS: &[Mutant] = &[
    mutant(
        Part::Flush,
        "ack-before-flush",
        "smp_invalidate_interrupt() acknowledges first and flushes then",
        |a| bent(a, &AckBeforeFlush),
        "none=try_to_unmap_one@mm0/mm0=idle",
    )
    .model(Variant::AckBeforeFlush)
    .model_at(place("mm0=page_referenced_one/mm0=idle")),
    mutant(
        Part::Flush,
        "ack-only-if-flushed",
        "smp_invalidate_interrupt() returns without an answer if another mm is loaded by now",
        |a| bent(a, &AckOnlyIfFlushed),
        "none=try_to_unmap_one@mm0/mm0=switch_mm@mm1",
    )
    .mms(2),
    mutant(
        Part::Flush,
        "wrong-mm-flushed",
        "flush_mm is another mm's",
        |a| bent(a, &WrongMm),
        "none=try_to_unmap_one@mm0/mm0=idle",
    ),
    mutant(
        Part::Flush,
        "wrong-scope-flushed",
        "flush_va is one page's where TLB_FLUSH_ALL is meant",
        |a| bent(a, &WrongScope),
        "none=page_referenced_one_huge@mm0/mm0=idle",
    )
    .env("split+thp"),
    mutant(
        Part::Flush,
        "wrong-cpumask",
        "the flush goes to mm_cpumask() of another mm",
        |a| bent(a, &MaskOfAnotherMm),
        "none=try_to_unmap_one@mm0/mm0=idle",
    )
    .mms(2),
    mutant(
        Part::Flush,
        "self-in-cpumask",
        "the sender does not take itself out of the cpumask",
        |a| bent(a, &SelfIncluded),
        "mm0=try_to_unmap_one/mm0=idle",
    ),
    mutant(
        Part::Flush,
        "one-target-dropped",
        "the highest CPU of mm_cpumask() is left out",
        |a| bent(a, &OneDropped),
        "mm0=zap_page_range/mm0=idle",
    )
    .model(Variant::SkipOneTarget),
    mutant(
        Part::Flush,
        "cpumask-read-before-the-change",
        "mm_cpumask() is read before the entry is changed: who loads the mm in between is missed",
        |a| bent(a, &MaskReadEarly),
        "none=try_to_unmap_one@mm0/none=switch_mm@mm0",
    ),
    mutant(
        Part::Flush,
        "unmap-flushes-only-young",
        "try_to_unmap_one() flushes only if ACCESSED is set, though page aging may still owe a flush",
        |a| bent(a, &FlushOnlyYoung),
        "none=page_referenced_one@mm0,try_to_unmap_one@mm0/mm0=idle",
    )
    .ops(2),
    mutant(
        Part::Flush,
        "acks-not-awaited",
        "native_flush_tlb_others() does not wait for the acknowledgements",
        |a| bent(a, &NotAwaited),
        "none=try_to_unmap_one@mm0/mm0=idle",
    )
    .stress(HostFault::FreeBeforeFlush),
    mutant(
        Part::Flush,
        "frame-put-before-the-flush",
        "try_to_unmap_one() calls put_page() before the flush",
        |a| bent(a, &PutBeforeFlush),
        "none=try_to_unmap_one@mm0/mm0=idle",
    )
    .model(Variant::FreeBeforeFlush),
    mutant(
        Part::Flush,
        "zap-skips-flush",
        "tlb_finish_mmu() returns without tlb_flush_mmu()",
        |a| bent(a, &ZapSkipsFlush),
        "mm0=zap_page_range/mm0=idle",
    )
    .model(Variant::ZapSkipsFlush)
    .types("returning_to_user_with_a_flush_owed"),
    mutant(
        Part::Flush,
        "sender-keeps-its-own-tlb",
        "flush_tlb_page() forgets the local CPU",
        |a| bent(a, &OwnTlbKept),
        "mm0=try_to_unmap_one/none=idle",
    ),
    mutant(
        Part::Flush,
        "flush-under-the-lock",
        "ptep_clear_flush_young() awaits the acknowledgements with the lock held: CPU1 of the 2011 deadlock",
        |a| bent(a, &UnderTheLock),
        "mm0=page_referenced_one/mm0=idle",
    )
    .model_design(spec(Flush::UnderLock))
    .types("awaiting_acks_with_a_lock_held"),
    mutant(
        Part::Flush,
        "flush-with-interrupts-off",
        "page_referenced_one() flushes inside local_irq_save()",
        |a| bent(a, &IrqsOffFlush),
        "mm0=page_referenced_one/mm0=idle",
    )
    .model(Variant::FlushWithIrqsOff)
    .order()
    .types("awaiting_acks_with_interrupts_off"),
];

fn handles_flush(at: &Bent<'_>) -> bool {
    matches!(at.vector, Some(Vector::FlushTlb(_)))
}

/// What the handler does to its TLB is put off until it has answered.
struct AckBeforeFlush;
impl Fault for AckBeforeFlush {
    fn flush_tlb_local(&self, at: &Bent<'_>, scope: Scope) {
        if !handles_flush(at) {
            at.machine.flush_tlb_local(scope);
        }
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        match event {
            Event::FlushHandled {
                scope,
                result: Flushed::Flushed,
                ..
            } => {
                // Remembered: 1 for a page, 2 for all.
                at.set(1 + u64::from(scope == Scope::All));
            }
            Event::Acked { from } if !at.noted(0) => {
                at.machine.observe(event);
                let scope = if at.noted(1) { Scope::Page } else { Scope::All };
                at.machine.flush_tlb_local(scope);
                let mm = at.machine.tlb_state().active_mm.unwrap_or(MmId(0));
                let result = Flushed::Flushed;
                at.machine.observe(Event::FlushHandled {
                    from,
                    mm,
                    scope,
                    result,
                });
            }
            _ => at.machine.observe(event),
        }
    }
}

struct AckOnlyIfFlushed;
impl Fault for AckOnlyIfFlushed {
    fn fetch_and(&self, at: &Bent<'_>, word: &Word, bits: u64) -> u64 {
        match at.loc(word) {
            Some(Loc::Acks(_)) if at.noted(1) => bits,
            _ => at.machine.fetch_and(word, bits),
        }
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        match event {
            Event::Acked { .. } if at.noted(1) => return,
            Event::FlushHandled {
                result: Flushed::NotLoaded,
                ..
            } => at.set(1),
            _ => {}
        }
        at.machine.observe(event);
    }
}

struct WrongMm;
impl Fault for WrongMm {
    fn store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        let flip = matches!(at.loc(word), Some(Loc::Request(_)));
        at.machine.store(word, if flip { value ^ 2 } else { value });
    }
}

struct WrongScope;
impl Fault for WrongScope {
    fn store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        let page = matches!(at.loc(word), Some(Loc::Request(_)));
        at.machine
            .store(word, if page { value & !1 } else { value });
    }
}

struct MaskOfAnotherMm;
impl Fault for MaskOfAnotherMm {
    fn load(&self, at: &Bent<'_>, word: &Word) -> u64 {
        match at.loc(word) {
            Some(Loc::Cpumask(MmId(mm))) => at.machine.load(at.word(Loc::Cpumask(MmId(mm ^ 1)))),
            _ => at.machine.load(word),
        }
    }
}

struct SelfIncluded;
impl Fault for SelfIncluded {
    fn store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        let own = matches!(at.loc(word), Some(Loc::Acks(_)));
        at.machine
            .store(word, if own { value | at.me() } else { value });
    }
    fn send_ipi(&self, at: &Bent<'_>, to: CpuId) {
        if at.noted(0) {
            at.set(1);
            at.machine.send_ipi(at.this_cpu());
        }
        at.machine.send_ipi(to);
    }
}

struct OneDropped;
impl Fault for OneDropped {
    fn load(&self, at: &Bent<'_>, word: &Word) -> u64 {
        let value = at.machine.load(word);
        if !matches!(at.loc(word), Some(Loc::Cpumask(_))) {
            return value;
        }
        let others = CpuMask::from_word(value).without(at.this_cpu());
        let highest = others.iter().last();
        highest.map_or(value, |cpu| CpuMask::from_word(value).without(cpu).word())
    }
}

/// The mask is read when the operation begins; 1 more than what was read is remembered.
struct MaskReadEarly;
impl Fault for MaskReadEarly {
    fn begin(&self, at: &Bent<'_>, operation: Operation) {
        at.machine.begin(operation);
        if let Operation::TryToUnmapOne(mm) = operation {
            at.set(1 + at.machine.load(at.word(Loc::Cpumask(mm))));
        }
    }
    fn load(&self, at: &Bent<'_>, word: &Word) -> u64 {
        match (at.note.get(), at.loc(word)) {
            (1.., Some(Loc::Cpumask(_))) => at.note.get() - 1,
            _ => at.machine.load(word),
        }
    }
}

/// `put_page` for paths that are written outside the kernel's own.
pub(super) fn put_page(at: &Bent<'_>, frame: FrameId) {
    let refs = at.word(Loc::FrameRefs(frame));
    let old = at.machine.fetch_add(refs, u64::MAX);
    let freed = old == 1;
    at.machine.observe(Event::FramePut { frame, freed });
}

/// A wrong `try_to_unmap_one` of the default design: locked, cleared and counted as it should be; what comes after
/// the unlock is `$after`.
macro_rules! try_to_unmap_one {
    ($name:ident, $owes:expr, $after:expr) => {
        struct $name;
        impl Fault for $name {
            fn replaces(&self, operation: Operation) -> bool {
                matches!(operation, Operation::TryToUnmapOne(_))
            }
            fn path(&self, at: &Bent<'_>, operation: Operation) {
                let Operation::TryToUnmapOne(mm) = operation else {
                    return;
                };
                let owes: fn(Entry) -> bool = $owes;
                let after: fn(&Bent<'_>, MmId, FrameId, bool) = $after;
                let old = at.with_pte_lock(mm, || {
                    let old = at.get_and_clear(mm);
                    if owes(old) {
                        at.raise_pending(mm);
                    }
                    old
                });
                if let Some(frame) = old.frame() {
                    after(at, mm, frame, owes(old));
                }
            }
        }
    };
}

fn flush_and_settle(at: &Bent<'_>, mm: MmId) {
    at.cpu(|cpu| flush_tlb_page(cpu, mm));
    at.drop_pending(mm);
}

try_to_unmap_one!(
    FlushOnlyYoung,
    |old| old.present() && old.young(),
    |at, mm, frame, owes| {
        if owes {
            flush_and_settle(at, mm);
        }
        put_page(at, frame);
    }
);
try_to_unmap_one!(PutBeforeFlush, |old| old.present(), |at, mm, frame, _| {
    put_page(at, frame);
    flush_and_settle(at, mm);
});

struct NotAwaited;
impl Fault for NotAwaited {
    fn await_zero(&self, _: &Bent<'_>, _: &Word) {}
}

/// `munmap` that goes straight from the unlock to `free_pages_and_swap_cache`.
struct ZapSkipsFlush;
impl Fault for ZapSkipsFlush {
    fn replaces(&self, operation: Operation) -> bool {
        operation == Operation::ZapPageRange
    }
    fn path(&self, at: &Bent<'_>, _: Operation) {
        let Some(mm) = at.machine.tlb_state().current_mm() else {
            return;
        };
        let frame = at.with_pte_lock(mm, || {
            let count = at.load(at.word(Loc::FlushPending(mm))).min(255) as u8;
            at.observe(Event::PendingRead { mm, count });
            let frame = at.get_and_clear(mm).frame();
            if frame.is_some() {
                at.raise_pending(mm);
            }
            frame
        });
        if let Some(frame) = frame {
            at.drop_pending(mm);
            put_page(at, frame);
        }
        at.machine.observe(Event::ReturnToUser {});
    }
}

struct OwnTlbKept;
impl Fault for OwnTlbKept {
    fn flush_tlb_local(&self, at: &Bent<'_>, scope: Scope) {
        if handles_flush(at) {
            at.machine.flush_tlb_local(scope);
        }
    }
}

/// What the types refuse: page aging whose flush is inside the pte's lock, and so not counted.
struct UnderTheLock;
impl Fault for UnderTheLock {
    fn replaces(&self, operation: Operation) -> bool {
        matches!(operation, Operation::PageReferencedOne(_, Slot::Pte))
    }
    fn path(&self, at: &Bent<'_>, operation: Operation) {
        let Operation::PageReferencedOne(mm, slot) = operation else {
            return;
        };
        at.with_pte_lock(mm, || {
            if at.test_and_clear_young(mm, slot) {
                at.cpu(|cpu| flush_tlb_page(cpu, mm));
            }
        });
    }
}

/// What the types refuse: the flush inside `local_irq_save`, written with a second token.
struct IrqsOffFlush;
impl Fault for IrqsOffFlush {
    fn replaces(&self, operation: Operation) -> bool {
        matches!(operation, Operation::PageReferencedOne(..))
    }
    fn path(&self, at: &Bent<'_>, operation: Operation) {
        let Operation::PageReferencedOne(mm, _) = operation else {
            return;
        };
        let young = at.with_pte_lock(mm, || {
            let young = at.test_and_clear_young(mm, Slot::Pte);
            if young {
                at.raise_pending(mm);
            }
            young
        });
        if young {
            let flags = at.machine.local_irq_save();
            flush_and_settle(at, mm);
            at.machine.local_irq_restore(flags);
        }
    }
}
