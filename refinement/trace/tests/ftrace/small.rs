//! Small traces of what the recordings do not have: interrupts that take locks, trylocks, readers, sleeping locks.

use crate::recordings::{chains, judge_text};
use shootdown_trace::ftrace::hang::Wait;
use shootdown_trace::ftrace::order::Through;
use shootdown_trace::ftrace::report::{Report, Rule};
use std::fmt::Write as _;

/// `task cpu flags event`, one a line; the time is the line's number.
fn trace(lines: &str) -> Report {
    let mut text = String::new();
    for (n, line) in lines.trim().lines().enumerate() {
        let mut words = line.trim().splitn(4, ' ');
        let mut word = || words.next().unwrap();
        let (task, cpu, flags, event) = (word(), word(), word(), word());
        writeln!(text, "{task:>24} [{cpu:0>3}] {flags} {n}: {event}").unwrap();
    }
    judge_text(&text)
}

fn cycles(report: &Report) -> Vec<String> {
    let cycles = report.order.cycles.iter();
    cycles
        .map(|c| format!("{} {:?}", c.nodes.join(" -> "), c.through))
        .collect()
}

/// C5 in a kernel's trace: `pgd_lock` from an interrupt, on the CPU that holds it.
#[test]
fn an_interrupt_that_takes_a_lock_its_own_cpu_holds_hangs_alone() {
    let report = trace(
        "a-1 0 ...2. lock_acquire: 1 pgd_lock
         a-1 0 ...2. lock_acquired: 1 pgd_lock
         a-1 0 ...2. contention_begin: 7 (flags=SPIN)
         a-1 0 d.h2. lock_acquire: 1 pgd_lock
         a-1 0 d.h2. lock_contended: 1 pgd_lock",
    );
    let hang = report.end.hang.expect("a hang on one CPU");
    assert_eq!(hang.cycle.len(), 2);
    assert!(hang.cycle.iter().all(|s| s.cpu == 0));
    assert!(matches!(hang.cycle[0].wait, Wait::Interrupt));
    assert_eq!(
        report
            .order
            .cycles
            .iter()
            .map(|c| (c.nodes.join(" "), c.through))
            .collect::<Vec<_>>(),
        [("pgd_lock".to_string(), Through::PageTableLocks)]
    );
}

/// B8: it did not happen, but the interrupt might have come while the page-table lock was held.
#[test]
fn an_inversion_without_any_ipi_is_predicted() {
    let report = trace(
        "a-1 0 d..2. lock_acquire: 1 pgd_lock
         a-1 0 d..2. lock_acquired: 1 pgd_lock
         a-1 0 d..3. lock_acquire: 2 &mm->page_table_lock
         a-1 0 d..3. lock_acquired: 2 &mm->page_table_lock
         a-1 0 d..3. lock_release: 2 &mm->page_table_lock
         a-1 0 d..2. lock_release: 1 pgd_lock
         b-2 1 ...2. lock_acquire: 2 &mm->page_table_lock
         b-2 1 ...2. lock_acquired: 2 &mm->page_table_lock
         b-2 1 ...2. lock_release: 2 &mm->page_table_lock
         b-2 1 d.h1. lock_acquire: 1 pgd_lock
         b-2 1 d.h1. lock_acquired: 1 pgd_lock
         b-2 1 d.h1. lock_release: 1 pgd_lock",
    );
    assert_eq!(
        cycles(&report),
        ["pgd_lock -> &mm->page_table_lock PageTableLocks"]
    );
    assert!(
        !report.violated(Rule::Hang)
            && !report.violated(Rule::Upstream)
            && report.violated(Rule::Order)
    );
}

/// Bottom halves off keep softirqs out, interrupts off keep both out.
#[test]
fn a_lock_that_interrupts_cannot_come_upon_makes_no_edge() {
    let with = |flags: &str| {
        let lines = "a-1 0 FLAGS lock_acquire: 2 &mm->page_table_lock
             a-1 0 FLAGS lock_acquired: 2 &mm->page_table_lock
             a-1 0 FLAGS lock_release: 2 &mm->page_table_lock
             a-1 0 b.s1. lock_acquire: 2 &mm->page_table_lock
             a-1 0 b.s1. lock_acquired: 2 &mm->page_table_lock
             a-1 0 b.s1. lock_release: 2 &mm->page_table_lock";
        trace(&lines.replace("FLAGS", flags)).violated(Rule::Order)
    };
    assert!(with("...2."), "a softirq may come upon it");
    assert!(!with("b..2."));
    assert!(!with("D..2."));
}

#[test]
fn acknowledgements_awaited_with_interrupts_off_are_a_cycle_of_one() {
    let queue = "csd_queue_cpu: cpu=1 callsite=f+0x1/0x2 func=flush_tlb_func csd=c1";
    let report = trace(&format!("a-1 0 d..2. {queue}\nb-2 1 ...1. sched_switch: x"));
    assert_eq!(cycles(&report), ["IPI acknowledgement Acknowledgement"]);
    assert_eq!(report.oddities.awaited_with_irqs_off.count, 1);
    // Nobody waits for these.
    let report = trace(&format!(
        "a-1 0 d..2. {}",
        queue.replace("flush_tlb_func", "nohz_csd_func")
    ));
    assert!(report.order.edges.is_empty());
}

#[test]
fn trylocks_are_held_but_never_waited_for() {
    let queue = "csd_queue_cpu: cpu=1 callsite=f+0x1/0x2 func=flush_tlb_func csd=c1";
    let report = trace(&format!(
        "b-2 1 ...1. sched_switch: x
         a-1 0 d..2. lock_acquire: 2 try &mm->page_table_lock
         a-1 0 d..2. lock_release: 2 &mm->page_table_lock
         a-1 0 ...2. lock_acquire: 2 try &mm->page_table_lock
         a-1 0 ...2. {queue}
         b-2 1 d.h1. csd_function_exit: func=flush_tlb_func, csd=c1
         a-1 0 ...2. lock_release: 2 &mm->page_table_lock"
    ));
    assert_eq!(chains(&report), 1);
    assert!(!report.order.cyclic(), "{:?}", report.order.edges);
}

/// Seqcounts print `lock_acquire` alone, and readers wait for writers only.
#[test]
fn readers_that_no_writer_waits_for_hold_nobody_back() {
    let queue = "csd_queue_cpu: cpu=1 callsite=f+0x1/0x2 func=flush_tlb_func csd=c1";
    let lines = |write: &str| {
        trace(&format!(
            "a-1 0 ...1. lock_acquire: 5 read &s->seqcount
             a-1 0 ...2. {queue}
             a-1 0 ...1. lock_release: 5 &s->seqcount
             b-2 1 d..1. lock_acquire: 5 {write}&s->seqcount
             b-2 1 d..1. lock_release: 5 &s->seqcount"
        ))
    };
    assert!(!lines("read ").order.cyclic());
    assert!(
        lines("").order.cyclic(),
        "a writer with interrupts off would wait for the reader"
    );
}

#[test]
fn a_sleeping_lock_may_be_released_by_somebody_else_on_another_cpu() {
    let report = trace(
        "a-1 0 ...1. lock_acquire: 9 &sem->lock
         a-1 0 ...1. lock_acquired: 9 &sem->lock
         b-2 1 ...1. lock_release: 9 &sem->lock
         a-1 2 ...1. lock_acquire: 9 &sem->lock
         a-1 2 ...1. lock_acquired: 9 &sem->lock
         a-1 1 ...1. lock_release: 9 &sem->lock",
    );
    assert_eq!(report.oddities.held_at_start.count, 0);
    assert!(report.order.edges.is_empty(), "{:?}", report.order.edges);
}

/// Two locks in both orders: lockdep's subject, and it knows annotations that a trace does not have.
#[test]
fn a_cycle_of_other_locks_is_listed_and_not_judged() {
    let take = |cpu: u8, a: u8, b: u8| {
        format!(
            "a-{cpu} {cpu} ...1. lock_acquire: {a} lock{a}
             a-{cpu} {cpu} ...1. lock_acquired: {a} lock{a}
             a-{cpu} {cpu} ...2. lock_acquire: {b} lock{b}
             a-{cpu} {cpu} ...2. lock_acquired: {b} lock{b}
             a-{cpu} {cpu} ...2. lock_release: {b} lock{b}
             a-{cpu} {cpu} ...1. lock_release: {a} lock{a}\n"
        )
    };
    let report = trace(&(take(1, 1, 2) + &take(2, 2, 1)));
    assert_eq!(cycles(&report), ["lock1 -> lock2 OtherLocks"]);
    assert!(!report.violated(Rule::Order));
}

/// The three-CPU form: the spinner waits for `pgd_lock`, whose holder waits for the page-table lock.
#[test]
fn a_wait_through_a_chain_of_holders_violates_the_upstream_rule() {
    let queue = "csd_queue_cpu: cpu=2 callsite=f+0x1/0x2 func=flush_tlb_func csd=c1";
    let report = trace(&format!(
        "c-3 2 ...1. sched_switch: x
         a-1 0 ...2. lock_acquire: 2 &mm->page_table_lock
         a-1 0 ...2. lock_acquired: 2 &mm->page_table_lock
         b-2 1 ...2. lock_acquire: 1 pgd_lock
         b-2 1 ...2. lock_acquired: 1 pgd_lock
         b-2 1 ...3. lock_acquire: 2 &mm->page_table_lock
         b-2 1 ...3. lock_contended: 2 &mm->page_table_lock
         c-3 2 d..2. lock_acquire: 1 pgd_lock
         c-3 2 d..2. lock_contended: 1 pgd_lock
         a-1 0 ...3. {queue}
         a-1 0 ...3. ipi_send_cpu: cpu=2 callsite=f callback=g"
    ));
    let [waits] = &report.upstream.waits[..] else {
        panic!("{:?}", report.upstream.waits);
    };
    assert_eq!(
        waits
            .chain
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["pgd_lock", "&mm->page_table_lock"]
    );
    assert!(waits.violated);
    let hang = report.end.hang.expect("all three wait for each other");
    assert_eq!(
        hang.cycle.iter().map(|s| s.cpu).collect::<Vec<_>>(),
        [0, 1, 2]
    );
}

#[test]
fn a_request_is_answered_on_its_target_only() {
    let lines = |cpu: u8| {
        trace(&format!(
            "b-2 1 ...1. sched_switch: x
             c-3 2 ...1. sched_switch: x
             a-1 0 ...2. lock_acquire: 2 &mm->page_table_lock
             a-1 0 ...2. lock_acquired: 2 &mm->page_table_lock
             a-1 0 ...2. csd_queue_cpu: cpu=1 callsite=f func=flush_tlb_func csd=c1
             b-2 {cpu} d.h1. csd_function_exit: func=flush_tlb_func, csd=c1
             a-1 0 ...2. lock_release: 2 &mm->page_table_lock"
        ))
    };
    assert_eq!(chains(&lines(1)), 1);
    let wrong = lines(2);
    assert_eq!((chains(&wrong), wrong.oddities.wrong_cpu.count), (0, 1));
}
