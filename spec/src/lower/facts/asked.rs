//! What the facts ask of states, for reductions.

use super::{AWAITS, CHANGING, Facts, PGD_LOCK_HELD, PTL_HELD, W};
use crate::id::MmId;
use crate::lower::Lowered;
use crate::program::{Entry, Reg};
use shootdown_ir::reduce::Asked;
use shootdown_ir::reduce::fill::{self, Fill};
use shootdown_ir::system::{CellId, ContextId, X};

impl Lowered<'_> {
    /// Does a CPU that has the mm loaded cache a translation of the entry, or may it?
    pub(super) fn cached(&self, mm: MmId, entry: Entry) -> X {
        X::any(self.cells.cpus.iter().map(|it| {
            X::all([
                it.loaded.get().is(1),
                it.active.get().is(self.mm_number(mm)),
                it.tlb[entry as usize].get().is_not(0),
            ])
        }))
    }

    /// The facts about mms that depend on translations: a cached one leads to a freed frame, an entry was cleared
    /// while it is cached.
    pub fn of_translations(&self) -> impl Iterator<Item = (usize, X)> {
        let mms = (0..self.config.slots() as u8).map(MmId);
        let entries = mms.flat_map(|mm| Entry::ALL.map(|entry| (mm, entry)));
        entries.flat_map(|(mm, entry)| {
            let it = self.cells.mms[mm.index()].entries[entry as usize];
            let cached = self.cached(mm, entry);
            [
                (10, it.freed.get().is(1).and(cached.clone())),
                (W + 9, it.present.get().is(0).and(cached)),
            ]
        })
    }

    /// Lets the hardware cache translations [at once](fill).
    pub fn fill_at_once(&mut self) -> Vec<Fill> {
        let mut system = self.system.clone();
        let fills = fill::widen(&mut system, &self.asked(None));
        self.system = system;
        fills
    }

    /// What these facts ask of states, for reductions. Of the facts, `ipi_pending_irqs_off` is left out: no property asks
    /// for it.
    ///
    /// A step that leads on from a place where its context neither waits nor is asked for anything but the place, and that
    /// changes nothing but registers and the interrupt flag, is unseen. Who waits for that context is not stuck, whoever
    /// is stuck waits for others, and stays so; a lock it holds it still holds.
    pub fn asked<'a>(&'a self, facts: Option<&'a Facts>) -> Asked<'a> {
        let cells = &self.cells;
        let regs = |code: usize| cells.regs[code].iter().flatten().copied();
        let inside = cells
            .regs
            .iter()
            .map(|regs| regs[Reg::PgdLockInside as usize]);
        let mut always: Vec<CellId> = inside.flatten().collect();
        always.extend(cells.at.iter().chain(&cells.rank));
        for it in &cells.cpus {
            always.extend([it.irqs, it.active, it.loaded, it.budget]);
            always.extend(it.acks.iter().chain(&it.inbox));
        }
        for it in &cells.mms {
            always.extend([it.life, it.kernel_entry]);
            always.extend(
                it.entries
                    .iter()
                    .flat_map(|e| [e.present, e.splitting, e.freed]),
            );
        }
        always.extend(cells.order.iter().chain([&cells.synced]));
        always.extend(cells.owners.iter().chain(&cells.readers));
        let mut at = Vec::new();
        for code in 0..2 * self.config.cpus() {
            for (number, place) in self.places.of(code % 2) {
                self.conditions(code / 2, code % 2, place, &mut |_, x| {
                    at.push((ContextId(code as u32), number, x));
                });
            }
        }
        let silent = (0..self.system.contexts.len()).map(|c| match cells.at.get(c) {
            Some(_) => regs(c).chain([cells.cpus[c / 2].irqs]).collect(),
            None => Vec::new(),
        });
        Asked {
            always,
            everywhere: self.of_translations().map(|(_, x)| x).collect(),
            at,
            silent: silent.collect(),
            unseen: Box::new(move |context, from, to| {
                let Some(facts) = facts else { return false };
                let spots = &facts.spots[context.index()];
                let (from, to) = (&spots[from as usize], &spots[to as usize]);
                let held = from.flags & (PGD_LOCK_HELD | PTL_HELD);
                from.also.is_empty()
                    && from.lock == 0
                    && from.awaits_split == 0
                    && from.flags & AWAITS == 0
                    && held & !to.flags == 0
                    && to.flags & CHANGING & !from.flags == 0
            }),
        }
    }
}
