//! Logs that were damaged: no panic, and neither wrong answer. `DIAGNOSE_ROUNDS=100000` tries harder.

use shootdown_trace::console::conclude::Verdict;
use shootdown_trace::console::{Diagnosis, read, text};

fn log(name: &str) -> String {
    let path = format!("{}/tests/cases/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn rounds() -> usize {
    let rounds = std::env::var("DIAGNOSE_ROUNDS").ok();
    rounds.and_then(|n| n.parse().ok()).unwrap_or(1500)
}

/// A small generator of its own keeps a failure repeatable.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

type Lines = Vec<Vec<u8>>;

fn lines(text: &str) -> Lines {
    text.lines().map(|l| l.as_bytes().to_vec()).collect()
}

fn told(lines: &Lines) -> Option<(Vec<u8>, Diagnosis)> {
    let text = lines.join(&b'\n');
    let diagnosis = read(&text[..]).ok()?;
    Some((text, diagnosis))
}

#[track_caller]
fn wrong(round: usize, text: &[u8], d: &Diagnosis) -> ! {
    panic!(
        "round {round}\n{}\n{}",
        String::from_utf8_lossy(text),
        text::report(d, 100)
    )
}

/// No log here names a holder: nothing that is done to it makes a cycle of it.
#[test]
fn damaged_logs_do_not_become_a_cycle() {
    const NAMES: &[&str] = &[
        "softlockup-all-cpus-5.15",
        "awaited-take-interrupts-6.12",
        "arm64-rcu-stall-5.10",
        "arm64-interrupts-on-6.1",
        "ppc64-hard-lockup-6.4",
        "rcu-self-detected-5.10",
        "syzbot-6.9",
        "s390-5.15",
        "riscv-6.6",
        "arm32-5.4",
        "i386-2.6.32",
        "x86-64-2.6.32",
        "ipi-handler-spins-4.18",
        "console-printer-4.12",
        "del-timer-sync-5.4",
        "xen-pv-5.10",
        "crash-bt-a-5.14",
        "gdb-linux-6.9",
        "stop-machine-5.14",
        "rwlock-in-interrupt-6.1",
        "lockdep-circular-6.7",
        "dept-6.9",
        "two-sided-6.12",
        "01-csd-irqs-off-no-lock",
        "02-csd-got-unstuck",
        "06-interleaved-code-bytes",
        "07-kvm-guest-host-stalled",
        "09-rhel7-one-stack",
        "33-gdb-backtraces-other-kernel",
        "30-lockdep-irq-inversion",
        "crash-bt-a",
        "04-ppc64-sync-call-in-timer",
        "16-console-part",
    ];
    let texts: Vec<String> = NAMES.iter().map(|n| log(n)).collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..rounds() {
        let mut log = lines(&texts[round % texts.len()]);
        for _ in 0..1 + random.below(6) {
            if log.is_empty() {
                break;
            }
            let at = random.below(log.len());
            match random.below(7) {
                0 => drop(log.remove(at)),
                1 => {
                    let other = log[at].clone();
                    log.insert(random.below(log.len()), other);
                }
                2 => {
                    let cut = random.below(log[at].len() + 1);
                    log[at].truncate(cut);
                }
                3 if !log[at].is_empty() => {
                    let byte = random.below(log[at].len());
                    log[at][byte] = random.below(256) as u8;
                }
                4 => {
                    let other = random.below(log.len());
                    log.swap(at, other);
                }
                5 => {
                    let other = &texts[random.below(texts.len())];
                    let line = other.lines().nth(random.below(20)).unwrap_or("");
                    log.insert(at, line.into());
                }
                _ => log.truncate(at.max(1)),
            }
        }
        if let Some((text, d)) = told(&log)
            && matches!(d.verdict, Verdict::Cycle { .. })
        {
            wrong(round, &text, &d);
        }
    }
}

/// Less of a log may make the answer weaker, and never says that there is no cycle.
#[test]
fn a_cycle_of_which_lines_are_lost_does_not_become_no_cycle() {
    const NAMES: &[&str] = &[
        "softlockup-all-cpus-5.15",
        "arm64-rcu-stall-5.10",
        "ppc64-hard-lockup-6.4",
        "hung-rwsem-6.17",
        "hung-all-locks-5.4",
        "syzbot-6.9",
        "three-cpus-lockdep-6.6",
        "s390-5.15",
        "riscv-6.6",
        "arm32-5.4",
        "i386-2.6.32",
        "x86-64-2.6.32",
        "ipi-handler-spins-4.18",
        "del-timer-sync-5.4",
        "mutual-acks-6.6",
        "xen-pv-5.10",
        "crash-bt-a-5.14",
        "gdb-linux-6.9",
        "spinlock-debug-3.18",
        "mtrr-rendezvous-2.6.29",
        "two-sided-6.12",
        "lockdep-holder-6.1",
        "arm64-pseudo-nmi",
        "crash-bt-a",
        "33-gdb-backtraces-other-kernel",
        "04-ppc64-sync-call-in-timer",
        "10-hard-lockup-irq-on-own-lock",
        "hung-mutexes-6.16",
    ];
    let texts: Vec<String> = NAMES.iter().map(|n| log(n)).collect();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for round in 0..rounds() {
        let mut log = lines(&texts[round % texts.len()]);
        for _ in 0..1 + random.below(6) {
            if log.is_empty() {
                break;
            }
            let at = random.below(log.len());
            match random.below(6) {
                0..=2 => drop(log.remove(at)),
                3 => {
                    let cut = random.below(log[at].len() + 1);
                    log[at].truncate(cut);
                }
                4 => {
                    // A block, as a console that cannot keep up loses it.
                    let end = (at + 1 + random.below(12)).min(log.len());
                    log.drain(at..end);
                }
                _ if random.below(2) == 0 => log.truncate(at),
                _ => drop(log.drain(..at.min(log.len() / 2))),
            }
        }
        if let Some((text, d)) = told(&log)
            && matches!(d.verdict, Verdict::NoCycle { .. })
        {
            wrong(round, &text, &d);
        }
    }
}
