//! ShiViz logs: read by their own first line, and vector clocks that are exactly the happened-before relation.

use super::{KNOWN, SEED, run, runs};
use proptest::prelude::*;
use regex::Regex;
use shootdown_refinement::export::Run;
use shootdown_refinement::export::shiviz::{events, shiviz};
use std::collections::{BTreeMap, BTreeSet};

/// Event, host, clock, as ShiViz reads them: the first line is the expression, the second separates executions.
fn read(log: &str) -> Vec<(String, String, BTreeMap<String, u64>)> {
    let (expression, rest) = log.split_once('\n').expect("two lines of heading");
    let rest = rest
        .strip_prefix('\n')
        .expect("one execution: the delimiter is empty");
    let expression = Regex::new(expression).expect("it is an expression");
    let mut end = 0;
    let events = expression.captures_iter(rest).map(|found| {
        let whole = found.get(0).expect("it matched");
        assert_eq!(rest[end..whole.start()].trim(), "", "nothing is skipped");
        end = whole.end();
        let clock = serde_json::from_str(&found["clock"]).expect("clocks are JSON");
        (found["event"].to_string(), found["host"].to_string(), clock)
    });
    let events = events.collect();
    assert_eq!(rest[end..].trim(), "", "nothing is left");
    events
}

/// Pairs of steps, from 1, of which the first happened before the second, by definition: the order of a CPU, an IPI, an
/// acknowledgement, a lock let go and taken; and everything through others.
fn happened_before(run: &Run) -> BTreeSet<(usize, usize)> {
    let steps = run.trace.actions.len();
    let mut before = BTreeSet::new();
    for a in 1..=steps {
        let later = (a + 1..=steps).filter(|&b| run.action(a).cpu() == run.action(b).cpu());
        before.extend(later.map(|b| (a, b)));
    }
    for ipi in &run.ipis {
        before.extend(ipi.taken.map(|taken| (ipi.sent, taken)));
        before.extend(ipi.acked.zip(ipi.seen));
    }
    for taken in &run.locks {
        let Some(granted) = taken.granted else {
            continue;
        };
        // A lock that was waited for is known to be had with the next step of who waited.
        let first = if taken.asked == granted {
            Some(granted)
        } else {
            (granted + 1..=steps).find(|&n| run.actor(n) == taken.who)
        };
        let given = run.locks.iter().filter(|l| l.lock == taken.lock);
        let released = given.filter_map(|l| l.released).filter(|r| *r <= granted);
        before.extend(
            released
                .zip(std::iter::repeat(first))
                .filter_map(|(r, first)| Some((r, first?))),
        );
    }
    for middle in 1..=steps {
        let into: Vec<usize> = (1..=steps)
            .filter(|&a| before.contains(&(a, middle)))
            .collect();
        let out: Vec<usize> = (1..=steps)
            .filter(|&b| before.contains(&(middle, b)))
            .collect();
        before.extend(into.iter().flat_map(|a| out.iter().map(|b| (*a, *b))));
    }
    before
}

fn clocks_are_the_past(run: &Run) {
    let log = read(&shiviz(run));
    assert_eq!(log.len(), run.trace.actions.len(), "an event for each step");
    let before = happened_before(run);
    for (n, (_, host, clock)) in (1..).zip(&log) {
        assert_eq!(*host, run.action(n).cpu().to_string());
        let mut past: BTreeMap<String, u64> = BTreeMap::new();
        for a in (1..=n).filter(|&a| a == n || before.contains(&(a, n))) {
            *past.entry(run.action(a).cpu().to_string()).or_default() += 1;
        }
        assert_eq!(
            *clock, past,
            "step {n} knows of its past and of nothing else"
        );
    }
}

#[test]
fn known_runs_have_clocks_that_are_their_past() {
    for schedule in KNOWN {
        clocks_are_the_past(&run(schedule));
    }
}

#[test]
fn the_seeds_log_reads_so() {
    insta::assert_snapshot!(shiviz(&run(SEED)));
}

#[test]
fn a_log_that_forgets_an_edge_is_noticed() {
    let mut run = run(super::ANSWERED);
    let right = events(&run);
    run.ipis[0].taken = None;
    assert_ne!(events(&run), right);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn random_runs_have_clocks_that_are_their_past(run in runs()) {
        clocks_are_the_past(&run);
    }
}
