//! What each step does, up to the question it asks somebody else.

use super::context::flags_reg;
use super::{Busy, Cpu, Ctx, Outbox};
use crate::config::Config;
use crate::id::{CpuId, Level, MAX_CPUS, MmId};
use crate::message::{Addr, ListRequest, Msg};
use crate::mm::{MmRequest, PendingOp};
use crate::program::{Names, Op, ProgramId, Reg, Scope};
use crate::tlb::Tlb;
use crate::variant::Variant;

impl Cpu {
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
            Op::CpumaskClearIfLazy if !self.must_leave(ctx.mm) => {
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
            Op::ReadPinned { of } => (Addr::Mm(ctx.mm_of(of)), Msg::Mm(MmRequest::ReadPinned)),
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
            Op::LeaveMm
            | Op::CpumaskClearOwn
            | Op::CpumaskClearIfLazy
            | Op::FlushLocal(_)
            | Op::FlushRequested => mm(MmRequest::SetCpumask(false)),
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

    pub(super) fn load_swapper(&mut self) {
        (self.loaded, self.tlb) = (false, Tlb::EMPTY);
    }

    /// A flush of `mm` finds this CPU lazy with it loaded, and so becomes `leave_mm`.
    fn must_leave(&self, mm: MmId) -> bool {
        self.lazy && self.loaded_mm() == Some(mm)
    }

    pub(super) fn flush_if_loaded(&mut self, mm: MmId, scope: Scope) {
        if self.loaded_mm() == Some(mm) {
            self.tlb.flush(scope);
        }
    }
}
