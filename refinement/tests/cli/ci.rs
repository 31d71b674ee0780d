//! `--junit`, `--sarif`, `--github`: the same verdicts for machines.

use crate::{Ran, run};
use serde_json::Value;
use std::path::Path;

/// Runs with all three outputs: what was printed, JUnit, SARIF.
fn told(arguments: &str, code: i32) -> (Ran, quick_junit::Report, Value) {
    let directory = tempfile::tempdir().expect("there is room");
    let file = |name: &str| directory.path().join(name);
    let outputs = format!(
        "--junit {} --sarif {} --github",
        file("j").display(),
        file("s").display()
    );
    let ran = run(&format!("{arguments} {outputs}")).exits(code);
    let read = |path: &Path| std::fs::read_to_string(path).expect("it was written");
    let junit = quick_junit::Report::deserialize_from_str(&read(&file("j"))).expect("it is JUnit");
    let sarif = serde_json::from_str(&read(&file("s"))).expect("it is JSON");
    (ran, junit, sarif)
}

fn results(sarif: &Value) -> &Vec<Value> {
    sarif["runs"][0]["results"].as_array().expect("a list")
}

#[test]
fn check_tells_every_property_and_points_to_the_kernel_path() {
    let (ran, junit, sarif) = told("check --design v2.6.37 --env nosplit --workload aging", 1);
    assert_eq!(junit.tests, 15, "a case for each property");
    let broken = results(&sarif);
    assert_eq!(junit.failures, broken.len());
    let hangs = broken
        .iter()
        .find(|r| r["ruleId"] == "no_deadlock")
        .expect("it is violated");
    let place = &hangs["locations"][0]["physicalLocation"];
    assert_eq!(
        place["artifactLocation"]["uri"],
        "spec/src/path/vmalloc_sync_all.rs"
    );
    assert!(place["region"]["startLine"].as_u64().is_some_and(|n| n > 1));
    let lines: Vec<&str> = ran
        .err
        .lines()
        .filter(|l| l.starts_with("::error "))
        .collect();
    assert_eq!(lines.len(), broken.len(), "{}", ran.err);
    assert!(
        lines[0].starts_with("::error file=spec/src/path/vmalloc_sync_all.rs,line="),
        "{}",
        lines[0]
    );
}

#[test]
fn what_is_cut_off_is_neither_passed_nor_failed() {
    let (ran, junit, sarif) = told("check --workload aging --max-states 3", 3);
    assert_eq!((junit.failures, junit.errors), (0, 15));
    assert!(results(&sarif).iter().all(|r| r["kind"] == "open"));
    assert_eq!(
        ran.err
            .lines()
            .filter(|l| l.starts_with("::warning "))
            .count(),
        15
    );
}

#[test]
fn matrix_has_a_case_for_each_cell_and_expected_violations_are_no_findings() {
    let (_, junit, sarif) = told("matrix --claim C1", 0);
    assert!(junit.tests > 0 && junit.failures == 0 && junit.errors == 0);
    assert_eq!(results(&sarif).len(), 0, "C1 is a deadlock, as expected");
    assert!(
        junit
            .test_suites
            .iter()
            .all(|s| s.name.as_str() == "matrix C1")
    );
}

#[test]
fn refine_tells_the_relation_and_the_properties() {
    let (_, junit, sarif) = told("refine --design v2.6.37 --env nosplit --workload aging", 1);
    assert_eq!(junit.tests, 15 + 3);
    let relation = &junit.test_suites[0];
    assert_eq!(
        (relation.tests, relation.failures),
        (3, 0),
        "the code refines the protocol, deadlock and all"
    );
    assert!(results(&sarif).iter().any(|r| r["ruleId"] == "no_deadlock"));
    run("refine --workload aging --random 1 --github")
        .exits(2)
        .complains(&["cannot be used with"]);
}

#[test]
fn validate_points_to_the_line_that_does_not_fit() {
    let trace = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/traces/edited-target-left-out.ndjson"
    );
    let (ran, junit, sarif) = told(&format!("validate {trace}"), 1);
    assert_eq!((junit.tests, junit.failures), (1, 1));
    let line =
        results(&sarif)[0]["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64();
    let line = line.expect("it has a line");
    assert!(
        ran.out.contains(&format!("{trace}:{line}: ")),
        "{}",
        ran.out
    );
    assert!(
        ran.err
            .contains(&format!("line={line},title=trace-rejected")),
        "{}",
        ran.err
    );
    let whole = trace.replace("edited-target-left-out", "tracked-4");
    let (ran, junit, sarif) = told(&format!("validate {whole}"), 0);
    assert_eq!(
        (junit.failures, results(&sarif).len(), ran.err.as_str()),
        (0, 0, "")
    );
}

/// File 16 hung: all four rules fall. File 10 lost events and has nothing against any rule, which decides nothing. File 12
/// is a control: it keeps the three rules that are asked for by default, but a million of its events were overwritten.
#[test]
fn validate_tells_each_rule_of_a_kernels_trace() {
    let trace = |name: &str| format!("{}/trace/tests/ftrace/{name}", env!("CARGO_MANIFEST_DIR"));
    let hung = trace("16_hang_console_dump_kswapd.txt.gz");
    let all = "--rule hang,upstream,order,strict";
    let (ran, junit, sarif) = told(&format!("validate --ftrace {hung} {all}"), 1);
    assert_eq!((junit.tests, junit.failures, junit.errors), (4, 4, 0));
    let rules: Vec<&str> = results(&sarif)
        .iter()
        .filter_map(|r| r["ruleId"].as_str())
        .collect();
    for rule in [
        "ftrace-hang",
        "ftrace-upstream",
        "ftrace-order",
        "ftrace-strict",
    ] {
        assert!(rules.contains(&rule), "{rules:?}");
        let told = format!("title={rule}");
        assert!(ran.err.contains(&told), "{}", ran.err);
    }
    for result in results(&sarif) {
        let region = &result["locations"][0]["physicalLocation"]["region"];
        assert!(
            region["startLine"].as_u64().is_some_and(|n| n > 1),
            "{result}"
        );
        assert!(
            result["relatedLocations"]
                .as_array()
                .is_some_and(|a| a.len() > 1)
        );
    }

    let lost = trace("10_fork_trace_pipe_lost.txt.gz");
    let control = trace("12_control_pgdwalk_reclaim_irqs_on.txt.gz");
    let (_, junit, sarif) = told(&format!("validate --ftrace {lost} {control}"), 3);
    assert_eq!((junit.tests, junit.failures), (6, 0));
    let errors = |suite: usize| junit.test_suites[suite].errors;
    assert_eq!((errors(0), errors(1)), (3, 3), "{:?}", results(&sarif));
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let ran = run("check --workload aging --junit /nowhere/at/all.xml");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("/nowhere/at/all.xml"), "{}", ran.err);
}
