//! Environment axes: what the kernel is built with and runs on.

use crate::design::axis_names;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a TLB flush reaches other CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlushBackend {
    /// `native_flush_tlb_others`: an IPI to every CPU in `mm_cpumask`, acknowledgements awaited.
    Ipi,
    /// `xen_flush_tlb_others`: one hypercall, no CPU of the guest is awaited.
    Hypercall,
}

axis_names!(FlushBackend { Ipi => "ipi", Hypercall => "hypercall" });

/// One environment, bounds included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Environment {
    /// Number of CPUs, 1–4.
    pub cpus: u8,
    /// Number of mms alive at the start, 1–3.
    pub mms: u8,
    /// Operations each CPU may start, 1–4. Interrupts are not counted.
    pub ops_per_cpu: u8,
    /// `USE_SPLIT_PTLOCKS`: the pte's lock is the page-table page's own, not `page_table_lock`.
    pub split_ptlocks: bool,
    /// `CONFIG_TRANSPARENT_HUGEPAGE`: every mm also maps a huge pmd.
    pub thp: bool,
    /// Who flushes remote TLBs.
    pub flush_backend: FlushBackend,
    /// Xen PV pins page tables read-only; implies the hypercall backend.
    pub xen_pin: bool,
    /// An interrupt may drop the last reference of an mm and so run `pgd_free` (H 4.3).
    pub pgd_free_in_irq: bool,
}

impl Default for Environment {
    /// `--cpus 2 --mms 1 --split-ptlocks on --thp on --flush-backend ipi --xen-pin off
    /// --pgd-free-in-irq off`, one operation per CPU.
    fn default() -> Self {
        Environment {
            cpus: 2,
            mms: 1,
            ops_per_cpu: 1,
            split_ptlocks: true,
            thp: true,
            flush_backend: FlushBackend::Ipi,
            xen_pin: false,
            pgd_free_in_irq: false,
        }
    }
}

/// An environment that has a name; the columns of the verdict matrix.
#[derive(Clone, Copy, Debug)]
pub struct NamedEnvironment {
    /// Name on the command line and in tables.
    pub name: &'static str,
    /// The axes.
    pub environment: Environment,
    /// What kernel or machine it stands for.
    pub about: &'static str,
}

const BASE: Environment = Environment {
    cpus: 2,
    mms: 1,
    ops_per_cpu: 1,
    split_ptlocks: true,
    thp: true,
    flush_backend: FlushBackend::Ipi,
    xen_pin: false,
    pgd_free_in_irq: false,
};

/// Every named environment.
pub const ENVIRONMENTS: &[NamedEnvironment] = &[
    NamedEnvironment {
        name: "split+thp",
        environment: BASE,
        about: "split page-table locks, huge pages: a distribution kernel of early 2011",
    },
    NamedEnvironment {
        name: "split",
        environment: Environment { thp: false, ..BASE },
        about: "split page-table locks, no huge pages: NR_CPUS >= 4 before 2.6.38-rc1",
    },
    NamedEnvironment {
        name: "nosplit",
        environment: Environment {
            split_ptlocks: false,
            thp: false,
            ..BASE
        },
        about: "one page_table_lock for everything: NR_CPUS < 4, or any lock-debugging build",
    },
    NamedEnvironment {
        name: "nosplit+thp",
        environment: Environment {
            split_ptlocks: false,
            ..BASE
        },
        about: "one page_table_lock, huge pages",
    },
    NamedEnvironment {
        name: "irq-free",
        environment: Environment {
            mms: 2,
            pgd_free_in_irq: true,
            ..BASE
        },
        about: "split+thp, two mms, and an interrupt may drop the last reference of an mm",
    },
    NamedEnvironment {
        name: "nosplit+irq-free",
        environment: Environment {
            split_ptlocks: false,
            mms: 2,
            pgd_free_in_irq: true,
            ..BASE
        },
        about: "nosplit+thp, two mms, and an interrupt may drop the last reference of an mm",
    },
    NamedEnvironment {
        name: "3-cpus",
        environment: Environment {
            cpus: 3,
            split_ptlocks: false,
            thp: false,
            ..BASE
        },
        about: "nosplit with three CPUs",
    },
    NamedEnvironment {
        name: "hypercall",
        environment: Environment {
            flush_backend: FlushBackend::Hypercall,
            ..BASE
        },
        about: "split+thp, flushes by hypercall: nobody awaits a CPU",
    },
    NamedEnvironment {
        name: "xen",
        environment: Environment {
            flush_backend: FlushBackend::Hypercall,
            xen_pin: true,
            ..BASE
        },
        about: "hypercall, and page tables are pinned read-only under page_table_lock",
    },
];

impl Environment {
    /// The named environment, if there is one of that name.
    pub fn named(name: &str) -> Option<Environment> {
        ENVIRONMENTS
            .iter()
            .find(|e| e.name == name)
            .map(|e| e.environment)
    }

    /// The name of this environment, if it has one.
    pub fn name(&self) -> Option<&'static str> {
        ENVIRONMENTS
            .iter()
            .find(|e| e.environment == *self)
            .map(|e| e.name)
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

impl fmt::Display for Environment {
    /// Every axis that differs from the default, the number of CPUs and mms always.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpus={} mms={}", self.cpus, self.mms)?;
        if self.ops_per_cpu != 1 {
            write!(f, " ops={}", self.ops_per_cpu)?;
        }
        write!(
            f,
            " split={} thp={}",
            on_off(self.split_ptlocks),
            on_off(self.thp)
        )?;
        if self.flush_backend != FlushBackend::Ipi {
            write!(f, " flush_backend={}", self.flush_backend)?;
        }
        if self.xen_pin {
            write!(f, " xen_pin=on")?;
        }
        if self.pgd_free_in_irq {
            write!(f, " pgd_free_in_irq=on")?;
        }
        Ok(())
    }
}
