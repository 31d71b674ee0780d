//! What came of a step, as a comment behind its statement.

use super::{Story, list};
use crate::eval::Cells;
use crate::expr::Expr;
use crate::protocol::{IrqOp, Op};
use crate::system::{CellId, ContextId, What};
use crate::waits::Wait;

/// A comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub text: String,
    /// Something hangs, or is wrong.
    pub bad: bool,
}

fn plain(text: impl Into<String>) -> Option<Note> {
    Some(Note {
        text: text.into(),
        bad: false,
    })
}

impl Story<'_> {
    /// What the step from state `n` came to; `repeated`: its statement stands above, so that the note has to say all.
    pub(super) fn note(&self, n: usize, repeated: bool) -> Option<Note> {
        let step = self.step(n);
        if let Some(bad) = self.failing(n) {
            return Some(bad);
        }
        if step.what == What::Switch {
            return plain("is switched to, and can only spin");
        }
        let (_, line) = self.line_of(n)?;
        if step.what == What::Granted {
            return match &line.op {
                Op::Lock(lock, _) => plain(format!("has {}", self.protocol.lock(lock.lock).name)),
                _ => plain("goes on"),
            };
        }
        match &line.op {
            Op::Branch { .. } => {
                let taken = self.stands_at(n + 1, step.context).map(|(pc, _)| pc);
                let (pc, _) = self.line_of(n)?;
                let yes = self.leads_to(step.context, pc + 1) == taken;
                let no = match &line.op {
                    Op::Branch { otherwise, .. } => {
                        self.leads_to(step.context, *otherwise) == taken
                    }
                    _ => false,
                };
                match (yes, no) {
                    (true, false) => plain("yes"),
                    (false, true) => plain("no"),
                    _ => None,
                }
            }
            Op::Update(sets) => {
                let trivial = sets.iter().all(|s| matches!(s.value, Expr::Const(_)));
                let changes = self.changes(n);
                match (changes.is_empty(), trivial && !repeated) {
                    (_, true) | (true, _) => None,
                    (false, false) => plain(changes.join(", ")),
                }
            }
            Op::Await { .. } if self.waited(n) => plain("goes on"),
            Op::AwaitAcks { .. } => plain(match self.waited(n) {
                true => "all have returned, goes on",
                false if repeated => "nobody left to wait for",
                false => return None,
            }),
            Op::Lock(lock, _) => {
                let queued = self
                    .wait(n + 1, step.context)
                    .is_some_and(|w| matches!(w, Wait::Lock { .. }));
                match (repeated || self.waited(n), queued) {
                    (true, false) => plain(format!("takes {}", self.protocol.lock(lock.lock).name)),
                    _ => None,
                }
            }
            Op::TryLock { otherwise, .. } => {
                let taken = self.stands_at(n + 1, step.context).map(|(pc, _)| pc);
                match self.leads_to(step.context, *otherwise) == taken {
                    true => plain("not taken"),
                    false => plain("taken"),
                }
            }
            Op::Unlock(lock, _) if repeated => {
                plain(format!("releases {}", self.protocol.lock(lock.lock).name))
            }
            Op::Irq(op) => {
                let on = self.irqs_on(n + 1, self.cpu_of(step.context));
                let was = self.irqs_on(n, self.cpu_of(step.context));
                let by = match op {
                    IrqOp::Save(_) | IrqOp::Off => "interrupts off",
                    IrqOp::Restore(_) | IrqOp::On if on => "interrupts on",
                    IrqOp::Restore(_) | IrqOp::On => "interrupts stay off",
                };
                let waits: Vec<String> = match was && !on {
                    false => vec![],
                    true => self
                        .contexts()
                        .filter(|&c| self.cpu_of(c) == self.cpu_of(step.context))
                        .filter(|&c| self.is_pending(n + 1, c) && !self.is_thread(c))
                        .map(|c| format!("IPI {} waits", self.source_of(c).name))
                        .collect(),
                };
                match waits.is_empty() {
                    true => plain(by),
                    false => plain(format!("{by}: {}", list(waits))),
                }
            }
            Op::SendIpi { .. } | Op::CrossCall { .. } | Op::Raise { .. } => {
                let to: Vec<String> = self
                    .ipis()
                    .iter()
                    .filter(|i| i.sent == n + 1)
                    .map(|i| format!("CPU{}", self.cpu_of(i.handler)))
                    .collect();
                match to.is_empty() {
                    true => plain("--> nobody"),
                    false => plain(format!("--> {}", to.join(", "))),
                }
            }
            Op::PreemptDisable(true) if repeated => plain("preemption off"),
            Op::PreemptDisable(false) if repeated => plain("preemption on"),
            Op::BhDisable(true) if repeated => plain("bottom halves off"),
            Op::BhDisable(false) if repeated => plain("bottom halves on"),
            Op::Await { .. }
            | Op::Goto(_)
            | Op::Unlock(..)
            | Op::Downgrade(_)
            | Op::BhDisable(_)
            | Op::PreemptDisable(_)
            | Op::RcuRead(_)
            | Op::SynchronizeRcu
            | Op::Cancel(_)
            | Op::Sync { .. }
            | Op::Mask(..)
            | Op::Choose(_)
            | Op::Assert { .. }
            | Op::MightSleep
            | Op::Yield
            | Op::Return => None,
        }
    }

    /// Did the context wait, at the place of the step from state `n`, in a state before it?
    fn waited(&self, n: usize) -> bool {
        let step = self.step(n);
        (0..n)
            .rev()
            .take_while(|&i| self.view(i).place(step.context) == step.at)
            .any(|i| {
                self.wait(i, step.context).is_some_and(|w| {
                    !matches!(w, Wait::Interrupted { .. } | Wait::Scheduled { .. })
                })
            })
    }

    /// The first line with a step of its own at or after a jump to `pc`.
    fn leads_to(&self, context: ContextId, pc: usize) -> Option<usize> {
        let program = &self.source_of(context).program;
        let mut at = pc;
        for _ in 0..=program.len() {
            match &program.get(at)?.op {
                Op::Goto(to) => at = *to,
                Op::Branch {
                    cond: Expr::Const(c),
                    otherwise,
                } => at = if *c != 0 { at + 1 } else { *otherwise },
                _ => return Some(at),
            }
        }
        None
    }

    /// What the step from state `n` changed: `a = 1`.
    pub(super) fn changes(&self, n: usize) -> Vec<String> {
        let (before, after) = (self.view(n), self.view(n + 1));
        (0..self.machine.system().cells.len() as u32)
            .map(CellId)
            .filter(|&c| before.cell(c) != after.cell(c))
            .filter_map(|c| {
                let name = self.variable(c)?;
                Some(format!("{name} = {}", self.value(c, after.cell(c))))
            })
            .collect()
    }

    fn irqs_on(&self, n: usize, cpu: usize) -> bool {
        let cell = self.machine.system().cpu_cells[cpu].irqs;
        self.view(n).cell(cell) != 0
    }

    /// A wait that begins, in as few words as say it; the state after the run has the rest.
    pub(super) fn wait_note(&self, n: usize, context: ContextId, wait: &Wait) -> String {
        match wait {
            Wait::Condition { writers } => {
                let verb = match self.sleeps_at(n, context) {
                    true => "sleeps",
                    false => "spins",
                };
                match writers.as_slice() {
                    // Somebody may come who could.
                    [] => format!("{verb}: nobody that runs could end it"),
                    writers if self.waits.awaits_ipi(&self.states[n], context) => {
                        format!("awaits {}", list(writers.iter().map(|&w| self.named(w))))
                    }
                    writers => {
                        format!("{verb}: for {}", list(writers.iter().map(|&w| self.who(w))))
                    }
                }
            }
            Wait::Acks { handlers } if !handlers.is_empty() => {
                format!("awaits {}", list(handlers.iter().map(|&h| self.named(h))))
            }
            Wait::Lock { holders, ahead, .. } => {
                let verb = match self.sleeps_at(n, context) {
                    true => "sleeps",
                    false => "spins",
                };
                match (holders.as_slice(), ahead.as_slice()) {
                    ([], []) => verb.to_string(),
                    ([], ahead) => {
                        format!("{verb} behind {}", list(ahead.iter().map(|&a| self.who(a))))
                    }
                    (holders, _) => format!(
                        "held by {}: {verb}",
                        list(holders.iter().map(|&h| self.holder(n, context, h)))
                    ),
                }
            }
            wait => self.clause(n, context, wait),
        }
    }
}
