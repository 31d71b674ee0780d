//! The table of docs/diagnose.md, from the logs that the tests read.

use shootdown_trace::console::read;
use shootdown_trace::console::situation::{How, Situation};
use std::fmt::Write as _;
use std::path::PathBuf;

/// The logs, and what they are.
const INPUTS: &[(&str, &str)] = &[
    (
        "01-csd-irqs-off-no-lock",
        "console, csd watchdog and an NMI backtrace (6.3)",
    ),
    (
        "02-csd-got-unstuck",
        "syslog, csd watchdog with counters and a task dump (3.10-rt)",
    ),
    (
        "mutual-acks-6.6",
        "console, csd watchdog of two CPUs that await each other (6.6)",
    ),
    (
        "softlockup-all-cpus-5.15",
        "console, soft lockup and backtraces of all CPUs (5.15)",
    ),
    ("two-sided-6.12", "the same with PREEMPT_DYNAMIC (6.12)"),
    ("preempt-lazy-6.15", "the same, registers of no use (6.15)"),
    (
        "awaited-take-interrupts-6.12",
        "the same, and every other CPU takes interrupts (6.12)",
    ),
    ("all-spin-6.6", "the same, all spin for one lock (6.6)"),
    (
        "rwlock-in-interrupt-6.1",
        "the same, reader in an interrupt against a writer (6.1)",
    ),
    (
        "unknown-driver-6.1",
        "the same, a driver's function with interrupts off (6.1)",
    ),
    (
        "three-cpus-lockdep-6.6",
        "the same, with lockdep's locks (6.6)",
    ),
    (
        "lockdep-holder-6.1",
        "console with printk callers and lockdep's locks (6.1)",
    ),
    (
        "spinlock-debug-3.18",
        "console, spinlock lockup suspected, with its owner (3.18)",
    ),
    (
        "06-interleaved-code-bytes",
        "console, soft lockups with source lines (4.17)",
    ),
    (
        "interleaved-without-callers-6.1",
        "console, two soft lockups line by line (6.1)",
    ),
    (
        "07-kvm-guest-host-stalled",
        "console, soft lockups with registers (5.14, guest)",
    ),
    (
        "vmware-stall-5.4",
        "console, soft lockups at harmless places (5.4, guest)",
    ),
    (
        "09-rhel7-one-stack",
        "console, one soft lockup (3.10, guest)",
    ),
    (
        "moved-on-6.1",
        "console, two reports of one CPU at two places (6.1)",
    ),
    (
        "holder-unknown-5.10",
        "console, soft lockup and a task that hangs (5.10)",
    ),
    (
        "10-hard-lockup-irq-on-own-lock",
        "console, one hard lockup (3.10)",
    ),
    (
        "ipi-handler-spins-4.18",
        "console, hard lockup in an IPI's handler (4.18)",
    ),
    (
        "console-printer-4.12",
        "console, hard lockup in the serial console (4.12)",
    ),
    ("panic-5.14", "console, panic of a hard lockup (5.14)"),
    (
        "16-console-part",
        "console around an ftrace dump, one CPU (6.12)",
    ),
    (
        "16_hang_console_dump_kswapd",
        "the same console, with its ftrace dump (6.12)",
    ),
    (
        "rcu-self-detected-5.10",
        "console, RCU stall, only its own CPU (5.10)",
    ),
    (
        "syzbot-6.9",
        "syzbot's mail, RCU stall, inlined frames (6.9)",
    ),
    ("x86-64-2.6.32", "console, x86-64 (2.6.32)"),
    ("i386-2.6.32", "dmesg -r, i386 (2.6.32)"),
    (
        "mtrr-rendezvous-2.6.29",
        "console, a rendezvous in an IPI (2.6.29)",
    ),
    (
        "stop-machine-5.14",
        "console, stop_machine and a cross-call (5.14)",
    ),
    (
        "stop-machine-spinner-5.14",
        "console, stop_machine and a CPU that spins (5.14)",
    ),
    (
        "del-timer-sync-5.4",
        "console, del_timer_sync and the timer's softirq (5.4)",
    ),
    ("xen-pv-5.10", "console, Xen PV guest (5.10)"),
    ("arm64-rcu-stall-5.10", "console, arm64 (5.10)"),
    (
        "arm64-interrupts-on-6.1",
        "console, arm64, interrupts on (6.1)",
    ),
    ("arm64-pseudo-nmi", "console, arm64 with pseudo-NMI (6.6)"),
    (
        "04-ppc64-sync-call-in-timer",
        "console, ppc64 hard lockup (4.15)",
    ),
    (
        "ppc64-hard-lockup-6.4",
        "console, ppc64, hard lockup that another CPU saw (6.4)",
    ),
    ("s390-5.15", "console, s390 (5.15)"),
    ("riscv-6.6", "console, riscv (6.6)"),
    ("arm32-5.4", "console, 32-bit Arm (5.4)"),
    (
        "hung-io-4.19",
        "khungtaskd, a task that awaits its disk (4.19)",
    ),
    (
        "hung-all-locks-5.4",
        "khungtaskd with lockdep's locks (5.4)",
    ),
    ("hung-mutexes-6.16", "khungtaskd with owners (6.16)"),
    (
        "hung-rwsem-6.17",
        "khungtaskd with owners of an rwsem (6.17)",
    ),
    ("all-idle-sysrq-l", "sysrq-l of a machine at rest (6.1)"),
    ("warning-6.1", "a warning, and no hang (6.1)"),
    ("crash-bt-a", "crash, bt -a (3.10)"),
    ("crash-bt-a-5.14", "crash, bt -a (5.14)"),
    (
        "gdb-linux-6.9",
        "gdb on QEMU's stub, thread apply all bt (6.9)",
    ),
    (
        "33-gdb-backtraces-other-kernel",
        "QEMU registers and gdb backtraces of another kernel",
    ),
    ("qemu-registers-only", "QEMU, info registers -a alone"),
    (
        "30-lockdep-irq-inversion",
        "lockdep, irq lock inversion (6.0)",
    ),
    (
        "lockdep-safe-unsafe-5.15",
        "lockdep, HARDIRQ-safe to HARDIRQ-unsafe (5.15)",
    ),
    (
        "lockdep-inconsistent-5.4",
        "lockdep, inconsistent lock state (5.4)",
    ),
    ("lockdep-circular-6.7", "lockdep, circular dependency (6.7)"),
    ("lockdep-recursive-6.1", "lockdep, recursive locking (6.1)"),
    ("dept-6.9", "DEPT's report (6.9)"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn facts(all: &[Situation], awaited: bool, orders: usize) -> String {
    let mut facts = Vec::new();
    let any = |f: &dyn Fn(&Situation) -> bool| all.iter().any(f);
    if any(&|s| !s.frames.is_empty()) {
        facts.push("where");
    }
    if any(&|s| s.irqs.as_ref().is_some_and(|i| i.how == How::Printed)) {
        facts.push("interrupts");
    }
    if awaited {
        facts.push("whose acknowledgement");
    }
    if any(
        &|s| matches!(&s.doing, shootdown_trace::console::situation::Doing::Spins(l) if l.address.is_some()),
    ) {
        facts.push("the lock");
    }
    if any(&|s| s.holds.iter().any(|h| h.how == How::Printed)) {
        facts.push("what is held");
    }
    if any(&|s| s.mm.is_some()) {
        facts.push("which mm");
    }
    if orders > 0 {
        facts.push("the lock order");
    }
    facts.join(", ")
}

fn table() -> String {
    let mut table = String::from("| input | facts in it | answer |\n|---|---|---|\n");
    for (name, what) in INPUTS {
        let tests = root().join("refinement/trace/tests");
        let bytes = std::fs::read(tests.join(format!("cases/{name}.txt")))
            .or_else(|_| std::fs::read(tests.join(format!("ftrace/{name}.txt.gz"))));
        let d = read(&bytes.unwrap()[..]).unwrap();
        let facts = facts(&d.situations, !d.awaited.is_empty(), d.orders.len());
        let _ = writeln!(
            table,
            "| {what}: `{name}` | {facts} | {} |",
            d.verdict.name()
        );
    }
    table
}

/// No log that the tests read is missing in the table.
#[test]
fn the_table_has_every_log() {
    let listed: std::collections::BTreeSet<String> =
        INPUTS.iter().map(|(name, _)| (*name).to_string()).collect();
    let folder = root().join("refinement/trace/tests/cases");
    let mut there: std::collections::BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    there.insert("16_hang_console_dump_kswapd".into());
    assert_eq!(listed, there);
}

/// `DIAGNOSE_DOCS=write cargo test -p shootdown-trace --test diagnose_docs` writes it.
#[test]
fn the_table_of_inputs_is_what_the_logs_give() {
    let path = root().join("docs/diagnose.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- inputs:begin -->\n", "<!-- inputs:end -->");
    let (head, rest) = page.split_once(begin).expect("the page has the mark");
    let (old, tail) = rest.split_once(end).expect("the page has the mark");
    let new = table();
    if std::env::var("DIAGNOSE_DOCS").is_ok_and(|v| v == "write") {
        std::fs::write(&path, format!("{head}{begin}{new}{end}{tail}")).unwrap();
        return;
    }
    assert_eq!(
        old, new,
        "docs/diagnose.md is stale: DIAGNOSE_DOCS=write writes it"
    );
}
