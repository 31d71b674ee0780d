//! The protocol's state, and what beside it decides whether an event of a recorded run fits.
//!
//! | in the trace | here |
//! |---|---|
//! | `lock_wait`, then `lock_acquired` | a place in [`Waiting`]; the protocol takes the lock in one step when it is granted |
//! | `request_published`, `acks_set`, `ipi_sent` | [`Sending`]: the protocol does all of it when the mask is read |
//! | `request_read`, `return_to_user`, `entry_read` under a lock, `mask_set` of a bit that is set | `Said`: the protocol has no step for them |
//! | `handle_mm_fault`, `user_access` | [`Outside`]: not the protocol's |
//! | `tlb_evicted` | nothing; it goes with the access that found it out ([`Recorded::evicted`]) |
//! | `pgd_alloc` of a slot that was used | the slot is supplied again ([`Mm::supplied`]) |
//! | `switch_mm` to the mm the CPU is on already | the protocol's `next == prev` branch, which it starts for lazy CPUs only |
//!
//! Ticket locks are served in the order of `lock_wait`; an rwlock is not fair, the first to find it free has it.

use shootdown_impl::event::{Event, Lock};
use shootdown_impl::id::CpuId;
use shootdown_impl::irq::Vector;
use shootdown_impl::operation::Operation;
use shootdown_impl::tlb::Slot;
use shootdown_spec::cpu::Outbox;
use shootdown_spec::id::{Context, CpuSet, Level, MAX_CPUS, MmId};
use shootdown_spec::message::{Addr, Msg};
use shootdown_spec::mm::Mm;
use shootdown_spec::model::{Action, Protocol};
use shootdown_spec::program::{Op, ProgramId};
use shootdown_spec::spinlock::Acquired;
use shootdown_spec::state::State;

use super::outside::{self, Outside};
use super::waiting::Waiting;
use super::window::Recorded;
use crate::code::model::Seen;
use crate::map::{self, id::cpu_to_spec, id::mm_to_spec};
use crate::relation::step::{Refused, follow};

/// How far a CPU is with its flush request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sending {
    at: Publishing,
    /// Who has to be told.
    targets: CpuSet,
    /// To whom an IPI was sent.
    sent: CpuSet,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Publishing {
    #[default]
    Not,
    MaskRead,
    Published,
    AcksSet,
}

/// A protocol state with what it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shadow {
    /// The protocol's.
    pub state: State,
    /// What runs that is not the protocol's, per CPU.
    pub outside: [Outside; MAX_CPUS],
    /// Who waits for a lock.
    pub waiting: Waiting,
    sending: [Sending; MAX_CPUS],
    said: [Said; MAX_CPUS],
}

/// What a CPU has said for which the protocol has no step, and which must be said once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Said {
    /// The handler has read its request.
    request_read: bool,
    /// It is at the return to user mode.
    returned: bool,
    /// The huge pmd was read under the lock; what is done about it comes next.
    entry_read: bool,
    /// `switch_mm` to the mm it is on has not said yet that the bit is set.
    bit_due: bool,
}

fn refuse<T>(wanted: impl Into<String>, reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        wanted: wanted.into(),
        reason: reason.into(),
    })
}

impl Shadow {
    /// At the start.
    pub fn new(state: State) -> Self {
        Self {
            state,
            outside: Default::default(),
            waiting: Waiting::default(),
            sending: Default::default(),
            said: Default::default(),
        }
    }

    /// Whether a handler runs on the CPU, so that its base context cannot move.
    pub fn in_irq(&self, cpu: CpuId) -> bool {
        self.state.cpu(cpu_to_spec(cpu)).in_irq()
    }

    /// The one state in which the event has happened next.
    ///
    /// # Errors
    /// If it cannot happen next.
    pub fn apply(&self, protocol: &Protocol, item: &Recorded) -> Result<Self, Refused> {
        let mut next = *self;
        let level = if item.irq { Level::Irq } else { Level::Task };
        let context = Context {
            cpu: cpu_to_spec(item.cpu),
            level,
        };
        if let Some(evicted) = &item.evicted {
            outside::follow(protocol, &mut next, item.cpu, evicted)?;
        }
        if !item.irq && self.outside[item.cpu.index()] != Outside::Nothing {
            if self.in_irq(item.cpu) {
                return refuse(
                    format!("{context}: {:?}", item.event),
                    "an interrupt is being handled",
                );
            }
            outside::follow(protocol, &mut next, item.cpu, &item.event)?;
            return Ok(next);
        }
        next.prepare(protocol, context, item)?;
        let seen = match item.event {
            Event::Begin { .. } if !item.irq => return Ok(next),
            // The protocol takes the lock in one step, when it is granted.
            Event::LockWait { .. } => return Ok(next),
            Event::IrqExit { .. } => Seen::Iret,
            event => Seen::Event(event),
        };
        next.state = follow(protocol, &next.state, item.cpu, level, seen, &mut |_, _| ())?;
        next.conclude(protocol, context, item);
        Ok(next)
    }

    /// What has to hold, and to be done, before the protocol's step.
    fn prepare(
        &mut self,
        protocol: &Protocol,
        context: Context,
        item: &Recorded,
    ) -> Result<(), Refused> {
        let at = item.cpu.index();
        let wanted = || format!("{context}: {:?}", item.event);
        match item.event {
            Event::Begin { operation } if !item.irq => self.begin(protocol, item.cpu, operation),
            Event::LockWait { lock } => {
                let op = self.next_op(protocol, context);
                if self.state.cpu(context.cpu).top() != context.level
                    || !self.wants(protocol, op, context, lock)
                {
                    return refuse(wanted(), format!("the protocol does not take {lock} here"));
                }
                self.waits(context, lock)
            }
            Event::LockAcquired { lock } => self.served(context, lock),
            Event::IrqEnter { .. } | Event::IrqExit { .. } if !item.irq => {
                refuse(wanted(), "it is no event of a handler")
            }
            Event::IrqEnter {
                vector: Vector::FlushTlb(from),
            } => {
                let sent = self.sending[from.index()].sent.contains(context.cpu);
                if sent {
                    Ok(())
                } else {
                    refuse(wanted(), format!("{from} has sent no IPI"))
                }
            }
            Event::IrqExit { vector } => {
                let ctx = self.state.cpu(context.cpu).context(Level::Irq);
                let same = match vector {
                    Vector::FlushTlb(from) => {
                        ctx.program == ProgramId::FlushTlbInterrupt
                            && ctx.sender == cpu_to_spec(from)
                    }
                    Vector::PgdFree(mm) => {
                        ctx.program == ProgramId::PgdFree && ctx.mm == mm_to_spec(Some(mm))
                    }
                };
                if same {
                    Ok(())
                } else {
                    refuse(wanted(), "another interrupt is handled")
                }
            }
            Event::RequestPublished { .. } => self.is_at(context, item, Publishing::MaskRead),
            Event::AcksSet { targets } => {
                if map::ipi::targets(targets) != self.sending[at].targets {
                    return refuse(wanted(), "the mask that was read is another");
                }
                self.is_at(context, item, Publishing::Published)
            }
            Event::IpiSent { to } => {
                let Sending { targets, sent, .. } = self.sending[at];
                let to = cpu_to_spec(to);
                if !targets.contains(to) || sent.contains(to) {
                    return refuse(wanted(), "it is not, or no more, to be told");
                }
                self.is_at(context, item, Publishing::AcksSet)
            }
            Event::AcksComplete {} => {
                let Sending { targets, sent, .. } = self.sending[at];
                if targets != sent {
                    return refuse(wanted(), "not all IPIs were sent");
                }
                self.is_at(context, item, Publishing::AcksSet)
            }
            Event::RequestRead { .. } if self.said[at].request_read => {
                refuse(wanted(), "it has read it already")
            }
            Event::RequestRead { from, .. } => {
                let published = matches!(
                    self.sending[from.index()].at,
                    Publishing::Published | Publishing::AcksSet
                );
                if published {
                    Ok(())
                } else {
                    refuse(wanted(), format!("{from} has published no request"))
                }
            }
            Event::FlushHandled { .. } if !self.said[at].request_read => {
                refuse(wanted(), "no request was read")
            }
            Event::EntryRead { .. } if self.said[at].entry_read => {
                refuse(wanted(), "it has read it already")
            }
            Event::SetSplitting { .. }
            | Event::ClearYoung {
                slot: Slot::Huge, ..
            } if !self.said[at].entry_read => refuse(wanted(), "the entry was not read"),
            Event::MaskSet { .. } | Event::IrqRestore { .. } => {
                self.bit_set(protocol, context, item)
            }
            Event::ReturnToUser {} if self.said[at].returned => {
                refuse(wanted(), "it has returned already")
            }
            Event::ReturnToUser {} => {
                let cpu = self.state.cpu(context.cpu);
                let ctx = cpu.context(Level::Task);
                let zaps = matches!(
                    ctx.program,
                    ProgramId::ZapPageRange | ProgramId::MadviseDontneed
                );
                let over = cpu.next_op(&protocol.config, Level::Task) == Some(Op::Return);
                if zaps && over && context.level == Level::Task && !cpu.in_irq() {
                    return Ok(());
                }
                refuse(wanted(), "the protocol does not return to user mode here")
            }
            Event::End {
                operation: Operation::ZapPageRange | Operation::MadviseDontneed,
            } if !self.said[at].returned => refuse(wanted(), "it has not returned to user mode"),
            Event::End {
                operation: Operation::LeaveMm,
            } => {
                self.left_by_interrupt(protocol, context);
                Ok(())
            }
            Event::GetAndClear {
                mm,
                slot,
                frame: Some(frame),
            } if map::mm::frame(mm, slot) != frame => {
                refuse(wanted(), format!("{frame} is not what {mm} maps there"))
            }
            _ => Ok(()),
        }
    }

    /// What is noted after the protocol's step.
    fn conclude(&mut self, protocol: &Protocol, context: Context, item: &Recorded) {
        let at = item.cpu.index();
        match item.event {
            Event::MaskRead { targets, .. } => {
                let targets = map::ipi::targets(targets);
                if !targets.is_empty() {
                    let (at_, sent) = (Publishing::MaskRead, CpuSet::EMPTY);
                    self.sending[at] = Sending {
                        at: at_,
                        targets,
                        sent,
                    };
                }
            }
            Event::RequestPublished { .. } => self.sending[at].at = Publishing::Published,
            Event::AcksSet { .. } => self.sending[at].at = Publishing::AcksSet,
            Event::IpiSent { to } => self.sending[at].sent.insert(cpu_to_spec(to)),
            Event::AcksComplete {} => self.sending[at] = Sending::default(),
            Event::RequestRead { .. } => self.said[at].request_read = true,
            Event::IrqExit { .. } => self.said[at].request_read = false,
            Event::ReturnToUser {} => self.said[at].returned = true,
            Event::End { .. } => self.said[at].returned = false,
            // Refused, it was the step; else that comes next, and nothing but the lock's holder may change the entry.
            Event::EntryRead { .. } => {
                let op = self.next_op(protocol, context);
                self.said[at].entry_read = matches!(
                    op,
                    Some(Op::SetSplitting { .. } | Op::TestAndClearYoung { .. })
                );
            }
            Event::SetSplitting { .. } | Event::ClearYoung { .. } => {
                self.said[at].entry_read = false;
            }
            // The mm was loaded still, so the protocol has passed the step that sets the bit.
            Event::LeaveLazy {} => {
                let op = self.next_op(protocol, context);
                self.said[at].bit_due = op != Some(Op::CpumaskSet);
            }
            Event::MaskSet { .. } => self.said[at].bit_due = false,
            _ => {}
        }
    }

    fn next_op(&self, protocol: &Protocol, context: Context) -> Option<Op> {
        let cpu = self.state.cpu(context.cpu);
        cpu.next_op(&protocol.config, context.level)
    }

    /// The bit in the cpumask is set, or was: once, and before interrupts are on again.
    fn bit_set(
        &self,
        protocol: &Protocol,
        context: Context,
        item: &Recorded,
    ) -> Result<(), Refused> {
        let due = self.said[item.cpu.index()].bit_due && context.level == Level::Task;
        let is_step = self.next_op(protocol, context) == Some(Op::CpumaskSet);
        let reason = match item.event {
            Event::MaskSet { .. } if !due && !is_step => "its bit is not set here",
            Event::IrqRestore { .. } if due => "its bit is not set yet",
            _ => return Ok(()),
        };
        refuse(format!("{context}: {:?}", item.event), reason)
    }

    fn is_at(&self, context: Context, item: &Recorded, at: Publishing) -> Result<(), Refused> {
        if self.sending[item.cpu.index()].at == at && context.level == Level::Task {
            return Ok(());
        }
        refuse(
            format!("{context}: {:?}", item.event),
            "the flush request is not that far, or further",
        )
    }

    /// An operation begins.
    fn begin(
        &mut self,
        protocol: &Protocol,
        cpu: CpuId,
        operation: Operation,
    ) -> Result<(), Refused> {
        let who = cpu_to_spec(cpu);
        let idle = |state: &State| {
            !state.cpu(who).context(Level::Task).is_running() && !state.cpu(who).in_irq()
        };
        if let Some(outside) = outside::outside(self, cpu, operation) {
            if !idle(&self.state) {
                return refuse(
                    format!("{who} starts {operation}"),
                    format!("{who} runs something already"),
                );
            }
            let lazy = self.state.cpu(who).lazy;
            if operation.needs_current_mm() && (lazy || !self.state.cpu(who).active.is_some()) {
                return refuse(
                    format!("{who} starts {operation}"),
                    format!("{who} runs no user code"),
                );
            }
            self.outside[cpu.index()] = outside;
            return Ok(());
        }
        let Some(program) = map::program::program(operation) else {
            return refuse(
                format!("{who} starts {operation}"),
                "the protocol has no such program",
            );
        };
        let mm = map::program::named_mm(operation, self.state.cpu(who).active);
        let action = Action::Start {
            cpu: who,
            program,
            mm,
        };
        if let Operation::PgdAlloc(mm) = operation {
            self.supply(protocol, mm_to_spec(Some(mm)));
        }
        let state = &mut self.state;
        state.cpus[who.index()].budget = 1;
        let admitted = !mm.is_some() || state.mm(mm).may_begin(program, protocol.config.variants);
        // The branch of switch_mm that finds next == prev is the protocol's; it starts it for lazy CPUs only, because
        // otherwise nothing comes of it.
        let again = program == ProgramId::SwitchMm && state.cpu(who).active == mm && idle(state);
        if !admitted || !(state.cpu(who).may_start(program, mm) || again) {
            let reason = if admitted || !idle(state) {
                protocol.why_not(state, &action)
            } else {
                format!("{mm} does not admit it: {:?}", state.mm(mm))
            };
            return refuse(action.to_string(), reason);
        }
        *state = protocol.apply(state, &action);
        Ok(())
    }

    /// A freed slot is used again.
    fn supply(&mut self, protocol: &Protocol, mm: MmId) {
        use shootdown_spec::mm::Life;
        let slot = &mut self.state.mms[mm.index()];
        if matches!(slot.life, Life::Freed | Life::Unborn)
            && slot.named == 0
            && slot.active.is_empty()
        {
            *slot = Mm {
                cpumask: slot.cpumask,
                pending: slot.pending,
                ..Mm::supplied(protocol.config.environment.thp)
            };
        }
    }

    /// `leave_mm` of a CPU that a flush made leave after it began: it finds nothing to do.
    fn left_by_interrupt(&mut self, protocol: &Protocol, context: Context) {
        let cpu = self.state.cpu(context.cpu);
        if !cpu.loaded
            && !cpu.in_irq()
            && cpu.next_op(&protocol.config, Level::Task) == Some(Op::LeaveMm)
        {
            self.state = protocol.apply(&self.state, &Action::Step { cpu: context.cpu });
        }
    }

    fn wants(&self, protocol: &Protocol, op: Option<Op>, context: Context, lock: Lock) -> bool {
        let ctx = self.state.cpu(context.cpu).context(context.level);
        let Some(Op::Lock(l, mode)) = op else {
            return false;
        };
        let id = l.resolve(ctx.mm, ctx.cursor);
        map::spinlock::named(id, mode, &protocol.config.design) == Some(lock)
    }

    /// A context waits for a lock: somebody must be first.
    pub(super) fn waits(&mut self, context: Context, lock: Lock) -> Result<(), Refused> {
        let id = map::spinlock::lock(lock);
        let fair = !matches!(lock, Lock::PgdRead | Lock::PgdWrite);
        if self.waiting.contains(context) {
            return refuse(format!("{context}: waits for {lock}"), "it waits already");
        }
        if fair && self.state.lock(id).is_free() && self.waiting.first(id).is_none() {
            return refuse(format!("{context}: waits for {lock}"), "nobody has it");
        }
        self.waiting.push(id, context);
        Ok(())
    }

    /// A lock is served: ticket locks in the order of arrival.
    pub(super) fn served(&mut self, context: Context, lock: Lock) -> Result<(), Refused> {
        let id = map::spinlock::lock(lock);
        let fair = !matches!(lock, Lock::PgdRead | Lock::PgdWrite);
        if self.state.lock(id).holders().any(|who| who == context) {
            return refuse(format!("{context}: takes {lock}"), "it has it already");
        }
        let waited = self.waiting.contains(context);
        match self.waiting.first(id) {
            Some(first) if fair && first != context => {
                let reason = format!("{first} is before it in the queue");
                refuse(format!("{context}: takes {lock}"), reason)
            }
            _ => {
                if waited {
                    self.waiting.remove(context);
                }
                Ok(())
            }
        }
    }

    /// Whether nothing runs: what a run that ended by itself leaves.
    pub fn at_rest(&self, protocol: &Protocol) -> bool {
        self.outside.iter().all(|&o| o == Outside::Nothing)
            && self.state.each_context(&protocol.config).next().is_none()
    }

    /// Whether the CPU has IPIs to send and can: the protocol, which sends them with the reading of the mask, thinks it
    /// waits.
    pub fn sends(&self, cpu: CpuId) -> bool {
        let Sending { targets, sent, .. } = self.sending[cpu.index()];
        targets != sent && !self.in_irq(cpu)
    }

    /// The protocol's state with everybody who waits for a lock in its queue, for [`State::stuck`]; whoever is first
    /// and finds it free has it, also where an interrupt came before its line was written.
    pub fn queued(&self, protocol: &Protocol) -> State {
        let mut state = self.state;
        for (id, who) in self.waiting.iter() {
            let cpu = state.cpu(who.cpu);
            let Some(Op::Lock(_, mode)) = cpu.next_op(&protocol.config, who.level) else {
                continue; // not the protocol's, and so nobody that a deadlock needs: it holds nothing
            };
            let told = match state.locks[id.index()].acquire(who, mode, false) {
                Acquired::Granted => Msg::Granted(who.level),
                Acquired::Queued => Msg::Queued(who.level),
            };
            let (from, mut out) = (Addr::Lock(id), Outbox::new());
            state.cpus[who.cpu.index()].receive(&protocol.config, who.cpu, from, told, &mut out);
        }
        state
    }
}
