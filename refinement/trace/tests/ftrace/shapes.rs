//! One hang in the shapes that tools and kernels print: the facts are the same wherever the events are.
//!
//! `shapes/13` to `25` are small reconstructions in the shapes of public reports; `trace-cmd-*` is what `trace-cmd` 3.1.6
//! printed of a `trace.dat` with these events, option by option.

use crate::recordings::{DEFAULT, folder};
use shootdown_trace::ftrace::hang::Wait;
use shootdown_trace::ftrace::report::{Report, Rule, Verdict};
use shootdown_trace::ftrace::{self, text};

pub fn text_of(name: &str) -> String {
    std::fs::read_to_string(folder().join("shapes").join(name))
        .unwrap_or_else(|e| panic!("{name}: {e}"))
}

pub fn read(name: &str) -> Report {
    judge(name, &text_of(name))
}

fn judge(name: &str, text: &str) -> Report {
    ftrace::read(text.as_bytes()).unwrap_or_else(|e| panic!("{name}:{e}"))
}

fn printed(report: &Report) -> String {
    text::report(report, &DEFAULT, 100)
}

/// The hang, fact by fact: CPU0 walker holds pgd_lock, interrupts off, spins for the page-table lock that CPU1 reaper holds
/// while it awaits CPU0.
fn is_the_hang(name: &str, report: &Report, certain: bool) {
    let shown = printed(report);
    let hang = report
        .end
        .hang
        .as_ref()
        .unwrap_or_else(|| panic!("{name}: no hang\n{shown}"));
    let [walker, reaper] = &hang.cycle[..] else {
        panic!("{name}: {:?}", hang.cycle);
    };
    assert_eq!((walker.cpu, reaper.cpu), (0, 1), "{name}");
    assert!(walker.irqs_off && !reaper.irqs_off, "{name}");
    assert_eq!(walker.task.to_string(), "walker-402", "{name}");
    assert_eq!(walker.holds.len(), 1, "{name}");
    assert_eq!(walker.holds[0].class.name, "pgd_lock", "{name}");
    let Wait::Lock {
        lock, contended, ..
    } = &walker.wait
    else {
        panic!("{name}: {:?}", walker.wait);
    };
    assert!(contended.is_some(), "{name}");
    assert_eq!(reaper.holds.len(), 1, "{name}");
    assert_eq!(reaper.holds[0].address, lock.address, "{name}");
    assert_eq!(reaper.holds[0].class, lock.class, "{name}");
    assert!(lock.class.part.watched(), "{name}: {}", lock.class);
    assert!(
        matches!(reaper.wait, Wait::Acknowledgements { .. }),
        "{name}"
    );
    assert_eq!(
        hang.assumes.is_empty(),
        certain,
        "{name}: {:?}",
        hang.assumes
    );
    assert_eq!(report.verdict(&DEFAULT), Verdict::Violated, "{name}");
    for rule in Rule::ALL {
        assert!(report.violated(rule), "{name}: {rule:?}");
    }
    assert_eq!(
        report.counts.malformed, 0,
        "{name}: {:?}",
        report.counts.first_malformed
    );
}

#[test]
fn the_same_hang_is_found_in_every_shape() {
    for name in [
        "00-baseline-native-6.12.txt",
        "13-trace-cmd-report.txt",
        "13c-trace-cmd-report-t.txt",
        "14-perf-script.txt",
        "15-rt-dump-seven-flags.txt",
        "18b-old-ptl-class-with-csd.txt",
        "19-systrace.html",
        "21-flags-migrate-disable-lazy.txt",
        "23-journal-prefixed-dump.txt",
        "25-stacks-and-syscall-lines.txt",
    ] {
        let report = read(name);
        is_the_hang(name, &report, true);
        let missing: Vec<u16> = report
            .end
            .hang
            .iter()
            .flat_map(|h| &h.cycle)
            .flat_map(|s| s.missing())
            .map(|r| r.target)
            .collect();
        assert_eq!(missing, [0], "{name}");
    }
}

#[test]
fn every_option_of_trace_cmd_report_tells_it() {
    for option in ["", "-l", "-l-t", "-t", "-R", "-N", "--ts-diff"] {
        let name = format!("trace-cmd-3.1.6-report{option}.txt");
        is_the_hang(&name, &read(&name), true);
    }
}

/// One CPU of two: what it asks of the other is not answered, for all that is recorded.
#[test]
fn the_lines_of_one_cpu_are_never_clean() {
    let report = read("trace-cmd-3.1.6-report--cpu1.txt");
    assert_eq!(report.verdict(&DEFAULT), Verdict::Incomplete);
    assert_eq!(
        report.gaps,
        ["the machine has 2 CPUs, and 1 of them no event here"]
    );
}

#[test]
fn without_csd_events_the_flush_is_told_by_tlb_flush_and_the_deadlock_is_very_likely() {
    let report = read("18-rhel8-no-csd-events.txt");
    is_the_hang("18", &report, false);
    let shown = printed(&report);
    assert!(
        shown.contains("DEADLOCK of CPU0 and CPU1, very likely"),
        "{shown}"
    );
    assert!(
        report.end.hang.unwrap().assumes[0].contains("of the flush only `tlb_flush` in line 17")
    );
}

/// CPU0's first line comes after the request.
#[test]
fn function_graph_with_events_between_is_read() {
    let name = "17-function-graph-events.txt";
    let report = read(name);
    is_the_hang(name, &report, false);
    assert_eq!(report.counts.unknown["(function tracer)"], 10);
}

#[test]
fn a_latency_tracer_has_nothing_to_judge_and_its_longest_step_is_told() {
    let report = read("16-irqsoff-latency.txt");
    assert_eq!(report.verdict(&DEFAULT), Verdict::Incomplete);
    let shown = printed(&report);
    for says in [
        "tracer: irqsoff, which measured 431 us",
        "longest step: 300 us after gpu_mmio_read <-gpu_scanout_position",
        "nothing to judge",
    ] {
        assert!(shown.contains(says), "{says}:\n{shown}");
    }
}

#[test]
fn lttng_tells_the_order_of_locks_and_says_what_it_has_not() {
    let report = read("20-lttng-babeltrace.txt");
    let edges: Vec<String> = report
        .order
        .edges
        .iter()
        .map(|e| format!("{} -> {}", e.from, e.to))
        .collect();
    assert_eq!(edges, ["pgd_lock -> ptlock_ptr(ptdesc)"]);
    assert_eq!(report.verdict(&DEFAULT), Verdict::Incomplete);
    assert!(
        report
            .incomplete
            .iter()
            .any(|why| why.contains("LTTng has no event of interrupts going off"))
    );
}

#[test]
fn a_stack_goes_to_what_it_was_printed_with() {
    let report = read("25-stacks-and-syscall-lines.txt");
    let hang = report.end.hang.as_ref().unwrap();
    let off = hang.cycle[0].off.as_ref().unwrap();
    assert_eq!(
        off.stack,
        [
            "trace_hardirqs_off_caller",
            "sync_global_pgds",
            "vmalloc_sync_all"
        ]
    );
    assert_eq!(report.counts.unknown["(system call)"], 2);
    let report = read("trace-cmd-3.1.6-report.txt");
    let off = report.end.hang.as_ref().unwrap().cycle[0]
        .off
        .as_ref()
        .unwrap();
    assert_eq!(
        off.stack,
        [
            "_raw_spin_lock_irqsave",
            "sync_global_pgds",
            "vmalloc_sync_all"
        ]
    );
}

/// What ends the deadlock: CPU1 asks nobody, CPU0 gets the lock. The reading of each shape must not see it all the same.
fn ended(name: &str) -> String {
    let text = text_of(name);
    let keep = |line: &&str| {
        !["irq_disable:", "csd_queue_cpu", "ipi_send", "tlb_flush"]
            .iter()
            .any(|gone| line.contains(gone))
    };
    text.lines()
        .filter(keep)
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn without_request_and_interrupts_off_no_shape_shows_a_hang_and_none_is_clean() {
    for entry in std::fs::read_dir(folder().join("shapes")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let report = judge(&name, &ended(&name));
        assert!(report.end.hang.is_none(), "{name}");
        assert_eq!(
            report.verdict(&DEFAULT),
            Verdict::Incomplete,
            "{name}: {}",
            printed(&report)
        );
    }
}
