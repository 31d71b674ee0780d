//! Faults around `pgd_list`: links, membership, and the walk.

use shootdown_impl::design::{IrqSave, PgdSpin};
use shootdown_impl::event::{Event, Lock};
use shootdown_impl::fault::Fault as HostFault;
use shootdown_impl::id::MmId;
use shootdown_impl::kernel::{Loc, Node};
use shootdown_impl::machine::{Machine, Word};
use shootdown_impl::mm::Life;
use shootdown_impl::operation::Operation;
use shootdown_impl::page_table::{Entry, KERNEL_ENTRY};
use shootdown_spec::variant::Variant;

use super::bent::{Bent, Fault, bent};
use super::{Mutant, Part, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant(
        Part::List,
        "unlisting-after-free",
        "pgd_free() frees the pgd page first and calls pgd_list_del() then",
        |a| bent(a, &UnlistAfterFree),
        "none=pgd_free@mm0/none=vmalloc_sync_all",
    )
    .mms(2)
    .model(Variant::ListDelAfterFree)
    .stress(HostFault::UnlistAfterFree),
    mutant(
        Part::List,
        "never-unlisted",
        "pgd_dtor() forgets pgd_list_del()",
        |a| bent(a, &NeverUnlisted),
        "none=pgd_free@mm0/none=idle",
    )
    .mms(2),
    mutant(
        Part::List,
        "listed-before-the-clone",
        "pgd_ctor() calls pgd_list_add() before clone_pgd_range()",
        |a| bent(a, &ListedBeforeClone),
        "none=pgd_alloc/none=idle",
    ),
    mutant(
        Part::List,
        "clone-forgotten",
        "pgd_ctor() does not clone the kernel half",
        |a| bent(a, &CloneForgotten),
        "none=pgd_alloc,vmalloc_sync_all/none=idle",
    )
    .ops(2),
    mutant(
        Part::List,
        "walk-skips-the-first-pgd",
        "list_for_each_entry() begins at the second entry",
        |a| bent(a, &SkipsFirst),
        "none=vmalloc_sync_all/none=idle",
    )
    .mms(2),
    mutant(
        Part::List,
        "walk-stops-at-the-first-synced-pgd",
        "vmalloc_sync_all() breaks out at the first pgd that has the entry",
        |a| bent(a, &EarlyBreak),
        "none=vmalloc_sync_all/mm1=vmalloc_fault",
    )
    .mms(2)
    .model(Variant::EarlyBreak),
    mutant(
        Part::List,
        "list-add-in-the-wrong-order",
        "__list_add() links the head before the new entry's own links are set",
        |a| bent(a, &AddInWrongOrder),
        "none=pgd_alloc/none=idle",
    ),
    mutant(
        Part::List,
        "list-add-forgets-prev",
        "__list_add() does not set next->prev",
        |a| bent(a, &ADD_FORGETS_PREV),
        "none=pgd_alloc,pgd_free@mm0/none=idle",
    )
    .ops(2),
    mutant(
        Part::List,
        "list-del-forgets-prev",
        "__list_del() does not set next->prev",
        |a| bent(a, &DEL_FORGETS_PREV),
        "none=pgd_free/none=idle",
    )
    .mms(2)
    .ops(2),
    mutant(
        Part::List,
        "list-del-forgets-next",
        "__list_del() does not set prev->next",
        |a| bent(a, &DEL_FORGETS_NEXT),
        "none=pgd_free@mm0/none=idle",
    )
    .mms(2),
    mutant(
        Part::List,
        "another-pgd-unlisted",
        "pgd_list_del() of another mm's pgd",
        |a| bent(a, &OtherUnlisted),
        "none=pgd_free@mm0/none=idle",
    )
    .mms(2),
    mutant(
        Part::List,
        "fault-copies-what-is-not-there",
        "vmalloc_fault() does not look at init_mm's entry before it copies it",
        |a| bent(a, &CopiesNothing),
        "mm0=vmalloc_fault/none=idle",
    ),
];

/// `free_mm()`, as `pgd_free` does it.
pub(super) fn free_mm(at: &Bent<'_>, mm: MmId) {
    at.machine.store(at.word(Loc::Life(mm)), Life::Freed as u64);
    at.machine.observe(Event::MmFreed { mm });
}

/// `pgd_list_del()` inside `pgd_lock`, as `pgd_free` does it.
pub(super) fn list_del(at: &Bent<'_>, mm: MmId) {
    at.cpu(|cpu| {
        cpu.with_pgd_lock_to_change::<PgdSpin<IrqSave>, _>(|pgd_list, _| pgd_list.list_del(mm));
    });
}

/// A part of a wrong path inside `pgd_lock`.
pub(super) fn with_pgd_lock<R>(at: &Bent<'_>, part: impl FnOnce() -> R) -> R {
    let flags = at.local_irq_save();
    at.lock(Lock::PgdLock, at.word(Loc::PgdLock));
    let result = part();
    at.unlock(Lock::PgdLock, at.word(Loc::PgdLock));
    at.local_irq_restore(flags);
    result
}

/// `pgd_list_add()`, inside `pgd_lock`.
pub(super) fn list_add(at: &Bent<'_>, mm: MmId) {
    let (kernel, node) = (at.kernel(), Node::Page(mm));
    let next = at.load(at.word(Loc::ListNext(Node::Head)));
    let Some(next_node) = kernel.node_at(next) else {
        return;
    };
    at.store(at.word(Loc::ListPrev(next_node)), kernel.node_address(node));
    at.store(at.word(Loc::ListNext(node)), next);
    at.store(
        at.word(Loc::ListPrev(node)),
        kernel.node_address(Node::Head),
    );
    at.store(
        at.word(Loc::ListNext(Node::Head)),
        kernel.node_address(node),
    );
    at.observe(Event::ListAdd { mm });
}

/// A wrong `pgd_free`.
macro_rules! pgd_free {
    ($name:ident, $path:expr) => {
        struct $name;
        impl Fault for $name {
            fn replaces(&self, operation: Operation) -> bool {
                matches!(operation, Operation::PgdFree(_))
            }
            fn path(&self, at: &Bent<'_>, operation: Operation) {
                if let Operation::PgdFree(mm) = operation {
                    let path: fn(&Bent<'_>, MmId) = $path;
                    path(at, mm);
                }
            }
        }
    };
}

pgd_free!(UnlistAfterFree, |at, mm| {
    free_mm(at, mm);
    list_del(at, mm);
});
pgd_free!(NeverUnlisted, |at, mm| {
    with_pgd_lock(at, || {});
    free_mm(at, mm);
});
pgd_free!(OtherUnlisted, |at, mm| {
    list_del(at, MmId(mm.0 ^ 1));
    free_mm(at, mm);
});

struct ListedBeforeClone;
impl Fault for ListedBeforeClone {
    fn replaces(&self, operation: Operation) -> bool {
        matches!(operation, Operation::PgdAlloc(_))
    }
    fn path(&self, at: &Bent<'_>, operation: Operation) {
        let Operation::PgdAlloc(mm) = operation else {
            return;
        };
        with_pgd_lock(at, || {
            list_add(at, mm);
            clone_pgd(at, mm);
        });
    }
}

/// `clone_pgd_range` and the birth of the mm.
pub(super) fn clone_pgd(at: &Bent<'_>, mm: MmId) {
    let entry = read_init_entry(at);
    at.machine.store(at.word(Loc::KernelEntry(mm)), entry);
    at.machine.store(at.word(Loc::Life(mm)), Life::Alive as u64);
    at.machine.observe(Event::MmBorn { mm });
}

/// Reads what is to be cloned.
pub(super) fn read_init_entry(at: &Bent<'_>) -> u64 {
    let entry = at.machine.load(at.word(Loc::InitEntry));
    let present = Entry(entry).present();
    at.machine.observe(Event::InitEntryRead { present });
    entry
}

struct CloneForgotten;
impl Fault for CloneForgotten {
    fn store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        let clones = matches!(at.operation, Some(Operation::PgdAlloc(_)));
        if !clones || !matches!(at.loc(word), Some(Loc::KernelEntry(_))) {
            at.machine.store(word, value);
        }
    }
}

struct SkipsFirst;
impl Fault for SkipsFirst {
    fn load(&self, at: &Bent<'_>, word: &Word) -> u64 {
        let first = at.machine.load(word);
        let walks = at.operation == Some(Operation::VmallocSyncAll);
        if walks
            && at.loc(word) == Some(Loc::ListNext(Node::Head))
            && let Some(node @ Node::Page(_)) = at.kernel().node_at(first)
        {
            return at.machine.load(at.word(Loc::ListNext(node)));
        }
        first
    }
}

struct EarlyBreak;
impl Fault for EarlyBreak {
    fn load(&self, at: &Bent<'_>, word: &Word) -> u64 {
        match at.loc(word) {
            Some(Loc::ListNext(Node::Page(_))) if at.noted(1) => {
                at.kernel().node_address(Node::Head)
            }
            _ => at.machine.load(word),
        }
    }
    fn observe(&self, at: &Bent<'_>, event: Event) {
        if let Event::KernelEntryRead { present: true, .. } = event {
            at.set(1);
        }
        at.machine.observe(event);
    }
}

/// The store into the head comes first.
struct AddInWrongOrder;
impl Fault for AddInWrongOrder {
    fn store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        match (at.operation, at.loc(word)) {
            (Some(Operation::PgdAlloc(mm)), Some(Loc::ListPrev(_))) if at.noted(0) => {
                at.set(1);
                let new = at.kernel().node_address(Node::Page(mm));
                at.machine.store(at.word(Loc::ListNext(Node::Head)), new);
                at.machine.store(word, value);
            }
            (Some(Operation::PgdAlloc(_)), Some(Loc::ListNext(Node::Head))) => {}
            _ => at.machine.store(word, value),
        }
    }
}

/// One store into a link is left out.
struct ForgetsLink(fn(Operation, Loc) -> bool);
const ADD_FORGETS_PREV: ForgetsLink = ForgetsLink(|operation, loc| match (operation, loc) {
    (Operation::PgdAlloc(new), Loc::ListPrev(node)) => node != Node::Page(new),
    _ => false,
});
const DEL_FORGETS_PREV: ForgetsLink = ForgetsLink(|operation, loc| {
    matches!((operation, loc), (Operation::PgdFree(_), Loc::ListPrev(_)))
});
const DEL_FORGETS_NEXT: ForgetsLink = ForgetsLink(|operation, loc| {
    matches!((operation, loc), (Operation::PgdFree(_), Loc::ListNext(_)))
});

impl Fault for ForgetsLink {
    fn store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        let forgotten = match (at.operation, at.loc(word)) {
            (Some(operation), Some(loc)) => (self.0)(operation, loc),
            _ => false,
        };
        if !forgotten {
            at.machine.store(word, value);
        }
    }
}

struct CopiesNothing;
impl Fault for CopiesNothing {
    fn load(&self, at: &Bent<'_>, word: &Word) -> u64 {
        match at.loc(word) {
            Some(Loc::InitEntry) => KERNEL_ENTRY.0,
            _ => at.machine.load(word),
        }
    }
}
