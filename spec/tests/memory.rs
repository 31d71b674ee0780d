//! The 2011 protocol on x86's memory: what falls with store buffers that does not fall without, and which barriers that is
//! owed to.

#[path = "../lang/tests/pages/fresh.rs"]
mod page;

use page::fresh;
use shootdown_spec::barrier::{BARRIERS, Barrier};
use shootdown_spec::check::{BufferedResult, Does, NotChecked, check, check_with_store_buffers};
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design};
use shootdown_spec::environment::Environment;
use shootdown_spec::model::Protocol;
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::search::Options;
use shootdown_spec::variant::{Variant, VariantSet};
use shootdown_spec::verdict::Verdict;
use shootdown_spec::workload::Workload;
use std::fmt::Write as _;

fn config_with(design: &str, env: &str, workload: &str, variants: VariantSet) -> Config {
    let design = Design::named(design).expect("a design");
    let mut environment = Environment::named(env).expect("an environment");
    let workload = Workload::parse(workload, &environment).expect("a workload");
    environment.cpus = workload.cpus().unwrap_or(2) as u8;
    Config::new(design, environment, workload, variants).expect("it makes sense")
}

fn config(design: &str, env: &str, workload: &str) -> Config {
    config_with(design, env, workload, VariantSet::NONE)
}

fn buffered(config: &Config, without: &[Barrier]) -> BufferedResult {
    let result = check_with_store_buffers(config, without, &Options::threads(2));
    let result = result.expect("it can be checked");
    assert!(result.complete);
    for property in &result.properties {
        assert_ne!(property.verdict, Verdict::Incomplete, "{}", property.name);
    }
    result
}

fn violated(result: &BufferedResult) -> Vec<&'static str> {
    let violated = result.properties.iter();
    let violated = violated.filter(|p| p.verdict == Verdict::Violated);
    violated.map(|p| p.name).collect()
}

fn consistent(config: &Config) -> (Vec<&'static str>, u64) {
    let result = check(&Protocol::new(config.clone()), &Options::threads(2));
    assert!(result.complete);
    (result.violated().collect(), result.states.unique)
}

/// By property and design: where it is violated, on consistent memory and with store buffers.
/// And what is violated only with them.
fn table(cells: &[(&str, &str)]) -> (String, Vec<String>) {
    let mut fallen = Vec::new();
    let mut states =
        String::from("| cell | design | states | with store buffers |\n|---|---|--:|--:|\n");
    let mut by_property = vec![vec![[0, 0]; DESIGNS.len()]; PROPERTIES.len()];
    for (env, workload) in cells {
        for (d, design) in DESIGNS.iter().enumerate() {
            let config = config(design.name, env, workload);
            let (without, count) = consistent(&config);
            let with = buffered(&config, &[]);
            let names = violated(&with);
            for name in &without {
                assert!(
                    names.contains(name),
                    "{} {env}: {name} is gone",
                    design.name
                );
            }
            let new = names.iter().filter(|name| !without.contains(name));
            fallen.extend(new.map(|name| format!("{} {env}: {name}", design.name)));
            for (p, property) in PROPERTIES.iter().enumerate() {
                by_property[p][d][0] += usize::from(without.contains(&property.name));
                by_property[p][d][1] += usize::from(names.contains(&property.name));
            }
            let _ = writeln!(
                states,
                "| `{env}`, {workload} | `{}` | {count} | {} |",
                design.name, with.states.unique
            );
        }
    }
    let mut table = String::from("| property |");
    for design in DESIGNS {
        let _ = write!(table, " `{}` |", design.name);
    }
    table += "\n|---|";
    table += &"---|".repeat(DESIGNS.len());
    table.push('\n');
    for (property, designs) in PROPERTIES.iter().zip(&by_property) {
        let _ = write!(table, "| `{}` |", property.name);
        for [sc, tso] in designs {
            let cell = match (sc, tso) {
                (0, 0) => "-".to_string(),
                (sc, tso) => format!("{sc}, {tso}"),
            };
            let _ = write!(table, " {cell} |");
        }
        table.push('\n');
    }
    (format!("{table}\n{states}"), fallen)
}

#[test]
fn no_design_breaks_a_promise_with_store_buffers_that_it_keeps_without() {
    let cells = [
        ("nosplit", "everything"),
        ("split", "everything"),
        ("xen", "xen_pin,vmalloc_sync_all,switch_mm"),
    ];
    let (table, fallen) = table(&cells);
    assert_eq!(fallen, [""; 0]);
    fresh("memory", "memory.md", "designs", &table);
}

#[test]
#[ignore = "a minute: cells of 10^5 states and more"]
fn nor_in_the_larger_cells() {
    let cells = [
        ("split+thp", "everything"),
        ("xen", "everything"),
        ("hypercall", "everything"),
    ];
    for (env, workload) in cells {
        for design in DESIGNS {
            let config = config(design.name, env, workload);
            let with = buffered(&config, &[]);
            assert_eq!(
                violated(&with),
                consistent(&config).0,
                "{} {env}",
                design.name
            );
        }
    }
}

/// A cell, what is left out, and what falls for that with store buffers and does not without.
struct Case {
    design: &'static str,
    env: &'static str,
    workload: &'static str,
    without: &'static [Barrier],
    falls: &'static [&'static str],
}

const UNMAP_AND_SWITCH: &str = "none=try_to_unmap_one@mm0/none=switch_mm@mm0";
const TWO_FLUSHES_AND_A_ZAP: &str =
    "none=page_referenced_one@mm0/none=try_to_unmap_one@mm0/mm0=zap_page_range@mm0";
const STALE: &[&str] = &["no_stale_tlb_after_return", "no_use_of_freed_frame"];

const CASES: &[Case] = &[
    // The entry's store passes the read of mm_cpumask: the switching CPU is not in the mask yet, and caches the old entry.
    Case {
        design: "v2.6.38",
        env: "split",
        workload: UNMAP_AND_SWITCH,
        without: &[Barrier::LockedClear],
        falls: STALE,
    },
    // The locked increment of the counter is a barrier where the clear is none.
    Case {
        design: "tracked",
        env: "split",
        workload: UNMAP_AND_SWITCH,
        without: &[Barrier::LockedClear],
        falls: &[],
    },
    // One flush's drop passes the other's raise, which is lost; the zap sees none.
    Case {
        design: "tracked",
        env: "split",
        workload: TWO_FLUSHES_AND_A_ZAP,
        without: &[Barrier::LockedPending],
        falls: &["no_stale_tlb_after_return"],
    },
    // The acknowledgement comes before the bit that it clears, and the bit stays.
    Case {
        design: "tracked",
        env: "split",
        workload: UNMAP_AND_SWITCH,
        without: &[Barrier::IpiFence],
        falls: &["no_deadlock", "progress"],
    },
    // The walk begins before the bit is in mm_cpumask. Either barrier is enough.
    Case {
        design: "tracked",
        env: "split",
        workload: UNMAP_AND_SWITCH,
        without: &[Barrier::LockedCpumask, Barrier::Cr3Serialises],
        falls: STALE,
    },
    Case {
        design: "tracked",
        env: "split",
        workload: UNMAP_AND_SWITCH,
        without: &[Barrier::LockedCpumask],
        falls: &[],
    },
    Case {
        design: "tracked",
        env: "split",
        workload: UNMAP_AND_SWITCH,
        without: &[Barrier::Cr3Serialises],
        falls: &[],
    },
];

#[test]
fn each_barrier_keeps_a_promise_that_store_buffers_would_break() {
    let mut rows = String::from(
        "| without | design, workload | states | with store buffers | what falls |\n|---|---|--:|--:|---|\n",
    );
    for case in CASES {
        let config = config(case.design, case.env, case.workload);
        let (before, count) = consistent(&config);
        assert_eq!(
            violated(&buffered(&config, &[])),
            before,
            "{}",
            case.workload
        );
        let result = buffered(&config, case.without);
        let falls: Vec<_> = violated(&result)
            .into_iter()
            .filter(|name| !before.contains(name))
            .collect();
        assert_eq!(
            falls, case.falls,
            "{} without {:?}",
            case.design, case.without
        );
        let names = case.without.iter().map(|b| format!("`{b}`"));
        let fallen = case.falls.iter().map(|name| format!("`{name}`"));
        let _ = writeln!(
            rows,
            "| {} | `{}`, `{}` | {count} | {} | {} |",
            names.collect::<Vec<_>>().join(", "),
            case.design,
            case.workload,
            result.states.unique,
            match case.falls {
                [] => "nothing".to_string(),
                _ => fallen.collect::<Vec<_>>().join(", "),
            }
        );
    }
    let without = |barrier| CASES.iter().any(|c| c.without.contains(&barrier));
    assert!(BARRIERS.iter().all(|b| without(b.barrier)));
    fresh("memory", "memory.md", "barriers", &rows);
}

#[test]
fn the_run_says_when_a_store_reaches_memory() {
    let config = config("v2.6.38", "split", UNMAP_AND_SWITCH);
    let result = buffered(&config, &[Barrier::LockedClear]);
    let stale = result.properties.iter().find(|p| p.name == STALE[0]);
    let run = stale.and_then(|p| p.run.as_ref()).expect("a run");
    let at = |wanted: &dyn Fn(&Does) -> bool| run.steps.iter().position(|s| wanted(&s.what));
    let cleared = at(&|d| matches!(d, Does::Statement(s) if s.contains("ptep_get_and_clear")));
    let sent = at(&|d| matches!(d, Does::Statement(s) if s.contains("send_IPI_mask")));
    let cached = at(&|d| matches!(d, Does::Fills(entry) if entry.contains("pte")));
    let drained = at(&|d| matches!(d, Does::Drains(store) if store == "mm0's pte = 0"));
    // Cleared, the mask read, the old entry cached, and only then is the new one in memory.
    assert!(
        cleared < sent && sent < drained && cached < drained,
        "{run:?}"
    );
    assert!(cleared.is_some() && cached.is_some());
    insta::assert_snapshot!(shootdown_spec::report::buffered(run, &Default::default()));
}

#[test]
fn a_flag_for_the_counter_is_a_plain_store_and_still_as_wrong_as_without_buffers() {
    let variants = VariantSet::only(Variant::FlagForCounter);
    let config = config_with("tracked", "split", TWO_FLUSHES_AND_A_ZAP, variants);
    assert_eq!(violated(&buffered(&config, &[])), consistent(&config).0);
}

#[test]
fn what_does_not_fit_is_said_before_the_search() {
    let mut environment = Environment::named("irq-free").expect("an environment");
    (environment.cpus, environment.mms) = (4, 3);
    let workload = Workload::parse("everything", &environment).expect("a workload");
    let design = Design::named("rwlock").expect("a design");
    let config = Config::new(design, environment, workload, VariantSet::NONE);
    let config = config.expect("it makes sense");
    let all: Vec<Barrier> = BARRIERS.iter().map(|b| b.barrier).collect();
    match check_with_store_buffers(&config, &all, &Options::threads(1)) {
        Err(error @ NotChecked::TooWide { .. }) => assert!(error.to_string().contains("at most 8")),
        other => panic!("{other:?}"),
    }
}
