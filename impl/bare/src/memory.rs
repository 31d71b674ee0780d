//! Memory as the hardware sees it: the direct map, the page tables, CR3 and the TLB.
//!
//! | from | | |
//! |---|---|---|
//! | user half: slot n of the pgd, for CPU n | the mm's pages, the 4 KiB page at 0 and the huge page at 2 MiB | through a pud of this mm and CPU |
//! | `0xffff800000000000` | the vmalloc area | the entry that `vmalloc_sync_all` copies |
//! | `0xffff880000000000` | 4 GiB of physical memory (`PAGE_OFFSET` of 2.6.38) | |
//! | `0xffffffff80000000` | this program | |
//!
//! [`Kernel`] lies at physical address 0, so what it calls a physical address is one. All tables but the puds are its.
//! Each CPU reaches an mm's pmd through a pud of its own: in a pud, ACCESSED is set by this CPU's walks alone, which is
//! how the machine knows whether an access was a walk ([`touch`]).

use core::arch::asm;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicU32, AtomicU64};

use shootdown_impl::id::{CpuId, FrameId, MmId, NR_CPUS, NR_FRAMES, NR_MMS};
use shootdown_impl::kernel::Kernel;
use shootdown_impl::page_table::{Entry, PageTable, frame_address};
use shootdown_impl::tlb::{AccessKind, Slot};

use crate::cpu::this_cpu;

/// Where physical memory is mapped.
const PAGE_OFFSET: u64 = 0xffff_8800_0000_0000;
/// Where this program is mapped (`__START_KERNEL_map`).
const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// The slots of a pgd for them, which every pgd has from the start.
const ALWAYS: [usize; 2] = [272, 511];
/// The slot of `swapper_pg_dir` for [`PROBE_ADDRESS`].
const PROBE_SLOT: usize = 300;
/// Where [`crate::probe`] maps a page: only in `swapper_pg_dir`.
pub const PROBE_ADDRESS: u64 = 0xffff_0000_0000_0000 | (PROBE_SLOT as u64) << 39;

const _: () = assert!(
    size_of::<Kernel>() < 0x8_0000,
    "it ends below the trampoline"
);

/// One pud for each mm and CPU.
static PUDS: [[PageTable; NR_CPUS]; NR_MMS] =
    [const { [const { PageTable::new() }; NR_CPUS] }; NR_MMS];
static PROBE_TABLES: [PageTable; 3] = [const { PageTable::new() }; 3];

/// A physical address in the direct map.
pub fn direct<T>(physical: u64) -> *mut T {
    core::ptr::with_exposed_provenance_mut((PAGE_OFFSET + physical) as usize)
}

/// The kernel's memory.
pub fn kernel() -> &'static Kernel {
    // SAFETY: physical address 0 on is ordinary memory, zeroed by `build_tables`, which nothing else uses; all of a
    // `Kernel` is atomic words, for which zero is a value, so that the hardware's walker may write there too.
    unsafe { &*direct::<Kernel>(0) }
}

/// The physical address of something of this program.
fn physical<T>(part: &'static T) -> u64 {
    core::ptr::from_ref(part).addr() as u64 - START_KERNEL_MAP
}

/// Zeroes the kernel's memory and builds the tables that do not change. On the first CPU, alone.
pub fn build_tables() {
    let mut boot_slots = [0; ALWAYS.len()];
    // SAFETY: nobody else runs; what firmware left there is of no use any more; `current_root` is the table that
    // boot.s has loaded.
    unsafe {
        core::ptr::write_bytes(direct::<u8>(0), 0, size_of::<Kernel>());
        for (entry, slot) in boot_slots.iter_mut().zip(ALWAYS) {
            *entry = direct::<u64>(current_root()).add(slot).read();
        }
    }
    let pgds =
        || core::iter::once(&kernel().swapper_pg_dir).chain(kernel().tables.iter().map(|t| &t.pgd));
    for pgd in pgds() {
        for (entry, slot) in boot_slots.into_iter().zip(ALWAYS) {
            pgd.entries[slot].atomic().store(entry, SeqCst);
        }
    }
    for (tables, puds) in kernel().tables.iter().zip(&PUDS) {
        let pmd = Entry::table(kernel().address_of(&tables.pmd)).0;
        for (cpu, pud) in puds.iter().enumerate() {
            pud.entries[0].atomic().store(pmd, SeqCst);
            let link = Entry::table(physical(pud)).0;
            tables.pgd.entries[cpu].atomic().store(link, SeqCst);
        }
    }
    let [pud, pmd, pte] = &PROBE_TABLES;
    let links = [
        (&kernel().swapper_pg_dir, PROBE_SLOT, pud),
        (pud, 0, pmd),
        (pmd, 0, pte),
    ];
    for (table, slot, next) in links {
        let link = Entry::table(physical(next)).0;
        table.entries[slot].atomic().store(link, SeqCst);
    }
}

/// Maps the page of [`PROBE_ADDRESS`], and tells nobody.
pub fn map_probe(page: u64) {
    let entry = page | Entry::PRESENT | Entry::RW;
    PROBE_TABLES[2].entries[0].atomic().store(entry, SeqCst);
}

fn current_root() -> u64 {
    let root: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr3", out(reg) root, options(nomem, nostack, preserves_flags)) };
    root
}

fn load_root(pgd: &'static PageTable) {
    let root = kernel().address_of(pgd);
    // SAFETY: every pgd maps this program and the direct map as the one before does.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// Loads `swapper_pg_dir`; the TLB is empty then.
pub fn load_swapper() {
    load_root(&kernel().swapper_pg_dir);
}

/// Loads an mm's pgd; the TLB is empty then.
pub fn load_mm(mm: MmId) {
    load_root(&kernel().tables[mm.index()].pgd);
}

/// Loads the pgd that is loaded once more; the TLB is empty then.
pub fn flush_all() {
    let root = current_root();
    // SAFETY: it is the one that is loaded.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// `invlpg`: the TLB has no translation of this address then.
pub fn flush_page(address: u64) {
    // SAFETY: drops a translation, which the walker finds again.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Where this CPU has the page behind `slot`. Of the huge page its second 4 KiB: when the page is split, the table in
/// its place has only the first, so that an access ends there as everywhere in this project.
pub fn user_address(cpu: CpuId, slot: Slot) -> u64 {
    let within = match slot {
        Slot::Pte => 0,
        Slot::Huge => (2 << 20) + 0x1000,
    };
    u64::from(cpu.0) << 39 | within
}

/// What a frame says of itself, and a word that user mode stores to.
#[repr(C)]
pub struct FrameWords {
    /// Which frame it is, and which mapping of it is the current one.
    pub marker: AtomicU32,
    /// Where stores go.
    pub scratch: AtomicU32,
}

const _: () = assert!(NR_FRAMES == 16, "frames end at 34 MiB, below this program");

/// The first words of a frame: where an access through `slot` ends.
pub fn frame_words(frame: FrameId, slot: Slot) -> &'static FrameWords {
    let within = user_address(CpuId(0), slot) & 0x1000;
    // SAFETY: frames are ordinary memory that nothing else uses; both words are atomic.
    unsafe { &*direct::<FrameWords>(frame_address(frame) + within) }
}

/// How a touch went.
#[derive(Clone, Copy)]
pub struct Touched {
    /// What was there; nothing after a page fault.
    pub marker: Option<u32>,
    /// Whether the hardware walked the tables for it.
    pub walked: bool,
}

unsafe extern "C" {
    fn user_load(address: u64) -> u64;
    fn user_store(address: u64, value: u32) -> u64;
}

/// Touches the page behind `slot` of the mm that is loaded, as user mode would. Interrupts are off.
///
/// A page fault leaves no translation of the address behind, as on x86: "a page-fault exception resulting from an attempt
/// to use a linear address will invalidate any TLB entries that are for a page number corresponding to that linear
/// address" (Intel SDM, volume 3A, 4.10.4.1). TCG keeps what an earlier load left there when a store finds the entry
/// gone, and later loads would use it until the flush IPI is taken.
pub fn touch(mm: MmId, slot: Slot, kind: AccessKind) -> Touched {
    let cpu = this_cpu();
    let pud: &AtomicU64 = PUDS[mm.index()][cpu.index()].entries[0].atomic();
    pud.fetch_and(!Entry::ACCESSED, SeqCst);
    let address = user_address(cpu, slot);
    // SAFETY: only the first 8 bytes of a frame are touched, or of what the frame has become since; a fault ends in
    // `user_faulted`.
    let found = unsafe {
        match kind {
            AccessKind::Load => user_load(address),
            AccessKind::Store if user_store(address + 4, 1) == u64::MAX => u64::MAX,
            // Through the translation that the store has left.
            AccessKind::Store => user_load(address),
        }
    };
    if found == u64::MAX {
        flush_page(address);
    }
    Touched {
        marker: (found != u64::MAX).then_some(found as u32),
        walked: pud.load(Relaxed) & Entry::ACCESSED != 0,
    }
}
