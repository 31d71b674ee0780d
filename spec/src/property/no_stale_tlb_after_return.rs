//! No stale translation after the return.

use super::{Decided, Property, WitnessId};
use crate::config::Config;
use crate::id::MmId;
use crate::program::{Entry, Op, ProgramId, Reg};
use crate::state::State;
use crate::variant::Variant;

pub(super) const PROPERTY: Property = Property {
    name: "no_stale_tlb_after_return",
    promise: "when munmap returns (for its whole range, whether or not it cleared anything itself), or an \
              unmapper that cleared, no TLB of any CPU, in user mode or not, has the removed translation",
    relied_on_by: "user space after munmap and madvise; reclaim before it frees or writes out the page",
    not_covered: "page aging, which removes no translation; the huge pmd, unless the zap covers it",
    decided: Decided::OnStates(violated),
    witnesses: &[WitnessId::ClearedWhileCached, WitnessId::UnmapperReturned],
};

fn violated(config: &Config, state: &State) -> bool {
    state.each_context(config).any(|(who, ctx)| {
        if state.cpu(who.cpu).next_op(config, who.level) != Some(Op::Return) {
            return false;
        }
        match ctx.program {
            ProgramId::ZapPageRange | ProgramId::MadviseDontneed => {
                cached(config, state, ctx.mm, Entry::Pte)
                    || config.variants.has(Variant::ZapCoversHuge)
                        && config.environment.thp
                        && !state.mm(ctx.mm).translates(Entry::Huge)
                        && cached(config, state, ctx.mm, Entry::Huge)
            }
            ProgramId::TryToUnmapOne => {
                ctx.reg(Reg::Changed) && cached(config, state, ctx.mm, Entry::Pte)
            }
            _ => false,
        }
    })
}

/// Does any CPU's TLB hold the mm's translation?
pub(super) fn cached(config: &Config, state: &State, mm: MmId, entry: Entry) -> bool {
    state
        .each_cpu(config)
        .any(|(_, c)| c.loaded_mm() == Some(mm) && c.tlb.contains(entry))
}
