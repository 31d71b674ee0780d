//! Whatever is done to the lines: a report or a place, and no other outcome.

use crate::recordings::{HUNG, LOST, THP, UNMAP, chains, judge, lines};
use proptest::prelude::*;
use shootdown_trace::ftrace::report::Rule;
use shootdown_trace::ftrace::{self, text};
use std::sync::LazyLock;

/// Lines that have something of everything: the start of each recording, and the hang.
static SAMPLE: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut sample = Vec::new();
    for (name, range) in [
        (THP, 1..1000),
        (UNMAP, 1..300),
        (LOST, 270..460),
        (HUNG, 1..200),
        (HUNG, 31_700..31_800),
    ] {
        sample.extend(
            lines(name)[range]
                .iter()
                .map(|line| line.clone().into_bytes()),
        );
    }
    sample
});

/// The first tenth of an ordinary run, without the header's count.
static START: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut start = lines(THP)[..7000].to_vec();
    start.retain(|l| !l.contains("entries-in-buffer"));
    start
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_bytes_never_panic(edits in proptest::collection::vec((0_usize..2000, 0_usize..200, any::<u8>(), 0_u8..6), 1..200)) {
        let mut lines: Vec<Vec<u8>> = SAMPLE.clone();
        for (at, column, byte, what) in edits {
            let at = at % lines.len();
            let line = &mut lines[at];
            let column = column.min(line.len().saturating_sub(1));
            match what {
                0 => line.truncate(column),
                1 if !line.is_empty() => line[column] = byte,
                2 => line.insert(column, byte),
                3 => { lines.remove(at); }
                4 => { let copy = line.clone(); lines.insert(at, copy); }
                _ => { let last = lines.len() - 1; lines.swap(at, (at + usize::from(byte)).min(last)); }
            }
        }
        let bytes = lines.join(&b'\n');
        match ftrace::read(&bytes[..]) {
            Ok(report) => {
                let text = text::report(&report, &Rule::ALL, 80);
                prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{}", text);
                prop_assert!(report.counts.malformed <= report.counts.lines);
            }
            Err(error) => prop_assert!(error.line > 0 && error.column > 0),
        }
    }

    /// Lines of different CPUs that concern different things may be merged in any order.
    #[test]
    fn irq_lines_that_change_places_with_their_neighbours_change_nothing(seed in any::<u64>()) {
        let mut edited = START.clone();
        let before = chains(&judge(&edited));
        let cpu = |l: &str| l.split_once('[').map(|(_, rest)| rest[..3].to_string());
        let mut random = seed | 1;
        let mut at = 20;
        while at + 1 < edited.len() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let irqs = edited[at].contains(": irq_") || edited[at + 1].contains(": irq_");
            if irqs && random >> 63 == 1 && cpu(&edited[at]) != cpu(&edited[at + 1]) {
                edited.swap(at, at + 1);
            }
            at += 1;
        }
        let report = judge(&edited);
        prop_assert_eq!(chains(&report), before);
        prop_assert_eq!(report.contradictions.count, 0);
        prop_assert!(!report.violated(Rule::Hang) && !report.violated(Rule::Order));
    }
}
