//! The recordings as they are. The numbers come from the people who recorded them, counted by another program.

use crate::recordings::{CONTROL, DEFAULT, HUNG, LOST, THP, UNMAP, bytes, chains, folder};
use shootdown_trace::ftrace::hang::Wait;
use shootdown_trace::ftrace::order::Through;
use shootdown_trace::ftrace::report::{Report, Rule, Verdict};
use shootdown_trace::ftrace::{self, text};

struct Kept {
    name: &'static str,
    lines: u64,
    events: u64,
    /// Flushes from lock to release under a page-table lock or `pgd_lock`.
    chains: u64,
    /// Waits with interrupts off for a page-table lock.
    off_waits: u64,
    cycles: usize,
    hang: bool,
    verdict: Verdict,
}

const KEPT: [Kept; 5] = [
    Kept {
        name: THP,
        lines: 71_495,
        events: 71_482,
        chains: 22,
        off_waits: 0,
        cycles: 0,
        hang: false,
        verdict: Verdict::Clean,
    },
    Kept {
        name: UNMAP,
        lines: 23_485,
        events: 23_472,
        chains: 432,
        off_waits: 0,
        cycles: 0,
        hang: false,
        verdict: Verdict::Clean,
    },
    Kept {
        name: LOST,
        lines: 14_443,
        events: 14_422,
        chains: 0,
        off_waits: 0,
        cycles: 0,
        hang: false,
        verdict: Verdict::Incomplete,
    },
    Kept {
        name: CONTROL,
        lines: 100_000,
        events: 99_997,
        chains: 0,
        off_waits: 0,
        cycles: 0,
        hang: false,
        verdict: Verdict::Incomplete,
    },
    Kept {
        name: HUNG,
        lines: 43_109,
        events: 43_019,
        chains: 4,
        off_waits: 5,
        cycles: 2,
        hang: true,
        verdict: Verdict::Violated,
    },
];

fn read(name: &str) -> Report {
    ftrace::read(&bytes(name)[..]).unwrap_or_else(|e| panic!("{name}:{e}"))
}

#[test]
fn every_recording_comes_out_as_its_recorder_counted() {
    for kept in &KEPT {
        let report = read(kept.name);
        let name = kept.name;
        assert_eq!(report.counts.lines, kept.lines, "{name}");
        assert_eq!(report.counts.events, kept.events, "{name}");
        assert_eq!(
            chains(&report),
            kept.chains,
            "{name}: {:?}",
            report.chains()
        );
        assert_eq!(
            report.upstream.for_page_table_locks(),
            kept.off_waits,
            "{name}"
        );
        assert_eq!(report.order.judged().count(), kept.cycles, "{name}");
        assert_eq!(report.end.hang.is_some(), kept.hang, "{name}");
        assert_eq!(report.verdict(&DEFAULT), kept.verdict, "{name}");
        assert_eq!(
            report.counts.malformed, 0,
            "{name}: {:?}",
            report.counts.first_malformed
        );
        assert_eq!(
            report.counts.unknown.len(),
            0,
            "{name}: {:?}",
            report.counts.unknown
        );
        assert_eq!(report.contradictions.count, 0, "{name}");
        assert_eq!(report.backwards.count, 0, "{name}");
        assert_eq!(report.oddities.unanswered.count, 0, "{name}");
        assert_eq!(report.oddities.wrong_cpu.count, 0, "{name}");
    }
}

#[test]
fn every_kept_recording_is_in_the_table() {
    let files = std::fs::read_dir(folder())
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = files.filter(|f| f.ends_with(".gz")).collect();
    files.sort();
    assert_eq!(files, KEPT.map(|kept| kept.name));
}

#[test]
fn the_strict_rule_fails_only_where_it_is_asked_for() {
    let report = read(THP);
    assert!(report.violated(Rule::Strict));
    assert_eq!(report.verdict(&[Rule::Strict]), Verdict::Violated);
    assert_eq!(report.verdict(&DEFAULT), Verdict::Clean);
}

/// Lines 880 to 901: kswapd takes the lock, asks CPU2, is answered, releases.
#[test]
fn a_chain_is_told_line_by_line() {
    let report = read(THP);
    let under = report
        .strict
        .iter()
        .find(|u| u.watched)
        .expect("flushes under a lock");
    let first = &under.examples[0];
    let lines = [first.taken, first.queued, first.answered, first.released].map(|place| place.line);
    assert_eq!(lines, [881, 883, 898, 901]);
    assert_eq!(first.lock.to_string(), "00000000658a6ae1");
    assert_eq!(first.answered.cpu, 2);
}

#[test]
fn the_hang_is_named_with_its_cpus_its_locks_and_the_request_that_was_never_answered() {
    let hang = ftrace::recorded_hang();
    let [walker, kswapd] = &hang.cycle[..] else {
        panic!("{:?}", hang.cycle);
    };
    assert_eq!(
        (walker.cpu, walker.task.to_string()),
        (1, "wl-65".to_string())
    );
    assert!(walker.irqs_off);
    assert_eq!(
        walker
            .off
            .as_ref()
            .map(|off| (off.place.line, off.parent.as_str())),
        Some((31_743, "sync_global_pgds+0xa7/0x370"))
    );
    assert_eq!(walker.last.line, 31_755, "CPU1 has no line after it spins");
    let holds: Vec<String> = walker
        .holds
        .iter()
        .map(|l| format!("{} {}", l.class, l.address))
        .collect();
    assert_eq!(holds, ["pgd_lock 0000000064757185"]);
    let Wait::Lock {
        lock,
        contended,
        holders,
    } = &walker.wait
    else {
        panic!("{:?}", walker.wait);
    };
    assert_eq!(lock.address.to_string(), "00000000b6ee3c1a");
    assert_eq!(contended.map(|place| place.line), Some(31_755));
    assert_eq!(holders, &["CPU2 (kswapd0-38)"]);
    assert_eq!(
        (kswapd.cpu, kswapd.task.to_string()),
        (2, "kswapd0-38".to_string())
    );
    assert!(!kswapd.irqs_off);
    let holds: Vec<String> = kswapd
        .holds
        .iter()
        .map(|l| format!("{} {} {}", l.class, l.address, l.since.line))
        .collect();
    assert_eq!(holds, ["&mm->page_table_lock 00000000b6ee3c1a 31745"]);
    let missing: Vec<_> = kswapd
        .missing()
        .map(|r| (r.target, r.csd.unwrap().to_string(), r.queued.line))
        .collect();
    assert_eq!(missing, [(1, "00000000e6bcdb51".to_string(), 31_757)]);
    let [bystander] = &hang.bystanders[..] else {
        panic!("{:?}", hang.bystanders);
    };
    assert_eq!(bystander.cpu, 0);
    let stack = bystander
        .stack
        .as_ref()
        .expect("the console printed CPU0's stack");
    assert_eq!(stack.frames[0], "queued_spin_lock_slowpath+0x88/0x330");
    let text = text::hang(&hang, 100);
    for line in [
        "31743",
        "31754",
        "31755",
        "31757",
        "36052",
        "never came",
        "CPU0 wl-64",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
}

#[test]
fn the_predicted_cycles_say_on_which_lines_each_edge_was_seen() {
    let report = read(HUNG);
    let cycles: Vec<(&[String], Through)> = report
        .order
        .cycles
        .iter()
        .map(|c| (&c.nodes[..], c.through))
        .collect();
    let ptl = "&mm->page_table_lock".to_string();
    let ack = "IPI acknowledgement".to_string();
    let pgd = "pgd_lock".to_string();
    assert_eq!(
        cycles,
        [
            (&[ptl.clone(), ack.clone()][..], Through::Acknowledgement),
            (&[ptl, ack, pgd][..], Through::Acknowledgement),
        ]
    );
    // The first of each was seen long before line 31755, where it hangs.
    let lines = report.order.cycles[0]
        .edges
        .iter()
        .map(|e| (e.withholds.as_ref().unwrap().place.line, e.waits.place.line));
    assert_eq!(lines.collect::<Vec<_>>(), [(5509, 5518), (6758, 6774)]);
}

#[test]
fn the_five_waits_are_those_of_the_walk_and_all_but_the_last_got_the_lock() {
    let report = read(HUNG);
    let [waits] = &report.upstream.waits[..] else {
        panic!("{:?}", report.upstream.waits);
    };
    assert_eq!((waits.count, waits.got, waits.violated), (5, 4, true));
    let got: Vec<bool> = waits.shown.iter().map(|w| w.got.is_some()).collect();
    assert_eq!(got, [true, true, true, true, false]);
    assert!(waits.shown.iter().all(|w| {
        w.off
            .as_ref()
            .is_some_and(|off| off.parent.starts_with("sync_global_pgds"))
    }));
}

#[test]
fn what_the_recordings_cannot_show_is_said() {
    let says = |name: &str, what: &str| {
        let report = read(name);
        assert!(
            report.cannot_show.iter().any(|s| s.contains(what)),
            "{name}: {:#?}",
            report.cannot_show
        );
    };
    for kept in &KEPT {
        says(kept.name, "No event ends the wait for acknowledgements");
    }
    says(LOST, "CPU2 has 6 gaps, line 602, 1101, 1498, 2149");
    says(LOST, "taken in a gap: line 450");
    says(
        CONTROL,
        "CPU1 is recorded only from line 77265 on, 2.24 s after the first: 1019808 events",
    );
    says(
        CONTROL,
        "2 locks were released that nobody was seen to take",
    );
    // 18 flushes under a lock are sent to CPUs whose lines come later: no chain, and yet not nothing.
    let report = read(CONTROL);
    let under: Vec<(u64, u64)> = report
        .strict
        .iter()
        .map(|u| (u.chains, u.out_of_sight))
        .collect();
    assert_eq!(under, [(0, 18)]);
}
