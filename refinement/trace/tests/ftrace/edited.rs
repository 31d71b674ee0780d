//! Recordings with something done to them: each is judged by what it says then.

use crate::recordings::{CONTROL, DEFAULT, HUNG, THP, chains, judge, lines};
use shootdown_trace::ftrace::report::{Rule, Verdict};

/// The chain of lines 880 to 901 of the recording of huge pages, which has 22.
const CHAIN: usize = 22;

#[test]
fn without_its_answer_a_flush_is_no_chain_and_the_missing_line_is_noted() {
    let mut edited = lines(THP);
    assert!(edited[898].contains("csd_function_exit"));
    edited.remove(898);
    let report = judge(&edited);
    assert_eq!(chains(&report), CHAIN as u64 - 1);
    assert_eq!(report.oddities.unanswered.count, 1);
    assert_eq!(report.oddities.unanswered.first[0].line, 883);
    assert!(report.end.hang.is_none(), "its sender went on");
    // The header counts one more.
    assert_eq!(report.verdict(&DEFAULT), Verdict::Incomplete);
}

#[test]
fn a_lock_released_before_the_flush_is_not_held_across_it() {
    let mut edited = lines(THP);
    let release = edited.remove(901);
    assert!(release.contains("lock_release: 00000000658a6ae1"));
    edited.insert(882, release);
    let report = judge(&edited);
    assert_eq!(chains(&report), CHAIN as u64 - 1);
    assert_eq!(report.oddities.unanswered.count, 0);
    // Its time gives it away: lines 882 to 900 are older.
    assert_eq!(report.backwards.count, 19);
}

/// What CPU1 does from line 31743 on, with interrupts on.
fn spins_with_interrupts_on() -> Vec<String> {
    let mut edited = lines(HUNG);
    for line in &mut edited[31_744..=31_755] {
        *line = line.replace("        1d..", "        1...");
    }
    edited.insert(31_744, edited[31_743].replace("irq_disable", "irq_enable"));
    edited
}

#[test]
fn a_cpu_that_spins_with_interrupts_on_is_in_no_deadlock() {
    let report = judge(&spins_with_interrupts_on());
    assert!(report.end.hang.is_none());
    assert_eq!(
        report.upstream.for_page_table_locks(),
        4,
        "the four before it are still there"
    );
    // It stands there all the same, and the request is still unanswered: that is said, and not called a deadlock.
    let missing: usize = report
        .end
        .standing
        .iter()
        .map(|s| s.missing().count())
        .sum();
    assert_eq!(missing, 1);
    assert!(
        report.order.cyclic(),
        "the earlier walks did take the lock with interrupts off"
    );
}

#[test]
fn flags_that_contradict_the_events_are_believed_and_reported() {
    let mut edited = lines(HUNG);
    edited.insert(31_744, edited[31_743].replace("irq_disable", "irq_enable"));
    let report = judge(&edited);
    assert!(report.end.hang.is_some());
    assert!(report.contradictions.count > 0);
    assert_eq!(report.contradictions.first[0].line, 31_745);
    assert!(
        report
            .cannot_show
            .iter()
            .any(|s| s.contains("flags that contradict"))
    );
}

#[test]
fn any_link_taken_out_ends_the_deadlock_or_is_assumed() {
    // The request to CPU1; what CPU2 holds; the attempt of CPU1 and its failure.
    for (gone, what) in [
        (&[31_757][..], "csd_queue_cpu: cpu=1"),
        (&[31_742, 31_745], "b6ee3c1a"),
        (&[31_754, 31_755], "b6ee3c1a"),
    ] {
        let mut edited = lines(HUNG);
        for line in gone.iter().rev() {
            assert!(edited[*line].contains(what));
            edited.remove(*line);
        }
        match judge(&edited).end.hang {
            // Who holds the lock is not in the trace: it may be the one that waits for the CPU that spins.
            Some(hang) => assert_eq!(
                (gone[0], hang.assumes.len()),
                (31_742, 1),
                "{:?}",
                hang.assumes
            ),
            None => assert_ne!(gone[0], 31_742),
        }
    }
}

#[test]
fn an_answer_or_a_release_at_the_last_moment_ends_it_too() {
    let answer = "      wl-65        1d.h3. 9175000us : csd_function_exit: func=flush_tlb_func, csd=00000000e6bcdb51";
    let release =
        " kswapd0-38        2...2. 9175000us : lock_release: 00000000b6ee3c1a &mm->page_table_lock";
    for line in [answer, release] {
        let mut edited = lines(HUNG);
        let end = edited.iter().rposition(|l| l.starts_with("-----")).unwrap();
        edited.insert(end, line.to_string());
        assert!(judge(&edited).end.hang.is_none(), "{line}");
    }
}

#[test]
fn the_deadlock_is_there_from_the_request_on_and_not_before() {
    let hangs = |upto: usize| {
        let edited = lines(HUNG);
        let report = judge(&edited[..=upto]);
        assert!(
            report
                .incomplete
                .iter()
                .any(|r| r.contains("the dump has no end"))
        );
        report.end.hang.is_some()
    };
    assert!(!hangs(31_754));
    assert!(!hangs(31_756), "CPU0 can answer");
    assert!(hangs(31_757));
    assert!(hangs(40_000));
}

#[test]
fn a_planted_wait_among_a_hundred_thousand_clean_lines_is_found() {
    let mut edited = lines(CONTROL);
    let at = 90_000;
    // A context of its own on CPU1, between two lines of the same time.
    let time = edited[at]
        .split_whitespace()
        .find(|w| w.ends_with(':'))
        .unwrap()
        .to_string();
    let lock = "00000000495ee0d3 &mm->page_table_lock";
    let planted = [
        "d..1. TIME irq_disable: caller=planted+0x1/0x2 parent=planted_parent+0x1/0x2".to_string(),
        format!("d..2. TIME lock_acquire: {lock}"),
        format!("d..2. TIME lock_contended: {lock}"),
        format!("d..2. TIME lock_acquired: {lock}"),
        format!("d..2. TIME lock_release: {lock}"),
        "d..1. TIME irq_enable: caller=planted+0x1/0x2 parent=planted_parent+0x1/0x2".to_string(),
    ];
    let planted = planted.map(|l| {
        format!(
            "            evil-999     [001] {}",
            l.replace("TIME", &format!("    {time}"))
        )
    });
    edited.splice(at..at, planted);
    let report = judge(&edited);
    assert_eq!(report.verdict(&DEFAULT), Verdict::Violated);
    assert!(!report.violated(Rule::Hang));
    let waits = report
        .upstream
        .waits
        .iter()
        .find(|w| w.violated)
        .expect("found");
    assert_eq!(waits.count, 1);
    assert_eq!(waits.shown[0].place.line, at as u64 + 2);
    assert_eq!(
        waits.shown[0].off.as_ref().unwrap().parent,
        "planted_parent+0x1/0x2"
    );
    let cycle = report
        .order
        .judged()
        .next()
        .expect("a deadlock is possible");
    assert_eq!(cycle.edges[1].waits.place.line, at as u64 + 1);
}

#[test]
fn lost_events_forget_what_was_known_and_make_silence_mean_less() {
    let mut edited = lines(THP);
    edited.insert(890, "CPU:1 [LOST 12 EVENTS]".into());
    let report = judge(&edited);
    assert_eq!(chains(&report), CHAIN as u64 - 1);
    let cut_off: u64 = report.strict.iter().map(|u| u.cut_off).sum();
    assert_eq!(cut_off, 1);
    assert_eq!(report.oddities.held_over_gap.first[0].line, 902);
    assert_eq!(report.verdict(&DEFAULT), Verdict::Incomplete);
    // Of the target: the answer may be what is missing.
    let mut edited = lines(THP);
    edited.remove(898);
    edited.insert(890, "CPU:2 [LOST 12 EVENTS]".into());
    let report = judge(&edited);
    assert_eq!(report.oddities.unanswered.count, 0);
    assert_eq!(report.oddities.out_of_sight.count, 1);
}

#[test]
fn lost_events_of_the_spinning_cpu_take_the_deadlock_out_of_sight() {
    let mut edited = lines(HUNG);
    edited.insert(31_760, "CPU:1 [LOST 3 EVENTS]".into());
    assert!(judge(&edited).end.hang.is_none());
}

#[test]
fn unknown_events_and_damaged_lines_are_survived_and_reported() {
    let mut edited = lines(THP);
    let mut damaged = Vec::new();
    let mut at = edited.len() - 1;
    while at > 1000 {
        let unknown = "              wl-63      [001] d..2.     6.310788: sched_wakeup: comm=wl pid=3 prio=120 target_cpu=001";
        edited.insert(at, unknown.into());
        let half = edited[at - 1][..edited[at - 1].len() / 2].to_string();
        if half.contains(':')
            && !edited[at - 1].contains("csd_")
            && !edited[at - 1].contains("lock_")
        {
            damaged.push(half.clone());
            edited.insert(at, half);
        }
        at -= 997;
    }
    let report = judge(&edited);
    assert_eq!(chains(&report), CHAIN as u64);
    assert_eq!(report.counts.unknown["sched_wakeup"], 71);
    assert_eq!(report.counts.malformed, damaged.len() as u64);
    assert!(!damaged.is_empty());
    assert_eq!(report.verdict(&DEFAULT), Verdict::Incomplete);
}

#[test]
fn a_console_that_stamps_every_line_shows_the_same_hang() {
    let stamped = |line: &String| format!("<4>[  123.456789] [   T64] {line}\r");
    let edited: Vec<String> = lines(HUNG).iter().map(stamped).collect();
    let report = judge(&edited);
    assert!(report.end.hang.is_some());
    assert_eq!(report.upstream.for_page_table_locks(), 5);
    assert_eq!(
        report.counts.malformed, 0,
        "{:?}",
        report.counts.first_malformed
    );
}

/// `lock_acquired` and `lock_contended` come with CONFIG_LOCK_STAT only.
#[test]
fn a_kernel_without_lock_stat_is_judged_by_who_holds_what() {
    let without = |name: &str| {
        let mut edited = lines(name);
        edited.retain(|l| {
            !l.contains(": lock_acquired:")
                && !l.contains(": lock_contended:")
                && !l.contains("entries-in-buffer")
        });
        judge(&edited)
    };
    let thp = without(THP);
    assert_eq!(chains(&thp), CHAIN as u64);
    assert_eq!(thp.verdict(&DEFAULT), Verdict::Clean);
    assert!(
        thp.cannot_show
            .iter()
            .any(|s| s.contains("CONFIG_LOCK_STAT"))
    );
    let hung = without(HUNG);
    assert_eq!(hung.end.hang.expect("the hang").cycle.len(), 2);
    assert!(hung.upstream.violated());
}
