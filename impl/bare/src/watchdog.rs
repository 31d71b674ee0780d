//! The watchdog: a timer's NMI sees that nothing moves, parks the other CPUs by NMI, and says where everybody is.
//!
//! It runs on the first CPU, whatever its interrupt flag says. A hang is only what this shows: nothing has moved for
//! 300 ms, and every CPU has looked at what it waits for a thousand times since. A CPU that the host does not run cannot
//! look, so a loaded host is no hang; after ten seconds without anything it is one all the same.

use core::fmt;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use shootdown_impl::event::Lock;
use shootdown_impl::id::{CpuId, CpuMask, NR_CPUS};
use shootdown_impl::kernel::Loc;
use shootdown_impl::operation::Operation;

use crate::console;
use crate::cpu::{self, RFLAGS_IF};
use crate::machine::SHARED;
use crate::memory::kernel;
use crate::out::{self, fact_alone};
use crate::port::{Exit, exit};

/// NMIs of the timer a second.
pub const HZ: u32 = 100;
/// Without progress for so many of them.
const STUCK: u32 = 30;
/// Without progress, and without a look at what is waited for, for so many of them.
const STALLED: u32 = 1000;
/// Looks of each CPU that make it certain that it has had its chance.
const LOOKS: u64 = 1000;

/// The CPUs that are watched; none yet or any more: 0.
static WATCHED: AtomicU32 = AtomicU32::new(0);
static PARK: AtomicBool = AtomicBool::new(false);
static PARKED: [Parked; NR_CPUS] = [const { Parked::new() }; NR_CPUS];

/// What the CPU that watches remembers.
static TICKS: AtomicU64 = AtomicU64::new(0);
static SPINS: [AtomicU64; NR_CPUS] = [const { AtomicU64::new(0) }; NR_CPUS];
static FOR: AtomicU32 = AtomicU32::new(0);

/// What an NMI found of a CPU.
pub struct Parked {
    there: AtomicBool,
    /// Where it was.
    pub rip: AtomicU64,
    /// Its flags.
    pub rflags: AtomicU64,
    /// Its stack.
    pub rsp: AtomicU64,
    /// The vectors from 0xe0 on in its interrupt request register.
    pub irr: AtomicU32,
}

impl Parked {
    const fn new() -> Self {
        Self {
            there: AtomicBool::new(false),
            rip: AtomicU64::new(0),
            rflags: AtomicU64::new(0),
            rsp: AtomicU64::new(0),
            irr: AtomicU32::new(0),
        }
    }

    fn capture(&self, frame: &Frame) {
        self.rip.store(frame.rip, Relaxed);
        self.rflags.store(frame.rflags, Relaxed);
        self.rsp.store(frame.rsp, Relaxed);
        self.irr.store(cpu::pending(), Relaxed);
        self.there.store(true, Release);
    }

    /// The interrupt flag.
    pub fn interrupts_on(&self) -> bool {
        self.rflags.load(Relaxed) & RFLAGS_IF != 0
    }
}

/// What the hardware pushes.
#[repr(C)]
pub struct Frame {
    /// Where it was.
    pub rip: u64,
    /// Its code segment.
    pub cs: u64,
    /// Its flags.
    pub rflags: u64,
    /// Its stack.
    pub rsp: u64,
    /// Its stack segment.
    pub ss: u64,
}

/// Watches so many CPUs from here on; 0: none.
pub fn watch(cpus: u8) {
    WATCHED.store(cpus.into(), SeqCst);
}

/// An NMI has come to this CPU.
pub fn nmi(frame: &Frame) {
    let id = cpu::this_cpu();
    if PARK.load(Acquire) && id.0 != 0 {
        PARKED[id.index()].capture(frame);
        loop {
            core::hint::spin_loop();
        }
    }
    let cpus = WATCHED.load(Relaxed) as usize;
    if id.0 == 0 && cpus > 0 && is_stuck(cpus) {
        report(cpus as u8, frame);
    }
}

fn is_stuck(cpus: usize) -> bool {
    let all = || SHARED.cpus.iter().take(cpus);
    let ticks: u64 = all().map(|c| c.ticks.load(Relaxed)).sum();
    if TICKS.swap(ticks, Relaxed) != ticks || out::is_busy() {
        all()
            .zip(&SPINS)
            .for_each(|(c, then)| then.store(c.spins.load(Relaxed), Relaxed));
        FOR.store(0, Relaxed);
        return false;
    }
    let stuck = FOR.fetch_add(1, Relaxed) + 1;
    let looked = all()
        .zip(&SPINS)
        .all(|(c, then)| c.spins.load(Relaxed) - then.load(Relaxed) >= LOOKS);
    stuck >= STUCK && looked || stuck >= STALLED
}

/// What a context waits for.
pub enum Wait {
    /// A lock.
    Lock(Lock),
    /// Acknowledgements, from these.
    Acks(CpuMask),
}

/// What a context of a CPU waits for.
pub fn waits(cpu: CpuId, in_irq: bool) -> Option<Wait> {
    let me = &SHARED.cpus[cpu.index()];
    match me.want[usize::from(in_irq)].load(Relaxed) {
        0 => None,
        crate::machine::WANT_ACKS => {
            let acks = kernel().word(Loc::Acks(cpu)).atomic().load(SeqCst);
            Some(Wait::Acks(CpuMask::from_word(acks)))
        }
        code => lock_at(Loc::from_index(code as usize - 1)?, to_walk(cpu, in_irq)).map(Wait::Lock),
    }
}

/// Whether it wants `pgd_lock` to read the list, in a design with two ways of taking it.
fn to_walk(cpu: CpuId, in_irq: bool) -> bool {
    !in_irq && running(cpu) == Some(Operation::VmallocSyncAll)
}

/// The operation that a CPU runs.
pub fn running(cpu: CpuId) -> Option<Operation> {
    let code = SHARED.cpus[cpu.index()].running.load(Relaxed);
    Operation::from_code(code.checked_sub(1)?)
}

fn lock_at(loc: Loc, to_walk: bool) -> Option<Lock> {
    match loc {
        Loc::PgdLock => Some(Lock::PgdLock),
        Loc::PgdRwLock if to_walk => Some(Lock::PgdRead),
        Loc::PgdRwLock => Some(Lock::PgdWrite),
        Loc::PageTableLock(mm) => Some(Lock::PageTable(mm)),
        Loc::PteLock(mm) => Some(Lock::Pte(mm)),
        _ => None,
    }
}

/// The locks that a context holds.
pub fn holds(cpu: CpuId, in_irq: bool) -> impl Iterator<Item = Lock> {
    let me = crate::machine::context(cpu, in_irq);
    let held = Loc::all().filter(move |l| SHARED.holders[l.index()].load(Relaxed) == me + 1);
    let reads = SHARED.readers.load(Relaxed) >> me & 1 == 1;
    held.filter_map(|l| lock_at(l, false))
        .chain(reads.then_some(Lock::PgdRead))
}

/// Parks the others, tells what everybody waits for, and ends the machine.
fn report(cpus: u8, frame: &Frame) -> ! {
    let others = || (1..cpus).map(CpuId);
    PARK.store(true, Release);
    PARKED[0].capture(frame);
    others().for_each(cpu::send_nmi);
    let until = crate::clock::since_boot_us() + 1_000_000;
    let all_there = || others().all(|c| PARKED[c.index()].there.load(Acquire));
    while !all_there() && crate::clock::since_boot_us() < until {
        core::hint::spin_loop();
    }
    let stuck_ms = FOR.load(Relaxed) * 1000 / HZ;
    console::report(
        stuck_ms,
        (0..cpus).map(|c| (CpuId(c), &PARKED[usize::from(c)])),
    );
    (0..cpus).map(CpuId).for_each(out::rest);
    crate::summary::tell(cpus);
    for c in (0..cpus).map(CpuId) {
        let (me, parked) = (&SHARED.cpus[c.index()], &PARKED[c.index()]);
        fact_alone(format_args!(
            "cpu n={} running={} in_irq={} if={} irr={} rip={} holds={} holds_irq={} waits={} waits_irq={}",
            c.0,
            me.running.load(Relaxed),
            me.in_irq.load(Relaxed),
            u8::from(parked.interrupts_on()),
            parked.irr.load(Relaxed),
            parked.rip.load(Relaxed),
            Locks(c, false),
            Locks(c, true),
            Waits(c, false),
            Waits(c, true),
        ));
    }
    fact_alone(format_args!("end how=hung stuck_ms={stuck_ms}"));
    exit(Exit::Told)
}

/// Locks in one word: `pgd`, `pgd_read`, `pgd_write`, `ptl3`, `pte3`, with commas; `-` for none.
struct Locks(CpuId, bool);

impl fmt::Display for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for lock in holds(self.0, self.1) {
            f.write_str(between)?;
            write_lock(f, lock)?;
            between = ",";
        }
        f.write_str(if between.is_empty() { "-" } else { "" })
    }
}

fn write_lock(f: &mut fmt::Formatter<'_>, lock: Lock) -> fmt::Result {
    match lock {
        Lock::PgdLock => f.write_str("pgd"),
        Lock::PgdRead => f.write_str("pgd_read"),
        Lock::PgdWrite => f.write_str("pgd_write"),
        Lock::PageTable(mm) => write!(f, "ptl{}", mm.0),
        Lock::Pte(mm) => write!(f, "pte{}", mm.0),
    }
}

/// A wait in one word: a lock as in [`Locks`], `acks` and the mask, or `-`.
struct Waits(CpuId, bool);

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match waits(self.0, self.1) {
            None => f.write_str("-"),
            Some(Wait::Lock(lock)) => write_lock(f, lock),
            Some(Wait::Acks(from)) => write!(f, "acks{}", from.0),
        }
    }
}
