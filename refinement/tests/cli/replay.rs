//! `replay`: schedules good, bad and of anywhere.

use crate::{Ran, SEED, run_with, shootdown};
use serde_json::Value;
use std::path::PathBuf;

/// A file of the test's own, removed with it.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &[u8]) -> File {
        let name = format!("shootdown-replay-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("the temporary directory is writable");
        File(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn replay(schedule: &str) -> Ran {
    run_with(&["replay", schedule])
}

/// In v2.6.38 CPU0 spins for page_table_lock with interrupts on and takes CPU1's IPI.
const ACKNOWLEDGED: &str = "v2.6.38;cpus=2,mms=1;workload=page_referenced_one,vmalloc_sync_all;start=mm0,mm0;\
     1:page_referenced_one_huge@mm0 1*4 0:vmalloc_sync_all 0*4 0!1;";

#[test]
fn the_seeds_schedule_reaches_the_deadlock() {
    replay(SEED).exits(1).prints(&[
        "DEADLOCK",
        "CPU1 holds mm0.page_table_lock and awaits CPU0's ack",
        "After step 11",
        "violated on the way: no_deadlock",
    ]);
}

#[test]
fn a_schedule_comes_from_a_file_or_stdin_as_well() {
    // Mail wraps lines.
    let wrapped = SEED.replace(' ', "\n") + "\n";
    let file = File::new("wrapped", wrapped.as_bytes());
    replay(file.name()).exits(1).prints(&["DEADLOCK"]);
    let output = shootdown()
        .args(["replay", "-"])
        .write_stdin(wrapped)
        .output();
    Ran::from(output.expect("it runs"))
        .exits(1)
        .prints(&["DEADLOCK"]);
}

#[test]
fn a_schedule_that_violates_nothing_succeeds() {
    replay(ACKNOWLEDGED)
        .exits(1)
        .prints(&["no_lock_held_across_ipi_wait"]);
    let walk =
        "v2.6.37;cpus=2,mms=1;workload=vmalloc_sync_all;start=mm0,mm0;0:vmalloc_sync_all 0*3;";
    replay(walk)
        .exits(0)
        .prints(&["no property is violated on the way"]);
}

#[test]
fn a_loop_is_replayed_and_not_called_clean() {
    // CPU0 tries pgt_lock again and again, interrupts off; CPU1 awaits its acknowledgement.
    let lasso = "v2.6.37;cpus=2,mms=1;workload=aging;variants=trylock-retry;start=mm0,mm0;\
                 1:page_referenced_one_huge@mm0 1*4 0:vmalloc_sync_all 0*2 [ 0*4 ];";
    let ran = replay(lasso);
    assert!(!ran.out.contains("no property is violated"), "{}", ran.out);
    ran.prints(&["whether the loop violates progress, `shootdown check` judges"]);
    // One step less, and it does not come round.
    let open = lasso.replace("[ 0*4 ]", "[ 0*3 ]");
    let ran = replay(&open)
        .exits(1)
        .prints(&["the loop does not close", "before step 9"]);
    assert!(!ran.out.contains("for ever"), "{}", ran.out);
}

#[test]
fn on_another_design_it_stops_where_the_guard_is_false() {
    // v2.6.37 takes pgd_lock with interrupts off: step 11 is the IPI that cannot be taken.
    let ran = run_with(&["replay", ACKNOWLEDGED, "--design", "v2.6.37"]).exits(1);
    ran.prints(&["does not fit: step 11", "CPU0 has interrupts off"]);
}

#[test]
fn the_seeds_schedule_does_not_deadlock_the_tracked_design() {
    let ran = run_with(&["replay", SEED, "--design", "tracked"]).exits(0);
    assert!(!ran.out.contains("DEADLOCK"), "{}", ran.out);
}

#[test]
fn a_step_that_is_not_possible_is_named_with_its_reason() {
    let start = "v2.6.37;cpus=2,mms=1;workload=aging;start=mm0,mm0;";
    for (actions, reason) in [
        (
            "0*60000",
            "step 1: CPU0 steps is not possible here: nothing runs on CPU0",
        ),
        ("1!0", "no IPI of CPU0 is pending on CPU1"),
        ("0:vmalloc_sync_all 0:vmalloc_sync_all", "step 2:"),
        ("0:pgd_alloc", "the workload does not let CPU0 start it"),
    ] {
        let ran = replay(&format!("{start}{actions};"));
        ran.exits(1).prints(&["does not fit", reason]);
    }
}

#[test]
fn malformed_schedules_are_refused_with_the_column() {
    let start = "v2.6.37;cpus=2,mms=1;workload=aging;start=mm0,mm0;";
    // `start` has 50 characters: the first action begins in column 51.
    assert_eq!(start.len(), 50);
    for (schedule, complaint) in [
        (
            format!("{start}1:page_refd 1;"),
            "column 53: no program is called `page_refd`",
        ),
        (format!("{start}7 1;"), "column 51: `7`"),
        (format!("{start}0*999999999999;"), "column 53"),
        (format!("{start}0*0;"), "column 53"),
        (format!("{start}0 ] ;"), "column 53"),
        ("v2.6.73;cpus=2;".into(), "did you mean `v2.6.37`?"),
        (
            "v2.6.37;cpus=9,mms=1;workload=aging;start=mm0,mm0;;".into(),
            "must be 1 to 4",
        ),
        ("v2.6.37;cpus=2,cpus=2;".into(), "`cpus` is given twice"),
        (";".into(), "column 1"),
    ] {
        replay(&schedule).exits(2).complains(&[complaint]);
    }
}

#[test]
fn a_truncated_schedule_is_noticed_wherever_it_was_cut() {
    for end in 1..SEED.len() {
        // What is cut before its first semicolon is taken for a file's name.
        let ran = replay(&SEED[..end]).exits(2);
        assert_eq!(ran.out, "", "cut after {end}");
    }
    replay(&SEED[..SEED.len() - 1])
        .exits(2)
        .complains(&["was the schedule cut off?"]);
}

#[test]
fn what_is_no_schedule_is_said_to_be_none() {
    replay("")
        .exits(2)
        .complains(&["no schedule", "shootdown check"]);
    replay("v2.6.37")
        .exits(2)
        .complains(&["`v2.6.37` is no schedule", "no file"]);
    replay("/nonexistent/run.txt")
        .exits(2)
        .complains(&["no file"]);
    replay("/").exits(2).complains(&["directory"]);
    let output = shootdown().args(["replay", "-"]).write_stdin("").output();
    Ran::from(output.expect("it runs"))
        .exits(2)
        .complains(&["stdin", "empty"]);
}

#[test]
fn binary_garbage_is_refused_without_reaching_the_terminal() {
    let file = File::new("latin1", b"v2.6.37;caf\xe9;");
    replay(file.name()).exits(2).complains(&["not UTF-8"]);
    let file = File::new("escapes", b"\x1b[2J\x07;\x00;");
    let ran = replay(file.name()).exits(2).complains(&["column 1"]);
    assert!(
        !ran.err.contains('\x1b') && !ran.err.contains('\0'),
        "{:?}",
        ran.err
    );
}

#[test]
fn gigantic_schedules_are_refused_in_few_words() {
    let start = "v2.6.37;cpus=2,mms=1;workload=aging;start=mm0,mm0;";
    let many = File::new(
        "many",
        format!("{start}{};", "0 ".repeat(70_000)).as_bytes(),
    );
    replay(many.name())
        .exits(2)
        .complains(&["at most 65536 actions"]);
    let long = File::new(
        "long",
        format!("v2.6.37;{}", "x".repeat(500_000)).as_bytes(),
    );
    let ran = replay(long.name()).exits(2).complains(&["column 9"]);
    assert!(ran.err.len() < 2000, "{} bytes", ran.err.len());
    let huge = File::new("huge", &vec![b'x'; 5 << 20]);
    replay(huge.name())
        .exits(2)
        .complains(&["longer than 1 MiB"]);
    // A device without an end.
    replay("/dev/zero")
        .exits(2)
        .complains(&["longer than 1 MiB"]);
}

#[test]
fn json_has_the_steps_and_why_it_stopped() {
    let ran = run_with(&[
        "replay",
        ACKNOWLEDGED,
        "--design",
        "v2.6.37",
        "--format",
        "json",
    ])
    .exits(1);
    let json: Value = serde_json::from_str(&ran.out).expect("stdout is one JSON value");
    assert_eq!(json["schema"], "shootdown/replay/1");
    assert_eq!(json["steps"].as_array().map(Vec::len), Some(10));
    assert_eq!(json["refused"]["step"], 11);
    assert_eq!(json["refused"]["reason"], "CPU0 has interrupts off");
}
