//! Logs in the shapes in which people post them, 2.6.29 to 6.17, each with the answer that was written down before the log
//! was read the first time, and with what the report must say.

use crate::{diagnose, of};
use shootdown_trace::console::text;

/// The log, its answer, and words of its report.
const POSTED: &[(&str, &str, &[&str])] = &[
    (
        "softlockup-all-cpus-5.15",
        "cycle if",
        &[
            "CYCLE IF CPU3 holds the lock at 0xffffe2a2053870a8",
            "CPU1 (kswapd0/77, line 43): spins for the lock at 0xffffe2a2053870a8",
            "interrupts OFF (line 48)",
            "awaits acknowledgements of CPU1 (RSI points into CPU1's per-CPU memory (GS base, line 52), and RAX = 1, line 9)",
            "Known as C8",
        ],
    ),
    (
        "awaited-take-interrupts-6.12",
        "no cycle",
        &[
            "CPU0 is idle: an interrupt wakes it (line 22)",
            "CPU1 has interrupts on (line 32) in clear_page_erms",
            "CPU3 is in user mode, with interrupts on",
        ],
    ),
    (
        "arm64-rcu-stall-5.10",
        "cycle if",
        &[
            "CYCLE IF CPU5 holds the lock that edma_complete takes",
            "interrupts OFF (line 9)",
            "CPU5 awaits CPU2: it is the only CPU here that waits with interrupts off",
        ],
    ),
    (
        "arm64-interrupts-on-6.1",
        "no cycle",
        &["busy in a softirq in __do_softirq", "CPU2 is idle"],
    ),
    (
        "ppc64-hard-lockup-6.4",
        "cycle if",
        &[
            "CYCLE IF CPU9 holds the lock that drv_ring_flush takes",
            "interrupts OFF (line 10)",
            "interrupts on (line 30)",
        ],
    ),
    (
        "rcu-self-detected-5.10",
        "not decidable",
        &[
            "whom CPU2 awaits in smp_call_function_single is not in the log",
            "interrupts on (line 27)",
        ],
    ),
    (
        "all-spin-6.6",
        "not decidable",
        &[
            "nothing names the holder of the lock at 0xffffffffc0123400, which CPU0 waits for",
            "in a hardirq, having interrupted mwait_idle_with_hints",
        ],
    ),
    (
        "hung-rwsem-6.17",
        "cycle",
        &[
            "CYCLE of task 731 and task 732",
            "held by task 732 (line 16)",
            "/* sleeps for a lock */",
        ],
    ),
    (
        "hung-io-4.19",
        "not decidable",
        &["the log says that something hangs", "Alt-SysRq-w"],
    ),
    (
        "hung-all-locks-5.4",
        "cycle",
        &[
            "sleeps for the lock lock_b at 0xffffffffc00041e0",
            "held by task 512 (line 34)",
            "held by task 480 (line 31)",
        ],
    ),
    (
        "syzbot-6.9",
        "cycle if",
        &[
            "CYCLE IF the code that CPU1 interrupted holds the lock at 0xffff88802a1b0a10",
            "sock_map_update_common, of the family of sock_map_delete_elem",
            "rose-softirq",
        ],
    ),
    (
        "stop-machine-5.14",
        "no cycle",
        &["CPU0 (migration/0/16, line 2): waits for all CPUs in multi_cpu_stop"],
    ),
    (
        "stop-machine-spinner-5.14",
        "not decidable",
        &["nothing names the holder of the lock at 0xffffffffc0a1c0f0"],
    ),
    (
        "mtrr-rendezvous-2.6.29",
        "cycle if",
        &[
            "CPU0 waits until CPU1 comes to the rendezvous (line 17)",
            "Known as clockevents-mtrr",
        ],
    ),
    (
        "three-cpus-lockdep-6.6",
        "cycle if",
        &[
            "CYCLE IF CPU0 awaits CPU1: it is the only CPU here that waits with interrupts off",
            "held by CPU2 (line 45)",
            "held by CPU0 (line 41)",
            "Known as B1",
        ],
    ),
    (
        "s390-5.15",
        "cycle if",
        &[
            "CYCLE IF CPU2 holds the lock that zdev_tasklet takes",
            "interrupts OFF (line 19); in a softirq",
            "from on_each_cpu_cond_mask < zdev_sync < ksys_ioctl; stuck",
        ],
    ),
    (
        "riscv-6.6",
        "cycle if",
        &[
            "CYCLE IF CPU1 holds the lock that ring_push takes",
            "interrupts OFF (line 19)",
        ],
    ),
    (
        "arm32-5.4",
        "cycle if",
        &[
            "CYCLE IF CPU0 holds the lock that clk_irq takes",
            "interrupts OFF (line 40)",
        ],
    ),
    (
        "i386-2.6.32",
        "cycle if",
        &[
            "CYCLE IF CPU0 holds a lock that is not named",
            "spins for a lock that is not named in _spin_lock_irqsave (line 23); interrupts OFF (line 22)",
            "awaits acknowledgements in smp_call_function_many (line 6)",
        ],
    ),
    (
        "x86-64-2.6.32",
        "cycle if",
        &[
            "CYCLE IF CPU14 holds the lock at 0xffffffff81a2cf40",
            "from vmalloc_sync_all",
            "Known as C8",
        ],
    ),
    (
        "warning-6.1",
        "not decidable",
        &["prints a report in smp_call_function_many_cond (line 5): it runs"],
    ),
    (
        "ipi-handler-spins-4.18",
        "cycle if",
        &[
            "CYCLE IF the code that CPU7 interrupted holds the lock at 0xffff9d1c4a8d0a80",
            "Or if CPU4 holds the lock at 0xffff9d1c4a8d0a80",
        ],
    ),
    (
        "moved-on-6.1",
        "not decidable",
        &["CPU1 is in xfs_inode_walk_ag, which this tool does not know"],
    ),
    (
        "console-printer-4.12",
        "no cycle",
        &["CPU3 has interrupts off (line 17) in io_serial_in and waits for nobody"],
    ),
    (
        "del-timer-sync-5.4",
        "cycle if",
        &[
            "CYCLE IF CPU0 holds the lock at 0xffff8f1eb4d20a80",
            "Known as ehci-del-timer-sync",
        ],
    ),
    (
        "mutual-acks-6.6",
        "cycle if",
        &[
            "CYCLE IF interrupts are off on CPU1",
            "rule broken: CPU6 awaits acknowledgements with interrupts off (line 7)",
        ],
    ),
    (
        "unknown-driver-6.1",
        "not decidable",
        &["CPU1 is in mydrv_wait_fw_ready, which this tool does not know"],
    ),
    (
        "rwlock-in-interrupt-6.1",
        "not decidable",
        &[
            "CPU2 (r/20, line 2): spins for the lock at 0xffffffff82c0a080",
            "in a hardirq, having interrupted release_task",
        ],
    ),
    (
        "xen-pv-5.10",
        "cycle if",
        &[
            "CYCLE IF CPU1 holds the lock that map_frag takes",
            "awaits acknowledgements of CPU3",
        ],
    ),
    (
        "preempt-lazy-6.15",
        "cycle if",
        &["CYCLE IF CPU5 holds the lock at 0xffffea0004a1c0f0"],
    ),
    (
        "lockdep-circular-6.7",
        "cycle if",
        &[
            "CYCLE IF the contexts that were seen one after the other meet",
            "(work_completion)(&dev->work) -> &dev->lock",
            "no IPI is needed for this cycle",
        ],
    ),
    (
        "lockdep-safe-unsafe-5.15",
        "cycle if",
        &["a hardirq that takes &chip->lock", "Known as B8"],
    ),
    (
        "lockdep-recursive-6.1",
        "cycle if",
        &["CYCLE IF the two are one lock: the report knows classes, not locks"],
    ),
    (
        "lockdep-inconsistent-5.4",
        "cycle if",
        &["CYCLE IF the interrupt comes while its own CPU holds the lock"],
    ),
    (
        "dept-6.9",
        "cycle if",
        &[
            "&inode_lock:0 -> &done_event:0",
            "&done_event:0 -> &inode_lock:0",
        ],
    ),
    (
        "crash-bt-a-5.14",
        "cycle if",
        &[
            "CYCLE IF CPU2 holds the lock at 0xffff8f9a51d7c2e8",
            "interrupts OFF (line 24)",
            "interrupts on (line 53)",
        ],
    ),
    (
        "gdb-linux-6.9",
        "cycle if",
        &[
            "CYCLE IF CPU1 holds the lock at 0xffff88800a1c0f28",
            "interrupts OFF (inferred: the lock is taken with interrupts off, line 17)",
        ],
    ),
    (
        "qemu-registers-only",
        "not decidable",
        &["registers alone, without a stack"],
    ),
    (
        "interleaved-without-callers-6.1",
        "not decidable",
        &["CONFIG_PRINTK_CALLER tells them apart"],
    ),
    (
        "holder-unknown-5.10",
        "not decidable",
        &["nothing names the holder of the lock at 0xffff8881045c0a00"],
    ),
    (
        "vmware-stall-5.4",
        "no cycle",
        &["is stuck for 27 s: such a CPU does not run. This is a guest; look at the host"],
    ),
    (
        "spinlock-debug-3.18",
        "cycle",
        &[
            "CYCLE of CPU0 and CPU3: every edge is in the log",
            "held by CPU0 (line 2)",
            "awaits acknowledgements of CPU3",
        ],
    ),
    (
        "panic-5.14",
        "not decidable",
        &["nothing names the holder of the lock at 0xffffe2a2053870a8"],
    ),
];

#[test]
fn each_posted_log_has_its_answer_and_its_facts() {
    let mut wrong = String::new();
    for (name, answer, says) in POSTED {
        let d = diagnose(name);
        let report = text::report(&d, 120);
        let flat = report.split_whitespace().collect::<Vec<_>>().join(" ");
        let missing: Vec<&&str> = says
            .iter()
            .filter(|words| !flat.contains(**words))
            .collect();
        if d.verdict.name() != *answer || !missing.is_empty() {
            wrong += &format!("{name}: {answer} is right, and {missing:?}\n{report}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// One fact changed, and the answer with it.
#[test]
fn a_fact_that_is_changed_changes_the_answer() {
    let edit = |name: &str, from: &str, to: &str| {
        let text = crate::log(name);
        assert!(text.contains(from), "{name}");
        of(&text.replace(from, to)).verdict.name()
    };
    // The spinner takes the interrupt: everybody answers, and the holder alone is not known.
    let on = edit(
        "crash-bt-a-5.14",
        "ffffb6f4cf2b7c30  RFLAGS: 00000046",
        "ffffb6f4cf2b7c30  RFLAGS: 00000202",
    );
    assert_eq!(on, "not decidable");
    // The holder that the debugging spinlock names is another CPU, which is not shown.
    let other = edit("spinlock-debug-3.18", ".owner_cpu: 0", ".owner_cpu: 2");
    assert_ne!(other, "cycle");
    // The owner is the task itself no more.
    let free = edit(
        "hung-rwsem-6.17",
        "likely owned by task worker_a:731",
        "likely owned by task other:999",
    );
    assert_ne!(free, "cycle");
    // The awaited CPU has interrupts off in an unknown function.
    let off = edit(
        "awaited-take-interrupts-6.12",
        "clear_page_erms+0xb/0x20",
        "clear_my_page+0xb/0x20",
    );
    assert_eq!(off, "not decidable");
}
