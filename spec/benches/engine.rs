//! The search engine beside Stateright's BFS and DFS on one model: `cargo bench -p shootdown-spec --bench engine`.
//!
//! The runs are interleaved and the best of several rounds counts, so that a noisy neighbour hits all alike. What is
//! printed are rates of one machine on one day; only the ratios mean something elsewhere.
//!
//! `ROUNDS=7` takes more of them.
//!
//! The model of the first tables is a packed version of the protocol's core: CPUs that flush each other's TLBs by IPI
//! under one lock, with interrupts off in the last of them.
//!
//! The last table is of the protocol itself, hosted twice: message-free, and by Stateright's actors. Its bytes are the
//! most the whole run held on the heap, states included, as the allocator counted them, for each distinct state.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::time::Instant;

use shootdown_spec::actor::ActorProtocol;
use shootdown_spec::config::Config;
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::model::Protocol;
use shootdown_spec::search::{Options, Scheduled, search};
use shootdown_spec::variant::VariantSet;
use shootdown_spec::workload::Workload;
use stateright::{Checker, Model, Property};

/// The system's allocator, counting when told to: two threads that share counters would disturb the clock.
struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static HELD: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every request goes to `System` as it came; the counters are no part of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.load(Ordering::Relaxed) {
            let size = layout.size() as isize;
            let held = HELD.fetch_add(size, Ordering::Relaxed) + size;
            PEAK.fetch_max(held, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if COUNTS.load(Ordering::Relaxed) {
            HELD.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps `dealloc`'s contract, and `ptr` came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a CPU is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
enum Pc {
    Cli,
    Lock,
    Write,
    Send,
    Await,
    Unlock,
    Sti,
    Touch,
    Done,
}

/// One byte or less per CPU and field, so that what is measured is the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State<const CPUS: usize> {
    pc: [Pc; CPUS],
    /// Whose shootdown each CPU has pending, a bit per sender.
    irr: [u8; CPUS],
    /// Interrupts off: a bit per CPU.
    cli: u8,
    /// TLB entry cached: a bit per CPU.
    tlb: u8,
    /// Acknowledgements still awaited, a bit per CPU.
    acks: [u8; CPUS],
    lock: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Step(u8),
    Deliver(u8),
    Fill(u8),
}

#[derive(Clone)]
struct Shootdown<const CPUS: usize> {
    /// Operations begin with interrupts on in these CPUs: those that do not wait for acks with interrupts off.
    open: u8,
}

impl<const CPUS: usize> Model for Shootdown<CPUS> {
    type State = State<CPUS>;
    type Action = Action;

    fn init_states(&self) -> Vec<State<CPUS>> {
        vec![State {
            pc: [Pc::Cli; CPUS],
            irr: [0; CPUS],
            cli: 0,
            tlb: (1 << CPUS) - 1,
            acks: [0; CPUS],
            lock: u8::MAX,
        }]
    }

    fn actions(&self, state: &State<CPUS>, actions: &mut Vec<Action>) {
        for cpu in 0..CPUS as u8 {
            let me = cpu as usize;
            let runs = match state.pc[me] {
                Pc::Done => false,
                Pc::Lock => state.lock == u8::MAX,
                Pc::Await => state.acks[me] == 0,
                _ => true,
            };
            if runs {
                actions.push(Action::Step(cpu));
            }
            if state.irr[me] != 0 && state.cli >> cpu & 1 == 0 {
                actions.push(Action::Deliver(cpu));
            }
            if state.pc[me] == Pc::Touch && state.tlb >> cpu & 1 == 0 {
                actions.push(Action::Fill(cpu));
            }
        }
    }

    fn next_state(&self, last: &State<CPUS>, action: Action) -> Option<State<CPUS>> {
        let mut state = *last;
        match action {
            Action::Step(cpu) => {
                let me = cpu as usize;
                let bit = 1 << cpu;
                state.pc[me] = match last.pc[me] {
                    Pc::Cli => {
                        state.cli |= bit & !self.open;
                        Pc::Lock
                    }
                    Pc::Lock => {
                        state.lock = cpu;
                        Pc::Write
                    }
                    Pc::Write => {
                        state.tlb &= !bit;
                        Pc::Send
                    }
                    Pc::Send => {
                        for other in (0..CPUS).filter(|o| *o != me && last.tlb >> o & 1 != 0) {
                            state.irr[other] |= bit;
                            state.acks[me] |= 1 << other;
                        }
                        Pc::Await
                    }
                    Pc::Await => Pc::Unlock,
                    Pc::Unlock => {
                        state.lock = u8::MAX;
                        Pc::Sti
                    }
                    Pc::Sti => {
                        state.cli &= !bit;
                        Pc::Touch
                    }
                    Pc::Touch | Pc::Done => Pc::Done,
                };
            }
            Action::Deliver(cpu) => {
                state.tlb &= !(1 << cpu);
                for sender in (0..CPUS).filter(|s| last.irr[cpu as usize] >> s & 1 != 0) {
                    state.acks[sender] &= !(1 << cpu);
                }
                state.irr[cpu as usize] = 0;
            }
            Action::Fill(cpu) => state.tlb |= 1 << cpu,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // Never violated, so that nobody stops early.
        vec![Property::always(
            "lock holder is a CPU",
            |_, s: &State<CPUS>| s.lock == u8::MAX || usize::from(s.lock) < CPUS,
        )]
    }
}

impl<const CPUS: usize> Scheduled for Shootdown<CPUS> {
    fn movers(&self) -> usize {
        CPUS
    }

    fn mover(&self, action: &Action) -> Option<usize> {
        match action {
            Action::Step(cpu) | Action::Deliver(cpu) => Some(usize::from(*cpu)),
            Action::Fill(_) => None,
        }
    }
}

/// Seconds and distinct states.
type Run = (f64, u64);

fn ours<const CPUS: usize>(
    model: &Shootdown<CPUS>,
    threads: usize,
    keep_graph: bool,
) -> (Run, f64) {
    let options = Options {
        keep_graph,
        ..Options::threads(threads)
    };
    let start = Instant::now();
    let outcome = search(model, |_, s| u64::from(s.lock == u8::MAX), &options);
    assert!(outcome.complete);
    (
        (start.elapsed().as_secs_f64(), outcome.unique),
        outcome.bytes_per_state,
    )
}

fn theirs<const CPUS: usize>(model: &Shootdown<CPUS>, threads: usize, depth_first: bool) -> Run {
    let start = Instant::now();
    let builder = model
        .clone()
        .checker()
        .threads(NonZeroUsize::new(threads).map_or(1, NonZeroUsize::get));
    let unique = if depth_first {
        builder.spawn_dfs().join().unique_state_count()
    } else {
        builder.spawn_bfs().join().unique_state_count()
    };
    (start.elapsed().as_secs_f64(), unique as u64)
}

fn main() {
    let rounds = std::env::var("ROUNDS")
        .ok()
        .and_then(|r| r.parse().ok())
        .unwrap_or(3);
    // 0.78 and 7.0 million states: within reach of the caches, and beyond.
    checkers(&Shootdown::<6> { open: 0b01_1111 }, rounds);
    checkers(&Shootdown::<7> { open: 0b011_1111 }, rounds);
    hosts(rounds);
}

/// All checkers on one model.
fn checkers<const CPUS: usize>(model: &Shootdown<CPUS>, rounds: usize) {
    let names = [
        "stateright bfs",
        "stateright dfs",
        "search",
        "search + graph",
    ];
    for threads in [1, 2] {
        let mut best = [(f64::INFINITY, 0); 4];
        let mut bytes = [None; 4];
        for _ in 0..rounds {
            for (i, best) in best.iter_mut().enumerate() {
                let run = match i {
                    0 | 1 => theirs(model, threads, i == 1),
                    _ => {
                        let (run, per_state) = ours(model, threads, i == 3);
                        bytes[i] = Some(per_state);
                        run
                    }
                };
                if run.0 < best.0 {
                    *best = run;
                }
            }
        }
        println!(
            "{threads} thread(s), state of {} bytes",
            size_of::<State<CPUS>>()
        );
        println!(
            "  {:<16}{:>12}{:>9}{:>14}{:>8}{:>13}",
            "", "states", "s", "states/s", "ratio", "bytes/state"
        );
        for (i, (seconds, unique)) in best.into_iter().enumerate() {
            assert_eq!(
                unique, best[0].1,
                "{} does not find what {} finds",
                names[i], names[0]
            );
            let per_state = bytes[i].map_or_else(|| "?".to_owned(), |b| format!("{b:.1}"));
            println!(
                "  {:<16}{unique:>12}{seconds:>9.3}{:>14.0}{:>8.2}{per_state:>13}",
                names[i],
                unique as f64 / seconds,
                best[0].0 / seconds,
            );
        }
    }
}

/// Distinct states. Nothing is observed: what is compared is hosting, not judging.
fn engine<M>(model: &M) -> u64
where
    M: Scheduled + Sync,
    M::State: Hash + Send + Sync,
{
    search(model, |_, _| 0, &Options::threads(1)).unique
}

/// Distinct states, by Stateright's BFS and without our properties, for the same reason.
fn stateright_bfs<M>(model: &M) -> u64
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + std::fmt::Debug + PartialEq + Hash + Send + Sync,
    M::Action: Clone + std::fmt::Debug + PartialEq + Send + Sync,
{
    let checker = Bare(model.clone()).checker().spawn_bfs().join();
    checker.unique_state_count() as u64
}

/// The most bytes a run holds on the heap.
fn peak_bytes(run: &dyn Fn() -> u64) -> isize {
    HELD.store(0, Ordering::Relaxed);
    PEAK.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    run();
    COUNTS.store(false, Ordering::Relaxed);
    PEAK.load(Ordering::Relaxed)
}

/// A model with one property that holds, so that no checker stops early or judges much.
#[derive(Clone)]
struct Bare<M>(M);

impl<M: Model> Model for Bare<M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<M::State> {
        self.0.init_states()
    }

    fn actions(&self, state: &M::State, actions: &mut Vec<M::Action>) {
        self.0.actions(state, actions);
    }

    fn next_state(&self, state: &M::State, action: M::Action) -> Option<M::State> {
        self.0.next_state(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("true", |_, _| true)]
    }
}

/// The protocol message-free and as actors, on our engine and on Stateright's BFS, one thread each.
fn hosts(rounds: usize) {
    let environment = Environment::named("irq-free").expect("a named environment");
    let workload = Workload::parse("unmapping", &environment).expect("a named workload");
    let design = Design::named("v2.6.37").expect("a named design");
    let config = Config::new(design, environment, workload, VariantSet::NONE)
        .expect("axes that do not contradict each other");
    let flat = Protocol::new(config.clone());
    let actors = ActorProtocol::new(config);
    let runs: [(&str, &dyn Fn() -> u64); 4] = [
        ("message-free", &|| engine(&flat)),
        ("actors", &|| engine(&actors)),
        ("message-free, bfs", &|| stateright_bfs(&flat)),
        ("actors, bfs", &|| stateright_bfs(&actors)),
    ];
    let mut best = [(f64::INFINITY, 0); 4];
    for _ in 0..rounds {
        for (best, (_, run)) in best.iter_mut().zip(&runs) {
            let start = Instant::now();
            let unique = run();
            let seconds = start.elapsed().as_secs_f64();
            if seconds < best.0 {
                *best = (seconds, unique);
            }
        }
    }
    println!("v2.6.37, irq-free, unmapping: the hosts, 1 thread; bfs: Stateright's");
    println!(
        "  {:<18}{:>10}{:>9}{:>14}{:>8}{:>18}",
        "", "states", "s", "states/s", "ratio", "peak bytes/state"
    );
    for ((name, run), (seconds, unique)) in runs.iter().zip(best) {
        assert_eq!(
            unique, best[0].1,
            "{name} does not find what {} finds",
            runs[0].0
        );
        println!(
            "  {name:<18}{unique:>10}{seconds:>9.3}{:>14.0}{:>8.2}{:>18.1}",
            unique as f64 / seconds,
            best[0].0 / seconds,
            peak_bytes(run) as f64 / unique as f64,
        );
    }
}
