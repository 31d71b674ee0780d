//! `matrix`: comparison with the expectations, and Ctrl-C in the middle of it.

use crate::{Ran, run, shootdown};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

#[test]
fn a_claims_cells_come_out_as_expected() {
    let ran = run("matrix --claim C1").prints(&["C1", "deadlock"]);
    let cells = run("matrix --claim c1 --format json");
    let cells: Value = serde_json::from_str(&cells.out).expect("stdout is one JSON value");
    // A cell that nobody has counted yet has 0 states, and differs.
    let counted = |c: &Value| c["expected"]["states"] != 0;
    if cells.as_array().expect("a list").iter().all(counted) {
        let ran = ran.exits(0);
        assert!(!ran.out.contains("UNEXPECTED"), "{}", ran.out);
    } else {
        ran.exits(1).prints(&["UNEXPECTED", "states: expected 0"]);
    }
}

#[test]
fn an_unknown_claim_gets_the_right_ones() {
    run("matrix --claim C99")
        .exits(2)
        .complains(&["C1, C2", "B12"]);
    run("matrix --claims --grid")
        .exits(2)
        .complains(&["cannot be used with"]);
}

#[test]
fn json_lists_cells_with_what_was_expected() {
    let ran = run("matrix --claim C1 --format json");
    let cells: Value = serde_json::from_str(&ran.out).expect("stdout is one JSON value");
    let cells = cells.as_array().expect("a list");
    assert!(!cells.is_empty());
    for cell in cells {
        assert_eq!(cell["schema"], "shootdown/check/2");
        assert_eq!(cell["claim"], "C1");
        let differences = cell["differences"].as_array().expect("a list").len();
        assert_eq!(cell["as_expected"], differences == 0);
        assert!(cell["expected"]["violated"].is_array());
    }
    let as_expected = cells.iter().all(|c| c["as_expected"] == true);
    assert_eq!(ran.code, Some(if as_expected { 0 } else { 1 }));
}

#[test]
fn markdown_names_the_command_of_every_cell() {
    let output = shootdown()
        .args(["matrix", "--claim", "C1", "--markdown"])
        .output();
    let ran = Ran::from(output.expect("it runs"));
    assert!(matches!(ran.code, Some(0 | 1)), "{}", ran.err);
    assert!(ran.out.contains("C1"), "{}", ran.out);
}

#[test]
fn a_bound_cuts_the_matrix_off() {
    // Ten states decide nothing, and violate nothing either.
    run("matrix --claim C1 --max-states 10")
        .exits(3)
        .prints(&["INCOMPLETE", "shootdown check --design"]);
}

#[test]
fn ctrl_c_prints_what_is_finished() {
    let mut child = Command::new(shootdown().get_program())
        .args(["matrix", "--grid", "--design", "v2.6.37", "-v"])
        .env_remove("RUST_LOG")
        .env("COLUMNS", "240")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    // One line for every cell that is done. The first is there: the others take longer.
    while !line.contains("checked") {
        line.clear();
        let read = err.read_line(&mut line).expect("text");
        assert_ne!(read, 0, "it ended before it was interrupted");
    }
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.expect("there is a kill").success());
    let (mut out, mut rest) = (String::new(), String::new());
    let reader = std::thread::spawn(move || err.read_to_string(&mut rest).map(|_| rest));
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_to_string(&mut out).expect("text");
    let rest = reader.join().expect("no panic").expect("text");
    let code = child.wait().expect("it ends").code();

    assert!(rest.contains("what is finished will be printed"), "{rest}");
    assert!(out.contains("not run"), "{out}");
    assert!(out.contains("v2.6.37"), "{out}");
    // The first cell is there with its states.
    let first = out
        .lines()
        .find(|l| l.contains(" in ") && l.contains("states,"));
    assert!(first.is_some_and(|l| !l.contains(": 0 states")), "{out}");
    // A difference seen is a difference, cut off or not.
    let expected = if out.contains("UNEXPECTED") { 1 } else { 3 };
    assert_eq!(code, Some(expected), "{out}\n{rest}");
}

/// Every design, environment and number stands whole in a narrow terminal, and no line is wider.
#[test]
fn a_narrow_terminal_breaks_no_number_and_no_name() {
    for columns in [60, 80, 99] {
        let output = crate::shootdown()
            .env("COLUMNS", columns.to_string())
            .args(["matrix", "--grid", "--max-states", "2500"])
            .output();
        let ran = crate::Ran::from(output.expect("it runs")).exits(3);
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_string)
                .collect::<Vec<_>>()
        };
        let all: Vec<String> = ran.out.lines().flat_map(words).collect();
        for name in [
            "v2.6.36",
            "tracked-plain",
            "nosplit+thp",
            "hypercall",
            "incomplete",
            "2,500",
        ] {
            assert!(
                all.iter().any(|w| w == name),
                "{columns}: no {name} in\n{}",
                ran.out
            );
        }
        let cells = all.iter().filter(|w| *w == "2,500").count();
        assert_eq!(cells, 64, "{columns}: {}", ran.out);
        for line in ran.out.lines().take_while(|l| !l.contains("deadlock = ")) {
            assert!(line.chars().count() <= columns, "{columns}: {line}");
        }
    }
}
