//! The protocol in the instruction set has the states and transitions of the protocol as it was written first.

use shootdown_ir::explore::{Bounds, explore};
use shootdown_ir::levels;
use shootdown_ir::machine::Machine;
use shootdown_ir::packed::Packed;
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design};
use shootdown_spec::environment::Environment;
use shootdown_spec::lower::facts::Facts;
use shootdown_spec::lower::lower;
use shootdown_spec::model::Protocol;
use shootdown_spec::property::observe;
use shootdown_spec::search::{Options, search};
use shootdown_spec::variant::{VARIANTS, Variant, VariantSet};
use shootdown_spec::verdict::Verdict;
use shootdown_spec::workload::Workload;

fn config(design: &str, env: &str, workload: &str, cpus: u8, variants: VariantSet) -> Config {
    let mut environment = Environment::named(env).expect("a named environment");
    environment.cpus = cpus;
    let workload = Workload::parse(workload, &environment).expect("a workload of it");
    let design = Design::named(design).expect("a named design");
    Config::new(design, environment, workload, variants).expect("a configuration that makes sense")
}

/// Both hosts: states, steps, levels, every fact and its first level, progress; and the plain machine beside the packed.
fn compare(config: Config) {
    let what = format!(
        "{:?} {:?} {:?}",
        config.design, config.environment, config.variants
    );
    let lowered = lower(&config).expect("it can be lowered");
    let machine = Machine::new(&lowered.system);
    let packed = Packed::new(&machine);
    let facts = Facts::new(&lowered, &packed);
    let options = levels::Options {
        threads: 2,
        ..levels::Options::default()
    };
    let found = levels::run(&packed, &facts, options).expect("it fits");
    assert_eq!(found.stopped, None, "{what}");
    let protocol = Protocol::new(config.clone());
    let observed = |p: &Protocol, s: &_| observe(&p.config, s);
    let outcome = search(&protocol, observed, &Options::threads(1).keeping_graph());
    assert_eq!(found.levels, outcome.levels, "{what}: states of each level");
    assert_eq!(
        (found.distinct, found.generated, found.terminal),
        (outcome.unique, outcome.generated, outcome.terminal),
        "{what}"
    );
    for bit in 0..levels::FACTS {
        let first = outcome.hit(bit).map(|hit| hit.depth);
        assert_eq!(
            (found.counts[bit], found.first[bit]),
            (outcome.counts[bit], first),
            "{what}: states with fact {bit}, and the first level with one"
        );
    }
    let retries = config.variants.has(Variant::TrylockRetry);
    let loops = retries && found.not_lowered > 0;
    if !loops {
        assert_eq!(found.not_lowered, 0, "{what}: the rank");
        let judged = shootdown_spec::check::judge(&protocol, &config, &outcome);
        let progress = judged.property("progress").expect("always judged").verdict;
        let ends = found.ends.0 > 0;
        assert_eq!(ends, progress == Verdict::Violated, "{what}: progress");
    }
    if found.distinct < 30_000 {
        let graph = explore(&machine, Bounds::default());
        assert_eq!(graph.faults, [], "{what}");
        assert_eq!(
            (
                graph.len() as u64,
                graph.transitions() + lowered.system.starts.len()
            ),
            (outcome.unique, outcome.generated as usize),
            "{what}"
        );
    }
}

#[test]
fn every_design_has_the_same_states_and_transitions_lowered() {
    for design in DESIGNS {
        for (env, workload, cpus) in [
            ("nosplit+thp", "aging", 2),
            ("split+thp", "reclaim-vs-munmap", 2),
            ("hypercall", "aging", 2),
        ] {
            compare(config(design.name, env, workload, cpus, VariantSet::NONE));
        }
    }
}

#[test]
fn locks_shared_by_readers_and_interrupts_that_free_are_lowered() {
    let lifecycle = "pgd_alloc,pgd_free,vmalloc_sync_all";
    for design in ["rwlock", "v2.6.37", "tracked"] {
        for env in ["irq-free", "nosplit"] {
            compare(config(design, env, lifecycle, 2, VariantSet::NONE));
        }
    }
    compare(config(
        "rwlock",
        "nosplit",
        "vmalloc_sync_all,pgd_alloc",
        3,
        VariantSet::NONE,
    ));
    compare(config(
        "v2.6.36",
        "xen",
        "vmalloc_sync_all,xen_pgd_pin",
        2,
        VariantSet::NONE,
    ));
}

#[test]
fn every_deviation_is_lowered_but_the_one_that_cannot_be() {
    for named in VARIANTS {
        let variants = VariantSet::only(named.variant);
        for (design, env, workload) in [
            ("tracked", "split+thp", "reclaim-vs-munmap"),
            (
                "v2.6.37",
                "nosplit",
                "vmalloc_sync_all,switch_mm,leave_mm,enter_lazy_tlb",
            ),
        ] {
            let config = config(design, env, workload, 2, variants);
            if named.variant == Variant::BrokenSpinlock {
                assert!(lower(&config).is_err());
            } else {
                compare(config);
            }
        }
    }
}
