//! What each step does with the answer, and what arrives unasked.

use super::context::NO_LOCK;
use super::{Busy, Cpu, Ctx, Outbox};
use crate::config::Config;
use crate::id::{CpuId, LockId, MmId};
use crate::message::{Addr, Msg};
use crate::mm::MmReply;
use crate::program::{Entry, Op, Reg};
use crate::variant::Variant;

impl Cpu {
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
                // A context that is refused lets pgd_lock go, so the walk begins again at the head.
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
            (Op::ReadKernelEntry { present: to, .. }, _) if yes => jump = Some(to),
            (Op::ReadPinned { .. }, _) => self.set(level, Reg::SeenPinned, yes),
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
