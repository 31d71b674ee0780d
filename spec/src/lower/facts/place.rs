//! What is to be asked of a context by where it stands.

use super::{AT_PGD_LOCK, AWAITS, CHANGING, HANDLER, PGD_LOCK_HELD, PTL_HELD, Spot, W};
use crate::id::MmId;
use crate::lower::{Lowered, Place};
use crate::program::{Entry, LockRef, Of, Op, ProgramId, Reg};
use crate::variant::Variant;
use shootdown_ir::packed::Packed;
use shootdown_ir::system::{ContextId, X};

impl Lowered<'_> {
    /// What to look at, by place, for one context.
    pub(super) fn spots(&self, packed: &Packed<'_>, cpu: usize, level: usize) -> Vec<Spot> {
        let context = ContextId((2 * cpu + level) as u32);
        let mut spots = vec![Spot::default()];
        for (number, place) in self.places.of(level) {
            let mut spot = self.spot_of(place);
            let op = self.config.program(place.program).line(place.pc).op;
            self.conditions(cpu, level, place, &mut |bit, x| {
                // What a function promises when it returns is about what comes after it, and no later store passes its own.
                let x = match op {
                    Op::Return => x.and(self.stores_are_in(cpu)),
                    _ => x,
                };
                let condition = packed.condition_at(&x, context, number);
                if !condition.is_never() {
                    spot.also.push((1 << bit, condition));
                }
            });
            spots.push(spot);
        }
        spots
    }

    /// What the place alone tells.
    fn spot_of(&self, place: Place) -> Spot {
        let op = self.config.program(place.program).line(place.pc).op;
        let held = self.places.held(place);
        let mut spot = Spot {
            program: place.program as u8,
            ..Spot::default()
        };
        let mut flag = |flag: u32, on: bool| spot.flags |= if on { flag } else { 0 };
        flag(PGD_LOCK_HELD, held.contains(&LockRef::PgdLock));
        flag(PTL_HELD, held.iter().any(|l| *l != LockRef::PgdLock));
        flag(AWAITS, op == Op::AwaitAcks);
        flag(HANDLER, place.program == ProgramId::FlushTlbInterrupt);
        flag(AT_PGD_LOCK, matches!(op, Op::Lock(LockRef::PgdLock, _)));
        let changing = matches!(place.program, ProgramId::PgdAlloc | ProgramId::PgdFree);
        flag(CHANGING, changing);
        if op == Op::AwaitNotSplitting {
            spot.awaits_split = place.mm.0 + 1;
        }
        if place.program == ProgramId::SplitHugePage {
            spot.splits = place.mm.0 + 1;
        }
        if let Some((sender, _)) = place.request {
            spot.sender = sender;
        }
        if let Op::Lock(lock, _) = op {
            spot.lock = self.lock_number_of(lock, place) as u8;
        }
        let unmaps = matches!(
            place.program,
            ProgramId::ZapPageRange | ProgramId::MadviseDontneed | ProgramId::TryToUnmapOne
        );
        let mut fact = |bit: usize, on: bool| spot.facts |= u64::from(on) << bit;
        fact(
            W + 5,
            place.program == ProgramId::VmallocSyncAll && place.cursor.is_some(),
        );
        fact(W + 10, unmaps && op == Op::Return);
        fact(W + 12, matches!(op, Op::GetPage(_)));
        spot
    }

    /// Facts that depend on more than the place.
    pub(super) fn conditions(
        &self,
        cpu: usize,
        level: usize,
        place: Place,
        add: &mut impl FnMut(usize, X),
    ) {
        let op = self.config.program(place.program).line(place.pc).op;
        for &lock in self.places.held(place) {
            let lock = self.lock_number_of(lock, place);
            add(5, self.not_exclusive(2 * cpu + level, lock));
        }
        let reg = |reg: Reg| match self.cells.regs[2 * cpu + level][reg as usize] {
            Some(cell) => cell.get().is(1),
            None => X::FALSE,
        };
        let cached = |mm: MmId, entry: Entry| self.cached(mm, entry);
        let translates = |mm: MmId, entry: Entry| {
            let it = self.cells.mms[mm.index()].entries[entry as usize];
            it.present.get().is(1).and(it.table.get().is(0))
        };
        let listed = |mm: MmId| {
            X::any(
                self.cells
                    .order
                    .iter()
                    .map(|o| o.get().is(self.mm_number(mm))),
            )
        };
        if place.program == ProgramId::VmallocSyncAll && place.cursor.is_some() {
            let life = self.cells.mms[place.cursor.index()].life;
            add(7, listed(place.cursor).not().or(life.get().is(4)));
        }
        match op {
            Op::Return => match place.program {
                ProgramId::VmallocSyncAll => {
                    let missing = (0..self.config.slots() as u8).map(MmId).map(|mm| {
                        let entry = self.cells.mms[mm.index()].kernel_entry;
                        listed(mm).and(entry.get().is(0))
                    });
                    add(8, X::any(missing));
                }
                ProgramId::ZapPageRange | ProgramId::MadviseDontneed => {
                    let mut stale = cached(place.mm, Entry::Pte);
                    if self.config.variants.has(Variant::ZapCoversHuge)
                        && self.config.environment.thp
                    {
                        let huge = translates(place.mm, Entry::Huge).not();
                        stale = stale.or(huge.and(cached(place.mm, Entry::Huge)));
                    }
                    add(9, stale);
                }
                ProgramId::TryToUnmapOne => {
                    add(9, reg(Reg::Changed).and(cached(place.mm, Entry::Pte)));
                }
                _ => {}
            },
            Op::GetPage(entry) => {
                let it = self.cells.mms[place.mm.index()].entries[entry as usize];
                let splitting = it.splitting.get().is(1);
                add(W + 13, translates(place.mm, entry).not().or(splitting));
                let split = match entry {
                    Entry::Pte => X::FALSE,
                    Entry::Huge => it.split.get().is(1),
                };
                add(11, it.freed.get().is(1).or(split));
            }
            Op::WriteKernelEntry { of } => {
                let mm = match of {
                    Of::Target => place.mm,
                    Of::Cursor => place.cursor,
                };
                add(W + 14, reg(Reg::SeenPinned));
                if mm.is_some() {
                    let pinned = self.cells.mms[mm.index()].pinned;
                    add(12, reg(Reg::SeenPinned).not().and(pinned.get().is(1)));
                }
            }
            Op::Ack => {
                let it = &self.cells.cpus[cpu];
                let mine = it.active.get().is(self.mm_number(place.mm));
                let loaded = it.loaded.get().is(1).and(mine);
                add(W + 15, loaded.clone());
                add(13, reg(Reg::Flushed).not().and(loaded));
            }
            _ => {}
        }
    }
}
