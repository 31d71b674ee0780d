//! What the kernel was built with and runs on: the environment axes that the code itself asks about.
//!
//! `CONFIG_*` options and paravirt hooks in Linux; here one plain value that the machine answers with. It does not
//! change after boot.

/// How a flush reaches the other CPUs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum FlushBackend {
    /// `native_flush_tlb_others`: IPIs, and a wait for every acknowledgement.
    #[default]
    Ipi,
    /// `xen_flush_tlb_others`: one hypercall, nobody is waited for.
    Hypercall,
}

/// The environment axes of the protocol that the code branches on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Environment {
    /// CPUs that run, at most [`crate::id::NR_CPUS`].
    pub cpus: u8,
    /// Address-space slots in use, at most [`crate::id::NR_MMS`].
    pub mms: u8,
    /// `USE_SPLIT_PTLOCKS`: a pte page has a lock of its own; otherwise `page_table_lock` guards it.
    pub split_ptlocks: bool,
    /// `CONFIG_TRANSPARENT_HUGEPAGE`: whether an mm starts with a huge pmd mapped.
    pub thp: bool,
    /// IPIs or a hypercall.
    pub flush_backend: FlushBackend,
    /// Xen: pgd pages may be pinned, then only the hypervisor may store into them.
    pub xen_pin: bool,
    /// Whether an interrupt may drop the last reference to an mm.
    pub pgd_free_in_irq: bool,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            cpus: 2,
            mms: 1,
            split_ptlocks: true,
            thp: true,
            flush_backend: FlushBackend::Ipi,
            xen_pin: false,
            pgd_free_in_irq: false,
        }
    }
}
