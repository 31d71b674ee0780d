//! `prove`: the proof, the cycles with their runs, and the exit codes.

use crate::run;
use serde_json::Value;

fn json(arguments: &str, code: i32) -> Value {
    let ran = run(&format!("{arguments} --format json")).exits(code);
    serde_json::from_str(&ran.out).expect("stdout is one JSON value")
}

#[test]
fn tracked_is_proved_whatever_the_environment() {
    for flags in [
        "",
        "--env irq-free",
        "--env nosplit+irq-free",
        "--cpus 4 --mms 3 --ops-per-cpu 4",
    ] {
        run(&format!("prove {flags}"))
            .exits(0)
            .prints(&["ACYCLIC: no deadlock, for any number of CPUs"]);
    }
    let proof = json("prove", 0);
    assert_eq!(proof["schema"], "shootdown/prove/1");
    assert_eq!(proof["proof"], "acyclic");
    assert_eq!(proof["cycles"].as_array().map(Vec::len), Some(0));
    assert_eq!(proof["breaches"].as_array().map(Vec::len), Some(0));
}

/// The seed: 11 steps, the schedule that `check` prints as well.
#[test]
fn the_seeds_cycle_comes_with_its_lines_and_a_run_into_it() {
    let seed = "prove --design v2.6.37 --workload page_referenced_one,vmalloc_sync_all";
    run(seed).exits(1).prints(&[
        "CYCLIC, so not proven: 2 cycles",
        "page_table_lock -> IPI acknowledgement -> page_table_lock",
        "the acknowledgement is not given while page_table_lock is spun for with interrupts off",
        "local_irq_save(flags) /* interrupts go off */",
        "*** DEADLOCK ***",
        "REALISED in 11 steps, with 2 CPUs, 1 mm, 1 operation each",
        "possible, not realised within 2 CPUs, 1 mm, 1 operation each",
    ]);
    let proof = json(seed, 1);
    assert_eq!(proof["proof"], "cyclic");
    let cycles = proof["cycles"].as_array().expect("a list");
    let outcomes: Vec<_> = cycles.iter().map(|c| c["outcome"].as_str()).collect();
    assert_eq!(outcomes, [Some("realised"), Some("not_realised")]);
    assert_eq!(cycles[0]["steps"], 11);
    assert_eq!(cycles[0]["schedule"], crate::SEED);
    // Every edge names the lines that make it, with a file that exists.
    for edge in proof["edges"].as_array().expect("a list") {
        for witness in edge["witnesses"].as_array().expect("a list") {
            let file = witness["waits"]["file"].as_str().expect("a path");
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(file);
            assert!(path.exists(), "{file}");
        }
    }
}

#[test]
fn the_printed_run_replays_into_the_deadlock() {
    let proof = json(
        "prove --design v2.6.38 --env irq-free --workload none=vmalloc_sync_all --cpus 1",
        1,
    );
    let schedule = proof["cycles"][0]["schedule"].as_str().expect("a run");
    crate::run_with(&["replay", schedule])
        .exits(1)
        .prints(&["DEADLOCK", "the very code it interrupted"]);
}

#[test]
fn a_cycle_that_is_not_searched_for_is_not_proven_either() {
    let cyclic = "prove --design v2.6.37 --workload aging";
    let ran = run(&format!("{cyclic} --no-realise")).exits(1);
    assert!(!ran.out.contains("REALISED") && !ran.out.contains("not realised"));
    // Cut off: still exit code 1, for the proof failed whatever the search would find.
    run(&format!("{cyclic} --max-states 10")).exits(1).prints(&[
        "INCOMPLETE: no run found",
        "the limit on states was reached",
    ]);
    assert_eq!(
        json(&format!("{cyclic} --max-states 10"), 1)["cycles"][0]["outcome"],
        "incomplete"
    );
}

#[test]
fn a_broken_assumption_is_out_of_scope() {
    run("prove --variant lost-ack").exits(1).prints(&[
        "OUT OF SCOPE, so not proven",
        "the flush handler returns without acknowledging: flush_tlb_interrupt+1",
    ]);
    let proof = json("prove --variant broken-spinlock", 1);
    assert_eq!(proof["proof"], "out_of_scope");
    assert_eq!(proof["breaches"][0]["rule"], "locks_exclude");
}

#[test]
fn the_grid_has_every_named_cell() {
    run("prove --grid")
        .exits(0)
        .prints(&["72 cells", "nosplit+irq-free"]);
    let grid = json("prove --grid", 0);
    assert_eq!(grid["schema"], "shootdown/prove-grid/1");
    let cells = grid["cells"].as_array().expect("a list");
    assert_eq!(cells.len(), 72); // 8 designs in 9 environments
    let proof = |design: &str, env: &str| {
        let cell = cells
            .iter()
            .find(|c| c["design"] == design && c["env"] == env);
        cell.expect("a cell")["proof"].clone()
    };
    assert_eq!(proof("v2.6.37", "split"), "acyclic");
    assert_eq!(proof("v2.6.37", "split+thp"), "cyclic");
    assert_eq!(proof("tracked-plain", "irq-free"), "cyclic");
}

#[test]
fn bad_flags_are_refused_as_elsewhere() {
    run("prove --design trackd")
        .exits(2)
        .complains(&["a similar value exists: 'tracked'"]);
    run("prove --grid --design tracked")
        .exits(2)
        .complains(&["cannot be used with"]);
    run("prove --grid --no-realise")
        .exits(2)
        .complains(&["cannot be used with"]);
    run("prove --workload agin")
        .exits(2)
        .complains(&["did you mean `aging`?"]);
    run("prove --max-states many")
        .exits(2)
        .complains(&["--max-states: `many`"]);
    run("prove --flush-backend ipi --xen-pin on")
        .exits(2)
        .complains(&["xen_pin needs"]);
}
