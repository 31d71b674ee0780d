//! Counterexamples as people read them: looked at as snapshots, and checked for what they must say.

use shootdown_spec::check::check;
use shootdown_spec::config::Config;
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::model::Protocol;
use shootdown_spec::report::{TextOptions, svg, text};
use shootdown_spec::search::Options;
use shootdown_spec::trace::Trace;
use shootdown_spec::variant::{VARIANTS, VariantSet};
use shootdown_spec::workload::Workload;

/// One configuration and the property it violates.
struct Case {
    design: &'static str,
    environment: Environment,
    workload: &'static str,
    variant: Option<&'static str>,
    property: &'static str,
}

fn environment(name: &str) -> Environment {
    Environment::named(name).expect("a named environment")
}

impl Case {
    fn of(
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
    fn find(&self) -> (Protocol, Trace) {
        let design = Design::named(self.design).expect("a named design");
        let workload = Workload::parse(self.workload, &self.environment).expect("a workload");
        let variant = VARIANTS.iter().find(|v| Some(v.name) == self.variant);
        let variants = variant.map_or(VariantSet::NONE, |v| VariantSet::only(v.variant));
        let config =
            Config::new(design, self.environment, workload, variants).expect("a configuration");
        let protocol = Protocol::new(config);
        let result = check(&protocol, &Options::default());
        let property = result.property(self.property).expect("a property");
        let found = property.counterexample.as_ref();
        let trace = found
            .unwrap_or_else(|| panic!("{} holds", self.property))
            .trace
            .clone();
        (protocol, trace)
    }

    fn text(&self, width: usize) -> String {
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

fn seed() -> Case {
    Case::of("v2.6.37", environment("split+thp"), "aging", "no_deadlock")
}

/// B1: the walker's CPU is not in `mm_cpumask`.
fn three_cpus() -> Case {
    let environment = Environment {
        cpus: 3,
        ..environment("split+thp")
    };
    Case::of("v2.6.37", environment, "three-cpus", "no_deadlock")
}

/// C5: an interrupt takes `pgd_lock` above code that holds it.
fn self_deadlock() -> Case {
    Case::of(
        "v2.6.38",
        environment("irq-free"),
        "lifecycle",
        "no_deadlock",
    )
}

/// B8: an inversion without any IPI.
fn inversion() -> Case {
    Case::of(
        "tracked-plain",
        environment("irq-free"),
        "lifecycle",
        "no_deadlock",
    )
}

/// B3: reclaim defers its flush, munmap finds nothing to clear.
fn deferred() -> Case {
    Case::of(
        "deferred",
        environment("split+thp"),
        "reclaim-vs-munmap",
        "no_stale_tlb_after_return",
    )
}

/// A livelock: trylock and retry, interrupts off throughout.
fn lasso() -> Case {
    Case {
        variant: Some("trylock-retry"),
        property: "progress",
        ..seed()
    }
}

/// C6: the walk without `page_table_lock` against a pin.
fn xen() -> Case {
    Case::of(
        "v2.6.36",
        environment("xen"),
        "everything",
        "no_write_to_pinned_pgd",
    )
}

macro_rules! snapshots {
    ($($(#[$attribute:meta])? $test:ident: $case:ident at $width:literal;)*) => {$(
        #[test]
        $(#[$attribute])?
        fn $test() {
            let text = $case().text($width);
            let longest = text.lines().filter(|l| !l.contains("shootdown replay"))
                .map(|l| l.chars().count()).max();
            assert!(longest <= Some($width), "{text}");
            insta::assert_snapshot!(text);
        }
    )*};
}

snapshots! {
    the_seeds_deadlock_at_80_columns: seed at 80;
    the_seeds_deadlock_at_120_columns: seed at 120;
    three_cpus_at_80_columns: three_cpus at 80;
    three_cpus_at_120_columns: three_cpus at 120;
    self_deadlock_in_an_interrupt: self_deadlock at 80;
    inversion_without_an_ipi: inversion at 80;
    stale_translation_after_munmap: deferred at 80;
    store_into_a_pinned_pgd: xen at 80;
    // A refused trylock leaves the walk's cursor where it is, so the "retry" skips that pgd
    // and the walk ends: no livelock to report until it starts over.
    #[ignore = "the retry of trylock-retry does not start the walk over yet"]
    livelock_as_a_lasso: lasso at 80;
}

/// Writes the picture where somebody can look at it; checks what can be checked without looking.
#[test]
fn pictures_are_self_contained_and_fit_beside_the_explorers_list() {
    for (name, case) in [
        ("seed", seed()),
        ("three", three_cpus()),
        ("self", self_deadlock()),
        ("inversion", inversion()),
        ("deferred", deferred()),
    ] {
        let (protocol, trace) = case.find();
        let picture = svg(&protocol, &trace);
        if let Ok(dir) = std::env::var("SHOOTDOWN_PICTURES") {
            std::fs::write(format!("{dir}/{name}.svg"), &picture).expect("a directory");
        }
        assert!(!picture.contains("<script") && !picture.contains("href"));
        let width = picture
            .split("width=\"")
            .nth(1)
            .and_then(|w| w.split('"').next())
            .and_then(|w| w.parse::<u32>().ok());
        assert!(
            trace.actions.len() > 15 || width <= Some(910),
            "{name}: {width:?}"
        );
    }
}
