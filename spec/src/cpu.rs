//! A CPU: its interrupt flag, the programs its contexts run, what it has loaded and cached.
//!
//! [`Cpu`] is an interpreter of [`Program`](crate::program::Program)s that changes nothing but
//! itself and otherwise sends [`Msg`]s. It does not know whether they travel over a network of
//! actors ([`crate::actor`]) or are answered on the spot ([`crate::model`]): both hosts share
//! this folder, and so the meaning of every step: `context.rs` is where a program is,
//! `step.rs` what a step asks, `receive.rs` what it does with the answer.

mod context;
mod receive;
mod step;

use crate::config::Config;
use crate::id::{CpuId, CpuSet, Level, MAX_CPUS, MmId};
use crate::message::{Addr, Msg};
use crate::mm::MmRequest;
use crate::program::{Entry, Names, Op, Pc, ProgramId, Reg, Scope};
use crate::tlb::Tlb;
use arrayvec::ArrayVec;
use std::fmt;
use zerocopy::{Immutable, IntoBytes};

pub use context::Ctx;

/// Messages that one step of a CPU sends: at most one per CPU and one more.
pub type Outbox = ArrayVec<(Addr, Msg), 8>;

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
    #[inline]
    pub fn next_op(&self, config: &Config, level: Level) -> Option<Op> {
        let ctx = self.context(level);
        ctx.is_running()
            .then(|| config.program(ctx.program).line(ctx.pc).op)
    }

    /// Does this level await acknowledgements, at least one still being out?
    #[inline]
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
}
