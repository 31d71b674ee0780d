//! No lockless walker on a reused table or page.

use super::{Decided, Property, WitnessId};
use crate::program::{Entry, Op};

pub(super) const PROPERTY: Property = Property {
    name: "no_walker_on_reused_table",
    promise: "fast GUP never holds a page that was freed, or a compound page that was split, between its \
              read of the entry and its reference",
    relied_on_by: "get_user_pages_fast, futex: the IPI of a flush is what they synchronise with",
    not_covered: "reuse of page-table pages themselves (khugepaged), and RCU-freed tables",
    decided: Decided::OnStates(|config, state| {
        state.each_context(config).any(|(who, ctx)| {
            match state.cpu(who.cpu).next_op(config, who.level) {
                Some(Op::GetPage(Entry::Pte)) => state.mm(ctx.mm).frame(Entry::Pte).freed,
                Some(Op::GetPage(Entry::Huge)) => {
                    let frame = state.mm(ctx.mm).frame(Entry::Huge);
                    frame.freed || frame.split
                }
                _ => false,
            }
        })
    }),
    witnesses: &[WitnessId::GupInWindow, WitnessId::ChangedUnderGup],
};
