//! The packed engine beside the search that keeps every way: `cargo bench -p shootdown-spec --bench packed --
//! [DESIGN ENV WORKLOAD] [once]`. Three rounds, one after the other in each, medians; `once` runs the engine alone, on one
//! thread, for counting its instructions.

use shootdown_ir::levels::{self, Found};
use shootdown_ir::machine::Machine;
use shootdown_ir::packed::Packed;
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

const ROUNDS: usize = 3;

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
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
    let run = |threads: usize| -> Found {
        let options = levels::Options {
            threads,
            ..levels::Options::default()
        };
        levels::run(&packed, &facts, options).expect("it fits")
    };
    if once {
        println!("{}", run(1).distinct);
        return;
    }
    let protocol = Protocol::new(config);
    let ways = |threads: usize| {
        let observed = |p: &Protocol, s: &_| observe(&p.config, s);
        search(
            &protocol,
            observed,
            &Options::threads(threads).keeping_graph(),
        )
    };
    let (mut engine, mut old) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let (mut states, mut bytes) = (0, [[0.0; 2]; 2]);
    for _ in 0..ROUNDS {
        for i in 0..2 {
            let found = run(i + 1);
            engine[i].push(found.elapsed.as_secs_f64());
            bytes[0][i] = found.peak_bytes as f64 / found.distinct as f64;
            states = found.distinct;
            let outcome = ways(i + 1);
            old[i].push(outcome.elapsed.as_secs_f64());
            bytes[1][i] = outcome.bytes_per_state;
            assert_eq!(states, outcome.unique, "both see the same states");
        }
    }
    println!(
        "`{design} {env} {workload}`, {states} states of {} bits, medians of {ROUNDS} rounds:\n",
        machine.state_bits()
    );
    println!("| | threads | s | states/s | bytes a state | times faster |");
    println!("|---|---:|---:|---:|---:|---:|");
    let base = old.clone().map(median);
    for (what, times, bytes) in [
        ("engine", engine, bytes[0]),
        ("search that keeps every way", old, bytes[1]),
    ] {
        for (i, times) in times.into_iter().enumerate() {
            let s = median(times);
            println!(
                "| {what} | {} | {s:.2} | {:.2} M | {:.1} | {:.1} |",
                i + 1,
                states as f64 / s / 1e6,
                bytes[i],
                base[i] / s,
            );
        }
    }
}
