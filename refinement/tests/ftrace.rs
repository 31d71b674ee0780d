//! `shootdown validate --ftrace` from outside: what it prints, its exit codes, and what it refuses.

use assert_cmd::Command;
use flate2::Compression;
use flate2::write::GzEncoder;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

const THP: &str = "03_thp_aging_reclaim.txt.gz";
const UNMAP: &str = "08_unmap_counter_clock.txt.gz";
const LOST: &str = "10_fork_trace_pipe_lost.txt.gz";
const CONTROL: &str = "12_control_pgdwalk_reclaim_irqs_on.txt.gz";
const HUNG: &str = "16_hang_console_dump_kswapd.txt.gz";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("trace/tests/ftrace")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The lines of a recording, from 1 (there is no line 0).
fn lines(name: &str) -> Vec<String> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes(name)[..])
        .read_to_string(&mut text)
        .expect("a recording is text");
    let mut lines = vec![String::new()];
    lines.extend(text.lines().map(String::from));
    lines
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
    command
        .args(["validate", "--ftrace"])
        .args(args)
        .current_dir(folder())
        .env("COLUMNS", "100");
    command
}

/// `trace` is the better name of `validate --ftrace`.
#[test]
fn both_names_judge_alike_and_gaps_can_be_accepted() {
    let trace = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
        command.arg("trace").args(args).current_dir(folder());
        command.assert()
    };
    trace(&[HUNG])
        .code(1)
        .stdout(contains("DEADLOCK of CPU1 and CPU2"));
    trace(&[CONTROL]).code(3);
    trace(&["--accept-gaps", CONTROL])
        .code(0)
        .stdout(contains("Accepted: CPU1 is recorded for"));
    command(&[CONTROL, "--accept-gaps"]).assert().code(0);
}

#[test]
fn the_way_to_record_depends_on_the_kernel() {
    let help = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
        command.arg("record-help").args(args).assert()
    };
    help(&["--kernel", "4.18.0-553.el8_10.x86_64"])
        .code(0)
        .stdout(contains("trace-cmd record").and(contains("csd_queue_cpu").not()));
    help(&["--kernel", "6.12", "--script"])
        .code(0)
        .stdout(contains("tracepoint:csd:csd_queue_cpu"));
    help(&["--kernel", "soon"])
        .code(2)
        .stderr(contains("no version of a kernel"));
}

#[test]
fn a_clean_record_is_exit_code_0_and_the_hang_is_1() {
    for clean in [THP, UNMAP] {
        command(&[clean]).assert().code(0).stdout(
            contains("CLEAN")
                .and(contains("ACYCLIC"))
                .and(contains("lines/s")),
        );
    }
    command(&[HUNG]).assert().code(1).stdout(
        contains("VIOLATED: hang, upstream, order")
            .and(contains("DEADLOCK of CPU1 and CPU2"))
            .and(contains("csd 00000000e6bcdb51, line 31757: never came"))
            .and(contains("These wait for them:\n  CPU0 (wl-64)")),
    );
}

#[test]
fn gaps_make_silence_exit_code_3() {
    command(&[CONTROL])
        .assert()
        .code(3)
        .stdout(contains("1019808 events before that were overwritten"));
    command(&[LOST]).assert().code(3).stdout(contains(
        "INCOMPLETE: nothing found, but events were lost in 19 places",
    ));
}

#[test]
fn the_user_says_which_rules_fail() {
    command(&[THP, "--rule", "strict"])
        .assert()
        .code(1)
        .stdout(contains("VIOLATED: strict"));
    command(&[THP, "--rule", "hang,order"]).assert().code(0);
    command(&[HUNG, "--rule", "order"])
        .assert()
        .code(1)
        .stdout(contains("VIOLATED: order."));
    command(&[THP, "--rule", "strickt"])
        .assert()
        .code(2)
        .stderr(contains("strict"));
}

#[test]
fn several_files_are_judged_and_the_worst_decides() {
    command(&[THP, LOST]).assert().code(3);
    command(&[THP, LOST, HUNG]).assert().code(1);
}

#[test]
fn json_is_versioned_and_has_every_report() {
    let assert = command(&[HUNG, THP, "--format", "json"]).assert().code(1);
    let value: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(value["schema"], "shootdown/validate-ftrace/1");
    assert_eq!(
        value["rules"],
        serde_json::json!(["hang", "upstream", "order"])
    );
    let [hung, thp] = &value["traces"].as_array().unwrap()[..] else {
        panic!("two traces");
    };
    assert_eq!(hung["verdict"], "violated");
    assert_eq!(
        hung["violated"],
        serde_json::json!(["hang", "upstream", "order", "strict"])
    );
    assert_eq!(hung["hang"]["cycle"][0]["cpu"], 1);
    assert_eq!(
        hung["hang"]["cycle"][1]["wait"]["acknowledgements"]["requests"][1]["csd"],
        "00000000e6bcdb51"
    );
    assert_eq!(
        hung["hang"]["cycle"][1]["wait"]["acknowledgements"]["requests"][1]["answered"],
        Value::Null
    );
    assert_eq!(
        hung["order"]["cycles"][0]["edges"][0]["waits"]["line"],
        5518
    );
    assert_eq!(thp["verdict"], "clean");
    assert_eq!(thp["strict"][0]["chains"], 22);
    assert_eq!(thp["counts"]["events"], 71_482);
}

#[test]
fn stdin_plain_or_gzip_is_a_trace_too() {
    command(&["-"])
        .write_stdin(bytes(HUNG))
        .assert()
        .code(1)
        .stdout(contains("stdin: dump on a console"));
    let plain = lines(HUNG)[1..].join("\n") + "\n";
    command(&["-"]).write_stdin(plain).assert().code(1);
}

#[test]
fn a_recording_that_is_cut_off_is_judged_as_far_as_it_goes() {
    let whole = bytes(THP);
    command(&["-"])
        .write_stdin(&whole[..whole.len() / 2])
        .assert()
        .code(3)
        .stdout(contains("INCOMPLETE").and(contains("cannot be read beyond line")));
    let text = lines(THP)[1..].join("\n");
    command(&["-"])
        .write_stdin(text[..text.len() / 3].to_string())
        .assert()
        .code(3)
        .stdout(contains("the header announces 71482 entries").and(contains("ends inside line")));
    // What is found before the cut counts.
    let mut hung = GzEncoder::new(Vec::new(), Compression::fast());
    hung.write_all(lines(HUNG)[1..40_000].join("\n").as_bytes())
        .unwrap();
    let hung = hung.finish().unwrap();
    command(&["-"])
        .write_stdin(&hung[..hung.len() - 9])
        .assert()
        .code(1)
        .stdout(contains("DEADLOCK"));
}

#[test]
fn what_is_no_ftrace_is_exit_code_2_with_the_place_and_what_to_do() {
    let refused = |input: &[u8], says: &str| {
        command(&["-"])
            .write_stdin(input.to_vec())
            .assert()
            .code(2)
            .stdout("")
            .stderr(
                contains(says)
                    .and(contains("stdin:1:"))
                    .and(contains("docs/ftrace.md")),
            );
    };
    refused(b"", "it is empty");
    refused(b"Hello,\nworld.\n", "no event of ftrace's in 2 lines");
    refused(b"\x17\x08\x44tracing6\0\0", "trace-cmd's binary file");
    refused(b"\x7fELF\x02\x01\x01\0", "this is no text");
    refused(b"\x1f\x8b\x08\0garbage", "cannot be read");
    refused(
        b"   wl-63   [001] d..1. 6.3: lock_acquire: xyz a\n",
        "this is no address",
    );
    command(&["nowhere.txt"])
        .assert()
        .code(2)
        .stderr(contains("nowhere.txt"));
    command(&["."])
        .assert()
        .code(2)
        .stderr(contains("directory"));
    command(&[]).assert().code(2);
    command(&[THP, "--order"]).assert().code(2);
}
