//! The rules that programs obey: mms that are in use stay alive, and the sleeping locks that are not modelled
//! otherwise (`mmap_sem`, the anon_vma lock) exclude what they exclude.

use crate::id::{CpuId, MmId};
use crate::irq::Vector;
use crate::kernel::Loc;
use crate::mm::Life;
use crate::operation::Operation;
use crate::sim::SimState;

impl SimState {
    /// Whether a CPU may start an operation now: the rules that keep mms alive while they are in use, and the
    /// sleeping locks (`mmap_sem`, anon_vma) that are not modelled otherwise.
    pub fn may_start(&self, cpu: CpuId, operation: Operation) -> bool {
        let state = self.cpus[cpu.index()].tlb_state;
        let running_on = |mm: MmId| {
            self.cpus.iter().enumerate().any(|(i, c)| {
                c.running.is_some_and(|o| {
                    o.names() == Some(mm)
                        || (o.needs_current_mm() && c.tlb_state.active_mm == Some(mm))
                }) || c.in_irq == Some(Vector::PgdFree(mm)) && i != cpu.index()
            })
        };
        let active = |mm: MmId| self.cpus.iter().any(|c| c.tlb_state.active_mm == Some(mm));
        let running = |wanted: Operation| self.cpus.iter().any(|c| c.running == Some(wanted));
        // Freeing or allocating is exclusive; everything else needs the mm alive and not being freed.
        let usable = |mm: MmId| {
            self.life(mm) == Life::Alive
                && !running(Operation::PgdFree(mm))
                && !running(Operation::PgdAlloc(mm))
                && self
                    .cpus
                    .iter()
                    .all(|c| c.in_irq != Some(Vector::PgdFree(mm)))
        };
        let pinning =
            |mm: MmId| running(Operation::XenPgdPin(mm)) || running(Operation::XenPgdUnpin(mm));
        match operation {
            Operation::PgdAlloc(mm) => {
                mm.0 < self.env.mms
                    && self.life(mm) == Life::Fresh
                    && !running(Operation::PgdAlloc(mm))
            }
            Operation::PgdFree(mm) => self.droppable(mm),
            // The scheduler calls it to another mm, or to come back from borrowing this one.
            Operation::SwitchMm(mm) => {
                mm.0 < self.env.mms
                    && usable(mm)
                    && !pinning(mm)
                    && (state.active_mm != Some(mm) || state.lazy)
            }
            Operation::XenPgdPin(mm) | Operation::XenPgdUnpin(mm) => {
                let pin = matches!(operation, Operation::XenPgdPin(_));
                self.env.xen_pin
                    && mm.0 < self.env.mms
                    && usable(mm)
                    && !active(mm)
                    && !running_on(mm)
                    && (self.word(Loc::Pinned(mm)) == 0) == pin
            }
            Operation::SplitHugePage(mm) => {
                mm.0 < self.env.mms && usable(mm) && !running(operation)
            }
            Operation::EnterLazyTlb => state.current_mm().is_some(),
            Operation::LeaveMm => state.lazy && state.loaded,
            Operation::ZapPageRange => state.current_mm().is_some_and(|mm| {
                self.cpus.iter().all(|c| {
                    c.tlb_state.active_mm != Some(mm)
                        || !matches!(
                            c.running,
                            Some(Operation::ZapPageRange | Operation::MadviseDontneed)
                        )
                })
            }),
            Operation::MadviseDontneed => state.current_mm().is_some_and(|mm| {
                self.cpus.iter().all(|c| {
                    c.tlb_state.active_mm != Some(mm) || c.running != Some(Operation::ZapPageRange)
                })
            }),
            _ if operation.needs_current_mm() => state.current_mm().is_some(),
            _ => operation
                .names()
                .is_none_or(|mm| mm.0 < self.env.mms && usable(mm)),
        }
    }

    /// Whether the last reference to an mm can be dropped now: nobody runs on it, borrows it or works on it.
    pub fn droppable(&self, mm: MmId) -> bool {
        mm.0 < self.env.mms
            && self.life(mm) == Life::Alive
            // A CPU in the mask has not let go: `switch_mm` away from it clears the bit after CR3 is loaded, and
            // only then does `finish_task_switch` drop the reference.
            && self.word(Loc::Cpumask(mm)) == 0
            && self.cpus.iter().all(|c| {
                c.tlb_state.active_mm != Some(mm)
                    && c.running.is_none_or(|o| o.names() != Some(mm))
                    && c.in_irq != Some(Vector::PgdFree(mm))
            })
    }

    /// The interrupts a CPU could take now.
    pub fn interrupts(&self, cpu: CpuId) -> impl Iterator<Item = Vector> {
        let c = &self.cpus[cpu.index()];
        let open = c.irqs_on && c.in_irq.is_none();
        let ipis = c.ipis.iter().map(Vector::FlushTlb);
        let drops = (0..self.env.mms)
            .map(MmId)
            .filter(move |&mm| self.env.pgd_free_in_irq && self.droppable(mm))
            .map(Vector::PgdFree);
        ipis.chain(drops).filter(move |_| open)
    }
}
