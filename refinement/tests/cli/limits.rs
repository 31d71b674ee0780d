//! Where there is no memory, no room, no file or no terminal: nothing that was found is lost, and nothing is worked out
//! for a place that cannot be written to.

use crate::{Ran, run, shootdown};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A search of some minutes at least.
const LARGE: &str = "--cpus 3 --mms 2 --ops-per-cpu 2";

/// Runs it in a shell that first does something to itself.
fn limited(limit: &str, arguments: &str) -> Ran {
    let mut shell = Command::new("/bin/sh");
    let script = format!("{limit}; exec \"$0\" {arguments}");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_shootdown")]);
    shell.env_remove("COLUMNS").env("MALLOC_ARENA_MAX", "1");
    shell.output().expect("there is a shell").into()
}

#[test]
fn out_of_memory_is_incomplete_with_every_verdict_so_far() {
    // The first is stopped by its own bound on memory, the second by the system.
    for bound in ["", "--max-memory 1024GiB"] {
        let arguments = format!("check {LARGE} --threads 1 {bound}");
        let ran = limited("ulimit -v 250000", &arguments);
        ran.exits(3).prints(&[
            "no_deadlock incomplete",
            "INCOMPLETE: the limit on memory was reached",
        ]);
    }
}

#[test]
fn a_bound_on_states_is_kept_to_the_state() {
    for (bound, states) in [
        ("1", "1 states"),
        ("1k", "1,000 states"),
        ("12345", "12,345 states"),
    ] {
        run(&format!("check --max-states {bound}"))
            .exits(3)
            .prints(&[states, "the limit on states was reached"]);
    }
}

#[test]
fn there_is_no_half_a_state() {
    for (flag, value) in [
        ("--max-states", "0.5"),
        ("--max-states", "1e-300"),
        ("--max-states", "1.5"),
        ("--max-memory", "0.5"),
    ] {
        run(&format!("check {flag} {value}"))
            .exits(2)
            .complains(&[flag, value]);
    }
}

#[test]
fn a_place_that_cannot_be_written_is_known_before_the_work() {
    for arguments in [
        "report -o /nonexistent/x",
        "report --markdown /nonexistent/x",
        "report --docs /nonexistent",
        "report --check /nonexistent",
        "check LARGE --junit /nonexistent/x",
        "check LARGE --sarif /nonexistent/x",
        "check LARGE --checkpoint /nonexistent/x",
        "matrix --json /nonexistent/x",
        "matrix --docs /nonexistent",
        "matrix --check-docs /nonexistent",
        "refine LARGE --junit /nonexistent/x",
        "refine --matrix --docs /nonexistent",
        "mutants --docs /nonexistent",
        "export itf LARGE -o /nonexistent/x",
        "stress --seconds 600 --record /nonexistent/x",
        "validate - --junit /nonexistent/x",
    ] {
        let arguments = arguments.replace("LARGE", LARGE);
        let mut command = shootdown();
        command
            .args(arguments.split(' '))
            .timeout(Duration::from_secs(60));
        let ran: Ran = command.output().expect("it runs").into();
        // Killed, if it worked instead.
        assert_eq!(ran.code, Some(2), "{arguments}: {}", ran.err);
        ran.complains(&["/nonexistent", "No such file or directory"]);
    }
}

#[test]
fn a_full_disk_leaves_the_earlier_file_as_it_was() {
    let folder = tempfile::tempdir().expect("there is room");
    let file = folder.path().join("m.json");
    fs::write(&file, "good").expect("there is room");
    // The limit on a file's size stands for the disk: one block, then every write fails.
    let full = "trap '' XFSZ; ulimit -f 1";
    let ran = limited(
        full,
        &format!("matrix --claim C1 --json {}", file.display()),
    );
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(
        ran.err.contains("m.json") && ran.err.contains("too large"),
        "{}",
        ran.err
    );
    // What came out is printed all the same.
    assert!(ran.out.contains("C1"), "{}", ran.out);
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "good");
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 1);
}

#[test]
fn a_full_stdout_is_no_bug_of_ours() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    for arguments in [
        "list",
        "--help",
        "--version",
        "check --workload aging --format json",
    ] {
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .expect("it is there");
        let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
        let output = command.args(arguments.split(' ')).stdout(full).output();
        let ran: Ran = output.expect("it runs").into();
        assert!(!ran.err.contains("internal"), "{arguments}: {}", ran.err);
        ran.exits(2)
            .complains(&["cannot write the result to stdout", "No space left"]);
    }
}

/// What a command prints on a terminal of this kind.
fn on_a_terminal(term: &str, arguments: &str) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&master)
        .and_then(|()| unlockpt(&master))
        .expect("it is ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let terminal = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().expect("it is plain"))
        .expect("it is ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
    command
        .args(arguments.split(' '))
        .env("TERM", term)
        .env_remove("NO_COLOR");
    command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(terminal)
        .process_group(0);
    let mut child = command.spawn().expect("it runs");
    // It holds the terminal open on our side.
    drop(command);
    let mut text = Vec::new();
    // Ends with an error when the other side is closed.
    let _ = File::from(master).read_to_end(&mut text);
    child.wait().expect("it is ours");
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_dumb_terminal_gets_no_colours() {
    let arguments = "check --design v2.6.37 --workload page_referenced_one,vmalloc_sync_all";
    assert!(on_a_terminal("xterm", arguments).contains('\u{1b}'));
    let plain = on_a_terminal("dumb", arguments);
    assert!(
        plain.contains("VIOLATED") && !plain.contains('\u{1b}'),
        "{plain}"
    );
}

#[test]
fn a_small_stack_is_enough() {
    limited("ulimit -s 64", "--help").exits(0);
    limited("ulimit -s 64", "check --workload aging").exits(0);
    limited("ulimit -s 64", "stress --seconds 0.1").exits(0);
}

#[test]
fn input_without_end_has_a_bound() {
    let trace = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces/tracked-4.ndjson");
    run(&format!("validate {trace} --max-input 1KiB"))
        .exits(3)
        .prints(&["INCOMPLETE: the bound of 1.00 KiB was reached: `--max-input` sets it"]);
    for device in ["/dev/zero", "/dev/urandom"] {
        run(&format!("validate --ftrace {device} --max-input 2MiB"))
            .exits(3)
            .complains(&[device, "the bound of 2.00 MiB was reached"]);
    }
    run("validate - --max-input 0")
        .exits(2)
        .complains(&["--max-input"]);
}

#[test]
fn a_first_line_with_bytes_glued_to_it_is_not_lost_without_a_word() {
    let event = |n: u32| {
        format!("            bash-{n}     [000] .....   100.00000{n}: sched_switch: prev_comm=a\n")
    };
    let (first, second) = (event(1), event(2));
    let glued = [
        vec![0; 1000],
        first.clone().into_bytes(),
        second.clone().into_bytes(),
    ]
    .concat();
    let judge = |bytes: Vec<u8>| -> Ran {
        let mut command = shootdown();
        command
            .args(["validate", "--ftrace", "-"])
            .write_stdin(bytes);
        command.output().expect("it runs").into()
    };
    // It says nothing of locks, so that it is incomplete in any case.
    let whole = judge((first + &second).into_bytes());
    whole.exits(3).prints(&["2 events"]);
    judge(glued)
        .exits(3)
        .prints(&["an event with bytes before it that are no text"]);
}
