//! `second-opinion` without Spin, or with one that says nothing: never a pass.

use crate::{Ran, shootdown};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Runs it where only these programs are found.
fn run_with_only(programs: &[(&str, &str)]) -> Ran {
    let bin = tempfile::tempdir().expect("there is room");
    for (name, script) in programs {
        write_program(&bin.path().join(name), script);
    }
    let mut command = shootdown();
    let arguments = ["second-opinion", "--max-states", "1100"];
    command.args(arguments).env("PATH", bin.path());
    command.output().expect("it runs").into()
}

fn write_program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("there is room");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// A compiler whose verifier prints this.
fn compiler_of(verifier: &str) -> String {
    format!(
        // Only where it is asked to compile: it is asked for its version, too, wherever the test happens to run.
        "case \"$*\" in *pan.c*) printf '%s\\n' '#!/bin/sh' \"{verifier}\" >pan; /bin/chmod +x pan;; esac"
    )
}

#[test]
fn without_spin_there_is_a_hint_and_no_pass() {
    let ran = run_with_only(&[("gcc", "exit 0")]);
    assert_eq!(ran.out, "");
    ran.exits(2)
        .complains(&["cannot run `spin`", "apt-get install spin"]);
}

#[test]
fn without_a_compiler_there_is_a_hint_and_no_pass() {
    let ran = run_with_only(&[("spin", "exit 0")]);
    assert_eq!(ran.out, "");
    ran.exits(2)
        .complains(&["cannot run `gcc`", "apt-get install gcc"]);
}

#[test]
fn a_spin_that_refuses_the_model_is_an_error_of_ours() {
    run_with_only(&[
        ("gcc", "exit 0"),
        ("spin", "echo 'spin: model.pml:1, Error: no'"),
    ])
    .exits(4)
    .complains(&["`spin` failed", "Error: no"]);
}

#[test]
fn a_verifier_that_says_nothing_is_no_verdict() {
    for (verifier, complaint) in [
        ("exit 0", "did not report a full statespace search"),
        (
            "echo 'Full statespace search for:'",
            "did not report its number of states",
        ),
        ("echo 'pan: out of memory'", "out of memory"),
        (
            "echo 'error: max search depth too small'",
            "max search depth",
        ),
    ] {
        let compiler = compiler_of(verifier);
        let ran = run_with_only(&[("gcc", &compiler), ("spin", "exit 0")]);
        assert_eq!(ran.out, "", "{verifier}");
        ran.exits(4).complains(&["no verdict", complaint]);
    }
}

#[test]
fn a_verifier_that_disagrees_fails_the_comparison() {
    let verifier = "echo 'Full statespace search for:'; echo '11 states, stored'; \
                    echo '20 transitions (= stored+matched)'";
    let compiler = compiler_of(verifier);
    run_with_only(&[("gcc", &compiler), ("spin", "exit 0")])
        .exits(1)
        .prints(&["DIFFERENT: shootdown check", "Spin: 10", "left out"]);
}

#[test]
fn a_stale_page_needs_the_whole_comparison() {
    let mut command = shootdown();
    let arguments = ["second-opinion", "--max-states", "10", "--check-docs", "."];
    let ran: Ran = command.args(arguments).output().expect("it runs").into();
    ran.exits(2).complains(&["--max-states", "--check-docs"]);
}
