//! What is no trace: line, column and reason, and never a panic.

use super::{judge, trace};
use proptest::prelude::*;
use shootdown_refinement::validate::reader::LONGEST_LINE;

fn refused(text: &[u8]) -> (u64, usize, String) {
    let error = judge(text).expect_err("not a trace");
    (error.line, error.column, error.reason)
}

/// A trace with one line replaced.
fn with_line(line: usize, new: &str) -> Vec<u8> {
    let text = trace("tracked-2.ndjson");
    let mut lines: Vec<&str> = text.lines().collect();
    lines[line - 1] = new;
    (lines.join("\n") + "\n").into_bytes()
}

#[test]
fn every_kind_of_bad_line_is_refused_at_its_place() {
    let event = |fields: &str| with_line(3, &format!("{{\"seq\":1,\"since\":0,{fields}}}"));
    let header = trace("tracked-2.ndjson")
        .lines()
        .next()
        .unwrap()
        .to_string();
    let huge = format!("{header}\n{}", "x".repeat(LONGEST_LINE + 1));
    let whole = trace("tracked-2.ndjson");
    let cases: Vec<(Vec<u8>, u64, &str)> = vec![
        (b"".to_vec(), 1, "the file is empty"),
        (b"\n".to_vec(), 1, "EOF while parsing"),
        (
            b"\x7fELF\x02\x01\x01\0\0".to_vec(),
            1,
            "a control character",
        ),
        (b"{\"schema\":\"\xff\"}\n".to_vec(), 1, "not UTF-8"),
        (b"[]\n".to_vec(), 1, "has no `schema`"),
        (
            b"{\"schema\":\"shootdown/trace/2\"}\n".to_vec(),
            1,
            "this program reads `shootdown/trace/1`",
        ),
        (
            b"{\"schema\":\"shootdown/check/1\"}\n".to_vec(),
            1,
            "not a trace",
        ),
        (
            header.replace("\"alive\":3", "\"alive\":9").into_bytes(),
            1,
            "room for 1 to 3 mms",
        ),
        (
            header.replace("\"cpus\":2", "\"cpus\":8").into_bytes(),
            1,
            "room for 1 to 4 CPUs",
        ),
        (
            header.replace("[0,0]", "[0]").into_bytes(),
            1,
            "`placement` has 1 entries",
        ),
        (
            header.replace("[0,0]", "[0,3]").into_bytes(),
            1,
            "not alive at the start",
        ),
        (
            header
                .replace("\"design\":\"tracked\"", "\"design\":\"rwlock\"")
                .into_bytes(),
            1,
            "its axes",
        ),
        (huge.into_bytes(), 2, "longer than 65536 bytes"),
        (with_line(3, "{\"seq\":1,"), 3, "EOF while parsing"),
        (with_line(3, ""), 3, "EOF while parsing"),
        (with_line(3, "7"), 3, "not an event"),
        (with_line(3, &header), 3, "a second first line"),
        (
            with_line(3, "{\"seq\":1,\"since\":0}"),
            3,
            "an event without `cpu`",
        ),
        (
            event("\"cpu\":0,\"irq\":false,\"event\":\"frobnicate\""),
            3,
            "there is no event `frobnicate`",
        ),
        (
            event("\"cpu\":2,\"irq\":false,\"event\":\"walk_done\""),
            3,
            "there is no CPU2",
        ),
        (
            event("\"cpu\":0,\"irq\":false,\"event\":\"mm_born\",\"mm\":4"),
            3,
            "there is no mm4",
        ),
        (
            event("\"cpu\":0,\"irq\":false,\"event\":\"mm_born\",\"mm\":200"),
            3,
            "there is no mm200",
        ),
        (
            event("\"cpu\":0,\"irq\":false,\"event\":\"acked\",\"from\":255"),
            3,
            "there is no CPU255",
        ),
        (
            event("\"cpu\":0,\"irq\":false,\"event\":\"frame_put\",\"frame\":8,\"freed\":true"),
            3,
            "there is no frame8",
        ),
        (
            event("\"cpu\":0,\"irq\":false,\"event\":\"mm_born\""),
            3,
            "missing field `mm`",
        ),
        (
            trace("gap.ndjson").into_bytes(),
            78,
            "event 77 where event 76 should be",
        ),
        (
            with_line(3, whole.lines().nth(1).unwrap()),
            3,
            "event 0 where event 1 should be",
        ),
        (
            with_line(
                2,
                "{\"seq\":0,\"since\":5,\"cpu\":0,\"irq\":false,\"event\":\"walk_done\"}",
            ),
            2,
            "after the event itself",
        ),
        (
            format!("{whole}{{}}\n").into_bytes(),
            whole.lines().count() as u64 + 1,
            "comes after the last line",
        ),
        (
            with_line(2, "{\"end\":{\"events\":7,\"complete\":true}}"),
            2,
            "but there are 0",
        ),
    ];
    for (text, line, reason) in cases {
        let (at, column, why) = refused(&text);
        assert!(
            why.contains(reason) && at == line && column > 0,
            "{at}:{column}: {why}\nwanted {line}: {reason}"
        );
    }
}

#[test]
fn the_column_is_where_the_fault_is() {
    // `{"seq":1,"since":0,"cpu":9` puts "cpu" at byte 21, counted from 1.
    let bad = with_line(
        3,
        "{\"seq\":1,\"since\":0,\"cpu\":9,\"irq\":false,\"event\":\"walk_done\"}",
    );
    assert_eq!(refused(&bad).1, 20);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the bytes, there is an answer.
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = judge(&bytes);
    }

    /// A trace with bytes overwritten anywhere gets a verdict or a place.
    #[test]
    fn a_damaged_trace_is_judged_or_refused(
        at in 0_usize..30_000, new in proptest::collection::vec(any::<u8>(), 1..6)
    ) {
        let mut bytes = trace("tracked-2.ndjson").into_bytes();
        let at = at % (bytes.len() - new.len());
        bytes[at..at + new.len()].copy_from_slice(&new);
        if let Err(error) = judge(&bytes) {
            prop_assert!(error.line > 0 && error.column > 0 && !error.reason.is_empty());
        }
    }

    /// Cut off anywhere it is never accepted: it was not all there. Never rejected either: it was good.
    #[test]
    fn a_cut_off_trace_is_incomplete(at in 0_usize..30_000) {
        let bytes = trace("tracked-2.ndjson").into_bytes();
        let header = bytes.iter().position(|&b| b == b'\n').unwrap() + 1;
        let at = header + at % (bytes.len() - header - 1);
        let report = judge(&bytes[..at]).unwrap();
        prop_assert_eq!(report.verdict, shootdown_refinement::validate::Verdict::Incomplete);
    }
}
