//! Numbers of CPUs, mms and contexts.
//!
//! | implementation | specification |
//! |---|---|
//! | `CpuId(n)` | `CpuId(n)` |
//! | `MmId(n)`: the slot | `MmId(n)` |
//! | `None` | `MmId::NONE`: init_mm |
//! | `(cpu, false)`, `(cpu, true)` | `Context` at `Level::Task`, `Level::Irq` |
//! | `CpuMask` | `CpuSet`, the same bits |

use shootdown_impl::id as code;
use shootdown_spec::id as spec;

/// The CPU, as the implementation calls it.
pub fn cpu_to_code(cpu: spec::CpuId) -> code::CpuId {
    code::CpuId(cpu.0)
}

/// The CPU, as the specification calls it.
pub fn cpu_to_spec(cpu: code::CpuId) -> spec::CpuId {
    spec::CpuId(cpu.0)
}

/// The mm slot, if it is one.
pub fn mm_to_code(mm: spec::MmId) -> Option<code::MmId> {
    mm.is_some().then_some(code::MmId(mm.0))
}

/// The mm; nothing is init_mm.
pub fn mm_to_spec(mm: Option<code::MmId>) -> spec::MmId {
    mm.map_or(spec::MmId::NONE, |mm| spec::MmId(mm.0))
}

/// The context.
pub fn context((cpu, in_irq): (code::CpuId, bool)) -> spec::Context {
    spec::Context {
        cpu: cpu_to_spec(cpu),
        level: if in_irq {
            spec::Level::Irq
        } else {
            spec::Level::Task
        },
    }
}

/// The set of CPUs.
pub fn cpus(mask: code::CpuMask) -> spec::CpuSet {
    spec::CpuSet(mask.0)
}
