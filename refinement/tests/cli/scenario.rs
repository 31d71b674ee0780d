//! Commands on scenario files: exit codes, bad input, what machines read.

use crate::{Ran, run_with, shootdown};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// It deadlocks: two locks in two orders.
fn deadlock(expect: &str) -> String {
    format!(
        "// a mail\nscenario \"two locks\";\ncpus 2;\n{expect}\nspinlock_t a, b;\n\
         task one on CPU0 {{\n    spin_lock(&a);\n    spin_lock(&b);\n    spin_unlock(&b);\n    spin_unlock(&a);\n}}\n\
         task two on CPU1 {{\n    spin_lock(&b);\n    spin_lock(&a);\n    spin_unlock(&a);\n    spin_unlock(&b);\n}}\n"
    )
}

fn good(expect: &str) -> String {
    deadlock(expect)
        .replace(
            "spin_lock(&b);\n    spin_lock(&a);\n    spin_unlock(&a);",
            "spin_lock(&a);\n    spin_lock(&b);\n    spin_unlock(&b);",
        )
        .replace("    spin_unlock(&b);\n}\n", "    spin_unlock(&a);\n}\n")
}

/// It counts without an end.
const ENDLESS: &str = "scenario \"endless\";\ncpus 1;\nint ticks;\nirq tick on CPU0 { ticks++; }\ntask t on CPU0 { cpu_relax(); }\n";

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("there is room"))
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("there is room");
        path.display().to_string()
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = shootdown();
        command.current_dir(self.0.path()).args(arguments);
        command.output().expect("it runs").into()
    }
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/corpus");
    let entries = fs::read_dir(folder).expect("it is there");
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("listed").path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "sd"));
    files.sort();
    files
}

#[test]
fn check_exits_as_documented() {
    let f = Folder::new();
    for (name, text, code) in [
        ("good.sd", good(""), 0),
        ("ok.sd", good("expect ok;"), 0),
        ("violated.sd", deadlock(""), 1),
        ("expected.sd", deadlock("expect violated no_deadlock;"), 0),
        ("surprise.sd", deadlock("expect ok;"), 1),
        ("pass.sd", good("expect violated no_deadlock;"), 1),
        ("endless.sd", ENDLESS.to_string(), 3),
        (
            "malformed.sd",
            "scenario \"x\"; cpus 2; task {".to_string(),
            2,
        ),
        ("empty.sd", String::new(), 2),
        ("crlf.sd", good("expect ok;").replace('\n', "\r\n"), 0),
        ("tabs.sd", good("expect ok;").replace("    ", "\t"), 0),
        ("größe-λ.sd", good("expect ok;"), 0),
        (
            "with space's.sd",
            deadlock("expect violated no_deadlock;"),
            0,
        ),
    ] {
        let path = f.write(name, text);
        run_with(&["check", &path]).exits(code);
    }
}

#[test]
fn what_is_no_scenario_is_refused_by_every_command_with_its_name() {
    let f = Folder::new();
    fs::create_dir(f.0.path().join("folder.sd")).expect("there is room");
    let bad = [
        (f.write("binary.sd", b"\x7fELF\0\0\x01{"), "no text"),
        (f.write("latin.sd", b"scenario \"\xe9\"; {"), "UTF-8"),
        (f.write("large.sd", vec![b'{'; 10 << 20]), "bytes"),
        (f.write("malformed.sd", "scenario \"x\" {"), "error"),
        (f.path("missing.sd"), "missing.sd"),
        (f.path("folder.sd"), "folder.sd"),
    ];
    for (file, says) in &bad {
        for command in [
            vec!["check", file],
            vec!["prove", file],
            vec!["replay", "0:t", file],
            vec!["export", "markdown", file],
            vec!["export", "itf", file],
            vec!["export", "dot", "--graph", "order", file],
            vec!["export", "promela", file],
            vec!["export", "tla", file],
            vec!["export", "c", file],
            vec!["report", file, "-o", "/dev/null"],
            vec!["explore", file, "--seconds", "1", "--bind", "127.0.0.1:0"],
            vec!["check", "--compare", file, file],
        ] {
            let ran = f.run(&command);
            let all = format!("{}{}", ran.out, ran.err);
            assert!(all.contains(says), "{command:?}: no {says:?} in\n{all}");
            ran.exits(2);
        }
    }
    let empty = f.path("nothing");
    fs::create_dir(&empty).expect("there is room");
    run_with(&["check", &empty])
        .exits(2)
        .complains(&["no `.sd` file"]);
}

#[test]
fn a_folder_is_a_line_for_each_file_and_the_worst_exit_code() {
    let f = Folder::new();
    f.write("a.sd", good("expect ok;"));
    f.write("b.sd", deadlock("expect violated no_deadlock;"));
    f.run(&["check", "."])
        .exits(0)
        .prints(&["2 files: 2 as expected, 0 not, 0 incomplete, 0 unreadable"]);
    f.write("c.sd", ENDLESS);
    f.run(&["check", "."]).exits(3).prints(&["1 incomplete"]);
    f.write("d.sd", good("expect violated no_deadlock;"));
    f.run(&["check", "."])
        .exits(1)
        .prints(&["UNEXPECTED", "`expect violated no_deadlock`, and it is not"]);
    f.write("e.sd", "task");
    f.run(&["check", "."]).exits(2).prints(&["UNREADABLE"]);
}

#[test]
fn an_endless_model_names_what_grows_and_is_incomplete() {
    let f = Folder::new();
    let file = f.write("endless.sd", ENDLESS);
    run_with(&["check", &file])
        .exits(3)
        .prints(&["INCOMPLETE", "`ticks` grows beyond", "times 2"]);
}

#[test]
fn every_search_takes_a_bound_and_says_incomplete() {
    let f = Folder::new();
    let file = f.write("good.sd", good(""));
    run_with(&["check", &file, "--max-states", "3"])
        .exits(3)
        .prints(&["INCOMPLETE"]);
    run_with(&["export", "markdown", &file, "--max-states", "3"]).exits(3);
    run_with(&["report", &file, "-o", "/dev/null", "--max-states", "3"]).exits(3);
    run_with(&["replay", "0:one*2", &file, "--max-states", "3"])
        .exits(0)
        .prints(&["as far as was searched"]);
    run_with(&["replay", crate::SEED, "--max-states", "3"])
        .exits(2)
        .complains(&["bounds are for the run of a scenario file"]);
}

#[test]
fn the_command_that_is_printed_replays_the_run_whatever_the_file_is_called() {
    let f = Folder::new();
    for name in ["plain.sd", "with space.sd", "it's $HOME.sd"] {
        f.write(name, deadlock(""));
        let printed = f.run(&["check", name]).exits(1).out;
        let line = printed
            .lines()
            .find(|l| l.trim_start().starts_with("shootdown replay"))
            .expect("it is printed");
        let binary = shootdown().get_program().to_owned();
        let script = line.trim().replacen("shootdown", "\"$SHOOTDOWN\"", 1);
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(f.0.path())
            .env("SHOOTDOWN", binary)
            .output()
            .expect("there is a shell");
        Ran::from(output)
            .exits(1)
            .prints(&["violated in the last state: no_deadlock"]);
        for other in [
            vec!["export", "splat", name],
            vec!["export", "markdown", name],
        ] {
            let told = f.run(&other).exits(0).out;
            let quoted = line.trim().trim_start_matches("shootdown ");
            assert!(told.contains(quoted), "{other:?}: no {quoted:?} in\n{told}");
        }
    }
    f.run(&["replay", "0:nobody", "plain.sd"]).exits(2);
    f.run(&["replay", "1:two 0:one*9", "plain.sd"])
        .exits(1)
        .prints(&["does not fit"]);
    f.run(&["replay", "plain.sd"]).exits(2);
}

#[test]
fn machines_get_json_junit_and_sarif_warnings_included() {
    let f = Folder::new();
    let unused = deadlock("").replace("spinlock_t a, b;", "spinlock_t a, b, unused;");
    f.write("v.sd", unused);
    let ran = f
        .run(&[
            "check", "v.sd", "--format", "json", "--junit", "j.xml", "--sarif", "s.sarif",
        ])
        .exits(1);
    let json: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(json["schema"], "shootdown/scenario-check/1");
    assert_eq!(json["outcome"], "violated");
    assert_eq!(json["warnings"][0]["code"], "unused-lock");
    let steps = json["properties"][0]["counterexample"]["steps"].as_array();
    assert!(steps.is_some_and(|s| s.len() >= 4));

    let sarif: Value =
        serde_json::from_str(&fs::read_to_string(f.path("s.sarif")).expect("written"))
            .expect("JSON");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    let level = |rule: &str| {
        let found = results.iter().find(|r| r["ruleId"] == rule);
        found.map(|r| r["level"].as_str().unwrap_or_default().to_string())
    };
    assert_eq!(level("no_deadlock").as_deref(), Some("error"));
    assert_eq!(level("unused-lock").as_deref(), Some("warning"));
    let junit = fs::read_to_string(f.path("j.xml")).expect("written");
    assert!(junit.contains("failures=\"2\""), "{junit}");

    f.write(
        "m.sd",
        "scenario \"x\"; cpus 2; task t on CPU0 { no_such(); }",
    );
    let ran = f
        .run(&["check", "m.sd", "--format", "json", "--sarif", "m.sarif"])
        .exits(2);
    let json: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(json["outcome"], "unreadable");
    assert_eq!(json["diagnostics"][0]["code"], "unknown-call");
    let ran = f.run(&["check", ".", "--format", "json"]).exits(2);
    let json: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(json["scenarios"].as_array().map(Vec::len), Some(2));
    let ran = f.run(&["prove", "v.sd", "--format", "json"]).exits(1);
    let json: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(json["proof"], "cyclic");
}

#[test]
fn prove_exits_0_for_a_proof_only() {
    let f = Folder::new();
    let file = f.write("good.sd", good(""));
    run_with(&["prove", &file]).exits(0).prints(&["ACYCLIC"]);
    let file = f.write("bad.sd", deadlock(""));
    run_with(&["prove", &file]).exits(1).prints(&[
        "CYCLIC",
        "waits for `b`",
        "bad.sd:8",
        "bad.sd:14",
    ]);
}

#[test]
fn the_order_is_in_the_report_and_a_graph() {
    let f = Folder::new();
    f.write("bad.sd", deadlock(""));
    f.run(&["report", "bad.sd", "-o", "bad.html"]).exits(1);
    let page = fs::read_to_string(f.path("bad.html")).expect("written");
    assert!(page.contains("Order, for any number of CPUs") && page.contains("CYCLIC"));
    f.run(&["export", "dot", "--graph", "order", "bad.sd"])
        .exits(0)
        .prints(&[
            "digraph order {",
            "two locks: cyclic",
            "w0 -> w1",
            "w1 -> w0",
        ]);
    f.write("good.sd", good(""));
    f.run(&["export", "dot", "--graph", "order", "good.sd"])
        .exits(0)
        .prints(&["two locks: acyclic"]);
}

#[test]
fn new_writes_what_check_accepts_and_leaves_alone_what_is_there() {
    let f = Folder::new();
    f.run(&["new", "my-lock"]).exits(0);
    f.run(&["check", "my-lock.sd"]).exits(0);
    f.run(&["new", "my-lock"])
        .exits(2)
        .complains(&["my-lock.sd"]);
    f.run(&["new", "no/such/folder"]).exits(2);
}

#[test]
fn explain_knows_codes_and_properties_and_the_nearest_of_others() {
    run_with(&["explain"])
        .exits(0)
        .prints(&["sleep-in-atomic", "no_deadlock"]);
    run_with(&["explain", "error[sleep-in-atomic]"]).exits(0);
    run_with(&["explain", "progress"]).exits(0);
    run_with(&["explain", "sleep-in-atomik"])
        .exits(2)
        .complains(&["sleep-in-atomic"]);
    run_with(&["list", "scenarios"])
        .exits(0)
        .prints(&["docs/language.md", "prove FILE"]);
    run_with(&["list"]).exits(0).prints(&["explain [CODE]"]);
}

#[test]
fn every_file_of_the_corpus_and_of_the_classes_is_c_to_a_compiler() {
    let there = Command::new("gcc")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if there.is_err() {
        eprintln!("no gcc: not tested");
        return;
    }
    let f = Folder::new();
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu89", "-fsyntax-only", "-w"]);
    gcc.arg("-Werror=implicit-function-declaration");
    let classes = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/lang/tests/classes");
    let classes = std::fs::read_dir(classes).expect("a folder");
    let classes = classes.map(|entry| entry.expect("an entry").path());
    for path in corpus()
        .into_iter()
        .chain(classes.filter(|p| p.extension().is_some_and(|e| e == "sd")))
    {
        let name = path.file_stem().expect("a name").to_string_lossy();
        let c = f.path(&format!("{name}.c"));
        run_with(&["export", "c", &path.display().to_string(), "-o", &c]).exits(0);
        gcc.arg(c);
    }
    let output = gcc.output().expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
}

#[test]
fn a_reader_that_goes_away_changes_no_verdict() {
    let f = Folder::new();
    let file = f.write("bad.sd", deadlock(""));
    for (arguments, code) in [
        (vec!["check", &file], 1),
        (vec!["prove", &file], 1),
        (vec!["export", "tla", &file], 0),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(shootdown().get_program())
            .args(&arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn without_a_second_checker_there_is_a_hint_and_no_pass() {
    let f = Folder::new();
    let file = f.write("good.sd", good(""));
    for with in ["spin", "tlc"] {
        let mut command = shootdown();
        command.args(["second-opinion", "--with", with, &file]);
        command.env("PATH", f.0.path()).env_remove("TLA2TOOLS");
        let ran = Ran::from(command.output().expect("it runs"));
        assert_eq!(ran.out, "");
        ran.exits(2);
    }
}
