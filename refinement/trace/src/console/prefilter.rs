//! Which lines can matter where no dump is open: bytes are searched for words, and most of a log is never looked at again.
//!
//! Inside a dump, a report of lockdep's or a mail in quoted-printable every line counts, and nothing is skipped.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::sync::OnceLock;

/// Every line that a reader takes while no dump is open has one of these in it.
const WORDS: &[&str] = &[
    // Heads of dumps, of the kernel and of debuggers.
    "CPU",
    "cpu ",
    "PID: ",
    "Pid: ",
    "task:",
    "Task dump",
    "Thread ",
    // Its flags end the head of a task to 5.10.
    " 0x00",
    " 0x10",
    " 0x20",
    " 0x40",
    " 0x80",
    " 0xc0",
    // Parts of a dump whose head is missing.
    "Call Trace",
    "Call trace",
    "RIP",
    "EIP",
    "FLAGS",
    "EFL=",
    "RFL=",
    "eflags",
    "TASK>",
    "IRQ>",
    "EOI>",
    "EOE>",
    "NMI>",
    "<#",
    "ENTRY",
    "pc : ",
    "epc : ",
    "PC is at",
    "NIP",
    "PSW",
    "+0x",
    "[inline]",
    " from ",
    "[<",
    // What the kernel says beside dumps.
    "ockup",
    "LOCKUP",
    "Booting ",
    "Brought up",
    "csd",
    "rcu",
    "Sending ",
    "psci",
    "smp",
    "Hardware name",
    "Hypervisor",
    "Linux version",
    "lock: ",
    "Dumping ftrace",
    "Kernel panic",
    "ticks this GP",
    "GPs behind",
    "): (",
    "INFO:",
    "INFO: ",
    "WARNING",
    "BUG",
    "general protection",
    "Oops",
    "Internal error",
    "Unable to handle",
    // lockdep and DEPT.
    "possible ",
    "inconsistent lock",
    "lock order",
    "DEPT",
    "held by",
    "){",
    // Mails.
    "=3D",
    "=20\n",
    "=20\r",
    "=\n",
    "=\r",
    "=C2=A0",
    "Encoding:",
];

/// Where the first line that can matter has its word; nothing if none does.
pub(super) fn first(bytes: &[u8]) -> Option<usize> {
    static WANTED: OnceLock<AhoCorasick> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .build(WORDS)
            .expect("a short list of words")
    });
    let input = aho_corasick::Input::new(bytes).earliest(true);
    wanted.find(input).map(|found| found.start())
}
