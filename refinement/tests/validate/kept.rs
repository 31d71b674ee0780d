//! The kept traces: recordings as they were, and recordings with something done to them.

use super::{judge, trace, traces};
use shootdown_refinement::validate::{Options, Report, Verdict, validate};

/// Recordings of `stress --record`, as they were.
const ACCEPTED: &[&str] = &[
    "tracked-2.ndjson",
    "tracked-4.ndjson",
    "v2.6.38-2.ndjson",
    "rwlock-3.ndjson",
    "tracked-irq-free-4.ndjson",
    "tracked-hypercall-4.ndjson",
    "tracked-xen-3.ndjson",
    "tracked-nosplit-2.ndjson",
    "v2.6.37-clean.ndjson",
];

/// Recordings that end in a deadlock, which the protocol has too: design, who is stuck.
const HUNG: &[(&str, &str)] = &[
    ("v2.6.37-hung.ndjson", "waits for the acknowledgement of"),
    ("v2.6.38-irq-free-hung.ndjson", "[irq]"),
];

/// What was done to a recording, the line that does not fit, and what is said of it.
const REJECTED: &[(&str, u64, &str)] = &[
    // The handler's two events exchanged.
    (
        "edited-ack-before-flush.ndjson",
        195,
        "the next step of flush_tlb_interrupt there is `local_flush_tlb()`",
    ),
    // `cpu` of a release changed to the next CPU.
    (
        "edited-lock-released-by-another.ndjson",
        121,
        "nothing runs on CPU2",
    ),
    // A count of 0 made 1.
    (
        "edited-stale-pending-count.ndjson",
        14,
        "the counter is otherwise in the protocol",
    ),
    // The last CPU taken out of the mask that was read.
    (
        "edited-target-left-out.ndjson",
        154,
        "other CPUs are awaited in the protocol",
    ),
    // A page that was not accessed made one that was.
    (
        "edited-young-otherwise.ndjson",
        154,
        "it was otherwise in the protocol",
    ),
    // The entry cleared, then the lock taken.
    (
        "reordered-clear-before-lock.ndjson",
        70,
        "the next step of try_to_unmap_one there is `spin_lock(ptl)`",
    ),
    // The mm freed, then its pgd unlisted.
    (
        "reordered-free-before-unlist.ndjson",
        226,
        "the next step of pgd_free there is `list_del(&page->lru)`",
    ),
    // One line taken out, the others numbered again.
    (
        "missing-acks-complete.ndjson",
        410,
        "there is `while (!cpumask_empty(flush_cpumask)) cpu_relax()`",
    ),
    (
        "missing-lock-released.ndjson",
        46,
        "the next step of vmalloc_sync_all there is `spin_unlock(pgt_lock)`",
    ),
    (
        "missing-pending-dropped.ndjson",
        62,
        "the next step of try_to_unmap_one there is `dec_tlb_flush_pending(mm)`",
    ),
    (
        "missing-irq-restore.ndjson",
        52,
        "CPU1 is in handle_mm_fault(huge)",
    ),
    // As recorded, by code that read whether a pgd is pinned before it looked whether there is anything to store.
    (
        "older-code-reads-the-pin-first.ndjson",
        99,
        "the next step of vmalloc_sync_all there is `spin_unlock(pgt_lock)`",
    ),
    // The last lines but the end taken out: it says that the run completed.
    (
        "missing-the-last-eleven.ndjson",
        508,
        "CPU0 is in handle_mm_fault(huge)",
    ),
];

/// Neither: cut off after 150 lines, and with a line missing but not numbered again.
const OTHERS: &[&str] = &["truncated.ndjson", "gap.ndjson"];

#[test]
fn recordings_are_accepted_as_they_are() {
    for name in ACCEPTED {
        let report = judge(trace(name).as_bytes()).unwrap();
        assert_eq!(
            report.verdict,
            Verdict::Accepted,
            "{name}: {:?}",
            report.rejection
        );
        assert_eq!(
            report.counts.events,
            trace(name).lines().count() as u64 - 2,
            "{name}"
        );
        assert!(report.stuck.is_empty(), "{name}");
    }
}

#[test]
fn recorded_hangs_are_deadlocks_of_the_protocol() {
    for (name, who) in HUNG {
        let report = judge(trace(name).as_bytes()).unwrap();
        assert_eq!(
            report.verdict,
            Verdict::Accepted,
            "{name}: {:?}",
            report.rejection
        );
        let told = report.stuck.join("\n");
        let cycles = report.predicted.unwrap().cycles;
        assert!(
            !cycles.is_empty(),
            "{name}: the deadlock is in the order too"
        );
        assert!(
            told.contains(&who.replace("[irq]", "(in interrupt)")),
            "{name}: {told}"
        );
    }
}

#[test]
fn what_was_done_to_a_recording_is_found_at_its_line() {
    for &(name, line, reason) in REJECTED {
        let report = judge(trace(name).as_bytes()).unwrap();
        assert_eq!(report.verdict, Verdict::Rejected, "{name}");
        let rejection = report.rejection.unwrap();
        let told: Vec<String> = rejection.reasons.iter().map(|r| r.reason.clone()).collect();
        assert_eq!(rejection.line, line, "{name}: {told:?}");
        assert!(told.iter().any(|t| t.contains(reason)), "{name}: {told:?}");
        assert_eq!(rejection.matched_lines, line - 1, "{name}");
    }
}

#[test]
fn a_recording_without_its_end_is_incomplete() {
    let report = judge(trace("truncated.ndjson").as_bytes()).unwrap();
    assert_eq!(report.verdict, Verdict::Incomplete);
    assert_eq!(report.counts.events, 149);
}

/// The footprints say which orders need not be tried: with none left out, every trace comes out the same.
#[test]
fn orders_that_are_not_tried_would_change_nothing() {
    let (mut most, mut most_in_full) = (0, 0);
    for file in std::fs::read_dir(traces()).unwrap() {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let by = |reduce| {
            validate(
                &text[..],
                &Options {
                    reduce,
                    ..Options::default()
                },
            )
        };
        let (Ok(some), Ok(all)) = (by(true), by(false)) else {
            continue;
        };
        let line = |report: &Report| report.rejection.as_ref().map(|r| r.line);
        assert_eq!((some.verdict, line(&some)), (all.verdict, line(&all)));
        assert_eq!(some.stuck.is_empty(), all.stuck.is_empty());
        most = most.max(some.counts.most_candidates);
        most_in_full = most_in_full.max(all.counts.most_candidates);
    }
    assert!(
        most <= most_in_full,
        "{most} candidates, {most_in_full} in full"
    );
}

#[test]
fn every_kept_trace_is_in_a_table() {
    let mut kept: Vec<String> = std::fs::read_dir(traces())
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.retain(|f| f.ends_with(".ndjson"));
    let rejected = REJECTED.iter().map(|r| r.0);
    let hung = HUNG.iter().map(|h| h.0);
    let mut listed: Vec<&str> = ACCEPTED
        .iter()
        .chain(OTHERS)
        .copied()
        .chain(rejected)
        .chain(hung)
        .collect();
    kept.sort();
    listed.sort_unstable();
    assert_eq!(kept, listed);
}

/// An event of one CPU that overlaps with one of another may have come first, whatever their numbers.
#[test]
fn overlapping_events_are_put_in_the_order_that_fits_and_others_are_not() {
    let header = trace("tracked-2.ndjson")
        .lines()
        .next()
        .unwrap()
        .to_string();
    let event = |seq: u64, since: u64, cpu: u8, event: &str| {
        format!("{{\"seq\":{seq},\"since\":{since},\"cpu\":{cpu},\"irq\":false,{event}}}\n")
    };
    let run = |release_since: u64| {
        // CPU0 takes and releases mm0's ptl in page aging; CPU1's acquisition is numbered before the release.
        let begin = "\"event\":\"begin\",\"operation\":{\"page_referenced_one\":[0,\"pte\"]}";
        let end = "\"event\":\"end\",\"operation\":{\"page_referenced_one\":[0,\"pte\"]}";
        let [save, restore] =
            ["irq_save", "irq_restore"].map(|e| format!("\"event\":\"{e}\",\"enabled\":true"));
        let [take, leave] = ["acquired", "released"]
            .map(|e| format!("\"event\":\"lock_{e}\",\"lock\":{{\"pte\":0}}"));
        let young = "\"event\":\"clear_young\",\"mm\":0,\"slot\":\"pte\",\"young\":false";
        let lines = [
            event(0, 0, 0, begin),
            event(1, 1, 0, &save),
            event(2, 2, 0, &take),
            event(3, 3, 0, young),
            event(4, 0, 1, begin),
            event(5, 5, 1, &save),
            event(6, 5, 1, &take),
            event(7, release_since, 0, &leave),
            event(8, 8, 0, &restore),
            event(9, 9, 0, end),
            event(10, 10, 1, young),
            event(11, 11, 1, &leave),
            event(12, 12, 1, &restore),
            event(13, 13, 1, end),
        ];
        let text = format!(
            "{header}\n{}{{\"end\":{{\"events\":14,\"complete\":true}}}}\n",
            lines.concat()
        );
        judge(text.as_bytes()).unwrap()
    };
    let overlapping = run(4);
    assert_eq!(
        overlapping.verdict,
        Verdict::Accepted,
        "{:?}",
        overlapping.rejection
    );
    assert_eq!(
        overlapping.counts.moved, 1,
        "the release came before the acquisition"
    );
    // Had the release begun after the acquisition was numbered, two would have had the lock.
    let apart = run(7);
    assert_eq!(apart.verdict, Verdict::Rejected);
    assert_eq!(apart.rejection.unwrap().line, 8);
}
