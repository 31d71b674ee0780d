//! The watchdog's report as a Linux console has it, so that readers of such logs can read this one.
//!
//! Functions are named after the kernel functions whose paths run, by the machine's own books; only the addresses in
//! brackets are this program's. RDI is the argument that the innermost would have: the lock that is spun for.

use core::sync::atomic::Ordering::Relaxed;

use shootdown_impl::event::Lock;
use shootdown_impl::id::CpuId;
use shootdown_impl::kernel::Loc;
use shootdown_impl::mm::Mm;
use shootdown_impl::operation::Operation;

use crate::kernel_log;
use crate::machine::SHARED;
use crate::memory::kernel;
use crate::watchdog::{Parked, Wait, holds, running, waits};

/// Prints where every CPU is, and what it holds.
pub fn report<'p>(stuck_ms: u32, cpus: impl Iterator<Item = (CpuId, &'p Parked)> + Clone) {
    for (cpu, _) in cpus.clone() {
        for irq in [false, true] {
            if let Some(Wait::Acks(from)) = waits(cpu, irq) {
                from.iter().for_each(|to| unanswered(stuck_ms, cpu, to));
            }
        }
    }
    for (cpu, parked) in cpus.clone() {
        backtrace(stuck_ms, cpu, parked);
    }
    kernel_log!("Showing all locks held in the system:");
    for (cpu, _) in cpus {
        let held = || {
            [false, true]
                .into_iter()
                .flat_map(move |irq| holds(cpu, irq))
        };
        let n = held().count();
        if n == 0 {
            continue;
        }
        let s = if n == 1 { "" } else { "s" };
        kernel_log!("{n} lock{s} held by {}/{}:", name(running(cpu)), pid(cpu));
        for (n, lock) in held().enumerate() {
            let (class, at) = (class(lock), name(running(cpu)));
            kernel_log!(
                " #{n}: {:016x} ({class}){{....}}-{{2:2}}, at: {at}+0x0/0x0",
                address(lock)
            );
        }
    }
}

fn unanswered(stuck_ms: u32, cpu: CpuId, to: CpuId) {
    kernel_log!(
        "smp: csd: Detected non-responsive CSD lock (#1) on CPU#{}, waiting {stuck_ms}000000 ns for CPU#{:02} \
         smp_invalidate_interrupt+0x0/0x0.",
        cpu.0,
        to.0
    );
}

fn backtrace(stuck_ms: u32, cpu: CpuId, parked: &Parked) {
    let (comm, pid) = (name(running(cpu)), pid(cpu));
    if parked.interrupts_on() {
        let seconds = stuck_ms / 1000;
        kernel_log!(
            "watchdog: BUG: soft lockup - CPU#{} stuck for {seconds}s! [{comm}:{pid}]",
            cpu.0
        );
    } else {
        kernel_log!(
            "NMI watchdog: Watchdog detected hard LOCKUP on cpu {}",
            cpu.0
        );
    }
    kernel_log!(
        "CPU: {} PID: {pid} Comm: {comm} Not tainted 2.6.38-bare #1",
        cpu.0
    );
    let irq = SHARED.cpus[cpu.index()].in_irq.load(Relaxed);
    let context = irq != 0;
    let wait = waits(cpu, context);
    let innermost = match &wait {
        Some(Wait::Acks(_)) => "flush_tlb_others_ipi",
        Some(Wait::Lock(Lock::PgdRead)) => "_raw_read_lock",
        Some(Wait::Lock(Lock::PgdWrite)) => "_raw_write_lock",
        Some(Wait::Lock(_)) => "__ticket_spin_lock",
        None => comm,
    };
    let (rip, rsp) = (parked.rip.load(Relaxed), parked.rsp.load(Relaxed));
    kernel_log!("RIP: 0010:{innermost}+0x0/0x0 [{rip:#x}]");
    kernel_log!(
        "RSP: 0018:{rsp:016x} EFLAGS: {:08x}",
        parked.rflags.load(Relaxed)
    );
    if let Some(Wait::Lock(lock)) = wait {
        kernel_log!("RDI: {:016x}", address(lock));
    }
    // In the interrupt request register: the vectors that it has yet to take.
    let irr = parked.irr.load(Relaxed);
    for vector in (0..32)
        .filter(|bit| irr >> bit & 1 == 1)
        .map(|bit| bit + 0xe0)
    {
        kernel_log!("APIC: vector {vector:#x} is pending in the IRR");
    }
    kernel_log!("Call Trace:");
    if context {
        kernel_log!(" <IRQ>");
        match irq {
            0xf0.. => kernel_log!(" smp_invalidate_interrupt+0x0/0x0"),
            _ => kernel_log!(" pgd_free+0x0/0x0"),
        }
        kernel_log!(" </IRQ>");
    }
    kernel_log!(" <TASK>");
    if wait.is_some() || context {
        kernel_log!(" {comm}+0x0/0x0");
    }
    kernel_log!(" </TASK>");
}

/// The kernel thread that stands for what a CPU does.
fn pid(cpu: CpuId) -> u32 {
    100 + u32::from(cpu.0)
}

fn name(operation: Option<Operation>) -> &'static str {
    operation.map_or("schedule", Operation::program)
}

fn class(lock: Lock) -> &'static str {
    match lock {
        Lock::PgdLock | Lock::PgdRead | Lock::PgdWrite => "pgd_lock",
        Lock::PageTable(_) => "&mm->page_table_lock",
        Lock::Pte(_) => "ptlock_ptr(page)",
    }
}

fn address(lock: Lock) -> usize {
    let loc = match lock {
        Lock::PgdLock => Loc::PgdLock,
        Lock::PgdRead | Lock::PgdWrite => Loc::PgdRwLock,
        Lock::PageTable(mm) => Loc::PageTableLock(mm),
        Lock::Pte(mm) => Loc::PteLock(mm),
    };
    const _: () = assert!(
        size_of::<Mm>() >= 128,
        "locks of two mms do not look like one"
    );
    core::ptr::from_ref(kernel().word(loc)).addr()
}
