//! The table of docs/diagnose.md, from the logs that the tests read.

use shootdown_trace::console::read;
use shootdown_trace::console::situation::{How, Situation};
use std::fmt::Write as _;
use std::path::PathBuf;

/// The logs, and what they are.
const INPUTS: [(&str, &str); 17] = [
    (
        "01-csd-irqs-off-no-lock",
        "console, csd watchdog and an NMI backtrace (6.3)",
    ),
    (
        "02-csd-got-unstuck",
        "syslog, csd watchdog with counters and a task dump (3.10-rt)",
    ),
    (
        "04-ppc64-sync-call-in-timer",
        "console, ppc64 hard lockup (4.15)",
    ),
    (
        "06-interleaved-code-bytes",
        "console, soft lockups with source lines (4.17)",
    ),
    (
        "07-kvm-guest-host-stalled",
        "console, soft lockups with registers (5.14, guest)",
    ),
    (
        "09-rhel7-one-stack",
        "console, one soft lockup (3.10, guest)",
    ),
    (
        "10-hard-lockup-irq-on-own-lock",
        "console, one hard lockup (3.10)",
    ),
    (
        "16-console-part",
        "console around an ftrace dump, one CPU (6.12)",
    ),
    (
        "16_hang_console_dump_kswapd",
        "the same console, with its ftrace dump (6.12)",
    ),
    (
        "two-sided-6.12",
        "console, soft lockup and backtraces of all CPUs (6.12)",
    ),
    (
        "lockdep-holder-6.1",
        "console with printk callers and lockdep's locks (6.1)",
    ),
    ("hung-mutexes-6.16", "khungtaskd with owners (6.16)"),
    ("all-idle-sysrq-l", "sysrq-l of a machine at rest (6.1)"),
    ("arm64-pseudo-nmi", "console, arm64 with pseudo-NMI (6.6)"),
    ("crash-bt-a", "crash, bt -a (3.10)"),
    (
        "33-gdb-backtraces-other-kernel",
        "QEMU registers and gdb backtraces of another kernel",
    ),
    ("30-lockdep-irq-inversion", "lockdep report (6.0)"),
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
