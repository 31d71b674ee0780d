//! Accepted traces with one line lost, or two lines of a CPU swapped: how many are noticed.

use super::{judge, trace};
use proptest::prelude::*;
use serde_json::Value;
use shootdown_refinement::validate::Verdict;
use std::collections::BTreeMap;

/// Events whose loss may change nothing, each with the reason.
const HARMLESS: &[(&str, &str)] = &[
    (
        "entry_read",
        "under the lock the protocol decides with the step that follows, not with a read before it",
    ),
    (
        "lock_wait",
        "without it the lock is taken as if it had been free by then",
    ),
    ("pinned_read", "the protocol reads it with the kernel entry"),
    (
        "mask_set",
        "switch_mm to the mm that is loaded sets a bit that is set",
    ),
    (
        "flush_local",
        "the next event hides it if the CPU has nothing of that mm loaded",
    ),
];

fn lines(name: &str) -> Vec<Value> {
    trace(name)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

fn text(lines: &[Value]) -> Vec<u8> {
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    (text.join("\n") + "\n").into_bytes()
}

/// Without that line, the others numbered anew: nothing shows but what is not there.
fn without(lines: &[Value], at: usize) -> Vec<Value> {
    let gone = lines[at]["seq"].as_u64().unwrap();
    let mut left = lines.to_vec();
    left.remove(at);
    for line in &mut left[1..] {
        for field in ["seq", "since"] {
            if let Some(n) = line.get(field).and_then(Value::as_u64)
                && n > gone
            {
                line[field] = (n - 1).into();
            }
        }
        if let Some(end) = line.get_mut("end") {
            end["events"] = (end["events"].as_u64().unwrap() - 1).into();
        }
    }
    left
}

/// What happened at two places, exchanged; numbers, CPUs and levels stay.
fn swapped(lines: &[Value], a: usize, b: usize) -> Vec<Value> {
    let mut new = lines.to_vec();
    new.swap(a, b);
    for field in ["seq", "since", "cpu", "irq"] {
        let (at_a, at_b) = (lines[a][field].clone(), lines[b][field].clone());
        (new[a][field], new[b][field]) = (at_a, at_b);
    }
    new
}

const TRACES: &[&str] = &[
    "tracked-2.ndjson",
    "tracked-4.ndjson",
    "rwlock-3.ndjson",
    "tracked-irq-free-4.ndjson",
];

fn rejects(lines: &[Value]) -> bool {
    judge(&text(lines)).is_ok_and(|report| report.verdict == Verdict::Rejected)
}

/// The score, printed: every line of every trace lost once.
#[test]
fn every_lost_line_is_noticed_but_those_whose_loss_is_harmless() {
    let (mut lost, mut noticed) = (0, 0);
    let mut survivors: BTreeMap<String, usize> = BTreeMap::new();
    for name in TRACES {
        let lines = lines(name);
        for at in 1..lines.len() - 1 {
            lost += 1;
            if rejects(&without(&lines, at)) {
                noticed += 1;
            } else {
                *survivors
                    .entry(lines[at]["event"].as_str().unwrap().to_string())
                    .or_default() += 1;
            }
        }
    }
    println!("{noticed} of {lost} lost lines noticed; the others: {survivors:?}");
    for survivor in survivors.keys() {
        assert!(
            HARMLESS.iter().any(|h| h.0 == survivor),
            "{survivor} was lost and nobody noticed: {survivors:?}"
        );
    }
    assert!(
        noticed * 100 >= lost * 90,
        "{noticed} of {lost}: {survivors:?}"
    );
}

/// The score, printed: every two neighbours in a context's program order, exchanged.
#[test]
fn most_swapped_neighbours_are_noticed() {
    let (mut swaps, mut noticed) = (0, 0);
    let mut survivors: BTreeMap<String, usize> = BTreeMap::new();
    for name in &TRACES[..2] {
        let lines = lines(name);
        let context = |l: &Value| (l["cpu"].clone(), l["irq"].clone());
        for a in 1..lines.len() - 1 {
            let next = (a + 1..lines.len() - 1).find(|&b| context(&lines[b]) == context(&lines[a]));
            let Some(b) = next else { continue };
            let new = swapped(&lines, a, b);
            if new == lines {
                continue;
            }
            swaps += 1;
            if rejects(&new) {
                noticed += 1;
            } else {
                let pair = format!("{}/{}", lines[a]["event"], lines[b]["event"]).replace('"', "");
                *survivors.entry(pair).or_default() += 1;
            }
        }
    }
    println!("{noticed} of {swaps} swaps noticed; the others: {survivors:?}");
    assert!(
        noticed * 100 >= swaps * 90,
        "{noticed} of {swaps}: {survivors:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two faults at once: the verdict is still one, at a line that exists.
    #[test]
    fn a_trace_with_two_faults_gets_a_verdict(which in 0..TRACES.len(), a in any::<usize>(), b in any::<usize>()) {
        let lines = lines(TRACES[which]);
        let at = 1 + a % (lines.len() - 2);
        let one = without(&lines, at);
        let at = 1 + b % (one.len() - 2);
        let two = without(&one, at);
        let report = judge(&text(&two)).unwrap();
        prop_assert_ne!(report.verdict, Verdict::Incomplete);
        if let Some(rejection) = report.rejection {
            prop_assert!((2..=two.len() as u64).contains(&rejection.line));
            prop_assert!(!rejection.reasons.is_empty() && !rejection.instead.is_empty());
        }
    }
}
