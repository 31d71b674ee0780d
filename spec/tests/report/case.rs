//! The counterexamples that are looked at: the ones with a story, and one of every property.

use shootdown_spec::check::check;
use shootdown_spec::config::Config;
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::model::Protocol;
use shootdown_spec::report::{TextOptions, text};
use shootdown_spec::search::Options;
use shootdown_spec::trace::Trace;
use shootdown_spec::variant::{VARIANTS, VariantSet};
use shootdown_spec::verdict::PropertyResult;
use shootdown_spec::workload::Workload;
use std::collections::BTreeMap;
use std::sync::Mutex;
/// What was checked already: several tests look at the same counterexample.
static CHECKED: Mutex<BTreeMap<String, Vec<PropertyResult>>> = Mutex::new(BTreeMap::new());

/// One configuration and the property it violates.
pub struct Case {
    pub design: &'static str,
    pub environment: Environment,
    pub workload: &'static str,
    pub variant: Option<&'static str>,
    pub property: &'static str,
}

pub fn environment(name: &str) -> Environment {
    Environment::named(name).expect("a named environment")
}

impl Case {
    pub fn of(
        design: &'static str,
        environment: Environment,
        workload: &'static str,
        property: &'static str,
    ) -> Case {
        Case {
            design,
            environment,
            workload,
            variant: None,
            property,
        }
    }

    /// The shortest counterexample, found afresh.
    pub fn find(&self) -> (Protocol, Trace) {
        let design = Design::named(self.design).expect("a named design");
        let workload = Workload::parse(self.workload, &self.environment).expect("a workload");
        let variant = VARIANTS.iter().find(|v| Some(v.name) == self.variant);
        let variants = variant.map_or(VariantSet::NONE, |v| VariantSet::only(v.variant));
        let config =
            Config::new(design, self.environment, workload, variants).expect("a configuration");
        let protocol = Protocol::new(config);
        let mut checked = CHECKED.lock().expect("no test panics while it checks");
        let key = format!(
            "{:?}",
            (self.design, self.environment, self.workload, self.variant)
        );
        let results = checked
            .entry(key)
            .or_insert_with(|| check(&protocol, &Options::default()).properties);
        let property = results
            .iter()
            .find(|p| p.name == self.property)
            .expect("a property");
        let found = property.counterexample.as_ref();
        let found = found.cloned();
        drop(checked);
        let trace = found
            .unwrap_or_else(|| {
                panic!(
                    "{} {:?}: {} holds",
                    self.design, self.variant, self.property
                )
            })
            .trace
            .clone();
        (protocol, trace)
    }

    pub fn text(&self, width: usize) -> String {
        let (protocol, trace) = self.find();
        text(
            &protocol,
            &trace,
            Some(self.property),
            &TextOptions {
                width,
                ..TextOptions::default()
            },
        )
    }
}

pub fn seed() -> Case {
    Case::of("v2.6.37", environment("split+thp"), "aging", "no_deadlock")
}

/// B1: the walker's CPU is not in `mm_cpumask`.
pub fn three_cpus() -> Case {
    let environment = Environment {
        cpus: 3,
        ..environment("split+thp")
    };
    Case::of("v2.6.37", environment, "three-cpus", "no_deadlock")
}

/// C5: an interrupt takes `pgd_lock` above code that holds it.
pub fn self_deadlock() -> Case {
    Case::of(
        "v2.6.38",
        environment("irq-free"),
        "lifecycle",
        "no_deadlock",
    )
}

/// B8: an inversion without any IPI.
pub fn inversion() -> Case {
    Case::of(
        "tracked-plain",
        environment("irq-free"),
        "lifecycle",
        "no_deadlock",
    )
}

/// B3: reclaim defers its flush, munmap finds nothing to clear.
pub fn deferred() -> Case {
    Case::of(
        "deferred",
        environment("split+thp"),
        "reclaim-vs-munmap",
        "no_stale_tlb_after_return",
    )
}

/// A livelock: trylock and retry, interrupts off throughout.
pub fn lasso() -> Case {
    Case {
        variant: Some("trylock-retry"),
        property: "progress",
        ..seed()
    }
}

/// C6: the walk without `page_table_lock` against a pin.
pub fn xen() -> Case {
    Case::of(
        "v2.6.36",
        environment("xen"),
        "everything",
        "no_write_to_pinned_pgd",
    )
}

/// Every property with a design or a deviation that violates it, and what the sentence must name.
pub fn one_case_per_property() -> Vec<(Case, &'static [&'static str])> {
    let thp = environment("split+thp");
    let two = Environment { mms: 2, ..thp };
    let twice = Environment {
        ops_per_cpu: 2,
        ..thp
    };
    let broken = |variant, design, environment, workload, property| Case {
        variant: Some(variant),
        ..Case::of(design, environment, workload, property)
    };
    let holds = "no_lock_held_across_ipi_wait";
    let upstream = "no_irqs_off_wait_for_flush_lock";
    let forks = "pgd_alloc,vmalloc_sync_all";
    let frees = "pgd_free,vmalloc_sync_all";
    vec![
        (
            broken(
                "lost-ack",
                "v2.6.37",
                thp,
                "page_referenced_one",
                "no_deadlock",
            ),
            &["without acknowledging"],
        ),
        (
            broken(
                "iret-keeps-irqs-off",
                "v2.6.37",
                twice,
                "page_referenced_one",
                "no_deadlock",
            ),
            &["ack", "interrupts off"],
        ),
        (
            Case {
                property: "no_lock_cycle",
                ..inversion()
            },
            &[
                "holds pgd_lock",
                "is interrupted by pgd_free",
                ".page_table_lock",
            ],
        ),
        (
            Case {
                property: holds,
                ..seed()
            },
            &["awaits the ack of CPU", "while it holds mm0."],
        ),
        (
            broken(
                "flush-with-irqs-off",
                "tracked",
                thp,
                "aging",
                "irqs_on_while_waiting_for_ipi",
            ),
            &["with interrupts off"],
        ),
        (
            Case {
                property: upstream,
                ..seed()
            },
            &[
                ", interrupts off, spins for mm0.page_table_lock, held by CPU",
                ", which awaits the ack of CPU",
            ],
        ),
        (
            broken(
                "broken-spinlock",
                "v2.6.37",
                thp,
                "aging",
                "mutual_exclusion",
            ),
            &["CPU0 and CPU1 believe that they hold"],
        ),
        (
            broken("inverted-lock-order", "v2.6.37", two, frees, "lock_order"),
            &["pgd_lock inside mm"],
        ),
        (
            broken(
                "free-without-pgd-lock",
                "v2.6.37",
                two,
                frees,
                "pgd_list_integrity",
            ),
            &["the walk on CPU", "(unlisted by CPU"],
        ),
        (
            broken(
                "list-del-after-free",
                "v2.6.37",
                two,
                frees,
                "pgd_list_integrity",
            ),
            &["is freed (by CPU", "still on pgd_list"],
        ),
        (
            broken(
                "clone-before-lock",
                "v2.6.37",
                thp,
                forks,
                "kernel_entries_synced",
            ),
            &["mm1's pgd is listed", "born without one (by CPU"],
        ),
        (
            broken(
                "early-break",
                "v2.6.37",
                two,
                "vmalloc_fault,vmalloc_sync_all",
                "kernel_entries_synced",
            ),
            &["about to return"],
        ),
        (
            deferred(),
            &[
                "zap_page_range(mm0) on CPU",
                "the TLB of CPU",
                "try_to_unmap_one(mm0) on CPU",
            ],
        ),
        (
            broken(
                "free-before-flush",
                "v2.6.37",
                thp,
                "try_to_unmap_one",
                "no_use_of_freed_frame",
            ),
            &["mm0's pte is freed (by CPU", "through its TLB"],
        ),
        (
            broken(
                "gup-irqs-on",
                "v2.6.37",
                thp,
                "try_to_unmap_one,gup_fast",
                "no_walker_on_reused_table",
            ),
            &["gup_fast_pte(mm0) on CPU", "was freed (by CPU"],
        ),
        (
            xen(),
            &["vmalloc_sync_all() on CPU", "mm0's pgd", "(by CPU"],
        ),
        (
            broken(
                "ack-before-flush",
                "v2.6.37",
                thp,
                "page_referenced_one",
                "ack_after_flush",
            ),
            &["about to acknowledge CPU"],
        ),
        (
            broken(
                "lost-ack",
                "v2.6.37",
                thp,
                "page_referenced_one",
                "progress",
            ),
            &["without acknowledging"],
        ),
    ]
}
