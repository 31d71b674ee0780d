//! Faults in the order of steps.

use shootdown_impl::event::{Event, Lock};
use shootdown_impl::id::MmId;
use shootdown_impl::kernel::Loc;
use shootdown_impl::machine::{IrqFlags, Machine, Word};
use shootdown_impl::mm::Life;
use shootdown_impl::operation::Operation;
use shootdown_impl::page_table::Entry;
use shootdown_impl::tlb::Slot;
use shootdown_spec::variant::Variant;

use super::bent::{Bent, Fault, bent};
use super::list::{list_add, read_init_entry, with_pgd_lock};
use super::{Mutant, Part, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant(
        Part::Order,
        "request-published-after-the-ipi",
        "dropped barrier: flush_mm and flush_va become visible after the IPI",
        |a| bent(a, &LateRequest),
        "none=page_referenced_one_huge@mm0/mm0=idle",
    )
    .env("split+thp"),
    mutant(
        Part::Order,
        "acks-set-after-the-ipi",
        "dropped barrier: flush_cpumask becomes visible after the IPI, and an answer is lost",
        |a| bent(a, &LateAcks),
        "none=try_to_unmap_one@mm0/mm0=idle",
    ),
    mutant(
        Part::Order,
        "clone-before-the-lock",
        "pgd_ctor() clones the kernel half before it takes pgd_lock",
        |a| bent(a, &CloneBeforeLock),
        "mm0=pgd_alloc/none=vmalloc_sync_all",
    )
    .model(Variant::CloneBeforeLock),
    mutant(
        Part::Order,
        "cpumask-cleared-first",
        "switch_mm() clears the old mm's bit before it loads CR3: v2.6.37 (831d52bc153)",
        |a| bent(a, &ClearFirst),
        "none=try_to_unmap_one@mm0/mm0=switch_mm@mm1",
    )
    .mms(2)
    .model(Variant::CpumaskClearFirst),
    mutant(
        Part::Order,
        "cpumask-set-after-cr3",
        "switch_mm() sets the new mm's bit after it has loaded CR3",
        |a| bent(a, &SetAfterCr3),
        "none=try_to_unmap_one@mm0/none=switch_mm@mm0",
    ),
    mutant(
        Part::Order,
        "leave-mm-clears-first",
        "leave_mm() clears the bit in one step and loads swapper_pg_dir in the next",
        |a| bent(a, &LeaveClearsFirst),
        "none=try_to_unmap_one/mm0=enter_lazy_tlb,leave_mm",
    )
    .ops(2)
    .model(Variant::LeaveMmClearFirst),
    mutant(
        Part::Order,
        "populate-before-the-flush",
        "pmd_populate() before the flush of the not-present pmd (AMD erratum 383)",
        |a| bent(a, &PopulateFirst),
        "none=split_huge_page@mm0/mm0=idle",
    )
    .env("split+thp"),
    mutant(
        Part::Order,
        "split-before-the-first-flush",
        "__split_huge_page_refcount() before fast GUP has been waited out",
        |a| bent(a, &SplitFirst),
        "none=split_huge_page@mm0/mm0=gup_fast_huge",
    )
    .env("split+thp"),
    mutant(
        Part::Order,
        "gup-with-interrupts-on",
        "gup_pte_range() without local_irq_disable()",
        |a| bent(a, &GupIrqsOn),
        "none=try_to_unmap_one/mm0=gup_fast_pte",
    )
    .model(Variant::GupIrqsOn),
    mutant(
        Part::Order,
        "gup-reference-after-irq-restore",
        "local_irq_enable() between the read of the pte and get_page()",
        |a| bent(a, &GupReferenceLate),
        "none=try_to_unmap_one/mm0=gup_fast_pte",
    ),
    mutant(
        Part::Order,
        "sync-before-the-reference-entry",
        "vmalloc_sync_all() sets init_mm's entry after the walk",
        |a| bent(a, &ReferenceLate),
        "none=vmalloc_sync_all/mm0=pgd_alloc",
    ),
    mutant(
        Part::Order,
        "cleared-before-the-lock",
        "page_referenced_one() clears ACCESSED before it takes the pte's lock",
        |a| bent(a, &ClearedEarly),
        "mm0=page_referenced_one/mm0=try_to_unmap_one",
    ),
    mutant(
        Part::Order,
        "lazy-mark-cleared-last",
        "switch_mm() back to the borrowed mm sets its bit before it stops being lazy",
        |a| bent(a, &LazyLast),
        "none=try_to_unmap_one@mm0/mm0=enter_lazy_tlb,switch_mm@mm0",
    )
    .ops(2),
];

/// The store of the request is put off until the IPIs are sent; remembered is 1 more than its value.
struct LateRequest;
impl Fault for LateRequest {
    fn store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        match at.loc(word) {
            Some(Loc::Request(_)) => at.set(1 + value),
            _ => at.machine.store(word, value),
        }
    }
    fn await_zero(&self, at: &Bent<'_>, word: &Word) {
        let request = at.word(Loc::Request(at.this_cpu()));
        at.machine.store(request, at.note.get() - 1);
        at.machine.await_zero(word);
    }
}

/// The same with the acknowledgement word.
struct LateAcks;
impl Fault for LateAcks {
    fn store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        match at.loc(word) {
            Some(Loc::Acks(_)) => at.set(1 + value),
            _ => at.machine.store(word, value),
        }
    }
    fn await_zero(&self, at: &Bent<'_>, word: &Word) {
        at.machine.store(word, at.note.get() - 1);
        at.machine.await_zero(word);
    }
}

struct CloneBeforeLock;
impl Fault for CloneBeforeLock {
    fn replaces(&self, operation: Operation) -> bool {
        matches!(operation, Operation::PgdAlloc(_))
    }
    fn path(&self, at: &Bent<'_>, operation: Operation) {
        let Operation::PgdAlloc(mm) = operation else {
            return;
        };
        let entry = read_init_entry(at);
        with_pgd_lock(at, || {
            at.machine.store(at.word(Loc::KernelEntry(mm)), entry);
            at.machine.store(at.word(Loc::Life(mm)), Life::Alive as u64);
            at.machine.observe(Event::MmBorn { mm });
            list_add(at, mm);
        });
    }
}

fn clear_bit(at: &Bent<'_>, mm: MmId) {
    at.machine.fetch_and(at.word(Loc::Cpumask(mm)), !at.me());
    at.machine.observe(Event::MaskCleared { mm });
}

/// Bit of the old mm, CR3, bit of the new mm: in an order that is the fault.
macro_rules! switch_mm {
    ($name:ident, $path:expr) => {
        struct $name;
        impl Fault for $name {
            fn replaces(&self, operation: Operation) -> bool {
                matches!(operation, Operation::SwitchMm(_))
            }
            fn path(&self, at: &Bent<'_>, operation: Operation) {
                let Operation::SwitchMm(next) = operation else {
                    return;
                };
                let path: fn(&Bent<'_>, Option<MmId>, [&dyn Fn(); 2]) = $path;
                let set = || {
                    at.machine.fetch_or(at.word(Loc::Cpumask(next)), at.me());
                    at.machine.observe(Event::MaskSet { mm: next });
                };
                let load = || {
                    at.machine.load_cr3(next);
                    at.machine.observe(Event::LoadCr3 { mm: next });
                };
                let flags = at.machine.local_irq_save();
                let prev = at.machine.tlb_state().active_mm;
                path(at, prev, [&set, &load]);
                at.machine.local_irq_restore(flags);
            }
        }
    };
}
switch_mm!(ClearFirst, |at, prev, [set, load]| {
    if let Some(prev) = prev {
        clear_bit(at, prev);
    }
    set();
    load();
});
switch_mm!(SetAfterCr3, |at, prev, [set, load]| {
    load();
    set();
    if let Some(prev) = prev {
        clear_bit(at, prev);
    }
});

struct LeaveClearsFirst;
impl Fault for LeaveClearsFirst {
    fn leave_mm(&self, at: &Bent<'_>, mask: &Word) {
        at.machine.fetch_and(mask, !at.me());
        at.machine.leave_mm(mask);
    }
}

/// A step of `split_huge_page` is done as soon as the step before the flush is, and not again.
struct PopulateFirst;
impl Fault for PopulateFirst {
    fn store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        if !(at.noted(1) && matches!(at.loc(word), Some(Loc::UserEntry(_, Slot::Huge)))) {
            at.machine.store(word, value);
        }
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        match event {
            Event::PmdNotPresent { mm } => {
                at.machine.observe(event);
                let kernel = at.kernel();
                let table = kernel.address_of(&kernel.tables[mm.index()].deposited);
                let pmd = at.word(Loc::UserEntry(mm, Slot::Huge));
                at.machine.store(pmd, Entry::table(table).0);
                at.machine.observe(Event::PmdPopulate { mm });
                at.set(1);
            }
            Event::PmdPopulate { .. } => {}
            _ => at.machine.observe(event),
        }
    }
}

struct SplitFirst;
impl Fault for SplitFirst {
    fn store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        if !(at.noted(1) && matches!(at.loc(word), Some(Loc::Compound(_)))) {
            at.machine.store(word, value);
        }
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        match event {
            Event::SetSplitting { mm, newly: true } => {
                at.machine.observe(event);
                let frame = shootdown_impl::kernel::compound_frame(mm);
                at.machine.store(at.word(Loc::Compound(frame)), 0);
                at.machine.observe(Event::SplitCompound { frame });
                at.set(1);
            }
            Event::SplitCompound { .. } if at.noted(1) => {}
            _ => at.machine.observe(event),
        }
    }
}

fn is_gup(at: &Bent<'_>) -> bool {
    matches!(at.operation, Some(Operation::GupFast(_)))
}

struct GupIrqsOn;
impl Fault for GupIrqsOn {
    fn local_irq_save(&self, at: &Bent<'_>) -> IrqFlags {
        if is_gup(at) {
            return IrqFlags { enabled: true };
        }
        at.machine.local_irq_save()
    }
    fn local_irq_restore(&self, at: &Bent<'_>, flags: IrqFlags) {
        if !is_gup(at) {
            at.machine.local_irq_restore(flags);
        }
    }
}

struct GupReferenceLate;
impl Fault for GupReferenceLate {
    fn fetch_add(&self, at: &Bent<'_>, word: &Word, delta: u64) -> u64 {
        if is_gup(at) && delta == 1 {
            at.machine.local_irq_restore(IrqFlags { enabled: true });
            at.set(1);
        }
        at.machine.fetch_add(word, delta)
    }
    fn local_irq_restore(&self, at: &Bent<'_>, flags: IrqFlags) {
        if !at.noted(1) {
            at.machine.local_irq_restore(flags);
        }
    }
}

/// The store of the reference entry is put off until `pgd_lock` is released.
struct ReferenceLate;
impl Fault for ReferenceLate {
    fn store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        match at.loc(word) {
            Some(Loc::InitEntry) => at.set(value),
            _ => at.machine.store(word, value),
        }
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        match event {
            Event::InitEntrySet {} => return,
            Event::LockReleased {
                lock: Lock::PgdLock,
            } if !at.noted(0) => {
                at.machine.observe(event);
                at.machine.store(at.word(Loc::InitEntry), at.note.get());
                at.machine.observe(Event::InitEntrySet {});
                return;
            }
            _ => {}
        }
        at.machine.observe(event);
    }
}

/// The atomic operation is done when the path begins; what it found, plus 1, is remembered.
struct ClearedEarly;
impl Fault for ClearedEarly {
    fn begin(&self, at: &Bent<'_>, operation: Operation) {
        at.machine.begin(operation);
        if let Operation::PageReferencedOne(mm, slot) = operation {
            let entry = at.word(Loc::UserEntry(mm, slot));
            at.set(1 + at.machine.fetch_and(entry, !Entry::ACCESSED));
        }
    }
    fn fetch_and(&self, at: &Bent<'_>, word: &Word, bits: u64) -> u64 {
        match (at.note.get(), at.loc(word)) {
            (1.., Some(Loc::UserEntry(..))) => at.note.get() - 1,
            _ => at.machine.fetch_and(word, bits),
        }
    }
}

/// `percpu_write(cpu_tlbstate.state, TLBSTATE_OK)` is put off until after the bit.
struct LazyLast;
impl Fault for LazyLast {
    fn clear_lazy(&self, at: &Bent<'_>) {
        at.set(1);
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        match event {
            Event::LeaveLazy {} => {}
            Event::MaskSet { .. } if at.noted(1) => {
                at.machine.observe(event);
                at.machine.clear_lazy();
                at.machine.observe(Event::LeaveLazy {});
            }
            _ => at.machine.observe(event),
        }
    }
}
