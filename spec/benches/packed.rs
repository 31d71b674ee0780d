//! The packed engine beside the old host on one cell: `cargo bench -p shootdown-spec --bench packed -- DESIGN ENV WORKLOAD`.

use shootdown_ir::levels;
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

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let word = |i: usize, default: &'static str| words.get(i).map_or(default, String::as_str);
    let environment = Environment::named(word(1, "irq-free")).expect("a named environment");
    let workload = Workload::parse(word(2, "everything"), &environment).expect("a workload");
    let design = Design::named(word(0, "tracked")).expect("a named design");
    let config =
        Config::new(design, environment, workload, VariantSet::NONE).expect("it makes sense");
    let lowered = lower(&config).expect("it can be lowered");
    let machine = Machine::new(&lowered.system);
    let packed = Packed::new(&machine);
    let facts = Facts::new(&lowered, &packed);
    for threads in [1, 2] {
        let options = levels::Options {
            threads,
            ..levels::Options::default()
        };
        let found = levels::run(&packed, &facts, options).expect("it fits");
        println!(
            "packed, {threads} threads: {} states of {} bits, {} generated, {:.2} s, {:.2} M/s, {:.1} B/state, rank not lowered {}",
            found.distinct,
            machine.state_bits(),
            found.generated,
            found.elapsed.as_secs_f64(),
            found.distinct as f64 / found.elapsed.as_secs_f64() / 1e6,
            found.peak_bytes as f64 / found.distinct as f64,
            found.not_lowered,
        );
    }
    if word(3, "") == "alone" {
        return;
    }
    let protocol = Protocol::new(config);
    let observed = |p: &Protocol, s: &_| observe(&p.config, s);
    for threads in [1, 2] {
        let outcome = search(
            &protocol,
            observed,
            &Options::threads(threads).keeping_graph(),
        );
        println!(
            "old host, {threads} threads: {} states, {:.2} s, {:.2} M/s",
            outcome.unique,
            outcome.elapsed.as_secs_f64(),
            outcome.rate() / 1e6
        );
    }
}
