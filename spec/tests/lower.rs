//! The protocol in the instruction set has the states and transitions of the protocol as it was written first.

use shootdown_ir::explore::{Bounds, explore};
use shootdown_ir::machine::Machine;
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design};
use shootdown_spec::environment::Environment;
use shootdown_spec::lower::lower;
use shootdown_spec::model::Protocol;
use shootdown_spec::search::{Options, search};
use shootdown_spec::variant::{VARIANTS, Variant, VariantSet};
use shootdown_spec::workload::Workload;

fn config(design: &str, env: &str, workload: &str, cpus: u8, variants: VariantSet) -> Config {
    let mut environment = Environment::named(env).expect("a named environment");
    environment.cpus = cpus;
    let workload = Workload::parse(workload, &environment).expect("a workload of it");
    let design = Design::named(design).expect("a named design");
    Config::new(design, environment, workload, variants).expect("a configuration that makes sense")
}

/// Distinct states, states generated (the initial ones are) and levels of both.
fn compare(config: Config) {
    let what = format!(
        "{:?} {:?} {:?}",
        config.design, config.environment, config.variants
    );
    let system = lower(&config).expect("it can be lowered");
    let machine = Machine::new(&system);
    let graph = explore(&machine, Bounds::default());
    assert_eq!(graph.faults, [], "{what}");
    let outcome = search(
        &Protocol::new(config),
        |_: &Protocol, _| 0,
        &Options::threads(1),
    );
    assert_eq!(
        (
            graph.len() as u64,
            (graph.transitions() + system.starts.len()) as u64,
            graph.levels.len()
        ),
        (outcome.unique, outcome.generated, outcome.depth + 1),
        "{what}"
    );
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
