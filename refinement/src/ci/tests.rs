use super::*;

fn place(line: u64) -> Place {
    Place {
        file: "spec/src/path/a b.rs".to_string(),
        line: Some(line),
    }
}

/// One case of each outcome, with words that each format must escape.
fn report() -> Report {
    let case = |name: &str, outcome: Outcome| Case {
        suite: "v2.6.37 | cpus=2, mms=1".to_string(),
        name: name.to_string(),
        outcome,
        time: Some(Duration::from_millis(1500)),
    };
    let finding = Finding {
        rule: "no_deadlock".to_string(),
        promise: "nobody hangs".to_string(),
        level: Severity::Error,
        message: "CPU0 <spins> & CPU1\n100% awaits: replay 'a;b'".to_string(),
        place: Some(place(7)),
        related: vec![(place(9), "CPU1".to_string())],
    };
    let guess = Finding {
        level: Severity::Warning,
        place: None,
        related: Vec::new(),
        ..finding.clone()
    };
    Report {
        command: "shootdown check".to_string(),
        cases: vec![
            case("holds", Outcome::Passed),
            case("broken", Outcome::Failed(vec![finding, guess])),
            case("cut off", Outcome::Undecided("time is up".to_string())),
            case("vacuous", Outcome::Skipped("never reached".to_string())),
        ],
    }
}

#[test]
fn github_gets_a_line_for_each_that_did_not_pass() {
    let text = github::github(&report());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "::error file=spec/src/path/a b.rs,line=7,title=no_deadlock%3A v2.6.37 | cpus=2%2C mms=1::CPU0 <spins> & \
             CPU1%0A100%25 awaits: replay 'a;b'",
            "::warning title=no_deadlock%3A v2.6.37 | cpus=2%2C mms=1::CPU0 <spins> & CPU1%0A100%25 awaits: replay 'a;b'",
            "::warning title=v2.6.37 | cpus=2%2C mms=1::cut off: time is up",
            "::notice title=v2.6.37 | cpus=2%2C mms=1::vacuous: never reached",
        ]
    );
}

#[test]
fn junit_counts_each_outcome_and_reads_back() {
    let text = junit::junit(&report());
    let read = quick_junit::Report::deserialize_from_str(&text).expect("it is JUnit");
    assert_eq!(
        (read.tests, read.failures, read.errors, read.skipped),
        (4, 1, 1, 1)
    );
    let suite = &read.test_suites[0];
    assert_eq!(suite.name.as_str(), "v2.6.37 | cpus=2, mms=1");
    assert_eq!(suite.time, Some(Duration::from_secs(6)));
    let quick_junit::TestCaseStatus::NonSuccess {
        description,
        message,
        ..
    } = &suite.test_cases[1].status
    else {
        panic!("{text}");
    };
    assert_eq!(
        message.as_ref().map(|m| m.as_str()),
        Some("no_deadlock, no_deadlock")
    );
    let description = description.as_ref().expect("it says why").as_str();
    assert!(
        description.starts_with("spec/src/path/a b.rs:7: CPU0 <spins> & CPU1"),
        "{description}"
    );
}

#[test]
fn sarif_has_a_rule_once_and_a_result_for_each_finding() {
    let sarif: serde_json::Value =
        serde_json::from_str(&sarif::sarif(&report())).expect("it is JSON");
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().expect("a list");
    assert_eq!(rules.len(), 1);
    let results = run["results"].as_array().expect("a list");
    let told: Vec<_> = results
        .iter()
        .map(|r| (r["kind"].as_str(), r["level"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (None, Some("error")),
            (None, Some("warning")),
            (Some("open"), Some("none"))
        ]
    );
    let physical = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(
        physical["artifactLocation"]["uri"],
        "spec/src/path/a%20b.rs"
    );
    assert_eq!(physical["region"]["startLine"], 7);
    assert_eq!(results[0]["relatedLocations"][0]["message"]["text"], "CPU1");
    assert_eq!(results[1]["locations"].as_array().map(Vec::len), Some(0));
}
