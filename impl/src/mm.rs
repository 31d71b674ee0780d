//! An address space, its page-table locks, and the frames it maps.
//!
//! After `struct mm_struct` (`include/linux/mm_types.h`), `pte_lockptr`/`pte_offset_map_lock` (`include/linux/mm.h`)
//! and the `ptep_*`/`pmdp_*` helpers of `arch/x86/mm/pgtable.c`, 2.6.38. A user entry can be changed only through
//! [`LockedEntry`], lent while the lock that covers it is held: the huge pmd is always under `page_table_lock`, the pte under
//! its page's own lock when those are split. Interrupt state: as the design says.

use core::marker::PhantomData;

use crate::cpu::sealed::Sealed;
use crate::cpu::{CarriesNoCpu, Context, Cpu, Cx, MayTakePageTableLock, Ptl};
use crate::design::Spinning;
use crate::door::Door;
use crate::event::{Event, Lock};
use crate::id::{FrameId, MmId};
use crate::machine::{Machine, Word};
use crate::page_table::{Entry, user_entry};
use crate::spinlock::{SpinLock, spin_lock, spin_unlock};
use crate::tlb::Slot;

/// `struct mm_struct`, as much as the protocol needs.
#[derive(Default)]
#[repr(C, align(128))]
pub struct Mm {
    /// `page_table_lock`.
    pub page_table_lock: SpinLock,
    /// The lock of the pte page (`page->ptl`), used if locks are split.
    pub pte_lock: SpinLock,
    /// `mm_cpumask(mm)`: who may have it loaded and must be told of changes.
    pub cpumask: Word,
    /// How many flushes are owed: raised and read under the lock that covers the entry.
    pub tlb_flush_pending: Word,
    /// A [`Life`].
    pub life: Word,
}

impl Mm {
    /// A fresh slot.
    pub const fn new() -> Self {
        Self {
            page_table_lock: SpinLock::new(),
            pte_lock: SpinLock::new(),
            cpumask: Word::new(0),
            tlb_flush_pending: Word::new(0),
            life: Word::new(0),
        }
    }
}

/// Where an mm slot is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[repr(u64)]
pub enum Life {
    /// Never used.
    Fresh = 0,
    /// Allocated.
    Alive = 1,
    /// Freed: its memory belongs to somebody else now.
    Freed = 2,
}

impl Life {
    /// From the word that says so.
    pub const fn from_word(word: u64) -> Self {
        match word {
            0 => Self::Fresh,
            1 => Self::Alive,
            _ => Self::Freed,
        }
    }
}

/// `struct page` of a user frame.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Frame {
    /// `page->_count`; free at zero.
    pub refs: Word,
    /// `PageCompound`: still one huge page.
    pub compound: Word,
}

impl Frame {
    /// Free.
    pub const fn new() -> Self {
        Self {
            refs: Word::new(0),
            compound: Word::new(0),
        }
    }
}

/// `get_page`, for who has found the frame through `slot`.
pub(crate) fn get_page<M: Machine>(m: Door<'_, M>, frame: FrameId, slot: Slot) {
    m.fetch_add(&m.kernel().frames[frame.index()].refs, 1);
    m.observe(Event::FrameGet { frame, slot });
}

/// `put_page`: drops a reference; the last one frees the frame.
pub(crate) fn put_page<M: Machine>(m: Door<'_, M>, frame: FrameId) {
    let old = m.fetch_add(&m.kernel().frames[frame.index()].refs, 1u64.wrapping_neg());
    m.observe(Event::FramePut {
        frame,
        freed: old == 1,
    });
}

/// Which entry a page-table lock covers.
pub trait Covers: Sealed + 'static {
    /// The entry.
    const SLOT: Slot;
}
/// The pte.
pub struct Pte;
/// The huge pmd.
pub struct HugePmd;
impl Sealed for Pte {}
impl Sealed for HugePmd {}
impl Covers for Pte {
    const SLOT: Slot = Slot::Pte;
}
impl Covers for HugePmd {
    const SLOT: Slot = Slot::Huge;
}

/// The context inside a page-table lock that is taken as `T` says.
pub type InsidePtl<T, C> =
    Cx<<T as Spinning>::Inside<<C as Context>::Irq>, Ptl<<C as Context>::Held>>;

/// The entry `S` of an mm while the lock that covers it is held; the only way to change it.
pub struct LockedEntry<'l, M, S> {
    door: Door<'l, M>,
    mm: MmId,
    covers: PhantomData<fn() -> S>,
}

/// Opens the door to page-table locks.
pub(crate) struct Key(());

/// Releases the lock at the end of the section, also when it unwinds.
struct Release<'m, M: Machine, T: Spinning> {
    machine: &'m M,
    lock: &'m SpinLock,
    name: Lock,
    flags: T::Flags,
}

impl<M: Machine, T: Spinning> Drop for Release<'_, M, T> {
    fn drop(&mut self) {
        spin_unlock(self.machine, self.lock, self.name);
        T::restore(self.machine, self.flags);
    }
}

impl<'id, M: Machine, C: Context> Cpu<'id, M, C> {
    /// `spin_lock(&mm->page_table_lock)`, as the design's `T` takes page-table locks, around `body`; covers the huge
    /// pmd.
    pub fn with_page_table_lock<T: Spinning, R>(
        &mut self,
        mm: MmId,
        body: impl for<'l> FnOnce(
            &mut LockedEntry<'l, M, HugePmd>,
            &mut Cpu<'id, M, InsidePtl<T, C>>,
        ) -> R
        + CarriesNoCpu,
    ) -> R
    where
        C: MayTakePageTableLock,
    {
        let lock = &self.m().kernel().mms[mm.index()].page_table_lock;
        self.with_lock_of::<T, _, _>(mm, lock, Lock::PageTable(mm), body)
    }

    /// `pte_offset_map_lock` and `pte_unmap_unlock` around `body`: the lock that covers the pte, which with split
    /// locks is the pte page's own.
    pub fn with_pte_lock<T: Spinning, R>(
        &mut self,
        mm: MmId,
        body: impl for<'l> FnOnce(&mut LockedEntry<'l, M, Pte>, &mut Cpu<'id, M, InsidePtl<T, C>>) -> R
        + CarriesNoCpu,
    ) -> R
    where
        C: MayTakePageTableLock,
    {
        let of = &self.m().kernel().mms[mm.index()];
        let (lock, name) = if self.m().env().split_ptlocks {
            (&of.pte_lock, Lock::Pte(mm))
        } else {
            (&of.page_table_lock, Lock::PageTable(mm))
        };
        self.with_lock_of::<T, _, _>(mm, lock, name, body)
    }

    fn with_lock_of<T: Spinning, S: Covers, R>(
        &mut self,
        mm: MmId,
        lock: &'id SpinLock,
        name: Lock,
        body: impl for<'l> FnOnce(&mut LockedEntry<'l, M, S>, &mut Cpu<'id, M, InsidePtl<T, C>>) -> R,
    ) -> R {
        let machine = self.m().machine(Key(()));
        let flags = T::save(machine);
        spin_lock(machine, lock, name);
        let _release = Release::<M, T> {
            machine,
            lock,
            name,
            flags,
        };
        let mut entry = LockedEntry {
            door: self.m(),
            mm,
            covers: PhantomData,
        };
        body(&mut entry, &mut self.inside(Key(())))
    }
}

impl<'l, M: Machine, S: Covers> LockedEntry<'l, M, S> {
    /// Whose entry it is.
    pub fn mm(&self) -> MmId {
        self.mm
    }

    /// The door, for what is counted under the lock.
    pub(crate) fn m(&self) -> Door<'l, M> {
        self.door
    }

    fn entry(&self) -> &'l Word {
        user_entry(self.door, self.mm, S::SLOT)
    }

    /// Reads the entry.
    pub fn read(&mut self) -> Entry {
        let m = self.door;
        let entry = Entry(m.load(self.entry()));
        m.observe(Event::EntryRead {
            mm: self.mm,
            slot: S::SLOT,
            present: entry.maps(S::SLOT),
            splitting: entry.splitting(),
        });
        entry
    }

    /// `ptep_test_and_clear_young`: clears ACCESSED; whether a present entry had it.
    pub fn test_and_clear_young(&mut self) -> bool {
        let m = self.door;
        let old = Entry(m.fetch_and(self.entry(), !Entry::ACCESSED));
        let young = old.present() && old.young();
        m.observe(Event::ClearYoung {
            mm: self.mm,
            slot: S::SLOT,
            young,
        });
        young
    }

    /// `ptep_get_and_clear`: empties the entry and says what was there.
    pub fn get_and_clear(&mut self) -> Entry {
        let m = self.door;
        let old = Entry(m.fetch_and(self.entry(), 0));
        m.observe(Event::GetAndClear {
            mm: self.mm,
            slot: S::SLOT,
            frame: old.frame(),
        });
        old
    }

    /// `set_pte_at` on an empty entry, by the fault handler.
    pub fn set(&mut self, frame: FrameId) {
        let m = self.door;
        let entry = match S::SLOT {
            Slot::Pte => Entry::user(frame),
            Slot::Huge => Entry::huge(frame),
        };
        m.store(self.entry(), entry.0);
        m.observe(Event::EntrySet {
            mm: self.mm,
            slot: S::SLOT,
            frame,
        });
    }
}

impl<M: Machine> LockedEntry<'_, M, HugePmd> {
    /// The set of `pmdp_splitting_flush`: marks the huge page as being split; whether it was not yet.
    pub fn set_splitting(&mut self) -> bool {
        let m = self.door;
        let newly = !Entry(m.fetch_or(self.entry(), Entry::SPLITTING)).splitting();
        m.observe(Event::SetSplitting { mm: self.mm, newly });
        newly
    }

    /// `pmd_mknotpresent` and `set_pmd_at`.
    pub fn make_not_present(&mut self) {
        let m = self.door;
        m.fetch_and(self.entry(), !Entry::PRESENT);
        m.observe(Event::PmdNotPresent { mm: self.mm });
    }

    /// `pmd_populate` with the deposited table, whose ptes map the parts of the page already.
    pub fn populate(&mut self) {
        let m = self.door;
        let table = m
            .kernel()
            .address_of(&m.kernel().tables[self.mm.index()].deposited);
        m.store(self.entry(), Entry::table(table).0);
        m.observe(Event::PmdPopulate { mm: self.mm });
    }

    /// `SetPagePinned` or `ClearPagePinned`, done with the hypercall under `page_table_lock`.
    pub fn set_pinned(&mut self, pinned: bool) {
        let (m, mm) = (self.door, self.mm);
        m.store(&m.kernel().pgd_pages[mm.index()].pinned, pinned.into());
        m.observe(if pinned {
            Event::Pinned { mm }
        } else {
            Event::Unpinned { mm }
        });
    }
}

/// Adds one to the flushes owed to an mm: under the lock, with the change.
pub(crate) fn raise_pending<M: Machine>(m: Door<'_, M>, mm: MmId) {
    m.fetch_add(&m.kernel().mms[mm.index()].tlb_flush_pending, 1);
    m.observe(Event::PendingRaised { mm });
}

/// Whether flushes are owed (`mm_tlb_flush_pending`): under the lock.
pub(crate) fn read_pending<M: Machine>(m: Door<'_, M>, mm: MmId) -> bool {
    let count = m.load(&m.kernel().mms[mm.index()].tlb_flush_pending);
    m.observe(Event::PendingRead {
        mm,
        count: count.min(255) as u8,
    });
    count != 0
}

/// Takes back one owed flush: after it is complete, with no lock.
pub(crate) fn drop_pending<M: Machine>(m: Door<'_, M>, mm: MmId) {
    m.fetch_add(
        &m.kernel().mms[mm.index()].tlb_flush_pending,
        1u64.wrapping_neg(),
    );
    m.observe(Event::PendingDropped { mm });
}
