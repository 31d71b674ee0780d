//! `pgd_list`: the pgds of all live mms, threaded through their page descriptors, and the lock that guards it.
//!
//! After `pgd_list_add`, `pgd_list_del` and `pgd_page_get_mm` of `arch/x86/mm/pgtable.c`, 2.6.38, and the list in
//! `include/linux/list.h`. `pgd_lock` is taken as the design says; it lies outside every page-table lock.

use crate::cpu::{CarriesNoCpu, Context, Cpu, Cx, HoldsPgdLock, MayTakePgdLock, Pgd};
use crate::design::PgdLocking;
use crate::door::Door;
use crate::event::Event;
use crate::id::MmId;
use crate::kernel::Node;
use crate::machine::{Machine, Word};

/// `struct list_head`; links are physical addresses.
#[derive(Default)]
#[repr(C)]
pub struct ListHead {
    /// The node after this one.
    pub next: Word,
    /// The node before it.
    pub prev: Word,
}

impl ListHead {
    /// Not linked.
    pub const fn new() -> Self {
        Self {
            next: Word::new(0),
            prev: Word::new(0),
        }
    }
}

/// The page descriptor (`struct page`) of a pgd page.
#[derive(Default)]
#[repr(C, align(64))]
pub struct PgdPage {
    /// Its place in `pgd_list` (`page->lru`).
    pub lru: ListHead,
    /// Whose pgd it is (`page->index`, since 617d34d9e5d8).
    pub index: Word,
    /// `PagePinned`: read-only for us, Xen only.
    pub pinned: Word,
}

impl PgdPage {
    /// Of nobody, in no list.
    pub const fn new() -> Self {
        Self {
            lru: ListHead::new(),
            index: Word::new(0),
            pinned: Word::new(0),
        }
    }
}

/// The context inside `pgd_lock` that is taken as `P` says.
pub type InsidePgdLock<P, C> =
    Cx<<P as PgdLocking>::Inside<<C as Context>::Irq>, Pgd<<C as Context>::Held>>;

/// `pgd_list` while `pgd_lock` is held to walk it.
pub struct PgdListToWalk<'l, M>(Door<'l, M>);

/// `pgd_list` while `pgd_lock` is held to change it.
pub struct PgdListToChange<'l, M>(Door<'l, M>);

/// Opens the door to `pgd_lock`.
pub(crate) struct Key(());

/// Releases the lock at the end of the section, also when it unwinds.
struct Release<'m, M, F: Copy> {
    machine: &'m M,
    flags: F,
    unlock: fn(&M, F),
}

impl<M, F: Copy> Drop for Release<'_, M, F> {
    fn drop(&mut self) {
        (self.unlock)(self.machine, self.flags);
    }
}

impl<'id, M: Machine, C: Context> Cpu<'id, M, C> {
    /// Takes `pgd_lock` to walk `pgd_list`, as the design `P` takes it, around `body`.
    pub fn with_pgd_lock_to_walk<P: PgdLocking, R>(
        &mut self,
        body: impl for<'l> FnOnce(&mut PgdListToWalk<'l, M>, &mut Cpu<'id, M, InsidePgdLock<P, C>>) -> R
        + CarriesNoCpu,
    ) -> R
    where
        C: MayTakePgdLock,
    {
        let machine = self.m().machine(Key(()));
        let _release = Release {
            machine,
            flags: P::lock_to_walk(machine),
            unlock: P::unlock_walk,
        };
        body(&mut PgdListToWalk(self.m()), &mut self.inside(Key(())))
    }

    /// Takes `pgd_lock` to change `pgd_list`, as the design `P` takes it, around `body`.
    pub fn with_pgd_lock_to_change<P: PgdLocking, R>(
        &mut self,
        body: impl for<'l> FnOnce(
            &mut PgdListToChange<'l, M>,
            &mut Cpu<'id, M, InsidePgdLock<P, C>>,
        ) -> R
        + CarriesNoCpu,
    ) -> R
    where
        C: MayTakePgdLock,
    {
        let machine = self.m().machine(Key(()));
        let _release = Release {
            machine,
            flags: P::lock_to_change(machine),
            unlock: P::unlock_change,
        };
        body(&mut PgdListToChange(self.m()), &mut self.inside(Key(())))
    }
}

impl<M: Machine> PgdListToWalk<'_, M> {
    /// `list_for_each_entry(page, &pgd_list, lru)`: runs `body` for every listed mm.
    pub fn for_each<'id, C: HoldsPgdLock>(
        &mut self,
        cpu: &mut Cpu<'id, M, C>,
        mut body: impl FnMut(&mut Cpu<'id, M, C>, MmId),
    ) {
        let m = self.0;
        let mut at = m.load(&m.kernel().pgd_list.next);
        while let Some(Node::Page(page)) = m.kernel().node_at(at) {
            let descriptor = &m.kernel().pgd_pages[page.index()];
            // pgd_page_get_mm(): set before the page is listed.
            let mm = MmId(m.load_stable(&descriptor.index) as u8);
            m.observe(Event::WalkAt { mm });
            body(cpu, mm);
            at = m.load(&descriptor.lru.next);
        }
        m.observe(Event::WalkDone {});
    }
}

impl<M: Machine> PgdListToChange<'_, M> {
    /// `pgd_list_add`: links the mm's pgd in at the head.
    pub fn list_add(&mut self, mm: MmId) {
        let m = self.0;
        let kernel = m.kernel();
        let new = &kernel.pgd_pages[mm.index()].lru;
        let new_address = kernel.address_of(new);
        let next = m.load(&kernel.pgd_list.next);
        let Some(next_node) = kernel.node_at(next) else {
            return;
        };
        m.store(&links(m, next_node).prev, new_address);
        m.store(&new.next, next);
        m.store(&new.prev, kernel.node_address(Node::Head));
        m.store(&kernel.pgd_list.next, new_address);
        m.observe(Event::ListAdd { mm });
    }

    /// `pgd_list_del`: unlinks the mm's pgd.
    pub fn list_del(&mut self, mm: MmId) {
        let m = self.0;
        let kernel = m.kernel();
        let entry = &kernel.pgd_pages[mm.index()].lru;
        let next = m.load(&entry.next);
        let prev = m.load(&entry.prev);
        let (Some(next_node), Some(prev_node)) = (kernel.node_at(next), kernel.node_at(prev))
        else {
            return;
        };
        m.store(&links(m, next_node).prev, prev);
        m.store(&links(m, prev_node).next, next);
        m.observe(Event::ListDel { mm });
    }
}

fn links<M: Machine>(m: Door<'_, M>, node: Node) -> &ListHead {
    match node {
        Node::Head => &m.kernel().pgd_list,
        Node::Page(mm) => &m.kernel().pgd_pages[mm.index()].lru,
    }
}
