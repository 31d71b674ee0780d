//! One state of the code: the machine, and where every CPU's code stands.

use shootdown_impl::id::CpuId;
use shootdown_impl::kernel::Loc;
use shootdown_impl::sim::{SIM_CPUS, SimState, Violation};
use shootdown_spec::id::Level;

use super::automaton::NodeId;

/// Everything: equal states have equal futures.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CodeState {
    /// Memory, interrupt flags, pending IPIs, TLBs.
    pub machine: SimState,
    /// By CPU and level: where the code is.
    pub at: [[NodeId; 2]; SIM_CPUS],
    /// Operations each CPU may still start.
    pub budget: [u8; SIM_CPUS],
    /// What the machine noticed in the last step.
    pub noticed: Option<Noticed>,
}

/// Something no run may show, noticed while it happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Noticed {
    /// The machine's own rules: memory that is gone, translations that are stale, locks released by who does not hold
    /// them.
    Machine(Violation),
    /// A link of `pgd_list` was touched without `pgd_lock`: what [`super::mover`] takes for granted.
    Unguarded {
        /// By whom.
        cpu: CpuId,
        /// Which word.
        loc: Loc,
    },
    /// The code panicked.
    Panicked {
        /// On which CPU.
        cpu: CpuId,
    },
}

impl std::fmt::Display for Noticed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Machine(violation) => write!(f, "{violation}"),
            Self::Unguarded { cpu, loc } => write!(f, "{cpu} touches {loc:?} without pgd_lock"),
            Self::Panicked { cpu } => write!(f, "the code panics on {cpu}"),
        }
    }
}

impl CodeState {
    /// The level that executes on a CPU.
    pub fn top(&self, cpu: CpuId) -> Level {
        if self.machine.cpus[cpu.index()].in_irq.is_some() {
            Level::Irq
        } else {
            Level::Task
        }
    }

    /// Where a context's code is.
    pub fn node(&self, cpu: CpuId, level: Level) -> NodeId {
        self.at[cpu.index()][level as usize]
    }
}
