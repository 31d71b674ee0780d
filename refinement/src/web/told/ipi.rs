//! Flush IPIs: sent, taken, acknowledged; and why one is still pending.

use super::Played;
use super::state::why_not_taken;
use crate::web::view::ipi::IpiView;

/// Every flush IPI of a run, in the order of sending.
pub(super) fn ipis(played: &Played) -> Vec<IpiView> {
    let config = played.config();
    let mut all: Vec<IpiView> = Vec::new();
    for (i, pair) in played.states.windows(2).enumerate() {
        let (before, after) = (pair[0].state(), pair[1].state());
        for (to, cpu) in after.each_cpu(config) {
            for (from, sender) in after.each_cpu(config) {
                let was = before.cpu(to).pending_ipi(from);
                let is = cpu.pending_ipi(from);
                let open = |ipi: &&mut IpiView| (ipi.from, ipi.to) == (from.0, to.0);
                if was.is_some() && is.is_none() {
                    let open = all.iter_mut().rev().find(open);
                    if let Some(ipi) = open.filter(|ipi| ipi.delivered.is_none()) {
                        ipi.delivered = Some(i + 1);
                    }
                }
                if before.cpu(from).acks.contains(to) && !sender.acks.contains(to) {
                    let open = all.iter_mut().rev().find(open);
                    if let Some(ipi) = open.filter(|ipi| ipi.acked.is_none()) {
                        ipi.acked = Some(i + 1);
                    }
                }
                if let (None, Some(ipi)) = (was, is) {
                    all.push(IpiView {
                        from: from.0,
                        to: to.0,
                        mm: ipi.mm.to_string(),
                        sent: i + 1,
                        delivered: None,
                        acked: None,
                        why_pending: None,
                    });
                }
            }
        }
    }
    let last = played.last().state();
    for ipi in all.iter_mut().filter(|ipi| ipi.delivered.is_none()) {
        let target = last.cpu(shootdown_spec::id::CpuId(ipi.to));
        ipi.why_pending = Some(why_not_taken(target).unwrap_or("about to be taken"));
    }
    all
}
