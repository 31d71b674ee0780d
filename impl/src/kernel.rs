//! The memory the kernel lives in: every structure the paths share, at fixed offsets from one base.
//!
//! A "physical address" is an offset from that base, so page-table entries and list links are the same numbers on
//! every machine and in every run. Nothing here allocates; the code that starts the machine provides the storage.

use crate::environment::Environment;
use crate::id::{CpuId, FrameId, MmId, NR_CPUS, NR_FRAMES, NR_MMS};
use crate::ipi::FlushState;
use crate::machine::Word;
use crate::mm::{Frame, Life, Mm};
use crate::page_table::{
    Entry, HUGE_PMD_INDEX, KERNEL_PGD_BOUNDARY, PTE_INDEX, PTE_PMD_INDEX, PageTable,
};
use crate::pgd_list::{ListHead, PgdPage};
use crate::spinlock::{RwLock, SpinLock};
use crate::tlb::Slot;

/// The pages of one mm's tables.
#[repr(C)]
pub struct Tables {
    /// The pgd page: user half and kernel half.
    pub pgd: PageTable,
    /// The pmd page. What lies between it and the pgd is the machine's: nobody changes it while the mm lives.
    pub pmd: PageTable,
    /// The pte page under the first pmd.
    pub pte: PageTable,
    /// The pte page set aside for splitting the huge pmd (`pgtable_trans_huge_deposit`).
    pub deposited: PageTable,
}

impl Tables {
    const fn new() -> Self {
        Self {
            pgd: PageTable::new(),
            pmd: PageTable::new(),
            pte: PageTable::new(),
            deposited: PageTable::new(),
        }
    }
}

/// One of an mm's page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// The pgd page.
    Pgd,
    /// The pmd page.
    Pmd,
    /// The pte page under the first pmd.
    Pte,
    /// The pte page of the split huge page.
    Deposited,
}

/// What an entry leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// It is not present.
    Nothing,
    /// A page.
    Frame(FrameId),
    /// A page table, and whose.
    Table(MmId, Table),
    /// Memory that is neither.
    Wild,
}

/// Everything shared. `repr(C)`, so that offsets are the same for all who look.
#[repr(C, align(4096))]
pub struct Kernel {
    /// `swapper_pg_dir`, the pgd of `init_mm`; never on `pgd_list`.
    pub swapper_pg_dir: PageTable,
    /// The kernel's own table for the vmalloc area: where [`KERNEL_ENTRY`](crate::page_table::KERNEL_ENTRY) leads.
    pub vmalloc_table: PageTable,
    /// Tables by mm slot.
    pub tables: [Tables; NR_MMS],
    /// `pgd_lock` as a spinlock.
    pub pgd_lock: SpinLock,
    /// `pgd_lock` as an rwlock, in the design that has one.
    pub pgd_rwlock: RwLock,
    /// `pgd_list`.
    pub pgd_list: ListHead,
    /// Page descriptors of the pgd pages, by mm slot.
    pub pgd_pages: [PgdPage; NR_MMS],
    /// Address spaces by slot.
    pub mms: [Mm; NR_MMS],
    /// `flush_state[]`: one request and acknowledgement word per sending CPU.
    pub flush: [FlushState; NR_CPUS],
    /// Page frames.
    pub frames: [Frame; NR_FRAMES],
}

/// A node of `pgd_list`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Node {
    /// `pgd_list` itself.
    Head,
    /// The `lru` of this mm's pgd page.
    Page(MmId),
}

/// Which word it is: the name of every shared word, the same on all machines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Loc {
    /// `pgd_lock`.
    PgdLock,
    /// `pgd_lock` in the rwlock design.
    PgdRwLock,
    /// `init_mm`'s kernel entry.
    InitEntry,
    /// `->next` of a list node.
    ListNext(Node),
    /// `->prev` of a list node.
    ListPrev(Node),
    /// `page->index` of a pgd page: its mm. Stable.
    PageIndex(MmId),
    /// Whether Xen has the pgd page pinned.
    Pinned(MmId),
    /// The mm's kernel entry.
    KernelEntry(MmId),
    /// The pmd over the pte page. Stable.
    PtePmd(MmId),
    /// The pte or the huge pmd.
    UserEntry(MmId, Slot),
    /// The pte in the deposited table. Stable until the table is in use.
    DepositedPte(MmId),
    /// `mm->page_table_lock`.
    PageTableLock(MmId),
    /// The lock of the pte page (`USE_SPLIT_PTLOCKS`).
    PteLock(MmId),
    /// `mm_cpumask(mm)`.
    Cpumask(MmId),
    /// `mm->tlb_flush_pending`.
    FlushPending(MmId),
    /// Fresh, alive or freed.
    Life(MmId),
    /// The flush request a CPU has published.
    Request(CpuId),
    /// The acknowledgements it still waits for (`flush_cpumask`).
    Acks(CpuId),
    /// `page->_count`.
    FrameRefs(FrameId),
    /// Whether it is (still) a compound page.
    Compound(FrameId),
}

const PER_MM: usize = 14;
const AFTER_GLOBALS: usize = 5;
const AFTER_MMS: usize = AFTER_GLOBALS + NR_MMS * PER_MM;
const AFTER_CPUS: usize = AFTER_MMS + NR_CPUS * 2;

impl Loc {
    /// How many there are.
    pub const COUNT: usize = AFTER_CPUS + NR_FRAMES * 2;

    /// All of them: `Loc::from_index(i)` for every `i` below [`Self::COUNT`].
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).filter_map(Self::from_index)
    }

    /// A dense number, below [`Self::COUNT`].
    pub const fn index(self) -> usize {
        let (mm, field) = match self {
            Self::PgdLock => return 0,
            Self::PgdRwLock => return 1,
            Self::InitEntry => return 2,
            Self::ListNext(Node::Head) => return 3,
            Self::ListPrev(Node::Head) => return 4,
            Self::ListNext(Node::Page(mm)) => (mm, 0),
            Self::ListPrev(Node::Page(mm)) => (mm, 1),
            Self::PageIndex(mm) => (mm, 2),
            Self::Pinned(mm) => (mm, 3),
            Self::KernelEntry(mm) => (mm, 4),
            Self::PtePmd(mm) => (mm, 5),
            Self::UserEntry(mm, Slot::Pte) => (mm, 6),
            Self::UserEntry(mm, Slot::Huge) => (mm, 7),
            Self::DepositedPte(mm) => (mm, 8),
            Self::PageTableLock(mm) => (mm, 9),
            Self::PteLock(mm) => (mm, 10),
            Self::Cpumask(mm) => (mm, 11),
            Self::FlushPending(mm) => (mm, 12),
            Self::Life(mm) => (mm, 13),
            Self::Request(cpu) => return AFTER_MMS + cpu.index() * 2,
            Self::Acks(cpu) => return AFTER_MMS + cpu.index() * 2 + 1,
            Self::FrameRefs(frame) => return AFTER_CPUS + frame.index() * 2,
            Self::Compound(frame) => return AFTER_CPUS + frame.index() * 2 + 1,
        };
        AFTER_GLOBALS + mm.index() * PER_MM + field
    }

    /// The inverse of [`Self::index`].
    pub const fn from_index(index: usize) -> Option<Self> {
        if index < AFTER_GLOBALS {
            return Some(match index {
                0 => Self::PgdLock,
                1 => Self::PgdRwLock,
                2 => Self::InitEntry,
                3 => Self::ListNext(Node::Head),
                _ => Self::ListPrev(Node::Head),
            });
        }
        if index < AFTER_MMS {
            let mm = MmId(((index - AFTER_GLOBALS) / PER_MM) as u8);
            return Some(match (index - AFTER_GLOBALS) % PER_MM {
                0 => Self::ListNext(Node::Page(mm)),
                1 => Self::ListPrev(Node::Page(mm)),
                2 => Self::PageIndex(mm),
                3 => Self::Pinned(mm),
                4 => Self::KernelEntry(mm),
                5 => Self::PtePmd(mm),
                6 => Self::UserEntry(mm, Slot::Pte),
                7 => Self::UserEntry(mm, Slot::Huge),
                8 => Self::DepositedPte(mm),
                9 => Self::PageTableLock(mm),
                10 => Self::PteLock(mm),
                11 => Self::Cpumask(mm),
                12 => Self::FlushPending(mm),
                _ => Self::Life(mm),
            });
        }
        if index < AFTER_CPUS {
            let cpu = CpuId(((index - AFTER_MMS) / 2) as u8);
            return Some(if (index - AFTER_MMS).is_multiple_of(2) {
                Self::Request(cpu)
            } else {
                Self::Acks(cpu)
            });
        }
        if index < Self::COUNT {
            let frame = FrameId(((index - AFTER_CPUS) / 2) as u8);
            return Some(if (index - AFTER_CPUS).is_multiple_of(2) {
                Self::FrameRefs(frame)
            } else {
                Self::Compound(frame)
            });
        }
        None
    }
}

impl Kernel {
    /// The structures before [`Kernel::boot`]: all zero.
    pub const fn new() -> Self {
        Self {
            swapper_pg_dir: PageTable::new(),
            vmalloc_table: PageTable::new(),
            tables: [const { Tables::new() }; NR_MMS],
            pgd_lock: SpinLock::new(),
            pgd_rwlock: RwLock::new(),
            pgd_list: ListHead::new(),
            pgd_pages: [const { PgdPage::new() }; NR_MMS],
            mms: [const { Mm::new() }; NR_MMS],
            flush: [const { FlushState::new() }; NR_CPUS],
            frames: [const { Frame::new() }; NR_FRAMES],
        }
    }

    /// The word with this name.
    pub const fn word(&self, loc: Loc) -> &Word {
        match loc {
            Loc::PgdLock => self.pgd_lock.word(),
            Loc::PgdRwLock => self.pgd_rwlock.word(),
            Loc::InitEntry => &self.swapper_pg_dir.entries[KERNEL_PGD_BOUNDARY],
            Loc::ListNext(node) => &self.node(node).next,
            Loc::ListPrev(node) => &self.node(node).prev,
            Loc::PageIndex(mm) => &self.pgd_pages[mm.index()].index,
            Loc::Pinned(mm) => &self.pgd_pages[mm.index()].pinned,
            Loc::KernelEntry(mm) => &self.tables[mm.index()].pgd.entries[KERNEL_PGD_BOUNDARY],
            Loc::PtePmd(mm) => &self.tables[mm.index()].pmd.entries[PTE_PMD_INDEX],
            Loc::UserEntry(mm, Slot::Pte) => &self.tables[mm.index()].pte.entries[PTE_INDEX],
            Loc::UserEntry(mm, Slot::Huge) => &self.tables[mm.index()].pmd.entries[HUGE_PMD_INDEX],
            Loc::DepositedPte(mm) => &self.tables[mm.index()].deposited.entries[PTE_INDEX],
            Loc::PageTableLock(mm) => self.mms[mm.index()].page_table_lock.word(),
            Loc::PteLock(mm) => self.mms[mm.index()].pte_lock.word(),
            Loc::Cpumask(mm) => &self.mms[mm.index()].cpumask,
            Loc::FlushPending(mm) => &self.mms[mm.index()].tlb_flush_pending,
            Loc::Life(mm) => &self.mms[mm.index()].life,
            Loc::Request(cpu) => &self.flush[cpu.index()].request,
            Loc::Acks(cpu) => &self.flush[cpu.index()].acks,
            Loc::FrameRefs(frame) => &self.frames[frame.index()].refs,
            Loc::Compound(frame) => &self.frames[frame.index()].compound,
        }
    }

    const fn node(&self, node: Node) -> &ListHead {
        match node {
            Node::Head => &self.pgd_list,
            Node::Page(mm) => &self.pgd_pages[mm.index()].lru,
        }
    }

    /// The physical address of something inside.
    pub fn address_of<T>(&self, part: &T) -> u64 {
        (core::ptr::from_ref(part)
            .addr()
            .wrapping_sub(core::ptr::from_ref(self).addr())) as u64
    }

    /// Which page table is at a physical address, if one is.
    pub fn which_table(&self, address: u64) -> Option<(MmId, Table)> {
        let first = core::mem::offset_of!(Kernel, tables) as u64;
        let page = size_of::<PageTable>() as u64;
        let index = address.checked_sub(first)? / page;
        if !(address - first).is_multiple_of(page) {
            return None;
        }
        let mm = MmId::new(usize::try_from(index / 4).ok()?)?;
        Some(match index % 4 {
            0 => (mm, Table::Pgd),
            1 => (mm, Table::Pmd),
            2 => (mm, Table::Pte),
            _ => (mm, Table::Deposited),
        })
    }

    /// The page table at a physical address, if there is one (`__va`).
    pub fn table_at(&self, address: u64) -> Option<&PageTable> {
        let (mm, table) = self.which_table(address)?;
        let tables = self.tables.get(mm.index())?;
        Some(match table {
            Table::Pgd => &tables.pgd,
            Table::Pmd => &tables.pmd,
            Table::Pte => &tables.pte,
            Table::Deposited => &tables.deposited,
        })
    }

    /// What an entry of a slot leads to.
    pub fn target(&self, entry: Entry, slot: Slot) -> Target {
        if !entry.present() {
            return Target::Nothing;
        }
        if slot == Slot::Pte || entry.trans_huge() {
            return entry.frame().map_or(Target::Wild, Target::Frame);
        }
        match self.which_table(entry.0 & Entry::ADDRESS) {
            Some((mm, table)) => Target::Table(mm, table),
            None => Target::Wild,
        }
    }

    /// The list node at a physical address, if there is one.
    pub fn node_at(&self, address: u64) -> Option<Node> {
        if address == core::mem::offset_of!(Kernel, pgd_list) as u64 {
            return Some(Node::Head);
        }
        let offset = address.checked_sub(core::mem::offset_of!(Kernel, pgd_pages) as u64)?;
        let stride = size_of::<PgdPage>() as u64;
        if !offset.is_multiple_of(stride) {
            return None;
        }
        MmId::new(usize::try_from(offset / stride).ok()?).map(Node::Page)
    }

    /// The physical address of a list node.
    pub fn node_address(&self, node: Node) -> u64 {
        self.address_of(self.node(node))
    }

    /// The values the words have when the CPUs start: handed one by one to `set`, words left out are zero.
    ///
    /// `alive` mms (the first so many) are listed, newest first, each with its pte and, with THP, its huge pmd mapped
    /// and not yet accessed; the other slots are ready for `pgd_alloc`. `init_mm` has no kernel entry yet.
    pub fn boot(&self, env: &Environment, alive: u8, mut set: impl FnMut(Loc, u64)) {
        let mut next = Node::Head;
        for mm in (0..alive).map(MmId) {
            let node = Node::Page(mm);
            set(Loc::ListNext(node), self.node_address(next));
            set(Loc::ListPrev(next), self.node_address(node));
            set(Loc::Life(mm), Life::Alive as u64);
            next = node;
        }
        set(Loc::ListNext(Node::Head), self.node_address(next));
        set(Loc::ListPrev(next), self.node_address(Node::Head));
        for mm in (0..env.mms).map(MmId) {
            let tables = &self.tables[mm.index()];
            set(Loc::PageIndex(mm), mm.0.into());
            set(
                Loc::PtePmd(mm),
                Entry::table(self.address_of(&tables.pte)).0,
            );
            let (small, compound) = (small_frame(mm), compound_frame(mm));
            set(Loc::UserEntry(mm, Slot::Pte), Entry::user(small).0);
            set(Loc::FrameRefs(small), 1);
            if env.thp {
                set(Loc::UserEntry(mm, Slot::Huge), Entry::huge(compound).0);
                set(Loc::DepositedPte(mm), Entry::user(compound).0);
                set(Loc::FrameRefs(compound), 1);
                set(Loc::Compound(compound), 1);
            }
        }
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self::new()
    }
}

/// The frame behind an mm's pte at boot.
pub const fn small_frame(mm: MmId) -> FrameId {
    FrameId(2 * mm.0)
}

/// The frame behind an mm's huge pmd at boot.
pub const fn compound_frame(mm: MmId) -> FrameId {
    FrameId(2 * mm.0 + 1)
}
