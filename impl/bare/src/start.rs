//! From the first instruction in Rust to the end of a run.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicU8, AtomicU64};

use shootdown_impl::id::{CpuId, MmId, NR_CPUS};
use shootdown_impl::irq::Vector;
use shootdown_impl::live::driver::{Driver, Mix, NR_PROGRAMS, alive_at_start, placement};

use crate::cpu::{self, FLUSH_TLB, PGD_FREE, PROBE};
use crate::machine::{BareCpu, SHARED};
use crate::memory::{self, direct};
use crate::options::Options;
use crate::port::{Exit, exit};
use crate::summary::BY_PROGRAM;
use crate::watchdog::Frame;
use crate::{clock, fact, kernel_log, machine, out, probe, summary, watchdog};

/// Between two facts about how far it is.
const PROGRESS_US: u64 = 100_000;

/// Something that is set once, before any other CPU runs.
struct Once<T>(core::cell::UnsafeCell<Option<T>>);

// SAFETY: written by the first CPU alone, before it starts the others; only read from then on.
unsafe impl<T: Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// Sets it.
    ///
    /// # Safety
    /// Once, by the first CPU, before any other runs.
    unsafe fn set(&self, value: T) {
        // SAFETY: the caller's promise.
        unsafe { *self.0.get() = Some(value) };
    }

    fn get(&'static self) -> &'static T {
        // SAFETY: nobody writes it any more.
        match unsafe { &*self.0.get() } {
            Some(value) => value,
            None => unreachable!("set before it is read"),
        }
    }
}

static OPTIONS: Once<Options> = Once(core::cell::UnsafeCell::new(None));
static MIX: Once<Mix> = Once(core::cell::UnsafeCell::new(None));
/// CPUs that are up; that may go; that are ready; that are done.
static UP: AtomicU8 = AtomicU8::new(1);
static PROBED: AtomicU8 = AtomicU8::new(0);
static READY: AtomicU8 = AtomicU8::new(0);
static DONE: AtomicU8 = AtomicU8::new(0);

/// The command line, from `struct hvm_start_info` (PVH).
fn command_line(start_info: u64, line: &mut [u8; 1024]) -> &str {
    // SAFETY: the loader has left both in memory that this program has not touched yet; a line ends with a zero, and
    // is looked at no further than there is room for.
    unsafe {
        let line_at: u64 = direct::<u64>(start_info + 24).read_unaligned();
        for (n, byte) in line.iter_mut().enumerate().take_while(|_| line_at != 0) {
            *byte = direct::<u8>(line_at + n as u64).read();
            if *byte == 0 {
                break;
            }
        }
    }
    let end = line.iter().position(|b| *b == 0).unwrap_or(line.len());
    core::str::from_utf8(&line[..end]).unwrap_or("")
}

#[unsafe(no_mangle)]
extern "C" fn start_of_kernel(start_info: u64) -> ! {
    let mut line = [0; 1024];
    let line = command_line(start_info, &mut line);
    clock::measure();
    let options = match Options::read(line) {
        Ok(options) => options,
        Err(word) => panic!("what is `{word}` on the command line?"),
    };
    memory::build_tables();
    memory::load_swapper();
    let cpus = options.env.cpus;
    assert!((1..=NR_CPUS as u8).contains(&cpus), "1 to 8 CPUs");
    let alive = alive_at_start(&options.env);
    machine::boot(&options, alive);
    // SAFETY: this is the first CPU, no other runs.
    unsafe {
        MIX.set(Mix::new(options.programs, &options.env));
        OPTIONS.set(options);
    }
    cpu::fill_idt();
    cpu::set_up();
    cpu::start_nmi_timer(watchdog::HZ);
    kernel_log!("Command line: {line}");
    fact!("boot khz={}", clock::khz());
    for other in 1..cpus {
        let up = || UP.load(SeqCst) > other;
        assert!(cpu::start(CpuId(other), up), "CPU{other} does not start");
    }
    kernel_log!("smp: Brought up 1 node, {cpus} CPUs");
    cpu::sti();
    if cpus > 1 {
        probe::run();
    }
    if options.record {
        out::record();
    }
    PROBED.store(1, SeqCst);
    run();
    watchdog::watch(0);
    cpu::cli();
    (0..cpus).map(CpuId).for_each(out::rest);
    summary::tell(cpus);
    fact!("end how=done");
    kernel_log!("reboot: Power down");
    exit(Exit::Told)
}

#[unsafe(no_mangle)]
extern "C" fn start_of_ap() -> ! {
    memory::load_swapper();
    cpu::set_up();
    cpu::sti();
    let id = UP.fetch_add(1, SeqCst);
    if id == 1 {
        probe::read();
    }
    while PROBED.load(SeqCst) == 0 {
        core::hint::spin_loop();
    }
    run();
    loop {
        core::hint::spin_loop();
    }
}

/// All CPUs have come here. Interrupts are on.
fn meet(counter: &AtomicU8, cpu: &BareCpu) {
    counter.fetch_add(1, SeqCst);
    while counter.load(SeqCst) < OPTIONS.get().env.cpus {
        cpu.me().spins.fetch_add(1, Relaxed);
    }
}

/// What every CPU does.
fn run() {
    let options = OPTIONS.get();
    let cpu = BareCpu::new(options);
    cpu.place(placement(cpu.id(), alive_at_start(&options.env)));
    meet(&READY, &cpu);
    let first = cpu.id().0 == 0;
    let begun = clock::since_boot_us();
    if first {
        summary::BEGUN.store(begun, SeqCst);
        watchdog::watch(options.env.cpus);
    }
    let mut driver = Driver::new(MIX.get(), options.seed, cpu.id(), &options.env);
    let mut told = begun;
    while !SHARED.finish.load(Relaxed) && (options.per_cpu == 0 || driver.done() < options.per_cpu)
    {
        driver.one(&cpu);
        let counts: &[AtomicU64; NR_PROGRAMS] = &BY_PROGRAM[cpu.id().index()];
        counts
            .iter()
            .zip(driver.by_program)
            .for_each(|(place, n)| place.store(n, Relaxed));
        if first {
            let now = clock::since_boot_us();
            if now - begun >= options.duration_ms * 1000 {
                SHARED.finish.store(true, SeqCst);
            }
            if now - told >= PROGRESS_US {
                told = now;
                out::alone(summary::progress);
            }
        }
    }
    // Others may still wait for our acknowledgements: take interrupts until all are through.
    meet(&DONE, &cpu);
}

#[unsafe(no_mangle)]
extern "C" fn on_interrupt(_: &Frame, vector: u64) {
    let number = vector as u8;
    let vector = match number {
        PROBE => {
            probe::interrupt();
            return cpu::ack_apic_irq();
        }
        PGD_FREE..PROBE => Vector::PgdFree(MmId(number - PGD_FREE)),
        FLUSH_TLB.. if usize::from(number - FLUSH_TLB) < NR_CPUS => {
            Vector::FlushTlb(CpuId(number - FLUSH_TLB))
        }
        // Spurious ones are not acknowledged.
        _ => return,
    };
    BareCpu::new(OPTIONS.get()).serve(vector, number);
    cpu::ack_apic_irq();
}

#[unsafe(no_mangle)]
extern "C" fn on_nmi(frame: &Frame) {
    watchdog::nmi(frame);
}

unsafe extern "C" {
    fn user_load_here();
    fn user_store_here();
    fn user_faulted();
}

#[unsafe(no_mangle)]
extern "C" fn on_exception(frame: &mut Frame, vector: u64, address: u64) {
    const PAGE_FAULT: u64 = 14;
    let at = |code: unsafe extern "C" fn()| (code as *const ()).addr() as u64;
    if vector == PAGE_FAULT && (frame.rip == at(user_load_here) || frame.rip == at(user_store_here))
    {
        frame.rip = at(user_faulted);
        return;
    }
    kernel_log!(
        "exception {vector} on {}: rip {:#x} rsp {:#x} flags {:#x} cr2 {address:#x}",
        cpu::this_cpu(),
        frame.rip,
        frame.rsp,
        frame.rflags
    );
    exit(Exit::Panic)
}
