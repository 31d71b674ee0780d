//! Reachability witnesses: the dangerous spots that a run must have visited.

use super::no_stale_tlb_after_return::cached;
use crate::config::Config;
use crate::environment::FlushBackend;
use crate::mm::Life;
use crate::program::{Entry, Op, ProgramId, Reg};
use crate::state::State;

/// A state that must have been reached for some property's check to mean anything.
#[derive(Clone, Copy, Debug)]
pub struct Witness {
    /// Which one.
    pub id: WitnessId,
    /// Its name.
    pub name: &'static str,
    /// What happened.
    pub about: &'static str,
    /// Can it happen in this configuration at all? If not it is not asked for.
    pub applies: fn(&Config) -> bool,
    /// Does it happen in this state?
    pub reached: fn(&Config, &State) -> bool,
}

macro_rules! witnesses {
    ($($id:ident, $name:literal, $about:literal, $applies:expr, $reached:expr;)*) => {
        /// Names of the witnesses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum WitnessId { $(#[doc = $about] $id),* }

        /// Every witness, by [`WitnessId`].
        pub const WITNESSES: &[Witness] = &[$(Witness {
            id: WitnessId::$id, name: $name, about: $about, applies: $applies, reached: $reached,
        }),*];
    };
}

fn always(_: &Config) -> bool {
    true
}

fn by_ipi(config: &Config) -> bool {
    config.environment.flush_backend == FlushBackend::Ipi
}

fn flushes_by_ipi(config: &Config) -> bool {
    by_ipi(config)
        && config
            .reachable_programs()
            .any(|p| p.lines.iter().any(|l| matches!(l.op, Op::SendIpi(_))))
}

fn next_is(config: &Config, state: &State, wanted: impl Fn(Op) -> bool) -> bool {
    state.each_context(config).any(|(who, _)| {
        state
            .cpu(who.cpu)
            .next_op(config, who.level)
            .is_some_and(&wanted)
    })
}

fn awaits_acks(config: &Config, state: &State) -> bool {
    state
        .each_cpu(config)
        .any(|(_, c)| c.awaits_acks(config, c.top()))
}

witnesses! {
    LockContended, "lock_contended", "a context spun for a lock that another held", always,
        |config, state| state.each_context(config).any(|(_, c)| c.spins_for().is_some());
    AwaitsAcks, "awaits_acks", "a context awaited acknowledgements (where flushes go by IPI)", flushes_by_ipi,
        awaits_acks;
    AwaitsAcksAlways, "awaits_acks", "a context awaited acknowledgements", always,
        awaits_acks;
    IpiPendingIrqsOff, "ipi_pending_irqs_off", "an IPI was pending on a CPU with interrupts off", flushes_by_ipi,
        |config, state| state.each_cpu(config).any(|(_, c)| !c.irqs_on && c.pending_ipis().next().is_some());
    BothKindsOfLocksHeld, "both_kinds_of_locks_held", "pgd_lock and a page-table lock were held at the same time", always,
        |config, state| {
            state.each_context(config).any(|(_, c)| c.held.contains(crate::id::LockId::PgdLock))
                && state.each_context(config).any(|(_, c)| c.held.any_page_table_lock())
        };
    WalkerOnPgd, "walker_on_pgd", "a walker stood on a pgd", always,
        |config, state| state.each_context(config).any(|(_, c)| {
            c.program == ProgramId::VmallocSyncAll && c.cursor.is_some()
        });
    MmFreed, "mm_freed", "an mm was freed", |c| {
            c.environment.pgd_free_in_irq || c.workload.uses(ProgramId::PgdFree)
        },
        |config, state| state.each_mm(config).any(|(_, mm)| mm.life == Life::Freed);
    MmBorn, "mm_born", "an mm was born", |c| c.workload.uses(ProgramId::PgdAlloc),
        |config, state| state.each_mm(config).skip(config.environment.mms as usize)
            .any(|(_, mm)| mm.life == Life::Alive);
    WalkReturned, "walk_returned", "a walk of pgd_list returned", always,
        |_, state| state.list.synced;
    ClearedWhileCached, "cleared_while_cached", "a TLB held an entry when it was cleared", always,
        |config, state| state.each_mm(config).any(|(id, mm)| {
            Entry::ALL.iter().any(|&e| !mm.entry(e).present && cached(config, state, id, e))
        });
    UnmapperReturned, "unmapper_returned", "an unmapper or a munmap returned", always,
        |config, state| state.each_context(config).any(|(who, c)| {
            matches!(c.program, ProgramId::ZapPageRange | ProgramId::MadviseDontneed | ProgramId::TryToUnmapOne)
                && state.cpu(who.cpu).next_op(config, who.level) == Some(Op::Return)
        });
    FrameFreed, "frame_freed", "a frame was freed", always,
        |config, state| state.each_mm(config).any(|(_, mm)| mm.frames.iter().any(|f| f.freed));
    GupInWindow, "gup_in_window", "fast GUP stood between its read and its reference", always,
        |config, state| next_is(config, state, |op| matches!(op, Op::GetPage(_)));
    ChangedUnderGup, "changed_under_gup", "the entry changed while fast GUP stood there", always,
        |config, state| state.each_context(config).any(|(who, c)| {
            match state.cpu(who.cpu).next_op(config, who.level) {
                Some(Op::GetPage(e)) => !state.mm(c.mm).translates(e) || state.mm(c.mm).entry(e).splitting,
                _ => false,
            }
        });
    StoreThroughHypervisor, "store_through_hypervisor", "a store met a pinned pgd and went through the hypervisor", always,
        |config, state| state.each_context(config).any(|(who, c)| {
            c.reg(Reg::SeenPinned)
                && matches!(state.cpu(who.cpu).next_op(config, who.level), Some(Op::WriteKernelEntry { .. }))
        });
    AckWhileLoaded, "ack_while_loaded", "a CPU answered a flush of the mm it had loaded", always,
        |config, state| state.each_context(config).any(|(who, c)| {
            c.program == ProgramId::FlushTlbInterrupt
                && state.cpu(who.cpu).loaded_mm() == Some(c.mm)
                && state.cpu(who.cpu).next_op(config, who.level) == Some(Op::Ack)
        });
    IrqInsideProgram, "irq_inside_program", "an interrupt hit inside a program", always,
        |config, state| state.each_cpu(config).any(|(_, c)| {
            c.in_irq() && c.context(crate::id::Level::Task).is_running()
        });
    Finished, "finished", "every CPU did all its work", always,
        |config, state| state.is_finished(config);
}

impl WitnessId {
    /// Its description.
    pub fn info(self) -> &'static Witness {
        &WITNESSES[self as usize]
    }
}
