//! How to record what [`super::read`] reads: commands for a kernel version, and what they cannot show.
//!
//! | events | since | needs |
//! |---|---|---|
//! | `lock:lock_*` | 2.6.30 | lockdep; `lock_acquired` and `lock_contended` need `CONFIG_LOCK_STAT` |
//! | `irq_vectors:call_function*` | 3.11 | x86 |
//! | `tlb:tlb_flush` | 3.17 | x86 |
//! | `preemptirq:irq_*` | 4.15 | `CONFIG_PREEMPTIRQ_TRACEPOINTS`, `CONFIG_IRQSOFF_TRACER` before |
//! | `lock:contention_*` | 5.19 | |
//! | `ipi:ipi_send_cpu*` | 6.4 | |
//! | `csd:*` | 6.5 | |

use std::fmt::Write as _;
use std::str::FromStr;

/// A kernel's version, as far as it decides which events there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    /// `6` of 6.12.
    pub major: u32,
    /// `12` of 6.12.
    pub minor: u32,
}

impl FromStr for Kernel {
    type Err = String;

    /// `6.12`, `4.18.0-553.el8_10.x86_64`, `v5.15`.
    fn from_str(text: &str) -> Result<Kernel, String> {
        let mut parts = text.trim().trim_start_matches('v').split('.');
        let number = |part: Option<&str>| -> Option<u32> {
            let part = part?;
            let end = part
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(part.len());
            part[..end].parse().ok()
        };
        match (number(parts.next()), number(parts.next())) {
            (Some(major @ 2..=99), Some(minor)) => Ok(Kernel { major, minor }),
            _ => Err(format!(
                "`{text}` is no version of a kernel, such as 4.18 or 6.12.3-amd64"
            )),
        }
    }
}

impl Kernel {
    fn since(self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// Requests and answers have events of their own.
    fn csd(self) -> bool {
        self.since(6, 5)
    }

    /// Events beside the locks': system and name.
    fn events(self) -> Vec<&'static str> {
        let table: [((u32, u32), &[&'static str]); 6] = [
            (
                (3, 11),
                &[
                    "irq_vectors/call_function_entry",
                    "irq_vectors/call_function_exit",
                    "irq_vectors/call_function_single_entry",
                    "irq_vectors/call_function_single_exit",
                ],
            ),
            ((3, 17), &["tlb/tlb_flush"]),
            (
                (4, 15),
                &["preemptirq/irq_disable", "preemptirq/irq_enable"],
            ),
            ((5, 19), &["lock/contention_begin", "lock/contention_end"]),
            ((6, 4), &["ipi/ipi_send_cpu", "ipi/ipi_send_cpumask"]),
            (
                (6, 5),
                &[
                    "csd/csd_queue_cpu",
                    "csd/csd_function_entry",
                    "csd/csd_function_exit",
                ],
            ),
        ];
        let known = table
            .into_iter()
            .filter(|((major, minor), _)| self.since(*major, *minor));
        known
            .flat_map(|(_, events)| events.iter().copied())
            .collect()
    }

    /// Names of page-table locks' classes.
    fn filter(self) -> &'static str {
        r#"name == "pgd_lock" || name ~ "*page_table_lock*" || name ~ "*ptlock_ptr*" || name ~ "*pte_lockptr*" || name ~ "*->ptl*""#
    }
}

/// A way to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The console of a machine that hangs hard.
    Console,
    /// `/sys/kernel/tracing`, for kernels with lockdep.
    Tracefs,
    /// The same by `trace-cmd`.
    TraceCmd,
    /// For kernels without lockdep.
    Bpftrace,
}

/// Every way, with its commands, and what it cannot show.
#[must_use]
pub fn help(kernel: Kernel, ways: &[Way]) -> String {
    let mut text = format!(
        "Recording for `shootdown trace`, Linux {}.{}. All as root.\n",
        kernel.major, kernel.minor
    );
    for way in ways {
        text += "\n";
        text += &match way {
            Way::Console => console(),
            Way::Tracefs => tracefs(kernel),
            Way::TraceCmd => trace_cmd(kernel),
            Way::Bpftrace => by_bpftrace(kernel),
        };
    }
    text += "\nWhat cannot be seen:\n";
    for what in unseen(kernel, ways) {
        let _ = writeln!(text, "  - {}", crate::paragraph::wrap(&what, 96, 4));
    }
    text
}

fn console() -> String {
    "\
A machine that hangs hard: on the kernel's command line
  softlockup_panic=1 softlockup_all_cpu_backtrace=1 hardlockup_all_cpu_backtrace=1 nmi_watchdog=1 ftrace_dump_on_oops
and a console that keeps what is printed (serial, netconsole, pstore), log_buf_len=16M. Without a reboot:
  sysctl kernel.softlockup_all_cpu_backtrace=1 kernel.hardlockup_all_cpu_backtrace=1 kernel.ftrace_dump_on_oops=1
  echo l > /proc/sysrq-trigger       # while it hangs: where every CPU is
  shootdown diagnose console.txt     # reads the dump of ftrace's in it, too
"
    .to_string()
}

fn tracefs(kernel: Kernel) -> String {
    let mount = if kernel.since(4, 1) {
        "cd /sys/kernel/tracing || mount -t tracefs nodev /sys/kernel/tracing && cd /sys/kernel/tracing"
    } else {
        "mount -t debugfs nodev /sys/kernel/debug; cd /sys/kernel/debug/tracing"
    };
    let mut text = format!(
        "\
A kernel with lockdep (CONFIG_LOCK_STAT): tracefs
  {mount}
  echo 0 > tracing_on
  echo nop > current_tracer
  echo global > trace_clock          # one clock for all CPUs
  echo 65536 > buffer_size_kb        # for each CPU, 64 MiB: some 700,000 events
  echo > trace
  for lock in lock_acquire lock_acquired lock_contended lock_release; do
          echo '{}' > events/lock/$lock/filter
          echo 1 > events/lock/$lock/enable
  done
",
        kernel.filter()
    );
    let events = kernel.events();
    if !events.is_empty() {
        text += "  for event in";
        for event in &events {
            let _ = write!(text, " \\\n          {event}");
        }
        text += "; do\n          echo 1 > events/$event/enable\n  done\n";
    }
    text += "  echo 1 > tracing_on
  # ... the workload ...
  echo 0 > tracing_on
  cat trace > ~/trace.txt
  shootdown trace ~/trace.txt
";
    text
}

fn trace_cmd(kernel: Kernel) -> String {
    let mut text =
        String::from("The same by trace-cmd, into a file\n  trace-cmd record -C global -b 65536");
    for lock in [
        "lock_acquire",
        "lock_acquired",
        "lock_contended",
        "lock_release",
    ] {
        let _ = write!(
            text,
            " \\\n          -e lock:{lock} -f '{}'",
            kernel.filter()
        );
    }
    for event in kernel.events() {
        let _ = write!(text, " \\\n          -e {}", event.replace('/', ":"));
    }
    text += "
  shootdown trace trace.dat          # calls the installed trace-cmd; `trace-cmd report trace.dat` is read as well
";
    text
}

fn by_bpftrace(kernel: Kernel) -> String {
    format!(
        "\
A kernel without lockdep: bpftrace (0.17 on, x86-64)
  shootdown record-help --kernel {}.{} --script > shootdown.bt
  BPFTRACE_PERF_RB_PAGES=4096 bpftrace shootdown.bt > ~/trace.txt    # 16 MiB for each CPU; Ctrl-C ends it
  shootdown trace ~/trace.txt
",
        kernel.major, kernel.minor
    )
}

fn unseen(kernel: Kernel, ways: &[Way]) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    let any = |way| ways.contains(&way);
    if any(Way::Tracefs) || any(Way::TraceCmd) {
        list.push("without lockdep there is no lock event: use bpftrace. With lockdep and without CONFIG_LOCK_STAT who had to wait is guessed from who holds what".into());
        if !kernel.since(4, 15) {
            list.push("no irq_disable and irq_enable before 4.15: whether interrupts are off is in the flags, who turned them off is not".into());
        }
    }
    if any(Way::Bpftrace) {
        list.push("bpftrace: who waits for which spinlock, and not who holds it: a hang is told with the condition that the awaiting CPU holds the lock".into());
        list.push("bpftrace: waits for rwlocks and mutexes only from 5.19 on; a lock that was free leaves no event, so there is no order graph, and finding nothing is incomplete".into());
        list.push("bpftrace prints CPU by CPU: `shootdown trace` puts the lines in the order of their times. Lines that it cannot keep up with are counted as lost".into());
    }
    if !kernel.csd() {
        list.push("no csd events before 6.5: a request for a TLB flush shows as tlb_flush (3.17 on, x86), a flush of kernel mappings as nothing".into());
    }
    if !kernel.since(3, 17) {
        list.push("no tlb_flush before 3.17: no flush can be seen, and the answer is incomplete unless csd events or stacks show it".into());
    }
    list.push("no event ends the wait for acknowledgements; NMIs; code that runs with tracing off, such as the idle loop of kernels before 5.8".into());
    list
}

/// The script for `bpftrace`. Its lines have the shape of ftrace's table, behind [`HEADER`]:
/// `COMM-TID [CPU] FLAGS SECONDS.MICROS: EVENT: ARGS`, FLAGS missing where a probe has no registers.
#[must_use]
pub fn script(kernel: Kernel) -> String {
    let mut text = format!(
        "\
#!/usr/bin/env bpftrace
// Written by `shootdown record-help --kernel {}.{} --script`. x86-64. Who waits for a spinlock with interrupts on or
// off, TLB flushes, and the requests and answers of other CPUs. The lines have the shape of ftrace's `trace`.

BEGIN {{
    printf(\"{HEADER}\\n\");
}}

",
        kernel.major, kernel.minor
    );
    let slowpath = if kernel.since(4, 2) {
        "native_queued_spin_lock_slowpath"
    } else {
        "__ticket_spin_lock"
    };
    // 0x200 of the flags is IF. A slow path is a wait whose holder is somebody else.
    let _ = write!(
        text,
        "\
kprobe:{slowpath} {{
    @lock[tid] = arg0;
    if (reg(\"flags\") & 0x200) {{
        printf(\"%16s-%-7d [%03d] ....1 %llu.%06llu: contention_begin: 0x%llx (flags=SPIN)\\n\",
               comm, tid, cpu, nsecs / 1000000000, (nsecs % 1000000000) / 1000, arg0);
    }} else {{
        printf(\"%16s-%-7d [%03d] d...1 %llu.%06llu: contention_begin: 0x%llx (flags=SPIN)\\n\",
               comm, tid, cpu, nsecs / 1000000000, (nsecs % 1000000000) / 1000, arg0);
    }}
}}

kretprobe:{slowpath} /@lock[tid]/ {{
    printf(\"%16s-%-7d [%03d] %llu.%06llu: contention_end: 0x%llx (ret=0)\\n\",
           comm, tid, cpu, nsecs / 1000000000, (nsecs % 1000000000) / 1000, @lock[tid]);
    delete(@lock[tid]);
}}

"
    );
    let mut probe = |name: &str, event: &str, format: &str, arguments: &str| {
        let comma = if arguments.is_empty() { "" } else { ", " };
        let _ = write!(
            text,
            "\
tracepoint:{name} {{
    printf(\"%16s-%-7d [%03d] %llu.%06llu: {event}: {format}\\n\",
           comm, tid, cpu, nsecs / 1000000000, (nsecs % 1000000000) / 1000{comma}{arguments});
}}

"
        );
    };
    if kernel.since(3, 17) {
        probe(
            "tlb:tlb_flush",
            "tlb_flush",
            "pages:%ld reason:(%d)",
            "args->pages, args->reason",
        );
    }
    if kernel.since(3, 11) {
        for event in [
            "call_function_entry",
            "call_function_exit",
            "call_function_single_entry",
            "call_function_single_exit",
        ] {
            probe(
                &format!("irq_vectors:{event}"),
                event,
                "vector=%d",
                "args->vector",
            );
        }
    }
    if kernel.since(6, 4) {
        probe(
            "ipi:ipi_send_cpu",
            "ipi_send_cpu",
            "cpu=%d callsite=%s callback=0x%llx",
            "args->cpu, ksym(args->callsite), args->callback",
        );
    }
    if kernel.since(6, 5) {
        probe(
            "csd:csd_queue_cpu",
            "csd_queue_cpu",
            "cpu=%d callsite=%s func=%s csd=0x%llx",
            "args->cpu, ksym(args->callsite), ksym(args->func), args->csd",
        );
        for event in ["csd_function_entry", "csd_function_exit"] {
            probe(
                &format!("csd:{event}"),
                event,
                "func=%s, csd=0x%llx",
                "ksym(args->func), args->csd",
            );
        }
    }
    text += "END {\n    clear(@lock);\n}\n";
    text
}

/// The first line of what the script prints: lines come CPU by CPU, and are to be put in order.
pub const HEADER: &str = "# recorder: shootdown bpftrace 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_uname_prints_them() {
        let is = |text: &str, major, minor| {
            assert_eq!(text.parse(), Ok(Kernel { major, minor }), "{text}")
        };
        is("4.18", 4, 18);
        is("4.18.0-553.el8_10.x86_64", 4, 18);
        is("v6.12", 6, 12);
        is("6.1-rc1", 6, 1);
        is("2.6.32", 2, 6);
        for wrong in ["", "x", "6", "0.1", "linux"] {
            assert!(wrong.parse::<Kernel>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_events_that_the_kernel_has_are_asked_for() {
        let old = Kernel {
            major: 4,
            minor: 18,
        };
        let text = help(old, &[Way::Tracefs, Way::TraceCmd, Way::Bpftrace]) + &script(old);
        assert!(text.contains("tlb/tlb_flush") && text.contains("irq_vectors:call_function_entry"));
        for missing in [
            "csd_queue_cpu",
            "ipi_send_cpu",
            "contention_begin/",
            "lock/contention",
        ] {
            assert!(!text.contains(missing), "{missing}");
        }
        let new = script(Kernel {
            major: 6,
            minor: 12,
        });
        assert!(new.contains("tracepoint:csd:csd_queue_cpu"));
        // Braces and parentheses of the script are closed.
        for (open, close) in [('{', '}'), ('(', ')')] {
            assert_eq!(new.matches(open).count(), new.matches(close).count());
        }
    }
}
