//! What keeps x86's stores in order where the 2011 protocol needs it, each as something that can be taken away.
//!
//! On sequentially consistent memory none of them is missed: that is what store buffers are for
//! ([`crate::check::check_with_store_buffers`]).

use std::fmt;

/// An instruction that waits until the CPU's stores are in memory, or is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Barrier {
    /// `ptep_get_and_clear`, `pmdp_get_and_clear`: `xchg`.
    LockedClear,
    /// `inc_tlb_flush_pending`, `dec_tlb_flush_pending`: `lock inc`, `lock dec`.
    LockedPending,
    /// The fence before the interrupt is sent.
    IpiFence,
    /// `cpumask_set_cpu(cpu, mm_cpumask(next))`: `lock bts`.
    LockedCpumask,
    /// `mov %cr3` serialises.
    Cr3Serialises,
}

/// A barrier as `shootdown list` shows it.
#[derive(Clone, Copy, Debug)]
pub struct NamedBarrier {
    /// Which.
    pub barrier: Barrier,
    /// Command-line name.
    pub name: &'static str,
    /// What is done without it.
    pub without: &'static str,
    /// Where the kernel says why it is there, or does without.
    pub source: &'static str,
}

/// All of them.
pub const BARRIERS: &[NamedBarrier] = &[
    NamedBarrier {
        barrier: Barrier::LockedClear,
        name: "locked-clear",
        without: "an entry is read and cleared by a plain store, as native_local_ptep_get_and_clear() does",
        source: "71b3c126e611: a flush that finds the mm not loaded needs a full barrier before it reads mm_cpumask",
    },
    NamedBarrier {
        barrier: Barrier::LockedPending,
        name: "locked-pending",
        without: "the counter of pending flushes is raised and dropped by plain stores",
        source: "16af97dc5a89: tlb_flush_pending became an atomic_t",
    },
    NamedBarrier {
        barrier: Barrier::IpiFence,
        name: "ipi-fence",
        without: "the IPI leaves while flush_cpumask and the entry are still in the buffer",
        source: "ce4e240c279a: x2apic_wrmsr_fence(), for a write to the x2APIC serialises nothing",
    },
    NamedBarrier {
        barrier: Barrier::LockedCpumask,
        name: "locked-cpumask",
        without: "switch_mm() sets its bit by a plain store",
        source: "71b3c126e611: the store to mm_cpumask before CR3, and its pairing with the flush",
    },
    NamedBarrier {
        barrier: Barrier::Cr3Serialises,
        name: "cr3-serialises",
        without: "loading CR3 waits for no store",
        source: "71b3c126e611: \"load_cr3() is serializing and thus acts as a full barrier\"",
    },
];

impl Barrier {
    /// With its name and where it is from.
    pub fn info(self) -> &'static NamedBarrier {
        &BARRIERS[self as usize]
    }

    /// By its command-line name.
    pub fn named(name: &str) -> Option<Barrier> {
        BARRIERS.iter().find(|b| b.name == name).map(|b| b.barrier)
    }
}

impl fmt::Display for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().name)
    }
}
