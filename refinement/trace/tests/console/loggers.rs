//! One log through every logger and collector: the answer stays.

use crate::{diagnose, log, of};
use serde_json::json;
use shootdown_trace::console::conclude::Verdict;
use shootdown_trace::console::read;

const NAME: &str = "softlockup-all-cpus-5.15";

/// The messages alone, without printk's time.
fn messages() -> Vec<String> {
    let text = log(NAME);
    let lines = text
        .lines()
        .map(|l| l.split_once("] ").map_or("", |(_, m)| m));
    lines.map(str::to_string).collect()
}

/// The same cycle on the same condition; lines may have other numbers.
#[track_caller]
fn the_same(what: &str, text: &str) {
    let condition = |verdict: &Verdict| match verdict {
        Verdict::CycleIf { condition, .. } => condition.clone(),
        other => panic!("{what}: {other:?}"),
    };
    assert_eq!(
        condition(&of(text).verdict),
        condition(&diagnose(NAME).verdict),
        "{what}"
    );
}

fn each(what: &str, line: impl Fn(usize, &str) -> String) {
    let text: String = messages()
        .iter()
        .enumerate()
        .map(|(i, m)| line(i, m) + "\n")
        .collect();
    the_same(what, &text);
}

#[test]
fn every_output_of_journalctl_gives_the_same_answer() {
    each("short-iso", |_, m| {
        format!("2025-11-12T03:14:07+0100 db7 kernel: {m}")
    });
    each("short-precise", |i, m| {
        format!("Nov 12 03:14:07.118{i:03} db7 kernel: {m}")
    });
    each("short-full", |_, m| {
        format!("Wed 2025-11-12 03:14:07 CET db7 kernel: {m}")
    });
    each("short-monotonic", |i, m| {
        format!("[ 5412.118{i:03}] db7 kernel: {m}")
    });
    each("short-unix", |i, m| {
        format!("1762913647.118{i:03} db7 kernel: {m}")
    });
    each("cat", |_, m| m.to_string());
    let record = |m: &str| json!({"_TRANSPORT": "kernel", "PRIORITY": "4", "MESSAGE": m, "_HOSTNAME": "db7"});
    each("json", |_, m| record(m).to_string());
    each("json-seq", |_, m| format!("\u{1e}{}", record(m)));
    each("json-sse", |_, m| format!("data: {}\n", record(m)));
    each("json-pretty", |_, m| {
        serde_json::to_string_pretty(&record(m)).unwrap()
    });
    each("json, bytes", |_, m| {
        json!({"MESSAGE": m.as_bytes()}).to_string()
    });
    each("export", |i, m| {
        format!(
            "__CURSOR=s=ab;i={i:x}\n_TRANSPORT=kernel\nPRIORITY=4\nMESSAGE={m}\n_HOSTNAME=db7\n"
        )
    });
    each("verbose", |i, m| {
        format!(
            "Wed 2025-11-12 03:14:07.118{i:03} CET [s=ab;i={i:x}]\n    _TRANSPORT=kernel\n    MESSAGE={m}\n    _HOSTNAME=db7"
        )
    });
}

#[test]
fn every_output_of_dmesg_gives_the_same_answer() {
    each("-T", |_, m| format!("[Wed Nov 12 03:14:07 2025] {m}"));
    each("-H", |i, m| format!("[  +0.000{i:03}] {m}"));
    each("-x", |i, m| format!("kern  :warn  : [ 5412.118{i:03}] {m}"));
    each("-x -T", |_, m| {
        format!("kern  :warn  : [Wed Nov 12 03:14:07 2025] {m}")
    });
    each("-r", |i, m| format!("<4>[ 5412.118{i:03}] {m}"));
    each("--time-format iso", |i, m| {
        format!("2025-11-12T03:14:07,118{i:03}+01:00 {m}")
    });
    let all: Vec<_> = messages()
        .iter()
        .map(|m| json!({"pri": 4, "time": 5412.1, "msg": m}))
        .collect();
    let document = serde_json::to_string_pretty(&json!({"dmesg": all})).unwrap();
    the_same("--json", &document);
    the_same(
        "--json, one line a record",
        &document.replace("\n         ", ""),
    );
}

#[test]
fn every_collector_gives_the_same_answer() {
    each("/dev/kmsg", |i, m| {
        format!("4,{},5412118{i:03},-;{m}", 5000 + i)
    });
    each("/dev/kmsg with callers", |i, m| {
        format!("4,{},5412118{i:03},-,caller=C3;{m}", 5000 + i)
    });
    each("pstore", |i, m| {
        format!(
            "{}<4>[ 5412.118{i:03}] {m}",
            if i == 0 { "Panic#1 Part1\n" } else { "" }
        )
    });
    each("ramoops", |i, m| {
        format!(
            "{}<4>[ 5412.118{i:03}] {m}",
            if i == 0 {
                "====1700000000.123456-D\n"
            } else {
                ""
            }
        )
    });
    each("RFC 5424", |_, m| {
        format!("<4>1 2025-11-12T03:14:07.118+01:00 db7 kernel - - - {m}")
    });
    each("CRI", |_, m| {
        format!("2025-11-12T03:14:07.118000000Z stdout F {m}")
    });
    each("Docker", |_, m| {
        json!({"log": format!("{m}\n"), "stream": "stdout"}).to_string()
    });
    each("mail that quotes", |_, m| format!("> > {m}"));
    each("Markdown", |i, m| {
        format!(
            "{}  [ 5412.118{i:03}] {m}",
            if i == 0 { "Hangs.\n\n  ```\n" } else { "" }
        )
    });
    each("HTML", |i, m| {
        let m = m
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        format!("[ 5412.118{i:03}] {m}")
    });
    let array: Vec<_> = messages().iter().map(|m| json!({"MESSAGE": m})).collect();
    let array = serde_json::to_string(&array)
        .unwrap()
        .replace("},", "},\n")
        .replace("[{", "[\n{");
    the_same("an array", &array);
}

#[test]
fn a_mail_in_quoted_printable_gives_the_same_answer() {
    let mut mail = String::from("Content-Transfer-Encoding: quoted-printable\n\n");
    for line in log(NAME).lines() {
        let mut column = 0;
        for c in line.replace('=', "=3D").chars() {
            if column == 75 {
                mail += "=\n";
                column = 0;
            }
            mail.push(c);
            column += 1;
        }
        mail.push('\n');
    }
    the_same("quoted-printable", &mail);
}

/// A collector that nobody knows may hide what a line says; it does not make the log say that nothing hangs.
#[test]
fn a_lockup_behind_an_unknown_prefix_is_never_no_cycle() {
    let hidden: String = log("all-idle-sysrq-l")
        + "|x| y := watchdog: BUG: soft lockup - CPU#3 stuck for 23s! [a:1]\n";
    let plain = diagnose("all-idle-sysrq-l").verdict;
    assert_eq!(plain.name(), "no cycle");
    assert_eq!(of(&hidden).verdict.name(), "not decidable");
}

#[test]
fn utf_16_is_refused_with_the_way_out() {
    let utf16: Vec<u8> = [0xfeff]
        .into_iter()
        .chain(log(NAME).encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let error = read(&utf16[..]).unwrap_err().to_string();
    assert!(error.contains("iconv -f UTF-16"), "{error}");
}
