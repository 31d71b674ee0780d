//! Counterexamples as people read them: looked at as snapshots, and checked for what they must say.

use shootdown_spec::config::Config;
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::id::CpuId;
use shootdown_spec::model::{Action, Protocol};
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::report::{TextOptions, steps, svg, text};
use shootdown_spec::schedule::Schedule;
use shootdown_spec::state::State;
use shootdown_spec::trace::Trace;
use shootdown_spec::variant::VariantSet;
use shootdown_spec::workload::Workload;
use stateright::Model;

#[path = "report/case.rs"]
mod case;

use case::*;

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
