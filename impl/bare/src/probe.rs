//! Whether this machine caches translations at all: without that a clean run would say nothing about flushes.
//!
//! The second CPU reads a page over and over. The first maps another page there and tells nobody, then sends an IPI
//! whose handler does `invlpg`.

use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicBool, AtomicU32};

use shootdown_impl::id::{CpuId, FrameId};
use shootdown_impl::page_table::frame_address;
use shootdown_impl::tlb::Slot;

use crate::memory::{self, PROBE_ADDRESS};
use crate::{clock, cpu, fact};

static RUNS: AtomicBool = AtomicBool::new(false);
static OVER: AtomicBool = AtomicBool::new(false);
static SEEN: AtomicU32 = AtomicU32::new(0);
static READS: AtomicU32 = AtomicU32::new(0);
static FLUSHED: AtomicBool = AtomicBool::new(false);

/// The second CPU's part. Interrupts are on.
pub fn read() {
    while !RUNS.load(SeqCst) {
        core::hint::spin_loop();
    }
    while !OVER.load(SeqCst) {
        let address: *const u32 = core::ptr::with_exposed_provenance(PROBE_ADDRESS as usize);
        // SAFETY: a page of a frame is mapped there while the probe runs.
        SEEN.store(unsafe { address.read_volatile() }, SeqCst);
        READS.fetch_add(1, SeqCst);
    }
}

/// The IPI: drops the translation.
pub fn interrupt() {
    memory::flush_page(PROBE_ADDRESS);
    FLUSHED.store(true, SeqCst);
}

/// Waits until the second CPU has read so often again; what it has seen last.
fn after(reads: u32) -> u32 {
    let from = READS.load(SeqCst);
    while READS.load(SeqCst).wrapping_sub(from) < reads {
        core::hint::spin_loop();
    }
    SEEN.load(SeqCst)
}

/// The first CPU's part: tells what the second one saw.
pub fn run() {
    let marker = |frame| {
        memory::frame_words(FrameId(frame), Slot::Pte)
            .marker
            .load(SeqCst)
    };
    memory::map_probe(frame_address(FrameId(0)));
    RUNS.store(true, SeqCst);
    let first = after(1000);
    memory::map_probe(frame_address(FrameId(1)));
    let started = clock::since_boot_us();
    let unflushed = after(100_000);
    let reads_took = clock::since_boot_us() - started;
    cpu::send(CpuId(1), cpu::PROBE);
    while !FLUSHED.load(SeqCst) {
        core::hint::spin_loop();
    }
    let flushed = after(1000);
    OVER.store(true, SeqCst);
    let works = first == marker(0) && flushed == marker(1);
    assert!(
        works,
        "page tables do not work: {first:#x}, then {flushed:#x}"
    );
    fact!(
        "probe stale={} us={reads_took}",
        u8::from(unflushed == marker(0))
    );
}
