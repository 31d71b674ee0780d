//! One state of the code: the machine, and where every CPU's code stands.

use shootdown_impl::id::{CpuId, MmId};
use shootdown_impl::kernel::{Loc, Node};
use shootdown_impl::mm::Life;
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
    /// A flush handler read a request that it had answered already (or that nobody sent).
    AnsweredRequest {
        /// Who read it.
        cpu: CpuId,
        /// Whose request.
        from: CpuId,
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
            Self::AnsweredRequest { cpu, from } => {
                write!(f, "{cpu} reads a request of {from} without owing an answer")
            }
            Self::Panicked { cpu } => write!(f, "the code panics on {cpu}"),
        }
    }
}

impl Noticed {
    /// The protocol's property that is about it, if one is.
    pub fn property(&self) -> Option<&'static str> {
        let Self::Machine(violation) = self else {
            return None;
        };
        match violation {
            Violation::StaleTlb { .. } => Some("no_stale_tlb_after_return"),
            Violation::FreedFrame { .. } => Some("no_use_of_freed_frame"),
            Violation::GupOnReusedPage { .. } => Some("no_walker_on_reused_table"),
            Violation::PinnedWrite { .. } => Some("no_write_to_pinned_pgd"),
            Violation::FreedMm { .. } => Some("pgd_list_integrity"),
            _ => None,
        }
    }
}

impl CodeState {
    /// Forgets what nobody can read any more, so that states that differ in nothing else are one.
    ///
    /// A request that everybody has answered: a CPU that reads one without owing an answer is noticed
    /// ([`Noticed::AnsweredRequest`]), and the next flush writes it again. The memory of a freed mm: an access to it
    /// is noticed by the machine.
    pub fn forget(&mut self, publishing: impl Fn(CpuId) -> bool) {
        let machine = &mut self.machine;
        for cpu in machine.cpu_ids() {
            let request = Loc::Request(cpu);
            if machine.word(request) != 0 && machine.word(Loc::Acks(cpu)) == 0 && !publishing(cpu) {
                machine.set(request, 0);
            }
        }
        for mm in (0..machine.env.mms).map(MmId) {
            if machine.life(mm) == Life::Freed && machine.word(Loc::ListPrev(Node::Page(mm))) != 0 {
                machine.forget_freed(mm);
            }
        }
    }

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
