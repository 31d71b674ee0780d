//! How contexts begin to run: programs started, interrupts taken, entries filled.

use super::{Here, Lowered, Place};
use crate::environment::FlushBackend;
use crate::id::MmId;
use crate::program::{Entry, Names, ProgramId, Reg, Scope};
use crate::variant::Variant;
use shootdown_ir::expr::Binary;
use shootdown_ir::system::{Assign, Step, What, X};

/// `Life`, as numbers.
pub(super) const FORKING: i64 = 1;
pub(super) const ALIVE: i64 = 2;
pub(super) const DYING: i64 = 3;
pub(super) const FREED: i64 = 4;

impl Lowered<'_> {
    /// Everything that can start on a CPU.
    pub(super) fn starts_of(&mut self, cpu: usize) {
        let choices = self.config.choices(cpu).to_vec();
        for (program, mm) in choices {
            self.start(cpu, program, mm);
        }
        if self.config.environment.flush_backend == FlushBackend::Ipi {
            self.take_ipis(cpu);
        }
        if self.config.environment.pgd_free_in_irq {
            for mm in (0..self.config.slots() as u8).map(MmId) {
                let it = &self.cells.cpus[cpu];
                let (irqs, ready) = (it.irqs, it.irqs.get().is(1));
                let ready = ready.and(self.may_begin(ProgramId::PgdFree, mm));
                let mut assigns = self.begin(ProgramId::PgdFree, mm);
                assigns.push(irqs.set(X::FALSE));
                self.enter(
                    cpu,
                    1,
                    ProgramId::PgdFree,
                    mm,
                    MmId::NONE,
                    None,
                    (ready, assigns),
                );
            }
        }
    }

    /// One of the places that a start leads to.
    pub(super) fn first_place(&self, step: &Step) -> Option<i64> {
        let at = *self.cells.at.get(step.context.index())?;
        let goes = step.assigns.iter().rev().find(|a| a.to.base == at);
        let mut x = &goes?.value;
        while let X::If(_, first, _) = x {
            x = first;
        }
        match x {
            X::Const(number) => Some(*number),
            _ => None,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one for each part of a place")]
    fn enter(
        &mut self,
        cpu: usize,
        level: usize,
        program: ProgramId,
        mm: MmId,
        cursor: MmId,
        request: Option<(u8, Scope)>,
        (ready, mut assigns): (X, Vec<Assign>),
    ) {
        let here = Here {
            cpu,
            level,
            place: Place {
                program,
                pc: 0,
                mm,
                cursor,
                request,
            },
            number: 0,
        };
        assigns.push(self.go(&here, 0));
        self.push(here.code(), 0, What::Start, ready, assigns);
    }

    fn start(&mut self, cpu: usize, program: ProgramId, mm: MmId) {
        let it = self.cells.cpus[cpu].clone();
        let mine = it.active.get().is(self.mm_number(mm));
        let may = match program.info().names {
            Names::CurrentMm => mine.and(it.lazy.get().is(0)),
            Names::ActiveMm => mine,
            Names::LazyMm => X::all([mine, it.lazy.get().is(1), it.loaded.get().is(1)]),
            _ if program == ProgramId::SwitchMm => mine.not().or(it.lazy.get().is(1)),
            _ => X::TRUE,
        };
        let mut ready = it.budget.get().is_not(0).and(may);
        let mut assigns = Vec::new();
        if mm.is_some() {
            ready = ready.and(self.may_begin(program, mm));
            assigns = self.begin(program, mm);
        }
        let less = it.budget.get().op(Binary::Add, X::Const(-1));
        assigns.push(it.budget.set(less));
        if program != ProgramId::SwitchMm {
            let how = (ready, assigns);
            self.enter(cpu, 0, program, mm, MmId::NONE, None, how);
            return;
        }
        let slots = self.config.slots() as u8;
        for prev in (0..slots).map(MmId).chain([MmId::NONE]) {
            let from = it.active.get().is(self.mm_number(prev));
            let mut assigns = assigns.clone();
            let regs = self.cells.regs[2 * cpu];
            for (reg, value) in [(Reg::SameMm, prev == mm), (Reg::NoPrev, !prev.is_some())] {
                if let Some(cell) = regs[reg as usize] {
                    assigns.push(cell.set(X::Const(i64::from(value))));
                }
            }
            let how = (ready.clone().and(from), assigns);
            self.enter(cpu, 0, program, mm, prev, None, how);
        }
    }

    fn take_ipis(&mut self, cpu: usize) {
        for from in 0..self.config.cpus() {
            for mm in (0..self.config.slots() as u8).map(MmId) {
                for scope in [Scope::Page, Scope::Mm] {
                    let it = &self.cells.cpus[cpu];
                    let (inbox, irqs) = (it.inbox[from], it.irqs);
                    let code = 1 + 2 * i64::from(mm.0) + scope as i64;
                    let ready = X::all([irqs.get().is(1), inbox.get().is(code)]);
                    let assigns = vec![inbox.set(X::FALSE), irqs.set(X::FALSE)];
                    let request = Some((from as u8, scope));
                    let handler = ProgramId::FlushTlbInterrupt;
                    let how = (ready, assigns);
                    self.enter(cpu, 1, handler, mm, MmId::NONE, request, how);
                }
            }
        }
    }

    /// May the program start on the mm?
    fn may_begin(&self, program: ProgramId, mm: MmId) -> X {
        let it = &self.cells.mms[mm.index()];
        let alive = it.life.get().is(ALIVE);
        let unloaded = X::all(it.active.iter().map(|c| c.get().is(0)));
        let unpinned = it.pinned.get().is(0);
        let unpinning = it.pinning.get().is(0);
        match program {
            ProgramId::PgdAlloc => it.life.get().is(0),
            ProgramId::PgdFree => X::all([alive, unloaded, it.named.get().is(0), unpinned]),
            ProgramId::XenPgdPin => X::all([alive, unloaded, unpinning, unpinned]),
            ProgramId::XenPgdUnpin => X::all([alive, unloaded, unpinning, it.pinned.get().is(1)]),
            ProgramId::SwitchMm => alive.and(unpinning),
            ProgramId::ZapPageRange => alive.and(it.zapping.get().is(0)),
            ProgramId::SplitHugePage if !self.config.variants.has(Variant::NoAnonVmaLock) => {
                alive.and(it.splitting.get().is(0))
            }
            _ => alive,
        }
    }

    fn begin(&self, program: ProgramId, mm: MmId) -> Vec<Assign> {
        let it = &self.cells.mms[mm.index()];
        let more =
            |cell: shootdown_ir::system::CellId| cell.set(cell.get().op(Binary::Add, X::Const(1)));
        let mut assigns = vec![more(it.named)];
        match program {
            ProgramId::PgdAlloc => assigns.push(it.life.set(X::Const(FORKING))),
            ProgramId::PgdFree => assigns.push(it.life.set(X::Const(DYING))),
            ProgramId::XenPgdPin | ProgramId::XenPgdUnpin => {
                assigns.push(it.pinning.set(X::TRUE));
            }
            ProgramId::ZapPageRange => assigns.push(it.zapping.set(X::TRUE)),
            ProgramId::SplitHugePage => assigns.push(more(it.splitting)),
            _ => {}
        }
        assigns
    }

    /// The reverse, when the program is over.
    pub(super) fn end(&self, program: ProgramId, mm: MmId) -> Vec<Assign> {
        let it = &self.cells.mms[mm.index()];
        let less =
            |cell: shootdown_ir::system::CellId| cell.set(cell.get().op(Binary::Add, X::Const(-1)));
        let mut assigns = vec![less(it.named)];
        match program {
            ProgramId::XenPgdPin | ProgramId::XenPgdUnpin => {
                assigns.push(it.pinning.set(X::FALSE));
            }
            ProgramId::ZapPageRange => assigns.push(it.zapping.set(X::FALSE)),
            ProgramId::SplitHugePage => assigns.push(less(it.splitting)),
            _ => {}
        }
        assigns
    }

    /// The hardware walker of a CPU.
    pub(super) fn fills(&mut self, cpu: usize) {
        let context = 2 * self.config.cpus() + cpu;
        for mm in 0..self.config.slots() {
            for entry in Entry::ALL {
                let it = &self.cells.cpus[cpu];
                let cells = self.cells.mms[mm].entries[entry as usize];
                let tlb = it.tlb[entry as usize];
                let ready = X::all([
                    it.loaded.get().is(1),
                    it.active.get().is(mm as i64),
                    tlb.get().is(0),
                    cells.present.get().is(1),
                    cells.table.get().is(0),
                ]);
                let assigns = vec![tlb.set(X::TRUE), cells.accessed.set(X::TRUE)];
                self.push(context, 0, What::Start, ready, assigns);
            }
        }
    }
}
