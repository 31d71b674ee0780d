//! `mutants`: the kill matrix, one run, and the exit codes.

use crate::run;
use serde_json::Value;

#[test]
fn every_fault_is_noticed_by_everybody_who_must() {
    run("mutants")
        .exits(0)
        .prints(&["0 survivors", "unlisting-after-free", "killed"]);
}

#[test]
fn one_fault_is_shown_with_the_lines_of_the_protocol_and_the_reason() {
    // 7 steps: the start, local_irq_save, spin_lock, the clear, the raise, spin_unlock, and the flush that comes where
    // local_irq_restore should.
    run("mutants --show missing-irq-restore").exits(0).prints(&[
        "spin_lock(ptl)",
        "refused:",
        "but the next step of page_referenced_one_pte there is `local_irq_restore(flags)`",
        "7 steps",
    ]);
    run("mutants --show lost-ack")
        .exits(0)
        .prints(&["order: out of scope", "model: no_deadlock, progress"]);
    run("mutants --show nothing")
        .exits(0)
        .prints(&["no run shows it: the control"]);
}

#[test]
fn json_has_the_evidence() {
    let ran = run("mutants flag-for-counter nothing --format json").exits(0);
    let json: Value = serde_json::from_str(&ran.out).expect("stdout is one JSON value");
    assert_eq!(json["schema"], "shootdown/mutants/1");
    assert_eq!((&json["faults"], &json["killed"]), (&2.into(), &1.into()));
    let flag = &json["mutants"][0];
    assert_eq!(flag["name"], "flag-for-counter");
    let model = &flag["evidence"]["model"];
    assert_eq!(model["by"], "no_stale_tlb_after_return");
    let run = &flag["evidence"]["refinement"]["counterexample"];
    assert_eq!(run["how"], "disagrees");
    assert_eq!(
        Some(run["steps"].as_u64().unwrap()),
        run["lines"].as_array().map(|l| l.len() as u64)
    );
}

#[test]
fn a_stale_page_is_not_as_expected_and_a_missing_one_is_unreadable() {
    let root = std::env::temp_dir().join(format!("shootdown-mutants-{}", std::process::id()));
    let docs = root.join("docs");
    std::fs::create_dir_all(&docs).unwrap();
    let at = root.display();
    run(&format!("mutants --check-docs {at}")).exits(2);
    let page = docs.join("mutants.md");
    std::fs::write(
        &page,
        "# Mutants\n<!-- mutants:begin -->\n<!-- mutants:end -->\n",
    )
    .unwrap();
    run(&format!("mutants --check-docs {at}")).exits(1);
    run(&format!("mutants --docs {at}")).exits(0);
    let made = std::fs::read_to_string(&page).unwrap();
    assert!(made.contains("| locks | `missing-irq-restore` |"), "{made}");
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn a_name_that_is_not_in_the_catalogue_is_refused() {
    run("mutants lost-ipy").exits(2).complains(&["lost-ipi"]);
    run("mutants --list")
        .exits(0)
        .prints(&["nobody: equivalent"]);
}

/// Small cells, so that it takes a second.
const SMALL: &str = "--cells none=vmalloc_sync_all/none=xen_pgd_pin";

#[test]
fn random_edits_are_the_same_for_the_same_seed_and_each_has_a_fate() {
    let edits = |seed: u32| {
        let ran = run(&format!(
            "mutants --generate 12 --seed {seed} {SMALL} --format json"
        ));
        let json: Value = serde_json::from_str(&ran.out).expect("stdout is one JSON value");
        // An edit that nobody can explain there is no accident: exit code and JSON say so alike.
        let unexplained = json["unexplained"].as_u64().unwrap();
        assert_eq!(ran.code, Some(i32::from(unexplained > 0)));
        json
    };
    let json = edits(7);
    assert_eq!(json["schema"], "shootdown/mutants-generated/1");
    assert_eq!((&json["edits"], &json["cells"]), (&12.into(), &2.into()));
    let sum = [
        "caught",
        "equivalent_here",
        "redundant",
        "untested",
        "not_reached",
        "survived",
    ]
    .map(|fate| json[fate].as_u64().unwrap());
    assert_eq!(sum.iter().sum::<u64>(), 12);
    assert!(sum[0] > 0);
    assert_eq!(json["faults"], edits(7)["faults"]);
    assert_ne!(json["faults"], edits(8)["faults"]);
}

#[test]
fn a_run_that_is_cut_off_says_so() {
    let ran = run(&format!("mutants --guards {SMALL} --timeout 0.000001s"));
    ran.exits(3);
}

#[test]
fn bad_bounds_of_edits_are_refused() {
    run("mutants --generate 0").exits(2);
    run("mutants --generate 3 --guards").exits(2);
    run("mutants --seed 3").exits(2);
    run("mutants --cells split")
        .exits(2)
        .complains(&["--generate or --guards"]);
    run("mutants --generate 3 --cells nonesuch")
        .exits(2)
        .complains(&["no cell of the matrix", "nonesuch"]);
    run("mutants --generate 3 --timeout soon").exits(2);
    run("mutants --guards --docs /nonexistent").exits(2);
}
