//! A CPU: its interrupt flag, the programs its contexts run, what it has loaded and cached.
//!
//! [`Cpu`] is an interpreter of [`Program`](crate::program::Program)s that changes nothing but
//! itself and otherwise sends [`Msg`]s. It does not know whether they travel over a network of
//! actors ([`crate::actor`]) or are answered on the spot ([`crate::model`]): both hosts share
//! this file, and so the meaning of every step.

use crate::config::Config;
use crate::id::{Context, CpuId, CpuSet, Level, LockId, LockSet, MAX_CPUS, MmId};
use crate::message::{Addr, ListRequest, Msg};
use crate::mm::{MmReply, MmRequest, PendingOp};
use crate::program::{Entry, Flags, Names, Of, Op, Pc, ProgramId, Reg, Scope};
use crate::tlb::Tlb;
use crate::variant::Variant;
use arrayvec::ArrayVec;
use std::fmt;
use zerocopy::{Immutable, IntoBytes};

/// Messages that one step of a CPU sends: at most one per CPU and one more.
pub type Outbox = ArrayVec<(Addr, Msg), 8>;

const NO_LOCK: u8 = 0xff;

/// One execution context of a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, IntoBytes, Immutable)]
#[repr(C)]
pub struct Ctx {
    /// What it runs; [`ProgramId::None`] when it runs nothing.
    pub program: ProgramId,
    /// The step it will execute next.
    pub pc: Pc,
    /// The mm the program names; in the flush handler, the mm of the request.
    pub mm: MmId,
    /// The pgd the walk stands on; in `switch_mm`, the mm switched away from.
    pub cursor: MmId,
    regs: u16,
    /// Locks this context holds.
    pub held: LockSet,
    /// Index of the lock it spins for.
    waits_for: u8,
    /// The flush handler's request: who sent it.
    pub sender: CpuId,
    /// The flush handler's request: how much.
    pub scope: Scope,
    _pad: u8,
}

impl Ctx {
    /// A context that runs nothing.
    pub const IDLE: Ctx = Ctx {
        program: ProgramId::None,
        pc: 0,
        mm: MmId::NONE,
        cursor: MmId::NONE,
        regs: 0,
        held: LockSet(0),
        waits_for: NO_LOCK,
        sender: CpuId(0),
        scope: Scope::Page,
        _pad: 0,
    };

    /// Does it run a program?
    pub fn is_running(&self) -> bool {
        self.program != ProgramId::None
    }

    /// The lock it spins for, if it does.
    pub fn spins_for(&self) -> Option<LockId> {
        (self.waits_for != NO_LOCK).then(|| LockId::from_index(self.waits_for as usize))
    }

    /// A local variable.
    pub fn reg(&self, reg: Reg) -> bool {
        self.regs >> reg as u16 & 1 == 1
    }

    fn set(&mut self, reg: Reg, value: bool) {
        self.regs = self.regs & !(1 << reg as u16) | (value as u16) << reg as u16;
    }

    /// Holds `pgd_lock` that it took while holding a page-table lock.
    pub fn took_pgd_lock_inside(&self) -> bool {
        self.reg(Reg::PgdLockInside)
    }

    /// The mm a step means.
    pub fn mm_of(&self, of: Of) -> MmId {
        match of {
            Of::Target => self.mm,
            Of::Cursor => self.cursor,
        }
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_running() {
            return f.write_str("-");
        }
        write!(f, "{}+{}", self.program, self.pc)?;
        if self.mm.is_some() {
            write!(f, "({})", self.mm)?;
        }
        if self.cursor.is_some() {
            write!(f, " at {}", self.cursor)?;
        }
        for lock in self.held.iter() {
            write!(f, " holds {lock}")?;
        }
        if let Some(lock) = self.spins_for() {
            write!(f, " spins for {lock}")?;
        }
        Ok(())
    }
}

/// What a CPU awaits an answer for. Always [`Busy::No`] between steps, unless every message is
/// delivered on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, Immutable)]
#[repr(u8)]
enum Busy {
    No,
    /// The step at `pc` of the topmost context.
    Step,
    /// Whether a program may start.
    Start,
    /// The hardware walker's read of an entry.
    FillPte,
    FillHuge,
}

/// A flush IPI that was sent here and not taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingIpi {
    /// Who awaits the acknowledgement.
    pub from: CpuId,
    /// The mm to flush.
    pub mm: MmId,
    /// How much of it.
    pub scope: Scope,
}

/// One CPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, IntoBytes, Immutable)]
#[repr(C)]
pub struct Cpu {
    ctx: [Ctx; 2],
    /// `IF`: interrupts are taken.
    pub irqs_on: bool,
    /// `active_mm`; [`MmId::NONE`] stands for init_mm.
    pub active: MmId,
    /// `TLBSTATE_LAZY`: a kernel thread borrows `active_mm`.
    pub lazy: bool,
    /// CR3 points to `active_mm`'s pgd; false after `leave_mm`.
    pub loaded: bool,
    /// User translations it may still use, all of `active_mm`.
    pub tlb: Tlb,
    /// `flush_cpumask` of the flush it awaits: who has not acknowledged yet.
    pub acks: CpuSet,
    /// Operations it may still start.
    pub budget: u8,
    busy: Busy,
    /// By sender: 0, or 1 + 2 * mm + scope.
    inbox: [u8; MAX_CPUS],
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match (self.lazy, self.loaded) {
            (false, _) => "",
            (true, true) => " lazy",
            (true, false) => " left",
        };
        write!(
            f,
            "{{IF={} {}{mode} tlb={:?} task: {:?}",
            self.irqs_on as u8, self.active, self.tlb, self.ctx[0]
        )?;
        if self.in_irq() {
            write!(f, "; irq: {:?}", self.ctx[1])?;
        }
        if !self.acks.is_empty() {
            write!(f, "; awaits")?;
            self.acks.iter().try_for_each(|c| write!(f, " {c}"))?;
        }
        for ipi in self.pending_ipis() {
            write!(
                f,
                "; IPI pending from {} ({} {:?})",
                ipi.from, ipi.mm, ipi.scope
            )?;
        }
        write!(f, "; {} op(s) left}}", self.budget)
    }
}

impl Cpu {
    /// A CPU at the start: idle or in user mode on `active`, interrupts on, TLB empty.
    pub fn initial(active: MmId, budget: u8) -> Cpu {
        Cpu {
            ctx: [Ctx::IDLE; 2],
            irqs_on: true,
            active,
            lazy: false,
            loaded: active.is_some(),
            tlb: Tlb::EMPTY,
            acks: CpuSet::EMPTY,
            budget,
            busy: Busy::No,
            inbox: [0; MAX_CPUS],
        }
    }

    /// The context at a level.
    pub fn context(&self, level: Level) -> &Ctx {
        &self.ctx[level as usize]
    }

    /// Is an interrupt handler running?
    pub fn in_irq(&self) -> bool {
        self.ctx[1].is_running()
    }

    /// The level that executes now.
    pub fn top(&self) -> Level {
        if self.in_irq() {
            Level::Irq
        } else {
            Level::Task
        }
    }

    /// Does it await the answer to a message?
    pub fn is_busy(&self) -> bool {
        self.busy != Busy::No
    }

    /// Would it take an interrupt now?
    pub fn takes_interrupts(&self) -> bool {
        self.irqs_on && !self.in_irq() && !self.is_busy()
    }

    /// The mm whose user translations the TLB may hold.
    pub fn loaded_mm(&self) -> Option<MmId> {
        self.loaded.then_some(self.active)
    }

    /// Flush IPIs not taken yet, by sender.
    pub fn pending_ipis(&self) -> impl Iterator<Item = PendingIpi> {
        self.inbox
            .into_iter()
            .enumerate()
            .filter(|&(_, code)| code != 0)
            .map(|(from, code)| PendingIpi {
                from: CpuId(from as u8),
                mm: MmId((code - 1) / 2),
                scope: if code % 2 == 1 {
                    Scope::Page
                } else {
                    Scope::Mm
                },
            })
    }

    /// The pending IPI of one sender.
    pub fn pending_ipi(&self, from: CpuId) -> Option<PendingIpi> {
        self.pending_ipis().find(|ipi| ipi.from == from)
    }

    /// Notes that an IPI is on its way here.
    pub fn post_ipi(&mut self, ipi: PendingIpi) {
        self.inbox[ipi.from.index()] = 1 + 2 * ipi.mm.0 + ipi.scope as u8;
    }

    /// Forgets the pending IPI of one sender.
    pub fn clear_ipi(&mut self, from: CpuId) {
        self.inbox[from.index()] = 0;
    }

    /// The step the level will execute next, if it runs anything.
    pub fn next_op(&self, config: &Config, level: Level) -> Option<Op> {
        let ctx = self.context(level);
        ctx.is_running()
            .then(|| config.program(ctx.program).line(ctx.pc).op)
    }

    /// Does this level await acknowledgements, at least one still being out?
    pub fn awaits_acks(&self, config: &Config, level: Level) -> bool {
        !self.acks.is_empty() && self.next_op(config, level) == Some(Op::AwaitAcks)
    }

    /// May the program start here on `mm`, as far as this CPU alone decides?
    pub fn may_start(&self, program: ProgramId, mm: MmId) -> bool {
        if self.ctx[0].is_running() || self.in_irq() || self.budget == 0 || self.is_busy() {
            return false;
        }
        match program.info().names {
            Names::CurrentMm => self.active == mm && !self.lazy,
            Names::ActiveMm => self.active == mm,
            Names::LazyMm => self.active == mm && self.lazy && self.loaded,
            _ if program == ProgramId::SwitchMm => self.active != mm || self.lazy,
            _ => true,
        }
    }

    /// Starts a program in process context; the mm it names is asked first.
    pub fn start(&mut self, config: &Config, program: ProgramId, mm: MmId, out: &mut Outbox) {
        let ctx = &mut self.ctx[0];
        *ctx = Ctx {
            program,
            mm,
            ..Ctx::IDLE
        };
        if program == ProgramId::SwitchMm {
            ctx.cursor = self.active;
            ctx.set(Reg::SameMm, self.active == mm);
            ctx.set(Reg::NoPrev, !self.active.is_some());
        }
        if mm.is_some() {
            self.busy = Busy::Start;
            out.push((Addr::Mm(mm), Msg::Mm(MmRequest::Begin(program))));
        } else {
            self.started(config, Level::Task);
        }
    }

    /// An interrupt drops the last reference of `mm`, if it is the last.
    pub fn start_pgd_free_in_irq(&mut self, mm: MmId, out: &mut Outbox) {
        self.ctx[1] = Ctx {
            program: ProgramId::PgdFree,
            mm,
            ..Ctx::IDLE
        };
        self.busy = Busy::Start;
        out.push((Addr::Mm(mm), Msg::Mm(MmRequest::Begin(ProgramId::PgdFree))));
    }

    /// The flush IPI is taken: the handler starts, interrupts off.
    pub fn take_ipi(&mut self, config: &Config, ipi: PendingIpi) {
        self.ctx[1] = Ctx {
            program: ProgramId::FlushTlbInterrupt,
            mm: ipi.mm,
            sender: ipi.from,
            scope: ipi.scope,
            ..Ctx::IDLE
        };
        self.started(config, Level::Irq);
    }

    /// The hardware walker looks an entry of the loaded mm up.
    pub fn fill(&mut self, entry: Entry, out: &mut Outbox) {
        self.busy = match entry {
            Entry::Pte => Busy::FillPte,
            Entry::Huge => Busy::FillHuge,
        };
        out.push((Addr::Mm(self.active), Msg::Mm(MmRequest::Walk(entry))));
    }

    fn started(&mut self, config: &Config, level: Level) {
        match level {
            Level::Task => self.budget -= 1,
            Level::Irq => self.irqs_on = false,
        }
        self.go(config, level, 0);
    }

    /// Continues at `pc`, resolving control steps.
    fn go(&mut self, config: &Config, level: Level, pc: Pc) {
        let ctx = &mut self.ctx[level as usize];
        let program = config.program(ctx.program);
        let mut pc = pc;
        loop {
            pc = match program.line(pc).op {
                Op::Goto { to } => to,
                Op::Branch { reg, value, to } => {
                    if ctx.reg(reg) == value {
                        to
                    } else {
                        pc + 1
                    }
                }
                _ => break,
            };
        }
        ctx.pc = pc;
    }

    fn advance(&mut self, config: &Config, level: Level) {
        self.go(config, level, self.ctx[level as usize].pc + 1);
    }

    fn set(&mut self, level: Level, reg: Reg, value: bool) {
        self.ctx[level as usize].set(reg, value);
    }

    /// Executes the next step of the topmost context, as far as it goes without an answer.
    ///
    /// The caller has made sure that the context is running and not waiting.
    pub fn step(&mut self, config: &Config, me: CpuId, out: &mut Outbox) {
        let level = self.top();
        let ctx = self.ctx[level as usize];
        let op = config.program(ctx.program).line(ctx.pc).op;
        let lock = |l: crate::program::LockRef| Addr::Lock(l.resolve(ctx.mm, ctx.cursor));
        let mm = |r: MmRequest| (Addr::Mm(ctx.mm), Msg::Mm(r));
        let request = match op {
            // Steps that concern nobody else.
            Op::IrqSave(flags) => {
                self.set(level, flags_reg(flags), self.irqs_on);
                self.irqs_on = false;
                return self.advance(config, level);
            }
            Op::IrqRestore(flags) => {
                self.irqs_on = ctx.reg(flags_reg(flags));
                self.set(level, flags_reg(flags), false);
                return self.advance(config, level);
            }
            Op::AwaitAcks => {
                self.set(level, Reg::SentIpi, false);
                return self.advance(config, level);
            }
            Op::EnterLazy => {
                self.lazy = true;
                return self.advance(config, level);
            }
            Op::StopBeingLazy { loaded } => {
                self.lazy = false;
                return if self.loaded {
                    self.go(config, level, loaded)
                } else {
                    self.advance(config, level)
                };
            }
            Op::LoadSwapper => {
                self.load_swapper();
                return self.advance(config, level);
            }
            Op::LoadCr3 => {
                let prev = std::mem::replace(&mut self.active, ctx.mm);
                (self.loaded, self.lazy, self.tlb) = (true, false, Tlb::EMPTY);
                if prev != ctx.mm && prev.is_some() {
                    out.push((Addr::Mm(prev), Msg::Mm(MmRequest::Active(false))));
                }
                out.push(mm(MmRequest::Active(true)));
                return self.advance(config, level);
            }
            Op::FlushLocal(scope) if !self.must_leave(ctx.mm) => {
                self.flush_if_loaded(ctx.mm, scope);
                return self.advance(config, level);
            }
            Op::FlushRequested if !self.must_leave(ctx.mm) => {
                self.flush_if_loaded(ctx.mm, ctx.scope);
                self.set(level, Reg::Flushed, true);
                return self.advance(config, level);
            }
            Op::Ack => {
                out.push((Addr::Cpu(ctx.sender), Msg::Ack));
                return self.advance(config, level);
            }
            Op::Return => return self.finish(config, level, out),

            // Steps that ask somebody.
            Op::Lock(l, mode) => (lock(l), Msg::Acquire(level, mode)),
            Op::TryLock { lock: l, .. } => (lock(l), Msg::TryAcquire(level)),
            Op::Unlock(l) => (lock(l), Msg::Release(level)),
            Op::SetInitEntry => (Addr::PgdList, Msg::List(ListRequest::SetInitEntry)),
            Op::ReadInitEntry { .. } => (Addr::PgdList, Msg::List(ListRequest::ReadInitEntry)),
            Op::ForEachPgd { .. } => (Addr::PgdList, Msg::List(ListRequest::After(ctx.cursor))),
            Op::ListAdd => (Addr::PgdList, Msg::List(ListRequest::Add(ctx.mm))),
            Op::ListDel => (Addr::PgdList, Msg::List(ListRequest::Del(ctx.mm))),
            Op::ReadKernelEntry { of, .. } => {
                (Addr::Mm(ctx.mm_of(of)), Msg::Mm(MmRequest::ReadKernelEntry))
            }
            Op::WriteKernelEntry { of } => (
                Addr::Mm(ctx.mm_of(of)),
                Msg::Mm(MmRequest::WriteKernelEntry),
            ),
            Op::ClonePgd => mm(MmRequest::Clone(ctx.reg(Reg::Changed))),
            Op::FreeMm => mm(MmRequest::Free),
            Op::TestAndClearYoung { entry, .. } => mm(MmRequest::TestAndClearYoung(entry)),
            Op::GetAndClear { entry, .. } => mm(MmRequest::GetAndClear(entry)),
            Op::SetSplitting { .. } => mm(MmRequest::SetSplitting),
            Op::TestSplitting { .. } | Op::AwaitNotSplitting => mm(MmRequest::TestSplitting),
            Op::PmdNotPresent => mm(MmRequest::PmdNotPresent),
            Op::PmdPopulate => mm(MmRequest::PmdPopulate),
            Op::SplitCompound => mm(MmRequest::SplitCompound),
            Op::GupRead { entry, .. } => mm(MmRequest::GupRead(entry)),
            Op::GetPage(entry) => mm(MmRequest::GetPage(entry)),
            Op::PutPage(entry) => mm(MmRequest::PutPage(entry)),
            Op::RaisePending => mm(MmRequest::Pending(PendingOp::Raise)),
            Op::DropPending => mm(MmRequest::Pending(PendingOp::Drop)),
            Op::ReadPending => mm(MmRequest::Pending(PendingOp::Read)),
            Op::SendIpi(_) | Op::FlushHypercall(_) => mm(MmRequest::Cpumask),
            Op::CpumaskSet => mm(MmRequest::SetCpumask(true)),
            Op::CpumaskClearPrev => (Addr::Mm(ctx.cursor), Msg::Mm(MmRequest::SetCpumask(false))),
            // leave_mm, asked for or on behalf of a flush.
            Op::LeaveMm | Op::CpumaskClearOwn | Op::FlushLocal(_) | Op::FlushRequested => {
                mm(MmRequest::SetCpumask(false))
            }
            Op::SetPinned(on) => mm(MmRequest::SetPinned(on)),
            Op::UserStore(entry) => mm(MmRequest::Store(entry)),
            Op::Branch { .. } | Op::Goto { .. } => unreachable!("control is resolved by go()"),
        };
        debug_assert!(me.index() < MAX_CPUS);
        self.busy = Busy::Step;
        out.push(request);
    }

    /// The program is over.
    fn finish(&mut self, config: &Config, level: Level, out: &mut Outbox) {
        let ctx = std::mem::replace(&mut self.ctx[level as usize], Ctx::IDLE);
        if ctx.program.info().names != Names::Nothing {
            out.push((Addr::Mm(ctx.mm), Msg::Mm(MmRequest::End(ctx.program))));
        }
        if ctx.program == ProgramId::VmallocSyncAll {
            out.push((Addr::PgdList, Msg::List(ListRequest::WalkReturned)));
        }
        if level == Level::Irq {
            self.irqs_on = !config.variants.has(Variant::IretKeepsIrqsOff);
        }
    }

    fn load_swapper(&mut self) {
        (self.loaded, self.tlb) = (false, Tlb::EMPTY);
    }

    /// A flush of `mm` finds this CPU lazy with it loaded, and so becomes `leave_mm`.
    fn must_leave(&self, mm: MmId) -> bool {
        self.lazy && self.loaded_mm() == Some(mm)
    }

    fn flush_if_loaded(&mut self, mm: MmId, scope: Scope) {
        if self.loaded_mm() == Some(mm) {
            self.tlb.flush(scope);
        }
    }

    /// Takes in an answer, a grant, an acknowledgement or a hypervisor's flush.
    pub fn receive(&mut self, config: &Config, me: CpuId, from: Addr, msg: Msg, out: &mut Outbox) {
        match msg {
            Msg::Ack => {
                let Addr::Cpu(from) = from else {
                    unreachable!("only CPUs acknowledge")
                };
                self.acks.remove(from);
            }
            Msg::FlushTlb(mm, scope) => self.flush_if_loaded(mm, scope),
            Msg::Granted(level) => {
                let Addr::Lock(lock) = from else {
                    unreachable!("only locks grant")
                };
                let ctx = &mut self.ctx[level as usize];
                if lock == LockId::PgdLock {
                    ctx.set(Reg::PgdLockInside, ctx.held.any_page_table_lock());
                }
                ctx.held.insert(lock);
                ctx.waits_for = NO_LOCK;
                // A grant after a wait answers nothing: what the CPU awaits meanwhile, in an
                // interrupt or for its hardware walker, is still out.
                if self.busy == Busy::Step && self.top() == level {
                    self.busy = Busy::No;
                }
                self.advance(config, level);
            }
            Msg::Queued(level) => {
                let Addr::Lock(lock) = from else {
                    unreachable!("only locks queue")
                };
                self.ctx[level as usize].waits_for = lock.index() as u8;
                self.busy = Busy::No;
            }
            Msg::Busy(level) => {
                self.busy = Busy::No;
                let Some(Op::TryLock { busy, .. }) = self.next_op(config, level) else {
                    unreachable!("only a trylock is refused")
                };
                // Whoever is refused lets pgd_lock go, so the walk begins again at the head.
                self.ctx[level as usize].cursor = MmId::NONE;
                self.go(config, level, busy);
            }
            Msg::Released(level) => {
                let Addr::Lock(lock) = from else {
                    unreachable!("only locks are released")
                };
                self.ctx[level as usize].held.remove(lock);
                self.busy = Busy::No;
                self.advance(config, level);
            }
            Msg::MmReply(reply) => self.answered(config, me, reply, out),
            Msg::ListReply(mm, present) => {
                self.busy = Busy::No;
                self.listed(config, mm, present);
            }
            Msg::Acquire(..) | Msg::TryAcquire(_) | Msg::Release(_) | Msg::Mm(_) | Msg::List(_) => {
                unreachable!("{msg:?} is not for a CPU")
            }
            Msg::Ipi(..) => unreachable!("the host decides when an IPI is taken"),
        }
    }

    /// `pgd_list` answered the step at `pc`.
    fn listed(&mut self, config: &Config, mm: MmId, present: bool) {
        let level = self.top();
        match self.next_op(config, level) {
            Some(Op::ForEachPgd { done }) => {
                self.ctx[level as usize].cursor = mm;
                if !mm.is_some() {
                    return self.go(config, level, done);
                }
            }
            Some(Op::ReadInitEntry { absent }) => {
                // pgd_alloc keeps what it read until it clones.
                self.set(level, Reg::Changed, present);
                if !present {
                    return self.go(config, level, absent);
                }
            }
            _ => {}
        }
        self.advance(config, level);
    }

    /// The mm answered.
    fn answered(&mut self, config: &Config, me: CpuId, reply: MmReply, out: &mut Outbox) {
        let busy = std::mem::replace(&mut self.busy, Busy::No);
        let level = self.top();
        let yes = reply == MmReply::Bool(true);
        match busy {
            Busy::No => unreachable!("{me} was answered without asking"),
            Busy::Start if yes => return self.started(config, level),
            Busy::Start => {
                self.ctx[level as usize] = Ctx::IDLE;
                return;
            }
            Busy::FillPte | Busy::FillHuge => {
                let entry = if busy == Busy::FillPte {
                    Entry::Pte
                } else {
                    Entry::Huge
                };
                if yes {
                    self.tlb.insert(entry);
                }
                return;
            }
            Busy::Step => {}
        }
        let op = self
            .next_op(config, level)
            .expect("a context that asked is running");
        let mut jump = None;
        match (op, reply) {
            (Op::TestAndClearYoung { not_young: to, .. }, _) if !yes => jump = Some(to),
            (Op::TestAndClearYoung { .. }, _) => self.set(level, Reg::NeedFlush, true),
            (Op::GetAndClear { absent, .. }, _) if !yes => jump = Some(absent),
            (Op::GetAndClear { entry, .. }, _) => {
                let changed = match entry {
                    Entry::Pte => Reg::Changed,
                    Entry::Huge => Reg::ChangedHuge,
                };
                self.set(level, changed, true);
                self.set(level, Reg::NeedFlush, true);
            }
            (Op::SetSplitting { not_huge, already }, MmReply::Splitting { huge, already: was }) => {
                match (huge, was) {
                    (false, _) => jump = Some(not_huge),
                    (true, true) => jump = Some(already),
                    (true, false) => self.set(level, Reg::NeedFlush, true),
                }
            }
            (Op::TestSplitting { splitting }, _) if yes => jump = Some(splitting),
            (Op::AwaitNotSplitting, _) if yes => return,
            (Op::GupRead { slow, .. }, _) if !yes => jump = Some(slow),
            (Op::ReadPending, _) if yes => self.set(level, Reg::NeedFlush, true),
            (Op::ReadKernelEntry { present: to, .. }, MmReply::KernelEntry { present, pinned }) => {
                self.set(level, Reg::SeenPinned, pinned);
                if present {
                    jump = Some(to);
                }
            }
            (Op::SendIpi(scope), MmReply::Mask(mask)) => {
                let mm = self.ctx[level as usize].mm;
                let mut targets = mask.without(me);
                if config.variants.has(Variant::SkipOneTarget)
                    && let Some(last) = targets.iter().last()
                {
                    targets.remove(last);
                }
                self.acks = targets;
                self.set(level, Reg::SentIpi, !targets.is_empty());
                for target in targets.iter() {
                    out.push((Addr::Cpu(target), Msg::Ipi(mm, scope)));
                }
            }
            (Op::FlushHypercall(scope), MmReply::Mask(mask)) => {
                let mm = self.ctx[level as usize].mm;
                self.flush_if_loaded(mm, scope);
                for target in mask.without(me).iter() {
                    out.push((Addr::Cpu(target), Msg::FlushTlb(mm, scope)));
                }
            }
            (Op::LeaveMm | Op::FlushLocal(_), _) => self.load_swapper(),
            (Op::FlushRequested, _) => {
                self.load_swapper();
                self.set(level, Reg::Flushed, true);
            }
            (Op::UserStore(entry), _) if yes => self.tlb.insert(entry),
            _ => {}
        }
        match jump {
            Some(to) => self.go(config, level, to),
            None => self.advance(config, level),
        }
    }
}

fn flags_reg(flags: Flags) -> Reg {
    match flags {
        Flags::Outer => Reg::FlagsOuter,
        Flags::Inner => Reg::FlagsInner,
    }
}

impl Context {
    /// The context's state within its CPU.
    pub fn of<'a>(&self, cpus: &'a [Cpu]) -> &'a Ctx {
        cpus[self.cpu.index()].context(self.level)
    }
}
