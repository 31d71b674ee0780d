//! Other kernels, as debuggers show them. Their names are less certain: a method counts by the last part of its path.

use super::{Does, Entry};

/// The functions of other kernels.
pub const ENTRIES: &[Entry] = &[
    Entry {
        does: Does::AwaitsAcks,
        functions: &[
            "pmap_tlb_ack_outstanding",
            "pmap_update_interrupt_wait",
            "pmap_flush_tlbs",
            "pmap_tlb_shootnow",
            "pmap_tlb_shootdown",
            "smp_tlb_shootdown",
            "smp_targeted_tlb_shootdown",
            "smp_masked_invltlb",
            "smp_rendezvous_cpus",
            "smp_rendezvous",
            "xc_sync",
            "xc_call",
            "xc_common",
            "on_selected_cpus",
            "flush_area_mask",
            "mp_sync_exec",
            "smp_broadcast_wait_sync",
            "smp_broadcast_flush_tlb",
            "KiIpiStallOnPacketTargets",
            "KeFlushMultipleTb",
            "call_all_cpus_sync",
            "ipi_wait",
            "ipiStallCoreCallback",
            "tlb_shootdown",
            "tlb_shootdown_wait",
            "tlbshoot_wait",
            "ipi_tlb_shootdown",
            "flush_tlb_all_cpus",
            "wait_for_acks",
            "sync_tlb_flush",
        ],
        note: "Mach, xnu, FreeBSD, NetBSD, illumos, Xen, Zircon, SerenityOS, ReactOS, Haiku, seL4, asterinas, OSv, teaching kernels",
    },
    Entry {
        does: Does::SpinsFor,
        functions: &[
            "usimple_lock",
            "simple_lock",
            "_simple_lock",
            "hw_lock_lock",
            "hw_lock_to",
            "lck_spin_lock",
            "_mtx_lock_spin_cookie",
            "mtx_lock_spin",
            "__mtx_lock_spin_flags",
            "mutex_vector_enter",
            "mutex_spin_enter",
            "lock_set_spl_spin",
            "acquire_spinlock",
            "spinlock_acquire",
            "spinlock_lock",
            "spin_acquire",
            "KeAcquireSpinLock",
            "KxAcquireSpinLock",
            "KeAcquireSpinLockRaiseToDpc",
            "arch_spin_lock_fuchsia",
            "acquire",
        ],
        note: "Mach, xnu, FreeBSD, NetBSD, illumos, Haiku, ReactOS, xv6 (acquire)",
    },
    Entry {
        does: Does::Idle,
        functions: &[
            "cpu_idle_halt",
            "idle_thread",
            "acpi_cpu_idle",
            "cpu_halt",
            "machine_idle",
            "sched_idletd",
            "idle_loop",
        ],
        note: "the same kernels",
    },
];

/// A C++ or Rust path by its last part and what it belongs to: `Kernel::Spinlock::lock`, `spin::mutex::Mutex<T>::lock`.
pub fn by_last_part(function: &str) -> Option<Does> {
    let (owner, last) = function.rsplit_once("::")?;
    let owner = owner.to_ascii_lowercase();
    let spins = [
        "spinlock",
        "spin_lock",
        "spin::",
        "ticketlock",
        "ticketmutex",
        "rawspin",
    ]
    .iter()
    .any(|name| owner.contains(name));
    match last {
        "lock" | "acquire" | "lock_irqsave" | "lock_noirq" | "disable_irq_lock" if spins => {
            Some(Does::SpinsFor)
        }
        "sync_tlb_flush"
        | "wait_for_acks"
        | "wait_acks"
        | "smp_broadcast_wait_sync"
        | "tlb_shootdown"
        | "shootdown" => Some(Does::AwaitsAcks),
        _ => None,
    }
}
