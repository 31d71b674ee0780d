//! Whole logs, each with the answer of a person who knows.

#[path = "console/loggers.rs"]
mod loggers;
#[path = "console/posted.rs"]
mod posted;

use shootdown_trace::console::conclude::{Because, Verdict};
use shootdown_trace::console::situation::{Context, Doing, Situation, Who};
use shootdown_trace::console::{Diagnosis, read, text};

fn log(name: &str) -> String {
    let path = format!("{}/tests/cases/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn diagnose(name: &str) -> Diagnosis {
    of(&log(name))
}

fn of(text: &str) -> Diagnosis {
    read(text.as_bytes()).unwrap()
}

fn cpu(d: &Diagnosis, cpu: u32) -> &Situation {
    d.situations
        .iter()
        .find(|s| s.who == Who::Cpu(cpu))
        .unwrap_or_else(|| panic!("CPU{cpu} is in the log"))
}

fn awaits(d: &Diagnosis, from: u32) -> Vec<u32> {
    d.awaited
        .get(&from)
        .map(|t| t.iter().map(|t| t.cpu).collect())
        .unwrap_or_default()
}

/// On or off, and the line.
fn irqs(d: &Diagnosis, n: u32) -> (bool, u64) {
    let irqs = cpu(d, n).irqs.as_ref().expect("said");
    (irqs.on, irqs.line)
}

#[track_caller]
fn because(d: &Diagnosis, want: Because) {
    match &d.verdict {
        Verdict::NoCycle { because, .. } => assert_eq!(because, &[want]),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn condition(d: &Diagnosis) -> &str {
    match &d.verdict {
        Verdict::CycleIf { condition, .. } => condition,
        other => panic!("{other:?}"),
    }
}

fn shape(d: &Diagnosis) -> Option<&str> {
    d.shape.as_ref().map(|s| s.name)
}

#[test]
fn case_01_a_long_section_with_interrupts_off_is_no_cycle() {
    let d = diagnose("01-csd-irqs-off-no-lock");
    assert_eq!((awaits(&d, 0), awaits(&d, 2)), (vec![3], vec![3]));
    assert_eq!(irqs(&d, 3), (false, 22));
    assert_eq!(cpu(&d, 3).place, Some(("delay_tsc".into(), 21)));
    because(&d, Because::LongSection);
}

#[test]
fn case_02_a_wait_that_ended_is_no_cycle() {
    let d = diagnose("02-csd-got-unstuck");
    because(&d, Because::WaitEnded);
    assert_eq!(cpu(&d, 4).holds[0].lock, "a page-table lock");
    assert!(matches!(cpu(&d, 31).doing, Doing::NotShown(_)));
    assert!(
        d.notes
            .iter()
            .any(|n| n.text.contains("taken no interrupt for it since") && n.line == 7),
        "{:?}",
        d.notes
    );
}

#[test]
fn case_04_a_synchronous_call_on_top_of_an_interrupted_one_is_a_cycle_if_the_other_does_so_too() {
    let d = diagnose("04-ppc64-sync-call-in-timer");
    assert_eq!(
        condition(&d),
        "the CPU that it awaits waits for CPU42 in the same way"
    );
    assert_eq!(cpu(&d, 42).context, Context::Softirq);
    assert_eq!(irqs(&d, 42), (true, 7));
    assert_eq!(
        cpu(&d, 42).interrupted[0][0].function,
        "doorbell_global_ipi"
    );
    assert_eq!(shape(&d), Some("perf-pending-ipi"));
}

#[test]
fn case_06_bytes_between_the_frames_are_noise_and_nothing_is_a_cycle() {
    let d = diagnose("06-interleaved-code-bytes");
    let frames: Vec<&str> = cpu(&d, 1).frames.iter().map(|f| &*f.function).collect();
    assert_eq!(
        &frames[2..6],
        [
            "smp_call_function_single",
            "smp_call_function_many",
            "native_flush_tlb_others",
            "flush_tlb_mm_range"
        ]
    );
    assert_eq!(irqs(&d, 0), (true, 35));
    assert_eq!(cpu(&d, 0).context, Context::Softirq);
    because(&d, Because::StarvingSoftirq);
}

#[test]
fn case_07_a_cpu_that_clears_a_page_for_minutes_is_the_hosts() {
    let d = diagnose("07-kvm-guest-host-stalled");
    assert_eq!(awaits(&d, 2), [3]);
    assert!(d.awaited[&2][0].words.contains("RDI") && d.awaited[&2][0].words.contains("RBP = 3"));
    assert_eq!(irqs(&d, 3), (true, 30));
    because(&d, Because::HostStall);
}

#[test]
fn case_09_one_stack_decides_nothing() {
    let d = diagnose("09-rhel7-one-stack");
    let Verdict::NotDecidable { get, .. } = &d.verdict else {
        panic!("{:?}", d.verdict)
    };
    let get = get.join("\n");
    assert!(
        get.contains("softlockup_all_cpu_backtrace=1")
            && get.contains("sysrq")
            && get.contains("vCPU"),
        "{get}"
    );
    assert_eq!(cpu(&d, 6).doing, Doing::AwaitsAcks);
}

#[test]
fn case_10_an_interrupt_spins_for_what_its_own_cpu_holds() {
    let d = diagnose("10-hard-lockup-irq-on-own-lock");
    assert_eq!(
        condition(&d),
        "the code that CPU19 interrupted holds the lock at 0xffffa0e862900150"
    );
    assert_eq!(irqs(&d, 19), (false, 5));
    assert_eq!(cpu(&d, 19).interrupted[0][0].function, "cache_async_lock");
    assert_eq!(shape(&d), Some("C5"));
}

#[test]
fn case_30_an_inversion_is_b8_and_needs_no_ipi() {
    let d = diagnose("30-lockdep-irq-inversion");
    let edges: Vec<(&str, &str)> = d.orders[0]
        .edges
        .iter()
        .map(|e| (&*e.held, &*e.wanted))
        .collect();
    assert_eq!(
        edges,
        [
            ("base_crng.lock", "free_vmap_area_lock"),
            ("free_vmap_area_lock", "base_crng.lock")
        ]
    );
    assert!(condition(&d).starts_with(
        "a softirq that takes base_crng.lock comes on a CPU that holds free_vmap_area_lock"
    ));
    assert_eq!(shape(&d), Some("B8"));
    assert!(d.orders[0].ipis.starts_with("no IPI is needed"));
}

#[test]
fn case_33_another_kernel_under_gdb_is_a_cycle_if_cpu0_holds_the_zone_lock() {
    let d = diagnose("33-gdb-backtraces-other-kernel");
    assert_eq!(awaits(&d, 0), [1]);
    assert_eq!((irqs(&d, 0), irqs(&d, 1)), ((false, 3), (false, 5)));
    assert!(
        condition(&d).starts_with("CPU0 holds the lock at 0xc0251a40"),
        "{}",
        condition(&d)
    );
    assert_eq!(shape(&d), Some("C8"));
}

/// The console of recording 16 has the stack of the bystander alone: that is what can be said.
#[test]
fn the_console_of_the_recorded_hang_shows_one_cpu_and_its_lock() {
    let d = diagnose("16-console-part");
    let Doing::Spins(lock) = &cpu(&d, 0).doing else {
        panic!("{:?}", cpu(&d, 0))
    };
    assert_eq!(lock.address.map(|(a, _)| a), Some(0xff11_0000_00b3_40d0));
    assert_eq!(cpu(&d, 0).irqs.as_ref().map(|i| i.on), Some(true));
    assert_eq!(d.ftrace, Some(87));
    assert!(matches!(d.verdict, Verdict::NotDecidable { .. }));
}

/// Lines of recording 16: the console of a hang, with the dump of ftrace's between its rules.
fn recording() -> Vec<String> {
    use std::io::Read as _;
    let gz = include_bytes!("ftrace/16_hang_console_dump_kswapd.txt.gz");
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&gz[..])
        .read_to_string(&mut text)
        .unwrap();
    text.lines().map(str::to_string).collect()
}

#[test]
fn the_console_of_the_recorded_hang_with_its_dump_is_a_cycle_of_both_cpus() {
    let d = of(&recording().join("\n"));
    let Verdict::Cycle { cycle } = &d.verdict else {
        panic!("{}", text::report(&d, 100))
    };
    let edges: Vec<(Who, Who, u64)> = cycle.edges.iter().map(|e| (e.from, e.to, e.line)).collect();
    assert_eq!(
        edges,
        [
            (Who::Cpu(1), Who::Cpu(2), 31745),
            (Who::Cpu(2), Who::Cpu(1), 31757)
        ]
    );
    assert_eq!(irqs(&d, 1), (false, 31743));
    assert_eq!(awaits(&d, 2), [1]);
    // The trace hashes the address; CPU0 spins for the same lock, and its registers have it.
    for n in [0, 1] {
        let Doing::Spins(lock) = &cpu(&d, n).doing else {
            panic!("{:?}", cpu(&d, n))
        };
        assert_eq!(lock.address.map(|(a, _)| a), Some(0xff11_0000_00b3_40d0));
        assert_eq!(lock.traced.map(|(name, _)| name), Some(0xb6ee_3c1a));
    }
    assert_eq!(shape(&d), Some("C8"));
}

/// The buffer is short, and begins behind the line where CPU2 takes the lock.
#[test]
fn a_dump_that_begins_behind_the_holders_line_leaves_that_as_the_condition() {
    let lines = recording();
    let short = [&lines[..88], &lines[31_748..]].concat();
    let d = of(&short.join("\n"));
    assert_eq!(
        condition(&d),
        "CPU2 holds the lock &mm->page_table_lock at 0xff11000000b340d0"
    );
    assert_eq!((awaits(&d, 2), irqs(&d, 1).0), (vec![1], false));
}

/// Each line with a stamp, as it is in a log; and without the stack of the bystander the locks have the trace's names.
#[test]
fn a_dump_with_printks_stamps_is_read_as_well() {
    let lines: Vec<String> = recording()[86..]
        .iter()
        .map(|l| format!("[   12.123456] {l}"))
        .collect();
    let d = of(&lines.join("\n"));
    assert!(matches!(d.verdict, Verdict::Cycle { .. }));
    let report = text::report(&d, 100);
    assert!(
        report.contains("the lock &mm->page_table_lock (00000000b6ee3c1a in the trace)"),
        "{report}"
    );
}

/// A dump at an oops shows waits of a moment: none of them is a wait that lasts.
#[test]
fn a_dump_whose_waits_are_short_shows_no_hang() {
    let lines = recording();
    let cut = [&lines[..88], &lines[88..31_000], &lines[43_107..]].concat();
    let d = of(&cut.join("\n"));
    assert!(
        matches!(d.verdict, Verdict::NotDecidable { .. }),
        "{}",
        text::report(&d, 100)
    );
}

#[test]
fn a_two_sided_console_is_a_cycle_if_cpu2_holds_the_lock() {
    let d = diagnose("two-sided-6.12");
    assert_eq!(awaits(&d, 2), [1]);
    assert!(!irqs(&d, 1).0);
    assert!(
        condition(&d).starts_with("CPU2 holds the lock at 0xff11000000b340d0"),
        "{}",
        condition(&d)
    );
    assert_eq!(cpu(&d, 0).doing, Doing::Idle);
    // The section of the NMI only printed.
    assert_eq!(
        (cpu(&d, 1).context, cpu(&d, 1).interrupted.len()),
        (Context::Task, 0)
    );
    assert_eq!(cpu(&d, 1).frames[1].function, "do_raw_spin_lock");
    assert_eq!(shape(&d), Some("C8"));
    let printed = text::report(&d, 100);
    assert!(
        printed.contains("CPU1") && printed.contains("interrupts OFF"),
        "{printed}"
    );
}

#[test]
fn with_lockdep_and_printk_callers_every_edge_is_there() {
    let d = diagnose("lockdep-holder-6.1");
    assert_eq!(awaits(&d, 0), [1]);
    assert!(
        matches!(d.verdict, Verdict::Cycle { .. }),
        "{}",
        text::report(&d, 100)
    );
    assert!(text::report(&d, 100).contains("&mm->page_table_lock"));
}

/// Without the list of the waiter's CPU nobody holds the lock: the same log, one fact less.
#[test]
fn without_the_holders_line_the_same_log_is_conditional() {
    let text = log("lockdep-holder-6.1");
    let without: String = text
        .lines()
        .filter(|l| !l.contains("at: holder"))
        .map(|l| format!("{l}\n"))
        .collect();
    assert!(condition(&of(&without)).starts_with("CPU0 holds"));
}

#[test]
fn two_tasks_that_own_each_others_mutex_are_a_cycle() {
    let d = diagnose("hung-mutexes-6.16");
    assert!(
        matches!(d.verdict, Verdict::Cycle { .. }),
        "{}",
        text::report(&d, 100)
    );
    let half: String = log("hung-mutexes-6.16")
        .lines()
        .take(13)
        .map(|l| format!("{l}\n"))
        .collect();
    assert!(matches!(of(&half).verdict, Verdict::NotDecidable { .. }));
}

#[test]
fn a_log_without_a_hang_says_that_nobody_waits() {
    let d = diagnose("all-idle-sysrq-l");
    because(&d, Because::NobodyWaits);
    assert!(
        text::report(&d, 100).contains("no CPU waits here: 3 backtraces, all idle or in user mode")
    );
}

#[test]
fn the_priority_mask_of_arm64_overrides_pstate() {
    let d = diagnose("arm64-pseudo-nmi");
    assert_eq!((irqs(&d, 0).0, irqs(&d, 1).0), (false, true));
    assert!(condition(&d).starts_with("CPU1 holds"), "{}", condition(&d));
}

#[test]
fn crash_prints_the_2011_hang_in_its_way() {
    let d = diagnose("crash-bt-a");
    assert_eq!((irqs(&d, 0).0, irqs(&d, 1).0), (true, false));
    assert!(
        condition(&d).starts_with("CPU0 holds the lock at 0xffff8800b2c6a500"),
        "{}",
        text::report(&d, 100)
    );
}

#[test]
fn a_warning_is_no_hang() {
    let log =
        "[ 1.0] WARNING: CPU: 0 PID: 1 at kernel/smp.c:780 smp_call_function_many_cond+0x1/0x2
[ 1.0] CPU: 0 PID: 1 Comm: x Not tainted 6.1.0 #1
[ 1.0] RIP: 0010:smp_call_function_many_cond+0x1/0x2
[ 1.0] RSP: 0018:ffffa00000153868 EFLAGS: 00000046
[ 1.0] Call Trace:
[ 1.0]  f+0x1/0x2
";
    let d = of(log);
    assert_eq!(cpu(&d, 0).doing, Doing::Prints);
    assert!(matches!(d.verdict, Verdict::NotDecidable { .. }));
}

#[test]
fn an_offline_target_is_no_cycle() {
    let log = "smpboot: CPU 3 is now offline
smp: csd: Detected non-responsive CSD lock (#1) on CPU#0, waiting 5000000910 ns for CPU#03 f+0x0/0x20.
";
    because(&of(log), Because::Offline);
}

#[test]
fn an_unknown_function_leads_to_no_conclusion() {
    let log = log("01-csd-irqs-off-no-lock").replace("delay_tsc", "my_hardware_loop");
    assert!(matches!(of(&log).verdict, Verdict::NotDecidable { .. }));
}

#[test]
fn a_log_cut_inside_its_registers_claims_nothing_of_them() {
    let text = log("two-sided-6.12");
    let at = text.rfind("EFLAGS: 00000046").unwrap() + "EFLAGS: 0000".len();
    let d = of(&text[..at]);
    assert!(
        cpu(&d, 1)
            .irqs
            .as_ref()
            .is_none_or(|i| i.on || i.how != shootdown_trace::console::situation::How::Printed)
    );
    assert!(
        !matches!(d.verdict, Verdict::Cycle { .. } | Verdict::NoCycle { .. }),
        "{:?}",
        d.verdict
    );
}

#[test]
fn an_empty_file_and_a_binary_are_refused() {
    assert_eq!(read(&b""[..]).unwrap_err().to_string(), "it is empty");
    assert!(
        read(&b"\x17\x08\x44tracing6\0"[..])
            .unwrap_err()
            .to_string()
            .contains("trace-cmd report")
    );
    let boot = of("[ 0.0] Linux version 6.1.0\n[ 1.0] eth0: up\n");
    assert!(matches!(boot.verdict, Verdict::NotDecidable { .. }));
}

/// Every logger's prefix leaves the answer as it is.
#[test]
fn every_prefix_gives_the_same_answer() {
    for name in [
        "two-sided-6.12",
        "01-csd-irqs-off-no-lock",
        "07-kvm-guest-host-stalled",
    ] {
        let text = log(name);
        let plain = diagnose(name).verdict;
        for prefix in [
            "<4>",
            "> ",
            "Nov 12 03:14:07 host kernel: ",
            "[  223.501440] ",
            "2025-11-12T03:14:07.1+00:00 host kernel: ",
            "4,5005,12915307506,-;",
        ] {
            let with: String = text.lines().map(|l| format!("{prefix}{l}\n")).collect();
            assert_eq!(of(&with).verdict, plain, "{name} {prefix}");
        }
        let crlf = text.replace('\n', "\r\n");
        assert_eq!(of(&crlf).verdict, plain);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, text.as_bytes()).unwrap();
        assert_eq!(read(&gz.finish().unwrap()[..]).unwrap().verdict, plain);
    }
}

/// Most of a log is never looked at: what is looked at is all that matters.
#[test]
fn a_log_among_a_thousand_ordinary_lines_gives_the_same_answer() {
    let noise =
        "[  12.000001] usb 1-4: new high-speed USB device number 7 using xhci_hcd\n".repeat(1100);
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases")).unwrap() {
        let path = entry.unwrap().path();
        let case = std::fs::read_to_string(&path).unwrap();
        let (alone, among) = (of(&case), of(&format!("{noise}{case}\n{noise}")));
        let name = path.display();
        assert_eq!(alone.verdict.name(), among.verdict.name(), "{name}");
        assert_eq!(alone.dumps, among.dumps, "{name}");
        assert_eq!(alone.notes.len(), among.notes.len(), "{name}");
        assert_eq!(alone.orders.len(), among.orders.len(), "{name}");
        assert_eq!(
            among.lines,
            2200 + case.lines().count() as u64 + u64::from(case.ends_with('\n')),
            "{name}"
        );
        let facts = |d: &Diagnosis| -> Vec<String> {
            let each = d.situations.iter();
            each.map(|s| format!("{:?} {:?}", s.who, s.doing.waits()))
                .collect()
        };
        assert_eq!(facts(&alone), facts(&among), "{name}");
    }
}
