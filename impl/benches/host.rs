//! What things cost on the host machine: `cargo bench -p shootdown-impl --features host`.
//!
//! Nothing here passes or fails. Every claim that compares is a ratio of two loops that alternate in one run; the rest
//! is for orientation, and depends on the machine.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use shootdown_impl::design::{Axes, Tracked};
use shootdown_impl::environment::Environment;
use shootdown_impl::event::Observer;
use shootdown_impl::host::recorder::Recorder;
use shootdown_impl::host::stress::{StressConfig, run};
use shootdown_impl::host::{Host, HostCpu, IrqMode};
use shootdown_impl::id::{CpuId, MmId};
use shootdown_impl::machine::Machine;
use shootdown_impl::operation::{Code, KernelCode, Operation};
use shootdown_impl::tlb::{AccessKind, Slot};

const CPU0: CpuId = CpuId(0);
const MM0: MmId = MmId(0);
const ROUNDS: usize = 15;

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Nanoseconds of one call, over this many.
fn time(calls: u32, mut body: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| body());
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn one_cpu(mode: IrqMode) -> Host {
    let host = Host::new(
        Environment {
            cpus: 1,
            ..Environment::default()
        },
        1,
        mode,
    )
    .expect("one CPU fits");
    host.place(CPU0, MM0);
    host
}

const UNCONTENDED: &[(&str, &[Operation])] = &[
    ("vmalloc_sync_all (1 mm)", &[Operation::VmallocSyncAll]),
    ("vmalloc_fault", &[Operation::VmallocFault]),
    (
        "page_referenced_one, old page",
        &[Operation::PageReferencedOne(MM0, Slot::Pte)],
    ),
    (
        "user_access + page_referenced_one",
        &[
            Operation::UserAccess(Slot::Pte, AccessKind::Load),
            Operation::PageReferencedOne(MM0, Slot::Pte),
        ],
    ),
    (
        "handle_mm_fault + zap_page_range",
        &[Operation::HandleMmFault(Slot::Pte), Operation::ZapPageRange],
    ),
    ("gup_fast", &[Operation::GupFast(Slot::Huge)]),
    ("switch_mm to the same", &[Operation::SwitchMm(MM0)]),
    (
        "user_access, TLB hit",
        &[Operation::UserAccess(Slot::Huge, AccessKind::Load)],
    ),
];

fn uncontended() {
    println!("uncontended, one CPU, ns per operation (median of {ROUNDS})");
    for (name, operations) in UNCONTENDED {
        let costs = [IrqMode::Soft, IrqMode::SignalMask].map(|mode| {
            let (host, code) = (one_cpu(mode), KernelCode::<Tracked>::new());
            let cpu = HostCpu::new(&host, CPU0, &code, &());
            let all = || operations.iter().for_each(|&o| code.operation(&cpu, o));
            let samples = cpu.run(|_| (0..ROUNDS).map(|_| time(3000, all)).collect());
            median(samples.unwrap_or_default())
        });
        println!(
            "  {name:<36} soft flag {:>8.0}   signal mask {:>8.0}",
            costs[0], costs[1]
        );
    }
    let [soft, mask] = [IrqMode::Soft, IrqMode::SignalMask].map(|mode| {
        let (host, code) = (one_cpu(mode), KernelCode::<Tracked>::new());
        let cpu = HostCpu::new(&host, CPU0, &code, &());
        let pair = || cpu.local_irq_restore(black_box(cpu.local_irq_save()));
        median(
            cpu.run(|_| (0..ROUNDS).map(|_| time(20_000, pair)).collect())
                .unwrap_or_default(),
        )
    });
    println!(
        "  {:<36} soft flag {soft:>8.1}   signal mask {mask:>8.1}",
        "irq save + restore"
    );
}

fn one_round<O: Observer>(host: &Host, observer: &O) -> f64 {
    let code = KernelCode::<Tracked>::new();
    let cpu = HostCpu::new(host, CPU0, &code, observer);
    let young = || {
        code.operation(&cpu, Operation::UserAccess(Slot::Pte, AccessKind::Load));
        code.operation(&cpu, Operation::PageReferencedOne(MM0, Slot::Pte));
    };
    cpu.run(|_| time(2000, young)).unwrap_or(f64::NAN)
}

fn recorder_overhead() {
    let host = one_cpu(IrqMode::Soft);
    let (flight, streaming) = (
        Recorder::flight(&host, 1 << 12),
        Recorder::streaming(&host, 1 << 16),
    );
    let done = AtomicBool::new(false);
    let rounds: Vec<[f64; 3]> = thread::scope(|scope| {
        scope.spawn(|| {
            let mut events = 0u64;
            while !done.load(SeqCst) {
                streaming.drain(|_| events += 1);
                thread::sleep(Duration::from_micros(200));
            }
            black_box(events);
        });
        // Alternating, so that noise hits all three alike.
        let one = |_| {
            [
                one_round(&host, &()),
                one_round(&host, &flight),
                one_round(&host, &streaming),
            ]
        };
        let rounds = (0..ROUNDS).map(one).collect();
        done.store(true, SeqCst);
        rounds
    });
    let [off, look_back, stream] = [0, 1, 2].map(|i| median(rounds.iter().map(|r| r[i]).collect()));
    let ratio = |i: usize| median(rounds.iter().map(|r| r[i] / r[0]).collect());
    println!("\nrecorder, one CPU, user_access + page_referenced_one (12 events)");
    println!(
        "  nobody listens {off:.0} ns; look-back {look_back:.0} ns, ratio {:.2}; streaming {stream:.0} ns, ratio {:.2}",
        ratio(1),
        ratio(2)
    );
}

fn everything_at_once() {
    println!("\neverything at once, default design, pgd_free from interrupts (4 mms)");
    for cpus in [1, 2, 4] {
        let rate = |look_back: usize| {
            let config = StressConfig {
                axes: Axes::default(),
                env: Environment {
                    cpus,
                    mms: 4,
                    pgd_free_in_irq: true,
                    ..Environment::default()
                },
                duration: Duration::from_secs(2),
                look_back,
                ..StressConfig::default()
            };
            run(&config, None).expect("a clean configuration")
        };
        let (plain, recorded) = (rate(0), rate(8));
        println!(
            "  {cpus} CPUs: {:>9.0} operations/s, with look-back {:>9.0} (ratio {:.2}); flush round trip p50/p90/p99/p99.9 {:?} ns",
            plain.operations_per_second(),
            recorded.operations_per_second(),
            plain.operations_per_second() / recorded.operations_per_second(),
            plain.ipi_latency_ns.unwrap_or_default(),
        );
    }
}

fn round_trip() {
    let host = Host::new(Environment::default(), 1, IrqMode::Soft).expect("two CPUs fit");
    host.place(CPU0, MM0);
    host.place(CpuId(1), MM0);
    let code = KernelCode::<Tracked>::new();
    let (ready, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut nanos: Vec<f64> = thread::scope(|scope| {
        scope.spawn(|| {
            HostCpu::new(&host, CpuId(1), &code, &()).run(|_| {
                ready.store(true, SeqCst);
                while !done.load(SeqCst) {
                    std::hint::spin_loop();
                }
            });
        });
        while !ready.load(SeqCst) {
            thread::yield_now();
        }
        let cpu = HostCpu::new(&host, CPU0, &code, &());
        let flush = || {
            code.operation(&cpu, Operation::UserAccess(Slot::Pte, AccessKind::Load));
            time(1, || {
                code.operation(&cpu, Operation::PageReferencedOne(MM0, Slot::Pte))
            })
        };
        let samples = cpu
            .run(|_| (0..5000).map(|_| flush()).collect())
            .unwrap_or_default();
        done.store(true, SeqCst);
        samples
    });
    nanos.sort_by(f64::total_cmp);
    let at = |share: f64| nanos[((nanos.len() - 1) as f64 * share) as usize];
    println!(
        "\nflush IPI round trip to a CPU that computes: p50 {:.0} p90 {:.0} p99 {:.0} ns",
        at(0.5),
        at(0.9),
        at(0.99)
    );
}

fn main() {
    uncontended();
    recorder_overhead();
    round_trip();
    everything_at_once();
}
