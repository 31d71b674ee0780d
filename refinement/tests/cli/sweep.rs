//! `check --sweep`: the answers of the search by levels, without remembering what was seen.

use crate::run;
use serde_json::Value;

/// What both ways to search tell: all but times, bytes, and levels.
fn told(arguments: &str, code: i32) -> (Value, Option<Value>) {
    let ran = run(&format!("{arguments} --format json")).exits(code);
    let mut json: Value = serde_json::from_str(&ran.out).expect("stdout is one JSON value");
    let it = json.as_object_mut().expect("an object");
    for key in [
        "elapsed_ms",
        "peak_memory_bytes",
        "bytes_per_state",
        "collision_odds",
    ] {
        it.remove(key);
    }
    let sweep = it.remove("sweep");
    let states = it["states"].as_object_mut().expect("an object");
    states.remove("depth");
    (json, sweep)
}

#[test]
fn verdicts_counts_and_shortest_runs_are_those_of_the_search_by_levels() {
    for (cell, code) in [
        ("check --design tracked --workload aging", 0),
        (
            "check --design v2.6.37 --workload page_referenced_one,vmalloc_sync_all",
            1,
        ),
        (
            "check --design v2.6.36 --env xen --workload vmalloc_sync_all,xen_pgd_pin",
            1,
        ),
    ] {
        let (by_levels, none) = told(cell, code);
        let (swept, sweep) = told(&format!("{cell} --sweep"), code);
        assert_eq!(swept, by_levels, "{cell}");
        assert_eq!(none, None);
        let sweep = sweep.expect("it says what it took");
        let most = sweep["most_states"].as_u64().expect("a number");
        let all = swept["states"]["unique"].as_u64().expect("a number");
        assert!(most > 1 && most < all, "{most} of {all}");
    }
}

#[test]
fn it_says_how_many_states_there_were_at_once() {
    run("check --workload aging --sweep").exits(0).prints(&[
        "swept in",
        "at once",
        "states are compared as a whole",
    ]);
}

#[test]
fn a_sweep_that_is_cut_off_says_holds_of_nothing() {
    let ran = run("check --workload everything --sweep --max-memory 64KiB")
        .exits(3)
        .prints(&["INCOMPLETE", "--max-memory"]);
    assert!(!ran.out.contains(" holds"), "{}", ran.out);
}

#[test]
fn where_no_rank_falls_it_is_refused() {
    for flags in [
        "--design v2.6.37 --variant trylock-retry",
        "--variant broken-spinlock",
        "--max-states 1k",
    ] {
        run(&format!("check --workload aging --sweep {flags}"))
            .exits(2)
            .complains(&["cannot be swept"]);
    }
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../spec/corpus/pgd-lock-2011.before.sd"
    );
    run(&format!("check {file} --sweep"))
        .exits(2)
        .complains(&["cannot be swept", "no number that"]);
}
