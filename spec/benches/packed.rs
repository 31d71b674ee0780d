//! The packed engine, by levels and swept by rank, beside the search that keeps every way: `cargo bench -p shootdown-spec
//! --bench packed -- [DESIGN ENV WORKLOAD] [once]`. Three rounds, one after the other in each, medians; `once` runs the engine
//! alone, on one thread, for counting its instructions. `ROUNDS=1` makes it one.
//!
//! Seconds pass on a machine that others use, too; seconds of CPU are this process's own.

use shootdown_ir::levels::{self, Found};
use shootdown_ir::machine::Machine;
use shootdown_ir::packed::Packed;
use shootdown_ir::sweep;
use shootdown_spec::config::Config;
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::lower::facts::Facts;
use shootdown_spec::lower::lower;
use shootdown_spec::model::Protocol;
use shootdown_spec::property::observe;
use shootdown_spec::search::{Options, search};
use shootdown_spec::variant::VariantSet;
use shootdown_spec::workload::Workload;

/// A way to search.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Levels,
    Sweep,
    Paths,
}

const WAYS: [(Way, &str); 3] = [
    (Way::Levels, "engine, by levels"),
    (Way::Sweep, "engine, swept by rank"),
    (Way::Paths, "search that keeps every way"),
];

/// What a run took.
#[derive(Clone, Copy, Default)]
struct Took {
    seconds: f64,
    cpu: f64,
    bytes: f64,
    held: u64,
}

fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = of.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Seconds of CPU that the process has used, in its own code and in the kernel; 0 where the system does not tell.
fn cpu() -> f64 {
    // The clock of /proc ticks a hundred times a second, whatever the kernel's own does.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / TICKS
}

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let once = words.iter().any(|w| w == "once");
    let word = |i: usize, default: &'static str| words.get(i).map_or(default, String::as_str);
    let (design, env, workload) = (
        word(0, "tracked"),
        word(1, "irq-free"),
        word(2, "everything"),
    );
    let environment = Environment::named(env).expect("a named environment");
    let config = Config::new(
        Design::named(design).expect("a named design"),
        environment,
        Workload::parse(workload, &environment).expect("a workload"),
        VariantSet::NONE,
    )
    .expect("it makes sense");
    let lowered = lower(&config).expect("it can be lowered");
    let machine = Machine::new(&lowered.system);
    let packed = Packed::new(&machine);
    let facts = Facts::new(&lowered, &packed);
    let run = |way: Way, threads: usize| -> Found {
        let options = levels::Options {
            threads,
            ..levels::Options::default()
        };
        match way {
            Way::Sweep => sweep::run(&packed, &facts, options).expect("it fits"),
            _ => levels::run(&packed, &facts, options).expect("it fits"),
        }
    };
    if once {
        println!("{}", run(Way::Levels, 1).distinct);
        return;
    }
    let rounds = std::env::var("ROUNDS").ok().and_then(|r| r.parse().ok());
    let rounds: usize = rounds.unwrap_or(3).max(1);
    let protocol = Protocol::new(config);
    let paths = |threads: usize| {
        let observed = |p: &Protocol, s: &_| observe(&p.config, s);
        let options = Options::threads(threads).keeping_graph();
        search(&protocol, observed, &options)
    };
    let mut took = vec![[[Took::default(); 2]; WAYS.len()]; rounds];
    let (mut states, mut transitions) = (0, 0);
    for round in &mut took {
        for threads in 1..=2 {
            for (way, took) in WAYS.iter().map(|(way, _)| *way).zip(round.iter_mut()) {
                let before = cpu();
                let (unique, generated, it) = if way == Way::Paths {
                    let outcome = paths(threads);
                    let bytes = outcome.bytes_per_state;
                    let seconds = outcome.elapsed.as_secs_f64();
                    let (held, cpu) = (outcome.unique, 0.0);
                    let it = Took {
                        seconds,
                        cpu,
                        bytes,
                        held,
                    };
                    (outcome.unique, outcome.generated, it)
                } else {
                    let found = run(way, threads);
                    let bytes = found.peak_bytes as f64 / found.distinct as f64;
                    let seconds = found.elapsed.as_secs_f64();
                    let held = match way {
                        Way::Sweep => found.peak_states,
                        _ => found.distinct,
                    };
                    let it = Took {
                        seconds,
                        cpu: 0.0,
                        bytes,
                        held,
                    };
                    (found.distinct, found.generated, it)
                };
                if states == 0 {
                    (states, transitions) = (unique, generated);
                }
                let same = (unique, generated) == (states, transitions);
                assert!(same, "all see the same states and steps");
                took[threads - 1] = Took {
                    cpu: cpu() - before,
                    ..it
                };
            }
        }
    }
    println!(
        "`{design} {env} {workload}`, {states} states of {} bits, {transitions} transitions, medians of {rounds} rounds:\n",
        machine.state_bits()
    );
    println!(
        "| | threads | s | s of CPU | states / s of CPU | bytes a state | states held | of CPU, times less |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let of = |way: usize, threads: usize, what: fn(&Took) -> f64| {
        median(took.iter().map(|round| what(&round[way][threads])))
    };
    for (way, (_, name)) in WAYS.iter().enumerate() {
        for threads in 0..2 {
            let cpu = of(way, threads, |t| t.cpu);
            println!(
                "| {name} | {} | {:.2} | {cpu:.2} | {:.2} M | {:.1} | {:.1} % | {:.1} |",
                threads + 1,
                of(way, threads, |t| t.seconds),
                states as f64 / cpu / 1e6,
                of(way, threads, |t| t.bytes),
                100.0 * of(way, threads, |t| t.held as f64) / states as f64,
                of(2, 0, |t| t.cpu) / cpu,
            );
        }
    }
}
