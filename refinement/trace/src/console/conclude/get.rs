//! How to get what is missing.

/// Backtraces of all CPUs, of the next hang.
pub const ALL_CPUS: &str =
    "sysctl kernel.softlockup_all_cpu_backtrace=1 kernel.hardlockup_all_cpu_backtrace=1";
/// Backtraces of all CPUs, now.
pub const SYSRQ_L: &str =
    "echo l > /proc/sysrq-trigger, or Alt-SysRq-l on the console, while it hangs";
/// Who awaits whom.
pub const CSD: &str = "csdlock_debug=1 on the command line (CONFIG_CSD_LOCK_WAIT_DEBUG): the kernel then names the CPU that is awaited";
/// What happened before.
pub const FTRACE: &str =
    "ftrace_dump_on_oops on the command line, with lock, irq and csd events on (docs/ftrace.md)";
/// Who holds which lock.
pub const LOCKDEP: &str = "CONFIG_PROVE_LOCKING and sysrq-d: the locks that each task holds";
/// What the tasks that sleep wait for.
pub const BLOCKED: &str =
    "echo w > /proc/sysrq-trigger, or Alt-SysRq-w on the console: the tasks that are blocked";
/// All CPUs in a debugger.
pub const WHOLE_LIST: &str = "the debugger's answer to its end, with the prompt behind it: crash's `bt -a`, gdb's `thread apply all bt`";
/// Whether a CPU moves.
pub const AGAIN: &str = "sysrq-l once more, some seconds later: a CPU whose place changes runs";
/// Whether the host runs the guest.
pub const HOST: &str = "on the host, whether the vCPU threads run (ps -eLo stat,wchan,comm, or virsh qemu-monitor-command --hmp 'info cpus'): a paused or stolen vCPU looks the same";
