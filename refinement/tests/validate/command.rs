//! `shootdown validate` from outside.

use super::{trace, traces};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
    command
        .arg("validate")
        .args(args)
        .current_dir(traces())
        .env("COLUMNS", "100");
    command
}

#[test]
fn acceptance_is_exit_code_0_and_says_what_it_saw() {
    command(&["tracked-4.ndjson"]).assert().code(0).stdout(
        contains("ACCEPTED")
            .and(contains("remote flush"))
            .and(contains("events/s")),
    );
}

#[test]
fn rejection_is_exit_code_1_with_the_line_the_reason_and_the_way_there() {
    command(&["edited-target-left-out.ndjson"])
        .assert()
        .code(1)
        .stdout(
            contains("REJECTED")
                .and(contains("mask_read"))
                .and(contains("other CPUs are awaited")),
        )
        .stdout(contains("What the protocol would have let each CPU do").and(contains("pgd_list:")))
        .stdout(contains("CPU0").and(contains("CPU3")));
}

#[test]
fn a_trace_without_its_end_is_exit_code_3() {
    command(&["truncated.ndjson"])
        .assert()
        .code(3)
        .stdout(contains("INCOMPLETE: it has no last line"));
}

#[test]
fn what_is_no_trace_is_exit_code_2_with_file_line_and_column() {
    command(&["gap.ndjson"])
        .assert()
        .code(2)
        .stdout("")
        .stderr(contains(
            "gap.ndjson:78:2: event 77 where event 76 should be",
        ));
    command(&["."])
        .assert()
        .code(2)
        .stderr(contains("directory"));
    command(&["nowhere.ndjson"])
        .assert()
        .code(2)
        .stderr(contains("nowhere.ndjson"));
    command(&[]).assert().code(2);
}

#[test]
fn stdin_is_a_trace_too_and_json_is_versioned() {
    let assert = command(&["-", "--format", "json"])
        .write_stdin(trace("rwlock-3.ndjson"))
        .assert()
        .code(0);
    let value: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(value["schema"], "shootdown/validate/1");
    assert_eq!(value["verdict"], "accepted");
    assert_eq!(value["design"], "rwlock");
    assert_eq!(
        value["events"],
        trace("rwlock-3.ndjson").lines().count() as u64 - 2
    );
}

#[test]
fn a_recorded_hang_says_who_holds_and_who_waits() {
    command(&["v2.6.37-hung.ndjson"]).assert().code(0).stdout(
        contains("ends in a deadlock")
            .and(contains("interrupts off, holds pgd_lock and waits for")),
    );
}

#[test]
fn a_run_that_did_not_hang_tells_of_the_deadlock_it_missed() {
    command(&["v2.6.37-clean.ndjson"])
        .assert()
        .code(0)
        .stdout(contains("ACCEPTED"));
    command(&["v2.6.37-clean.ndjson", "--order"])
        .assert()
        .code(1)
        .stdout(contains("ACCEPTED").and(contains("CYCLIC")))
        .stdout(contains(
            "page_table_lock -> IPI acknowledgement -> page_table_lock",
        ))
        .stdout(contains("turns interrupts off, in vmalloc_sync_all"));
    command(&["tracked-4.ndjson", "--order"])
        .assert()
        .code(0)
        .stdout(contains("Order: ACYCLIC"));
}

#[test]
fn a_bound_that_is_hit_is_no_rejection() {
    // One event of read-ahead sees of one CPU only: lines that overlap may be in the wrong order, which is not known.
    command(&["edited-target-left-out.ndjson", "--read-ahead", "1"])
        .assert()
        .code(3)
        .stdout(contains("INCOMPLETE"));
}
