//! What the script of `record-help` prints is read: CPU by CPU, without anybody who holds a lock.

use crate::shapes::{read, text_of};
use shootdown_trace::ftrace;
use shootdown_trace::ftrace::record::HEADER;
use shootdown_trace::ftrace::report::{Rule, Verdict};

#[test]
fn a_hang_without_lock_events_is_told_with_the_holder_as_its_condition() {
    let report = read("bpftrace.txt");
    assert!(report.violated(Rule::Hang));
    let hang = report.end.hang.as_ref().unwrap();
    let cpus: Vec<u16> = hang.cycle.iter().map(|s| s.cpu).collect();
    assert_eq!(cpus, [1, 2]);
    assert!(hang.cycle[0].irqs_off);
    assert!(
        hang.assumes[0].starts_with("CPU2 (kswapd0-38) holds"),
        "{:?}",
        hang.assumes
    );
    assert_eq!((report.counts.lines, report.backwards.count), (8, 0));
}

/// Without the header the lines are in the order of the file, and CPU1's stands after what it would have had to answer.
#[test]
fn the_header_puts_lines_in_the_order_of_their_times() {
    let text = text_of("bpftrace.txt").replace(HEADER, "#");
    let report = ftrace::read(text.as_bytes()).unwrap();
    assert_eq!(report.backwards.count, 1);
}

#[test]
fn waits_alone_are_never_clean() {
    let text: String = text_of("bpftrace.txt")
        .lines()
        .filter(|l| !l.contains("wl-65"))
        .map(|l| format!("{l}\n"))
        .collect();
    let report = ftrace::read(text.as_bytes()).unwrap();
    assert_eq!(report.verdict(&[Rule::Hang]), Verdict::Incomplete);
}
