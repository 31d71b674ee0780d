//! `check`: verdicts, cut-off runs, JSON, readers that go away.

use crate::{Ran, run, shootdown};
use serde_json::Value;
use std::process::Stdio;

const SEED: &str =
    "check --design v2.6.37 --thp on --workload page_referenced_one,vmalloc_sync_all";

/// The counterexample: what comes before it has the time and the memory it took.
fn counterexample(columns: &str) -> String {
    let output = shootdown()
        .env("COLUMNS", columns)
        .args(SEED.split(' '))
        .output();
    let ran = Ran::from(output.expect("it runs")).exits(1);
    let width: usize = columns.parse().expect("a number");
    for line in ran.out.lines() {
        // The schedule is one line whatever it takes, to be copied.
        let free = line.trim_start().starts_with("shootdown replay");
        assert!(free || line.chars().count() <= width, "{columns}: {line}");
    }
    let (_, run) = ran
        .out
        .split_once("no_deadlock: the shortest")
        .expect("there is a run");
    run.to_string()
}

#[test]
fn the_seeds_interleaving_is_told_in_80_columns() {
    insta::assert_snapshot!(counterexample("80"));
}

#[test]
fn the_seeds_interleaving_is_told_in_120_columns() {
    insta::assert_snapshot!(counterexample("120"));
}

#[test]
fn the_seeds_kernel_deadlocks_and_violates_no_more_than_that() {
    let ran = run(SEED)
        .exits(1)
        .prints(&["DEADLOCK", "shootdown replay 'v2.6.37;", "complete:"]);
    // The deadlock is a violation of the strict and the upstream rule, and ends progress.
    let violated: Vec<_> = ran
        .out
        .lines()
        .filter(|l| l.contains(" VIOLATED "))
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert_eq!(
        violated,
        [
            "no_deadlock",
            "no_lock_held_across_ipi_wait",
            "no_irqs_off_wait_for_flush_lock",
            "progress"
        ]
    );
}

#[test]
fn flushing_by_hypercall_frees_the_seeds_kernel_of_the_deadlock() {
    let ran = run(&format!("{SEED} --flush-backend hypercall")).exits(0);
    assert!(!ran.out.contains("VIOLATED"), "{}", ran.out);
    assert!(ran.out.contains("complete:"), "{}", ran.out);
}

#[test]
fn a_run_that_is_cut_off_does_not_say_holds() {
    // Nothing is violated here at all, so nothing can be among the first thousand states.
    let ran = run("check --design tracked --workload aging --max-states 1000").exits(3);
    assert!(
        ran.out
            .contains("INCOMPLETE: the limit on states was reached")
    );
    for word in ["holds", "vacuous", "VIOLATED"] {
        assert!(!ran.out.contains(word), "{word} in\n{}", ran.out);
    }
}

#[test]
fn every_bound_cuts_off() {
    for bound in ["--timeout 0.001s", "--max-memory 64KiB", "--max-states 2k"] {
        run(&format!("check --workload everything {bound}"))
            .exits(3)
            .prints(&["INCOMPLETE"]);
    }
}

#[test]
fn a_violation_found_before_the_cut_off_is_a_violation() {
    // The strict rule falls after 5 steps, the deadlock needs 11 of a depth of 29.
    let ran = run(&format!("{SEED} --max-states 5000"))
        .exits(1)
        .prints(&["INCOMPLETE"]);
    let verdict = |name: &str| {
        let line = ran.out.lines().find(|l| l.trim_start().starts_with(name));
        line.expect("every property has a line").to_string()
    };
    assert!(verdict("no_lock_held_across_ipi_wait").contains("VIOLATED"));
    assert!(verdict("mutual_exclusion").contains("incomplete"));
    for line in ran.out.lines().filter(|l| l.starts_with("  no_")) {
        assert!(
            !line.contains(" holds") && !line.contains(" vacuous"),
            "{line}"
        );
    }
}

#[test]
fn the_property_to_be_shown_can_be_chosen() {
    run(&format!("{SEED} --property progress"))
        .exits(1)
        .prints(&["progress: the shortest run", "3 more violated"]);
    run(&format!("{SEED} --all")).exits(1).prints(&[
        "no_deadlock: the shortest run",
        "no_lock_held_across_ipi_wait: the shortest run",
        "no_irqs_off_wait_for_flush_lock: the shortest run",
        "progress: the shortest run",
    ]);
}

#[test]
fn json_is_versioned_and_alone_on_stdout() {
    let ran = run(&format!("{SEED} --format json -v")).exits(1);
    let json: Value = serde_json::from_str(&ran.out).expect("stdout is one JSON value");
    assert_eq!(json["schema"], "shootdown/check/2");
    assert_eq!(json["design"], "v2.6.37");
    assert_eq!(json["environment"]["flush_backend"], "ipi");
    assert_eq!(json["complete"], true);
    for count in ["unique", "generated", "depth"] {
        assert!(
            json["states"][count].as_u64().is_some_and(|n| n > 0),
            "{count}"
        );
    }
    let properties = json["properties"].as_array().expect("a list");
    let deadlock = properties.iter().find(|p| p["name"] == "no_deadlock");
    let run = &deadlock.expect("it is listed")["counterexample"];
    // 2 starts, 4 steps of CPU1 and 5 of CPU0.
    assert_eq!(run["steps"].as_array().map(Vec::len), Some(11));
    assert_eq!(run["schedule"], crate::SEED);
    let words = ["holds", "violated", "vacuous", "incomplete"];
    for p in properties {
        let verdict = p["verdict"].as_str().expect("a word");
        assert!(words.contains(&verdict), "{p}");
        let shown = !p["counterexample"].is_null();
        assert_eq!(shown, verdict == "violated", "{p}");
    }
}

#[test]
fn json_of_a_cut_off_run_says_so() {
    let ran = run("check --workload aging --max-states 1000 --format json").exits(3);
    let json: Value = serde_json::from_str(&ran.out).expect("stdout is one JSON value");
    assert_eq!(json["complete"], false);
    assert!(json["stopped"].is_string());
    for p in json["properties"].as_array().expect("a list") {
        assert_eq!(p["verdict"], "incomplete", "{p}");
    }
}

/// Runs it with a stdout that nobody reads any more: every write fails, as behind `| head -1`
/// once `head` is gone.
fn unread(arguments: &str) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = std::process::Command::new(shootdown().get_program())
        .args(arguments.split(' '))
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("it runs");
    let err = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), err)
}

#[test]
fn a_reader_that_goes_away_changes_neither_verdict_nor_stderr() {
    for arguments in [
        "man",
        "completions bash",
        "list",
        "list properties --markdown",
        "--help",
    ] {
        assert_eq!(unread(arguments), (Some(0), String::new()), "{arguments}");
    }
    for arguments in [SEED.to_string(), format!("{SEED} --format json")] {
        assert_eq!(unread(&arguments), (Some(1), String::new()), "{arguments}");
    }
    let explore = unread("explore --seconds 1 --bind 127.0.0.1:0");
    assert_eq!(explore, (Some(0), String::new()));
}

const UNMAP_AND_SWITCH: &str = "check --memory tso --design v2.6.38 --env split --workload none=try_to_unmap_one@mm0/none=switch_mm@mm0";

#[test]
fn a_design_is_checked_with_store_buffers_and_without_a_barrier() {
    let stale = "no_stale_tlb_after_return         VIOLATED";
    let ran = run(UNMAP_AND_SWITCH)
        .exits(1)
        .prints(&["a store buffer of 4 entries"]);
    assert!(!ran.out.contains(stale), "{}", ran.out);
    let command = format!("{UNMAP_AND_SWITCH} --without-barrier locked-clear");
    run(&format!("{command} --property no_stale_tlb_after_return"))
        .exits(1)
        .prints(&[
            stale,
            "<now in memory: mm0's pte = 0>",
            "without locked-clear",
        ]);
    let ran = run(&format!("{command} --format json")).exits(1);
    let json: Value = serde_json::from_str(&ran.out).expect("stdout is one JSON value");
    assert_eq!(json["schema"], "shootdown/check-buffered/1");
    assert_eq!(json["without_barriers"][0], "locked-clear");
    let properties = json["properties"].as_array().expect("a list");
    let stale = properties
        .iter()
        .find(|p| p["name"] == "no_stale_tlb_after_return");
    let steps = stale.expect("it is listed")["run"]["steps"].as_array();
    assert!(steps.expect("a run").iter().any(|s| s["kind"] == "drain"));
}

#[test]
fn store_buffers_are_refused_where_they_cannot_be_had() {
    for (command, complaint) in [
        ("check --without-barrier locked-clear", "--memory"),
        (
            "check --memory sc --without-barrier locked-clear",
            "--memory tso",
        ),
        ("check --memory tso --without-barrier lock", "locked-clear"),
        ("check --memory tso --max-states 10", "--max-memory"),
        (
            "check --memory tso --design tracked --variant broken-spinlock",
            "broken-spinlock",
        ),
    ] {
        run(command).exits(2).complains(&[complaint]);
    }
}

#[test]
fn a_check_with_store_buffers_that_is_cut_off_says_so() {
    run("check --memory tso --env irq-free --timeout 0.05s")
        .exits(3)
        .prints(&["INCOMPLETE"]);
}
