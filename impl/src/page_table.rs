//! Page tables as the hardware reads them, and what their entries' bits mean.
//!
//! After `arch/x86/include/asm/pgtable_types.h` and `arch/x86/mm/pgtable.c` of 2.6.38. What links pgd and pmd never
//! changes while an mm lives, so kernel code starts at the pmd; only a machine whose hardware walks has the level
//! between. Of the entries three are used: the pmd over the pte table, the huge pmd, and one kernel entry of the pgd
//! (the vmalloc area's); see the project's assumptions.
//!
//! Locks: user entries are guarded by the pte's lock or `page_table_lock`, so they can be changed only through the
//! guards of [`crate::mm`]. Reading without a lock has its own, named functions here. Interrupt state: any.

use crate::cpu::Cpu;
use crate::door::Door;
use crate::event::Event;
use crate::id::{FrameId, MmId, NR_FRAMES};
use crate::kernel::Kernel;
use crate::machine::{Machine, Word};
use crate::tlb::Slot;

/// Entries per table.
pub const PTRS_PER_TABLE: usize = 512;
/// Index of the pmd over the pte table (`pmd_offset` of the 4 KiB page).
pub const PTE_PMD_INDEX: usize = 0;
/// Index of the huge pmd.
pub const HUGE_PMD_INDEX: usize = 1;
/// First kernel entry (`KERNEL_PGD_BOUNDARY`), the one that covers the vmalloc area.
pub const KERNEL_PGD_BOUNDARY: usize = 256;
/// Index of the one pte used in the pte table.
pub const PTE_INDEX: usize = 0;

/// A page table: one page, 512 entries.
#[repr(C, align(4096))]
pub struct PageTable {
    /// The entries, as the walker reads them.
    pub entries: [Word; PTRS_PER_TABLE],
}

impl PageTable {
    /// A table that maps nothing.
    pub const fn new() -> Self {
        Self {
            entries: [const { Word::new(0) }; PTRS_PER_TABLE],
        }
    }
}

impl Default for PageTable {
    fn default() -> Self {
        Self::new()
    }
}

/// The value of one entry: a physical address and the x86 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Entry(pub u64);

impl Entry {
    /// `_PAGE_PRESENT`.
    pub const PRESENT: u64 = 1 << 0;
    /// `_PAGE_RW`.
    pub const RW: u64 = 1 << 1;
    /// `_PAGE_USER`.
    pub const USER: u64 = 1 << 2;
    /// `_PAGE_ACCESSED`, set by the hardware.
    pub const ACCESSED: u64 = 1 << 5;
    /// `_PAGE_DIRTY`, set by the hardware.
    pub const DIRTY: u64 = 1 << 6;
    /// `_PAGE_PSE`: a pmd that maps a huge page itself.
    pub const PSE: u64 = 1 << 7;
    /// `_PAGE_SPLITTING` (`_PAGE_BIT_UNUSED1`): a huge page is being split; the hardware ignores it.
    pub const SPLITTING: u64 = 1 << 9;
    /// The bits of the address.
    pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

    /// Nothing.
    pub const NONE: Self = Self(0);

    /// A pte (or, with [`Self::PSE`], a huge pmd) for this frame: present, writable, user.
    pub const fn user(frame: FrameId) -> Self {
        Self(frame_address(frame) | Self::PRESENT | Self::RW | Self::USER)
    }

    /// A huge pmd for this compound frame.
    pub const fn huge(frame: FrameId) -> Self {
        Self(Self::user(frame).0 | Self::PSE)
    }

    /// A pmd over the table at this physical address (`_PAGE_TABLE`).
    pub const fn table(address: u64) -> Self {
        Self(address | Self::PRESENT | Self::RW | Self::USER | Self::ACCESSED | Self::DIRTY)
    }

    /// `pte_present`.
    pub const fn present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    /// `pte_young`.
    pub const fn young(self) -> bool {
        self.0 & Self::ACCESSED != 0
    }

    /// `pte_dirty`.
    pub const fn dirty(self) -> bool {
        self.0 & Self::DIRTY != 0
    }

    /// `pmd_trans_huge`: present and maps a huge page itself.
    pub const fn trans_huge(self) -> bool {
        self.0 & (Self::PRESENT | Self::PSE) == Self::PRESENT | Self::PSE
    }

    /// `pmd_trans_splitting`.
    pub const fn splitting(self) -> bool {
        self.0 & Self::SPLITTING != 0
    }

    /// The frame it maps, if it maps one of the user frames.
    pub const fn frame(self) -> Option<FrameId> {
        let index = (self.0 & Self::ADDRESS) / FRAME_STRIDE;
        if !self.present() || index == 0 || index > NR_FRAMES as u64 {
            None
        } else {
            Some(FrameId(index as u8 - 1))
        }
    }

    /// Whether a hardware walk through this entry of `slot` ends in a page. A split huge page's table is not
    /// followed further.
    pub const fn maps(self, slot: Slot) -> bool {
        match slot {
            Slot::Pte => self.present(),
            Slot::Huge => self.trans_huge(),
        }
    }
}

impl core::fmt::Debug for Entry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        const BITS: [(u64, &str); 7] = [
            (Entry::PRESENT, "P"),
            (Entry::RW, "RW"),
            (Entry::USER, "U"),
            (Entry::ACCESSED, "A"),
            (Entry::DIRTY, "D"),
            (Entry::PSE, "PSE"),
            (Entry::SPLITTING, "SPLITTING"),
        ];
        write!(f, "{:#x}", self.0 & Self::ADDRESS)?;
        BITS.iter()
            .filter(|(bit, _)| self.0 & bit != 0)
            .try_for_each(|(_, name)| write!(f, "|{name}"))
    }
}

/// Frames lie 2 MiB apart, so that each can back a huge page; the kernel's own structures lie below the first.
const FRAME_STRIDE: u64 = 2 << 20;

/// The physical address of a frame.
pub const fn frame_address(frame: FrameId) -> u64 {
    (frame.0 as u64 + 1) * FRAME_STRIDE
}

/// What the kernel entry holds when it is there: `swapper_pg_dir`'s link to the kernel's own table.
pub const KERNEL_ENTRY: Entry = Entry(
    core::mem::offset_of!(Kernel, vmalloc_table) as u64
        | Entry::PRESENT
        | Entry::RW
        | Entry::ACCESSED
        | Entry::DIRTY,
);

/// The word of an mm's kernel entry (`pgd_offset(mm, VMALLOC_START)`).
pub(crate) fn kernel_entry<M: Machine>(m: Door<'_, M>, mm: MmId) -> &Word {
    &m.kernel().tables[mm.index()].pgd.entries[KERNEL_PGD_BOUNDARY]
}

/// The word of `init_mm`'s kernel entry (`pgd_offset_k(VMALLOC_START)`).
pub(crate) fn init_entry<M: Machine>(m: Door<'_, M>) -> &Word {
    &m.kernel().swapper_pg_dir.entries[KERNEL_PGD_BOUNDARY]
}

/// Walks to the word of a user entry: `pte_offset_map`, or `pmd_offset` for the huge pmd. The pmd over the pte table
/// does not change while the mm lives, so the walk is not a step.
pub(crate) fn user_entry<M: Machine>(m: Door<'_, M>, mm: MmId, slot: Slot) -> &Word {
    let pmds = &m.kernel().tables[mm.index()].pmd;
    match slot {
        Slot::Huge => &pmds.entries[HUGE_PMD_INDEX],
        Slot::Pte => {
            let pmd = Entry(m.load_stable(&pmds.entries[PTE_PMD_INDEX]));
            match m.kernel().table_at(pmd.0 & Entry::ADDRESS) {
                Some(table) => &table.entries[PTE_INDEX],
                // An mm is never listed without its pte table; a wild pmd would be the machine's fault, and reading
                // the mm's own table then is as good as any other answer.
                None => &m.kernel().tables[mm.index()].pte.entries[PTE_INDEX],
            }
        }
    }
}

/// Reads a user entry without its lock, as fast-GUP does (`ACCESS_ONCE(*pmdp)`). What was read may be gone at once;
/// only interrupts being off keeps the page from being freed under the caller, hence the token.
pub(crate) fn read_entry_lockless<M: Machine, C>(
    cpu: &mut Cpu<'_, M, C>,
    mm: MmId,
    slot: Slot,
) -> Entry
where
    C: crate::irq::IrqsAreOff,
{
    let m = cpu.m();
    let entry = Entry(m.load(user_entry(m, mm, slot)));
    m.observe(Event::EntryRead {
        mm,
        slot,
        present: entry.maps(slot),
        splitting: entry.splitting(),
    });
    entry
}
