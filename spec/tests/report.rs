//! Counterexamples as people read them: looked at as snapshots, and checked for what they must say.

use shootdown_spec::check::check;
use shootdown_spec::config::Config;
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::id::CpuId;
use shootdown_spec::model::{Action, Protocol};
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::report::{TextOptions, steps, svg, text};
use shootdown_spec::schedule::Schedule;
use shootdown_spec::search::Options;
use shootdown_spec::state::State;
use shootdown_spec::trace::Trace;
use shootdown_spec::variant::{VARIANTS, VariantSet};
use shootdown_spec::verdict::PropertyResult;
use shootdown_spec::workload::Workload;
use stateright::Model;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What was checked already: several tests look at the same counterexample.
static CHECKED: Mutex<BTreeMap<String, Vec<PropertyResult>>> = Mutex::new(BTreeMap::new());

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

/// Every property with a design or a deviation that violates it, and what the sentence must name.
fn one_case_per_property() -> Vec<(Case, &'static [&'static str])> {
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

#[test]
fn every_property_has_a_sentence_that_says_who_and_what() {
    let cases = one_case_per_property();
    for property in PROPERTIES {
        assert!(
            cases.iter().any(|(c, _)| c.property == property.name),
            "{}",
            property.name
        );
    }
    let mut all = String::new();
    for (case, wanted) in cases {
        let text = case.text(100);
        let (_, from_state) = text.split_once("After step").expect("a final state");
        let (_, sentence) = from_state.split_once("\n\n").expect("a sentence");
        let (sentence, _) = sentence.split_once("\n\nReplay").expect("a schedule");
        let words = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in wanted {
            assert!(
                words.contains(wanted),
                "{}: `{wanted}` is not in: {text}",
                case.property
            );
        }
        let variant = case
            .variant
            .map(|v| format!(" with {v}"))
            .unwrap_or_default();
        all += &format!(
            "{}{variant}: {}\n{sentence}\n\n",
            case.design, case.property
        );
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_sentence_is_not_made_up_where_nothing_is_wrong() {
    let (protocol, mut trace) = seed().find();
    trace.actions.pop();
    let options = TextOptions::default();
    let text_of = |property| text(&protocol, &trace, property, &options);
    assert!(text_of(Some("no_deadlock")).contains("does not violate no_deadlock"));
    assert!(!text_of(None).contains("DEADLOCK"));
}

/// By hand: CPU1 does its two operations and takes an IPI whose handler leaves interrupts off;
/// CPU0's second flush then waits for a CPU that has nothing left to do.
#[test]
fn a_cpu_that_is_deaf_for_good_is_blamed() {
    let line = "v2.6.37;cpus=2,mms=1,ops=2;workload=page_referenced_one,vmalloc_fault;\
        variants=iret-keeps-irqs-off;start=mm0,mm0;1:vmalloc_fault@mm0 1*2 1:vmalloc_fault@mm0 1*2 \
        0:page_referenced_one_pte@mm0 0*4 1!0 1*3 0*3 0:page_referenced_one_huge@mm0 0*4;";
    let schedule = Schedule::parse(line).expect("a schedule");
    let protocol = Protocol::new(schedule.config.clone());
    let text = text(
        &protocol,
        &schedule.trace,
        Some("no_deadlock"),
        &TextOptions {
            width: 120,
            ..TextOptions::default()
        },
    );
    let blamed = "CPU0 awaits CPU1's ack, but CPU1 has interrupts off for good:";
    assert!(text.contains(blamed), "{text}");
}

#[test]
fn the_printed_schedule_replays_the_run() {
    let (_, trace) = seed().find();
    let text = seed().text(80);
    let (_, line) = text.split_once("shootdown replay '").expect("a command");
    let schedule = Schedule::parse(line.trim_end().trim_end_matches('\'')).expect("a schedule");
    assert_eq!(schedule.trace, trace);
}

#[test]
fn a_run_that_does_not_fit_is_shown_up_to_the_false_guard() {
    let (protocol, mut trace) = seed().find();
    trace.actions.push(Action::Step { cpu: CpuId(0) });
    let text = text(&protocol, &trace, None, &TextOptions::default());
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("step 12: CPU0 steps is not possible here: CPU0 spins for mm0.page_table_lock, held by CPU1"), "{text}");
    assert!(text.contains("After step 11:") && text.contains("DEADLOCK:"));
    trace.start[0] = shootdown_spec::id::MmId(3);
    let text = shootdown_spec::report::text(&protocol, &trace, None, &TextOptions::default());
    assert!(text.contains("does not start with that placement"));
}

#[test]
fn steps_as_data_say_what_the_cpu_holds_and_waits_for() {
    let (protocol, trace) = seed().find();
    let records = steps(&protocol, &trace, Some("no_deadlock")).expect("it is possible");
    assert_eq!(records.len(), trace.actions.len());
    let last = serde_json::to_value(records.last()).expect("serialisable");
    let expected = serde_json::json!({
        "n": 11, "cpu": 0, "program": "vmalloc_sync_all", "function": "vmalloc_sync_all",
        "step": "spin_lock(pgt_lock)",
        "op": {"lock": [{"page_table_lock": "cursor"}, "exclusive"]},
        "note": "mm0.page_table_lock, held by CPU1: spins",
        "irqs_on": false, "in_irq": false, "holds": ["pgd_lock"],
        "waits": "spins for mm0.page_table_lock, held by CPU1",
        "matters": true, "action": {"step": {"cpu": 0}},
    });
    assert_eq!(last, expected);
}

/// A walk that a small generator picks: every program, interrupts included.
fn walk(cpus: u8, seed: u64) -> (Protocol, Trace) {
    let environment = Environment {
        cpus,
        mms: 2,
        ops_per_cpu: 2,
        ..environment("irq-free")
    };
    let workload = Workload::parse("everything+madvise", &environment).expect("a workload");
    let design = Design::named("tracked").expect("a design");
    let config =
        Config::new(design, environment, workload, VariantSet::NONE).expect("a configuration");
    let protocol = Protocol::new(config);
    let start = protocol.config.starts()[seed as usize % protocol.config.starts().len()];
    let mut state = State::initial(&protocol.config, &start);
    let (mut actions, mut random) = (Vec::new(), seed);
    for _ in 0..80 {
        let mut possible = Vec::new();
        protocol.actions(&state, &mut possible);
        if possible.is_empty() {
            break;
        }
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let action = possible[(random >> 33) as usize % possible.len()];
        state = protocol.next_state(&state, action).expect("it is possible");
        actions.push(action);
    }
    (
        protocol,
        Trace {
            start,
            actions,
            loops_to: None,
        },
    )
}

#[test]
fn columns_keep_to_the_width_with_any_number_of_cpus_and_colours_change_nothing() {
    for cpus in 1..=4 {
        for seed in 0..40 {
            let (protocol, trace) = walk(cpus, seed);
            for (width, verbose) in [(80, false), (80, true), (120, true), (200, false)] {
                let of = |colour| {
                    text(
                        &protocol,
                        &trace,
                        None,
                        &TextOptions {
                            width,
                            verbose,
                            colour,
                        },
                    )
                };
                let (plain, coloured) = (of(false), of(true));
                assert!(plain.is_ascii(), "{plain}");
                let too_long =
                    |l: &&str| l.chars().count() > width && !l.contains("shootdown replay");
                assert_eq!(plain.lines().find(too_long), None, "{plain}");
                let mut stripped = String::new();
                for (i, part) in coloured.split("\u{1b}[").enumerate() {
                    stripped += if i == 0 {
                        part
                    } else {
                        part.split_once('m').expect("a code").1
                    };
                }
                let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
                assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
            }
            let picture = svg(&protocol, &trace);
            for (i, _) in picture.match_indices('&') {
                let known = ["&amp;", "&lt;", "&gt;", "&quot;"];
                assert!(known.iter().any(|e| picture[i..].starts_with(e)));
            }
        }
    }
}

#[test]
fn verbose_shows_every_step() {
    let (protocol, trace) = walk(3, 7);
    let options = TextOptions {
        width: 120,
        verbose: true,
        colour: false,
    };
    let text = text(&protocol, &trace, None, &options);
    for n in 1..=trace.actions.len() {
        assert!(
            text.lines().any(|l| l.starts_with(&format!("{n:>3} "))),
            "{n}"
        );
    }
    assert!(!text.contains("--verbose"));
}
