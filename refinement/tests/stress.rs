//! `shootdown stress` from outside: what it prints, how it exits, and that nothing stays behind.

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Plain, Stdio};
use std::time::Duration;

/// Only so that a run that does not end fails instead of hanging the tests.
const FOR_EVER: Duration = Duration::from_secs(120);

fn stress(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
    command.arg("stress").args(args).timeout(FOR_EVER);
    command
}

fn json(args: &[&str], code: i32) -> Value {
    let assert = stress(args).args(["--format", "json"]).assert().code(code);
    let value: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(value["schema"], "shootdown/stress/1");
    value
}

fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stress-{name}.ndjson"));
    let _ = std::fs::remove_file(&path);
    path
}

/// The header and the whole lines after it; a last line without its end is left out.
fn trace(path: &Path) -> (Value, Vec<Value>) {
    let text = std::fs::read_to_string(path).unwrap();
    let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
    let mut lines = whole.lines().map(|l| serde_json::from_str(l).expect(l));
    let header: Value = lines.next().expect("a header");
    assert_eq!(header["schema"], "shootdown/trace/1");
    (header, lines.collect())
}

/// Events are numbered 0, 1, 2, ...: nothing in the middle is missing.
fn contiguous(events: &[Value]) {
    for (n, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], n as u64);
    }
}

#[test]
fn the_designs_that_deadlock_end_in_the_watchdogs_report() {
    for design in ["v2.6.37", "woodman"] {
        for seed in ["1", "2", "3"] {
            let args = ["--design", design, "--thp", "on", "--cpus", "2"];
            stress(&args)
                .args(["--seconds", "60", "--seed", seed])
                .assert()
                .code(1)
                .stdout(contains("DEADLOCK: nothing has moved for"))
                .stdout(contains("interrupts OFF"))
                .stdout(contains("pending flush IPI from CPU"))
                .stdout(predicate::str::is_match(r"CPU0 +\| CPU1").unwrap())
                // The sentence is broken into lines.
                .stdout(predicate::function(|text: &str| {
                    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                    text.contains("and awaits the acknowledgement of CPU")
                        && text.contains("which has interrupts off")
                        && text.contains("spins for mm")
                        && text.contains("None of them can go on.")
                }));
        }
    }
}

#[test]
fn a_hung_run_leaves_no_process_behind() {
    let mut child = Plain::new(env!("CARGO_BIN_EXE_shootdown"))
        .args(["stress", "--design", "v2.6.37", "--seconds", "60"])
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let alive = |group: u32| {
        let kill = Plain::new("kill")
            .args(["-0", "--", &format!("-{group}")])
            .stderr(Stdio::null())
            .status();
        kill.unwrap().success()
    };
    // Alive before, or the question below could not be answered with no.
    assert!(alive(child.id()));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!alive(child.id()));
}

#[test]
fn a_hang_as_json_has_the_circle_and_the_last_events() {
    let value = json(&["--design", "v2.6.37", "--seconds", "60"], 1);
    assert_eq!(value["verdict"], "hung");
    let hang = &value["hang"];
    assert!(hang["cycle"].as_array().unwrap().len() >= 2, "{hang}");
    assert_eq!(hang["cpus"].as_array().unwrap().len(), 2);
    assert!(hang["sentence"].as_str().unwrap().contains("None of them"));
    assert!(hang["last_events"][0]["event"].is_string(), "{hang}");
}

#[test]
fn the_same_design_and_workload_do_not_hang_when_a_hypercall_flushes() {
    let args = ["--design", "v2.6.37", "--workload", "aging"];
    let hung = json(&[&args[..], &["--seconds", "60"]].concat(), 1);
    assert_eq!(hung["verdict"], "hung");
    let hypercall = ["--flush-backend", "hypercall", "--seconds", "1"];
    let clean = json(&[&args[..], &hypercall].concat(), 0);
    assert_eq!(clean["verdict"], "clean");
    assert_eq!(clean["ipis"], 0);
}

#[test]
fn the_default_design_is_clean_with_everything_and_pgd_free_from_interrupts() {
    for cpus in ["2", "4"] {
        let run = ["--seconds", "2", "--cpus", cpus, "--pgd-free-in-irq", "on"];
        let everything = ["--workload", "everything+madvise"];
        let value = json(&[&run[..], &everything].concat(), 0);
        assert_eq!(value["design"], "tracked");
        assert_eq!(value["verdict"], "clean");
        assert_eq!(value["violations"], 0);
        let counts = value["by_program"].as_object().unwrap();
        // Every program but the two of Xen, and the fault handler that keeps mappings coming.
        assert_eq!(counts.len(), 15, "{counts:?}");
        assert!(
            counts.values().all(|n| n.as_u64().unwrap() > 0),
            "{counts:?}"
        );
        let sum: u64 = counts.values().map(|n| n.as_u64().unwrap()).sum();
        assert!(sum > 1000 && value["operations_per_second"].as_f64().unwrap() > 0.0);
        let latency = ["p50", "p90", "p99", "p999"].map(|p| value["ipi_latency_ns"][p].as_u64());
        assert!(latency.is_sorted() && latency[0] > Some(0), "{latency:?}");
    }
}

#[test]
fn interrupts_off_by_the_signal_mask_is_clean_too_and_says_so_in_text() {
    stress(&["--seconds", "1", "--irq-mode", "mask", "--seed", "7"])
        .assert()
        .success()
        .stdout(contains("clean: ").and(contains("0 violations")))
        .stdout(contains("flush IPIs: ").and(contains("p99.9")));
}

#[test]
fn every_seeded_fault_is_caught() {
    for (fault, caught) in [
        ("skip_flush", ["stale_tlb", "freed_frame"].as_slice()),
        ("free_before_flush", &["stale_tlb", "freed_frame"]),
        ("unlist_after_free", &["freed_pgd"]),
    ] {
        let value = json(&["--fault", fault, "--seconds", "60"], 1);
        assert_eq!(value["verdict"], "violated", "{fault}");
        let first = value["first_violations"][0]["violation"].as_str().unwrap();
        assert!(caught.contains(&first), "{fault}: {first}");
    }
}

#[test]
fn a_recorded_run_has_its_header_its_events_and_its_end() {
    let path = scratch("whole");
    let file = path.to_str().unwrap();
    let value = json(
        &[
            "--record",
            file,
            "--ops-per-cpu",
            "200",
            "--mms",
            "2",
            "--thp",
            "off",
        ],
        0,
    );
    // 200 operations on each of 2 CPUs.
    assert_eq!(
        value["by_program"]
            .as_object()
            .unwrap()
            .values()
            .map(|n| n.as_u64().unwrap())
            .sum::<u64>(),
        400
    );
    let (header, mut lines) = trace(&path);
    assert_eq!(header["design"], "tracked");
    // Two alive, and a slot for pgd_alloc.
    assert_eq!(header["alive"], 2);
    assert_eq!(header["environment"]["mms"], 3);
    assert_eq!(header["environment"]["thp"], false);
    let end = lines.pop().unwrap();
    assert_eq!(end["end"]["complete"], true);
    assert_eq!(end["end"]["events"], lines.len() as u64);
    assert_eq!(value["recording"]["events"], lines.len() as u64);
    contiguous(&lines);
}

#[test]
fn a_hang_is_in_the_trace_up_to_where_it_stood_still() {
    let path = scratch("hung");
    let file = path.to_str().unwrap();
    json(
        &["--design", "v2.6.37", "--record", file, "--seconds", "60"],
        1,
    );
    let (_, mut lines) = trace(&path);
    assert_eq!(lines.pop().unwrap()["end"]["complete"], false);
    contiguous(&lines);
    assert!(lines.iter().any(|l| l["event"] == "acks_set"));
}

#[test]
fn a_trace_that_cannot_be_written_at_all_is_a_usage_error() {
    let full = stress(&["--record", "/dev/full"]).assert().code(2);
    full.stderr(contains("/dev/full").and(contains("No space left")));
    let nowhere = stress(&["--record", "/nonexistent/trace"]).assert().code(2);
    nowhere.stderr(contains("/nonexistent/trace"));
}

#[test]
fn a_disk_that_fills_up_cuts_the_run_off_and_keeps_the_prefix() {
    let path = scratch("full");
    // The limit on a file's size stands for the disk: at most 64 blocks, then every write fails.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" stress --seconds 60 --record \"$1\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_shootdown")]);
    shell
        .arg(&path)
        .timeout(FOR_EVER)
        .assert()
        .code(3)
        .stdout(contains("INCOMPLETE, the trace could not be written"))
        .stderr(contains("the trace ends early"));
    let (_, lines) = trace(&path);
    assert!(lines.len() > 100, "{}", lines.len());
    contiguous(&lines);
}

#[test]
fn ctrl_c_ends_the_run_with_what_is_known_and_the_trace_with_its_end() {
    let path = scratch("interrupted");
    let child = Plain::new(env!("CARGO_BIN_EXE_shootdown"))
        .args(["stress", "--seconds", "60", "--record"])
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Ctrl-C is caught before the file is made, so an event in it means that it can come.
    let growing = format!("{}.part", path.display());
    while std::fs::metadata(&growing).map_or(0, |m| m.len()) < 1 << 16 {
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    assert!(
        Plain::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("INCOMPLETE, interrupted: "), "{text}");
    let (_, mut lines) = trace(&path);
    let end = lines.pop().unwrap();
    assert_eq!(end["end"]["events"], lines.len() as u64);
    contiguous(&lines);
    let _ = std::fs::remove_file(&path);
}

#[test]
fn bad_flags_say_what_would_be_right() {
    for (args, message) in [
        (
            ["--fault", "nope"].as_slice(),
            "skip_flush, free_before_flush, unlist_after_free",
        ),
        (&["--cpus", "9"], "is not in 1..=8"),
        (&["--cpus", "0"], "is not in 1..=8"),
        (&["--mms", "8"], "is not in 1..=7"),
        (&["--mms", "255"], "is not in 1..=7"),
        (&["--ops-per-cpu", "0"], "is not in 1..=255"),
        (&["--seconds", "0"], "a number of seconds"),
        (&["--seconds", "NaN"], "a number of seconds"),
        (&["--design", "v2.6.73"], "v2.6.37"),
        (&["--irq-mode", "hard"], "soft, mask"),
        (&["--workload", "agin"], "did you mean `aging`"),
        (&["--workload", "idle"], "nothing would run"),
        (&["--workload", "flush_tlb_interrupt"], "no CPU starts it"),
        (
            &["--workload", "split_huge_page", "--thp", "off"],
            "needs thp=on",
        ),
        (&["--workload", "xen_pgd_pin"], "xen_pin"),
        (&["--workload", "three-cpus"], "list them with commas"),
        (&["--workload", "mm0=pgd_alloc"], "by chance"),
        (
            &["--workload", "aging", "--pgd-free-in-irq", "on"],
            "needs pgd_free",
        ),
        (&["--xen-pin", "on", "--flush-backend", "ipi"], "hypercall"),
        (&["--seed", "x"], "--seed"),
    ] {
        let mut command = stress(args);
        command
            .assert()
            .code(2)
            .stderr(contains(message))
            .stdout("");
    }
}
