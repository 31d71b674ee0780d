//! What each step of a program does.

use super::start::{ALIVE, FREED};
use super::{Here, Lowered, Place};
use crate::id::MmId;
use crate::program::{Entry, Flags, Names, Of, Op, Pc, ProgramId, Reg, Scope};
use crate::variant::Variant;
use shootdown_ir::expr::Binary;
use shootdown_ir::system::{Assign, CellId, What, X};

/// The register of a saved interrupt flag.
pub(super) fn flags(flags: Flags) -> Reg {
    match flags {
        Flags::Outer => Reg::FlagsOuter,
        Flags::Inner => Reg::FlagsInner,
    }
}

/// The register that says that this path cleared the entry.
pub(super) fn changed(entry: Entry) -> Reg {
    match entry {
        Entry::Pte => Reg::Changed,
        Entry::Huge => Reg::ChangedHuge,
    }
}

fn constant(cell: CellId, value: i64) -> Assign {
    cell.set(X::Const(value))
}

impl Lowered<'_> {
    fn at(&self, here: &Here, pc: Pc) -> i64 {
        let place = Place { pc, ..here.place };
        self.places.number(here.level, place)
    }

    fn reg_cell(&self, here: &Here, reg: Reg) -> CellId {
        match self.cells.regs[here.code()][reg as usize] {
            Some(cell) => cell,
            None => unreachable!("every register that a step names has a cell"),
        }
    }

    fn set_reg(&self, here: &Here, reg: Reg, value: X) -> Assign {
        self.reg_cell(here, reg).set(value)
    }

    /// The place that `pc` leads to, registers as they are.
    fn target(&self, here: &Here, pc: Pc) -> X {
        match self.config.program(here.place.program).line(pc).op {
            Op::Goto { to } => self.target(here, to),
            Op::Branch { reg, value, to } => self
                .reg_cell(here, reg)
                .get()
                .is(i64::from(value))
                .choose(self.target(here, to), self.target(here, pc + 1)),
            _ => X::Const(self.at(here, pc)),
        }
    }

    pub(super) fn go(&self, here: &Here, pc: Pc) -> Assign {
        self.cells.at[here.code()].set(self.target(here, pc))
    }

    /// The place that `pc` leads to, if no register decides it.
    pub(super) fn go_constant(&self, level: usize, place: Place, pc: Pc) -> Option<i64> {
        match self.config.program(place.program).line(pc).op {
            Op::Goto { to } => self.go_constant(level, place, to),
            Op::Branch { .. } => None,
            _ => Some(self.places.number(level, Place { pc, ..place })),
        }
    }

    /// A step with this condition and effect, then on to `pc`.
    fn way(&mut self, here: &Here, ready: X, mut assigns: Vec<Assign>, pc: Pc) {
        assigns.push(self.go(here, pc));
        self.push(here.code(), here.number, What::Op, ready, assigns);
    }

    pub(super) fn steps_at(&mut self, cpu: usize, level: usize, number: u32, place: Place) {
        let here = &Here {
            cpu,
            level,
            place,
            number,
        };
        let op = self.config.program(place.program).line(place.pc).op;
        let next = place.pc + 1;
        let it = self.cells.cpus[cpu].clone();
        let always = |l: &mut Self, assigns: Vec<Assign>| l.way(here, X::TRUE, assigns, next);
        let mm = |l: &Self| l.cells.mms[place.mm.index()].clone();
        let of = |l: &Self, of: Of| {
            let mm = match of {
                Of::Target => place.mm,
                Of::Cursor => place.cursor,
            };
            // Where the walk stands on nothing, the step is never reached.
            l.cells.mms[mm.index().min(l.cells.mms.len() - 1)].clone()
        };
        match op {
            Op::IrqSave(f) => {
                let save = self.set_reg(here, flags(f), it.irqs.get());
                always(self, vec![save, constant(it.irqs, 0)]);
            }
            Op::IrqRestore(f) => {
                let reg = self.reg_cell(here, flags(f));
                always(self, vec![it.irqs.set(reg.get()), constant(reg, 0)]);
            }
            Op::Lock(lock, mode) => self.take(here, lock, mode),
            Op::TryLock { lock, busy } => self.try_take(here, lock, busy),
            Op::Unlock(lock) => self.release(here, lock),
            Op::SetInitEntry => always(self, vec![constant(self.cells.init_entry, 1)]),
            Op::ReadInitEntry { absent } => {
                let entry = self.cells.init_entry.get();
                let yes = self.set_reg(here, Reg::Changed, X::TRUE);
                let no = self.set_reg(here, Reg::Changed, X::FALSE);
                self.way(here, entry.clone().is(1), vec![yes], next);
                self.way(here, entry.is(0), vec![no], absent);
            }
            Op::ForEachPgd { done } => self.for_each(here, done),
            Op::ReadKernelEntry { of: o, present } => {
                let entry = of(self, o).kernel_entry.get();
                self.way(here, entry.clone().is(1), vec![], present);
                self.way(here, entry.is(0), vec![], next);
            }
            Op::ReadPinned { of: o } => {
                let seen = self.set_reg(here, Reg::SeenPinned, of(self, o).pinned.get());
                always(self, vec![seen]);
            }
            Op::WriteKernelEntry { of: o } => {
                let it = of(self, o);
                let write = constant(it.kernel_entry, 1).when(it.life.get().is_not(FREED));
                always(self, vec![write]);
            }
            Op::ClonePgd => {
                let it = mm(self);
                let read = self.reg_cell(here, Reg::Changed).get();
                always(
                    self,
                    vec![it.kernel_entry.set(read), constant(it.life, ALIVE)],
                );
            }
            Op::ListAdd => {
                let assigns = self.list_add(place.mm);
                always(self, assigns);
            }
            Op::ListDel => {
                let assigns = self.list_del(place.mm);
                always(self, assigns);
            }
            Op::FreeMm => {
                let assigns = self.free(place.mm);
                always(self, assigns);
            }
            Op::FlushLocal(scope) => self.flush_local(here, scope, vec![]),
            Op::FlushRequested => {
                let scope = place.request.map_or(Scope::Mm, |(_, scope)| scope);
                let done = self.set_reg(here, Reg::Flushed, X::TRUE);
                self.flush_local(here, scope, vec![done]);
            }
            Op::SendIpi(scope) => self.send_ipi(here, scope),
            Op::AwaitAcks => {
                let none = X::all(it.acks.iter().map(|a| a.get().is(0)));
                let done = self.set_reg(here, Reg::SentIpi, X::FALSE);
                self.way(here, none, vec![done], next);
            }
            Op::FlushHypercall(scope) => {
                let assigns = self.hypercall(here, scope);
                always(self, assigns);
            }
            Op::Ack => {
                let sender = place.request.map_or(0, |(sender, _)| sender as usize);
                always(self, vec![constant(self.cells.cpus[sender].acks[cpu], 0)]);
            }
            Op::CpumaskSet => always(self, vec![constant(mm(self).cpumask[cpu], 1)]),
            Op::CpumaskClearPrev => {
                let assigns = match place.cursor.is_some() {
                    true => vec![constant(of(self, Of::Cursor).cpumask[cpu], 0)],
                    false => vec![],
                };
                always(self, assigns);
            }
            Op::CpumaskClearOwn => always(self, vec![constant(mm(self).cpumask[cpu], 0)]),
            Op::CpumaskClearIfLazy => {
                let leaves = self.must_leave(here);
                let clear = constant(mm(self).cpumask[cpu], 0).when(leaves);
                always(self, vec![clear]);
            }
            Op::LoadCr3 => {
                let assigns = self.load_cr3(here);
                always(self, assigns);
            }
            Op::StopBeingLazy { loaded } => {
                let stop = constant(it.lazy, 0);
                self.way(here, it.loaded.get().is(1), vec![stop.clone()], loaded);
                self.way(here, it.loaded.get().is(0), vec![stop], next);
            }
            Op::EnterLazy => always(self, vec![constant(it.lazy, 1)]),
            Op::LeaveMm => {
                let mut assigns = vec![constant(mm(self).cpumask[cpu], 0)];
                assigns.extend(self.load_swapper(cpu));
                always(self, assigns);
            }
            Op::LoadSwapper => {
                let assigns = self.load_swapper(cpu);
                always(self, assigns);
            }
            Op::SetPinned(on) => always(self, vec![constant(mm(self).pinned, i64::from(on))]),
            Op::RaisePending | Op::DropPending => {
                let pending = mm(self).pending;
                let flag = self.config.variants.has(Variant::FlagForCounter);
                let up = op == Op::RaisePending;
                let value = match (flag, up) {
                    (true, _) => X::Const(i64::from(up)),
                    (false, true) => pending.get().op(Binary::Add, X::Const(1)),
                    (false, false) => pending.get().op(Binary::Add, X::Const(-1)),
                };
                always(self, vec![pending.set(value)]);
            }
            Op::ReadPending => {
                let owed = mm(self).pending.get().is_not(0);
                let flush = self.set_reg(here, Reg::NeedFlush, X::TRUE).when(owed);
                always(self, vec![flush]);
            }
            Op::Return => self.finish(here),
            Op::TestAndClearYoung { .. }
            | Op::GetAndClear { .. }
            | Op::SetSplitting { .. }
            | Op::PmdNotPresent
            | Op::PmdPopulate
            | Op::TestSplitting { .. }
            | Op::AwaitNotSplitting
            | Op::SplitCompound
            | Op::GupRead { .. }
            | Op::GetPage(_)
            | Op::PutPage(_)
            | Op::UserStore(_) => self.user_step(here, op),
            Op::Branch { .. } | Op::Goto { .. } => unreachable!("control is no place"),
        }
    }

    /// Steps on user entries and frames.
    fn user_step(&mut self, here: &Here, op: Op) {
        let next = here.place.pc + 1;
        let entries = self.cells.mms[here.place.mm.index()].entries;
        let huge = entries[Entry::Huge as usize];
        let translates = |e: Entry| {
            let it = entries[e as usize];
            it.present.get().is(1).and(it.table.get().is(0))
        };
        let need = |l: &Self| l.set_reg(here, Reg::NeedFlush, X::TRUE);
        match op {
            Op::TestAndClearYoung { entry, not_young } => {
                let it = entries[entry as usize];
                let young = X::all([
                    translates(entry),
                    it.splitting.get().is(0),
                    it.accessed.get().is(1),
                ]);
                let flush = need(self);
                self.way(
                    here,
                    young.clone(),
                    vec![constant(it.accessed, 0), flush],
                    next,
                );
                self.way(here, young.not(), vec![], not_young);
            }
            Op::GetAndClear { entry, absent } => {
                let it = entries[entry as usize];
                let mut assigns = clear(&it).to_vec();
                assigns.push(self.set_reg(here, changed(entry), X::TRUE));
                assigns.push(need(self));
                self.way(here, translates(entry), assigns, next);
                self.way(here, translates(entry).not(), vec![], absent);
            }
            Op::SetSplitting { not_huge, already } => {
                let is_huge = translates(Entry::Huge);
                let was = huge.splitting.get();
                let flush = need(self);
                let first = is_huge.clone().and(was.clone().is(0));
                self.way(here, is_huge.clone().not(), vec![], not_huge);
                self.way(here, is_huge.and(was.is(1)), vec![], already);
                self.way(here, first, vec![constant(huge.splitting, 1), flush], next);
            }
            Op::TestSplitting { splitting } => {
                let is = huge.splitting.get();
                self.way(here, is.clone().is(1), vec![], splitting);
                self.way(here, is.is(0), vec![], next);
            }
            Op::AwaitNotSplitting => self.way(here, huge.splitting.get().is(0), vec![], next),
            Op::PmdNotPresent => {
                let gone = constant(huge.present, 0).when(huge.table.get().is(0));
                self.way(here, X::TRUE, vec![gone], next);
            }
            Op::PmdPopulate => {
                let mut assigns = clear(&huge).to_vec();
                assigns.push(constant(huge.present, 1));
                assigns.push(constant(huge.table, 1));
                self.way(here, X::TRUE, assigns, next);
            }
            Op::SplitCompound => self.way(here, X::TRUE, vec![constant(huge.split, 1)], next),
            Op::GupRead { entry, slow } => {
                let found = translates(entry).and(entries[entry as usize].splitting.get().is(0));
                self.way(here, found.clone(), vec![], next);
                self.way(here, found.not(), vec![], slow);
            }
            Op::GetPage(entry) => {
                let refs = entries[entry as usize].refs;
                let more = refs.set(refs.get().op(Binary::Add, X::Const(1)));
                self.way(here, X::TRUE, vec![more], next);
            }
            Op::PutPage(entry) => {
                let it = entries[entry as usize];
                let less = it.refs.set(it.refs.get().op(Binary::Add, X::Const(-1)));
                let freed = constant(it.freed, 1).when(it.refs.get().is(0));
                self.way(here, X::TRUE, vec![less, freed], next);
            }
            Op::UserStore(entry) => {
                let it = entries[entry as usize];
                let tlb = self.cells.cpus[here.cpu].tlb[entry as usize];
                let assigns = vec![
                    constant(it.accessed, 1),
                    constant(it.dirty, 1),
                    constant(tlb, 1),
                ];
                self.way(here, translates(entry), assigns, next);
                self.way(here, translates(entry).not(), vec![], next);
            }
            _ => unreachable!("no step on user entries"),
        }
    }

    /// On to the next pgd of the list, or to `done`.
    fn for_each(&mut self, here: &Here, done: Pc) {
        let cursor = here.place.cursor;
        let none = self.none();
        let order = self.cells.order.clone();
        let mut ways = vec![X::FALSE; none as usize + 1];
        if !cursor.is_some() {
            for (mm, way) in ways.iter_mut().enumerate() {
                *way = order[0].get().is(mm as i64);
            }
        } else {
            let me = i64::from(cursor.0);
            for (mm, way) in ways.iter_mut().enumerate() {
                *way = X::any(
                    order
                        .windows(2)
                        .map(|pair| pair[0].get().is(me).and(pair[1].get().is(mm as i64))),
                );
            }
            // At the end of the list, or not on it any more.
            let last = order[order.len() - 1].get().is(me);
            let listed = X::any(order.iter().map(|o| o.get().is(me)));
            let end = ways[none as usize].clone().or(last).or(listed.not());
            ways[none as usize] = end;
        }
        for (mm, way) in ways.into_iter().enumerate() {
            let (cursor, pc) = match mm as i64 == none {
                true => (MmId::NONE, done),
                false => (MmId(mm as u8), here.place.pc + 1),
            };
            let there = Here {
                place: Place {
                    cursor,
                    ..here.place
                },
                ..*here
            };
            self.way(&there, way, vec![], pc);
        }
    }

    fn list_add(&self, mm: MmId) -> Vec<Assign> {
        let order = &self.cells.order;
        let me = i64::from(mm.0);
        let absent = X::all(order.iter().map(|o| o.get().is_not(me)));
        let mut assigns: Vec<Assign> = (1..order.len())
            .rev()
            .map(|i| order[i].set(order[i - 1].get()).when(absent.clone()))
            .collect();
        assigns.push(constant(order[0], me).when(absent));
        assigns
    }

    fn list_del(&self, mm: MmId) -> Vec<Assign> {
        let order = &self.cells.order;
        let (me, none, found) = (i64::from(mm.0), self.none(), self.cells.found);
        // Where it is, then everything behind it moves up.
        let mut assigns = vec![constant(found, none)];
        for (i, o) in order.iter().enumerate() {
            assigns.push(constant(found, i as i64).when(o.get().is(me)));
        }
        for (i, o) in order.iter().enumerate() {
            let behind = order.get(i + 1).map_or(X::Const(none), |next| next.get());
            let moves = found.get().op(Binary::Le, X::Const(i as i64));
            assigns.push(o.set(behind).when(moves));
        }
        assigns.push(constant(found, 0));
        assigns
    }

    fn free(&self, mm: MmId) -> Vec<Assign> {
        let it = &self.cells.mms[mm.index()];
        let mut assigns = vec![constant(it.life, FREED)];
        let plain = [
            it.kernel_entry,
            it.pinned,
            it.pinning,
            it.zapping,
            it.splitting,
            it.pending,
        ];
        let sets = it.cpumask.iter().chain(&it.active).copied();
        assigns.extend(plain.into_iter().chain(sets).map(|cell| constant(cell, 0)));
        for entry in &it.entries {
            assigns.extend(clear(entry));
            assigns.extend([entry.refs, entry.freed, entry.split].map(|c| constant(c, 0)));
        }
        assigns
    }

    fn load_swapper(&self, cpu: usize) -> Vec<Assign> {
        let it = &self.cells.cpus[cpu];
        [it.loaded, it.tlb[0], it.tlb[1]]
            .map(|c| constant(c, 0))
            .into()
    }

    /// What a flush of the mm empties on a CPU, if the mm is loaded there.
    fn flush_if_loaded(&self, cpu: usize, mm: MmId, scope: Scope, when: &X) -> Vec<Assign> {
        let it = &self.cells.cpus[cpu];
        let loaded = X::all([
            it.loaded.get().is(1),
            it.active.get().is(self.mm_number(mm)),
            when.clone(),
        ]);
        let entries: &[usize] = match scope {
            Scope::Page => &[0],
            Scope::Mm => &[0, 1],
        };
        entries
            .iter()
            .map(|&e| constant(it.tlb[e], 0).when(loaded.clone()))
            .collect()
    }

    /// A flush on the CPU itself: `leave_mm` where it is lazy with the mm loaded.
    /// Does a flush of the mm find the CPU lazy with it loaded, and so become `leave_mm`?
    pub(super) fn must_leave(&self, here: &Here) -> X {
        let it = &self.cells.cpus[here.cpu];
        X::all([
            it.lazy.get().is(1),
            it.loaded.get().is(1),
            it.active.get().is(self.mm_number(here.place.mm)),
        ])
    }

    fn flush_local(&mut self, here: &Here, scope: Scope, also: Vec<Assign>) {
        let mm = here.place.mm;
        let leave = self.must_leave(here);
        let next = here.place.pc + 1;
        let mut assigns = self.flush_if_loaded(here.cpu, mm, scope, &X::TRUE);
        assigns.extend(also.iter().cloned());
        self.way(here, leave.clone().not(), assigns, next);
        let mut assigns = vec![constant(self.cells.mms[mm.index()].cpumask[here.cpu], 0)];
        assigns.extend(self.load_swapper(here.cpu));
        assigns.extend(also);
        self.way(here, leave, assigns, next);
    }

    fn send_ipi(&mut self, here: &Here, scope: Scope) {
        let me = here.cpu;
        let mm = here.place.mm;
        let mask = self.cells.mms[mm.index()].cpumask.clone();
        let skip = self.config.variants.has(Variant::SkipOneTarget);
        let others: Vec<usize> = (0..self.config.cpus()).filter(|&t| t != me).collect();
        let mut assigns = Vec::new();
        let mut any = X::FALSE;
        for &target in &others {
            let mut is = mask[target].get();
            if skip {
                // The last of them is left out.
                let later = others.iter().filter(|&&t| t > target);
                is = is.is(1).and(X::any(later.map(|&t| mask[t].get().is(1))));
            }
            any = any.or(is.clone().is(1));
            let code = 1 + 2 * i64::from(mm.0) + scope as i64;
            let inbox = self.cells.cpus[target].inbox[me];
            assigns.push(self.cells.cpus[me].acks[target].set(is.clone()));
            assigns.push(constant(inbox, code).when(is.is(1)));
        }
        assigns.push(constant(self.cells.cpus[me].acks[me], 0));
        assigns.push(self.set_reg(here, Reg::SentIpi, any.choose(X::TRUE, X::FALSE)));
        self.way(here, X::TRUE, assigns, here.place.pc + 1);
    }

    fn hypercall(&self, here: &Here, scope: Scope) -> Vec<Assign> {
        let mm = here.place.mm;
        let mask = &self.cells.mms[mm.index()].cpumask;
        (0..self.config.cpus())
            .flat_map(|target| {
                let when = match target == here.cpu {
                    true => X::TRUE,
                    false => mask[target].get().is(1),
                };
                self.flush_if_loaded(target, mm, scope, &when)
            })
            .collect()
    }

    fn load_cr3(&self, here: &Here) -> Vec<Assign> {
        let (cpu, mm) = (here.cpu, here.place.mm);
        let it = &self.cells.cpus[cpu];
        let mut assigns = Vec::new();
        for (prev, cells) in self.cells.mms.iter().enumerate() {
            if prev != mm.index() {
                let was = it.active.get().is(prev as i64);
                assigns.push(constant(cells.active[cpu], 0).when(was));
            }
        }
        assigns.extend([
            constant(it.active, self.mm_number(mm)),
            constant(it.loaded, 1),
            constant(it.lazy, 0),
            constant(it.tlb[0], 0),
            constant(it.tlb[1], 0),
            constant(self.cells.mms[mm.index()].active[cpu], 1),
        ]);
        assigns
    }

    /// The program is over.
    fn finish(&mut self, here: &Here) {
        let program = here.place.program;
        let mut assigns: Vec<Assign> = self.cells.regs[here.code()]
            .iter()
            .flatten()
            .map(|&reg| constant(reg, 0))
            .collect();
        if program.info().names != Names::Nothing {
            assigns.extend(self.end(program, here.place.mm));
        }
        if program == ProgramId::VmallocSyncAll {
            assigns.push(constant(self.cells.synced, 1));
        }
        if here.level == 1 {
            let on = !self.config.variants.has(Variant::IretKeepsIrqsOff);
            assigns.push(constant(self.cells.cpus[here.cpu].irqs, i64::from(on)));
        }
        assigns.push(constant(self.cells.at[here.code()], 0));
        self.push(here.code(), here.number, What::End, X::TRUE, assigns);
    }
}

/// The entry is none.
fn clear(entry: &super::cells::EntryCells) -> [Assign; 5] {
    [
        entry.present,
        entry.accessed,
        entry.dirty,
        entry.splitting,
        entry.table,
    ]
    .map(|cell| constant(cell, 0))
}
