//! `shootdown bare` from outside. A script stands in for QEMU here; with the real one `.ci/bare` runs it.

use assert_cmd::Command;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Plain, Stdio};
use std::time::{Duration, Instant};

const FOR_EVER: Duration = Duration::from_secs(120);

fn bare(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
    command.arg("bare").args(args).timeout(FOR_EVER);
    command
}

/// A program that says it is QEMU 8.0.0, and runs `body` for a machine.
fn stand_in(name: &str, body: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bare-{name}"));
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 'QEMU emulator version 8.0.0'; exit; }}\n{body}\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn with(qemu: &Path, args: &[&str]) -> Command {
    let mut command = bare(args);
    command.args(["--image", "/dev/null", "--qemu"]).arg(qemu);
    command
}

#[test]
fn without_qemu_it_says_how_to_get_it() {
    with(Path::new("/no/such/qemu"), &[])
        .assert()
        .code(2)
        .stderr(contains("cannot run `/no/such/qemu`"))
        .stderr(contains("apt-get install qemu-system-x86"));
}

#[test]
fn an_old_qemu_and_what_is_none_are_refused() {
    let old = stand_in("old", "");
    let text = fs::read_to_string(&old).unwrap().replace("8.0.0", "6.2.0");
    fs::write(&old, text).unwrap();
    let none = Path::new("/bin/true");
    for (qemu, says) in [
        (old.as_path(), "`QEMU emulator version 6.2.0`"),
        (none, "--version` says"),
    ] {
        with(qemu, &[])
            .assert()
            .code(2)
            .stderr(contains(says))
            .stderr(contains("QEMU 7.2 or later is needed"));
    }
}

#[test]
fn more_cpus_than_there_is_room_for_and_a_hypervisor_are_refused() {
    bare(&["--cpus", "9"])
        .assert()
        .code(2)
        .stderr(contains("9"));
    let qemu = stand_in("refuses", "exit 9");
    for args in [["--flush-backend", "hypercall"], ["--xen-pin", "on"]] {
        with(&qemu, &args)
            .assert()
            .code(2)
            .stderr(contains("no hypervisor"));
    }
    with(&qemu, &["--fault", "unlist_after_free"])
        .assert()
        .code(2)
        .stderr(contains("the paths are as they are"));
}

#[test]
fn a_machine_that_ends_before_its_time_is_no_result() {
    let dies = stand_in("dies", "echo 'qemu: could not load kernel' >&2; exit 1");
    with(&dies, &[])
        .assert()
        .code(4)
        .stdout("")
        .stderr(contains("ended before its time"))
        .stderr(contains("could not load kernel"));
    let stops = "printf 'Tboot khz=1\\nTprogress us=5 ops=7 ipis=1\\n'; kill -9 $$";
    with(&stand_in("killed", stops), &[])
        .assert()
        .code(4)
        .stdout("")
        .stderr(contains("signal: 9"));
}

#[test]
fn what_the_machine_tells_is_what_is_reported() {
    let clean = "printf 'Tboot khz=1\\nTprobe stale=1 us=5\\nTprogress us=2000000 ops=700 ipis=9\\nTviolations n=0\\nTend how=done\\n'";
    with(&stand_in("clean", clean), &[])
        .assert()
        .code(0)
        .stdout(contains(
            "clean: 700 operations in 2.0 s (350/s), 0 violations",
        ))
        .stdout(contains("flush IPIs: 9"))
        .stdout(contains("stale translations: used until the flush IPI"));
    let blind = clean.replace("stale=1", "stale=0");
    with(&stand_in("blind", &blind), &[])
        .assert()
        .code(0)
        .stdout(contains("clean says nothing about flushes"));
    // Frame 0, by CPU1: kind 2.
    let violated = clean.replace("violations n=0", "violations n=1\\nTviolation word=131328");
    with(&stand_in("violated", &violated), &[])
        .assert()
        .code(1)
        .stdout(contains("VIOLATED"))
        .stdout(contains("freed frame used: CPU1 reached frame0"));
    let hung = "printf 'Tprogress us=1 ops=1 ipis=1\\nTviolations n=0\\n\
        Tcpu n=0 running=46 in_irq=0 if=1 irr=0 rip=1 holds=ptl1 holds_irq=- waits=acks2 waits_irq=-\\n\
        Tcpu n=1 running=1 in_irq=0 if=0 irr=65536 rip=1 holds=pgd holds_irq=- waits=ptl1 waits_irq=-\\n\
        Tend how=hung stuck_ms=300\\n'";
    with(&stand_in("hung", hung), &[])
        .assert()
        .code(1)
        .stdout(contains("DEADLOCK: nothing has moved for 300 ms"))
        .stdout(contains("pending flush IPI from CPU0"))
        .stdout(contains("interrupts OFF"))
        .stdout(contains("None of them"));
}

#[test]
fn a_trace_that_does_not_fit_is_cut_short_and_said_to_be() {
    let qemu = stand_in(
        "records",
        "printf 'Tprogress us=1 ops=1 ipis=1\\n\\201\\001\\015\\000\\000Tend how=done\\n'",
    );
    with(&qemu, &["--record", "/dev/full"])
        .assert()
        .code(2)
        .stderr(contains("/dev/full"));
    let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bare-trace.ndjson");
    with(&qemu, &["--record", trace.to_str().unwrap()])
        .assert()
        .code(0)
        .stdout(contains("trace: 1 events"));
    let text = fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains(r#""machine":"bare""#) && lines[0].contains(r#""irq_mode":"cli""#));
    assert_eq!(
        lines[1],
        r#"{"seq":0,"since":0,"cpu":1,"irq":false,"event":"walk_done"}"#
    );
    assert_eq!(lines[2], r#"{"end":{"events":1,"complete":true}}"#);
}

#[test]
fn interrupted_it_says_what_is_known_and_leaves_no_process_behind() {
    let pid = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bare-pid");
    for (signal, known) in [("INT", true), ("TERM", true), ("INT", false)] {
        let _ = fs::remove_file(&pid);
        let told = if known {
            "Tprogress us=1000000 ops=42 ipis=1\\n"
        } else {
            "Tboot khz=1\\n"
        };
        let body = format!(
            "printf '{told}'; echo $$ > {}; exec sleep 100",
            pid.display()
        );
        let qemu = stand_in(&format!("sleeps-{signal}-{known}"), &body);
        let child = Plain::new(env!("CARGO_BIN_EXE_shootdown"))
            .args(["bare", "--image", "/dev/null", "--qemu"])
            .arg(&qemu)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while fs::read_to_string(&pid).is_ok_and(|t| t.is_empty()) || !pid.exists() {
            assert!(started.elapsed() < FOR_EVER, "it does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(200));
        let kill = ["-s", signal, &child.id().to_string()];
        assert!(Plain::new("kill").args(kill).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            stdout.contains("INCOMPLETE, interrupted: 42 operations"),
            known,
            "{stdout}"
        );
        let machine = fs::read_to_string(&pid).unwrap();
        let alive = Path::new("/proc").join(machine.trim());
        assert!(!alive.exists(), "{} is still there", machine.trim());
    }
}

#[test]
fn where_there_is_only_one_core_it_says_so() {
    let qemu = stand_in(
        "one-core",
        "printf 'Tprogress us=1 ops=1 ipis=1\\nTend how=done\\n'",
    );
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status
        .lines()
        .find_map(|l| l.strip_prefix("Cpus_allowed_list:"))
        .unwrap();
    let first = allowed.trim().split(['-', ',']).next().unwrap();
    if Plain::new("taskset").arg("--version").output().is_err() {
        return;
    }
    let mut command = Command::new("taskset");
    command.args(["-c", first, env!("CARGO_BIN_EXE_shootdown"), "bare"]);
    command.args(["--image", "/dev/null", "--qemu"]).arg(&qemu);
    command
        .timeout(FOR_EVER)
        .assert()
        .code(0)
        .stderr(contains("2 CPUs share 1 core"));
}
