//! Who raised what: IPIs, cross calls, timers, work.

use super::Story;
use crate::eval::Cells;
use crate::system::{ContextId, What};

/// Something that became pending on a CPU, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipi {
    /// What is pending: the context that will run.
    pub handler: ContextId,
    /// The context that raised it.
    pub from: ContextId,
    /// The number of the step that did, from 1.
    pub sent: usize,
    /// The number of the step that starts the handler.
    pub taken: Option<usize>,
    /// The number of the step that ends it.
    pub ended: Option<usize>,
}

impl Story<'_> {
    /// Everything that was sent, raised, queued or armed in the run, in the order of sending. Several calls that wait for
    /// the same handler on the same CPU are served first come, first served.
    pub fn ipis(&self) -> Vec<Ipi> {
        let mut all: Vec<Ipi> = Vec::new();
        for n in 0..self.end() {
            let step = self.step(n);
            for handler in self.contexts() {
                if self.waiting(n + 1, handler) > self.waiting(n, handler) {
                    all.push(Ipi {
                        handler,
                        from: step.context,
                        sent: n + 1,
                        taken: None,
                        ended: None,
                    });
                }
            }
            let of_this = |ipi: &&mut Ipi| ipi.handler == step.context;
            match step.what {
                // One that comes by itself leaves what was raised pending.
                What::Start
                    if self.waiting(n + 1, step.context) < self.waiting(n, step.context) =>
                {
                    if let Some(ipi) = all.iter_mut().filter(of_this).find(|i| i.taken.is_none()) {
                        ipi.taken = Some(n + 1);
                    }
                }
                What::End => {
                    let runs = |i: &&mut Ipi| i.taken.is_some() && i.ended.is_none();
                    if let Some(ipi) = all.iter_mut().filter(of_this).find(runs) {
                        ipi.ended = Some(n + 1);
                    }
                }
                What::Start | What::Op | What::Granted | What::Switch | What::Drain => {}
            }
        }
        all
    }

    /// How often the context is pending in state `n`: raised, and in the call queue of its CPU.
    fn waiting(&self, n: usize, context: ContextId) -> usize {
        let objects = &self.machine.system().objects;
        let view = self.view(n);
        let it = &self.machine.system().contexts[context.index()];
        let raised = objects.raised[context.index()].is_some_and(|cell| view.cell(cell) != 0);
        let queued = match objects.serving[context.index()] {
            None => 0,
            Some(_) => objects.queue[it.cpu]
                .iter()
                .map(|&cell| view.cell(cell))
                .filter(|&call| call > 0 && objects.calls[call as usize - 1].handler == it.source)
                .count(),
        };
        usize::from(raised) + queued
    }

    /// Who raised what the step from state `n` starts.
    pub(super) fn sender(&self, n: usize) -> Option<ContextId> {
        let all = self.ipis();
        let ipi = all.iter().find(|i| i.taken == Some(n + 1))?;
        Some(ipi.from)
    }

    /// Is the context pending in state `n`?
    pub(super) fn is_pending(&self, n: usize, context: ContextId) -> bool {
        let it = &self.machine.system().contexts[context.index()];
        self.view(n).is(&it.pending)
    }
}
