//! The protocol follows one event of the code.
//!
//! Given an event there is at most one thing the protocol can do: all its nondeterminism is in who moves and when an
//! interrupt hits, and the event says both. So the set of protocol states that agree with a run of the code so far has
//! one element, or none. The only hidden step ([`crate::map::event`]) changes nothing but a program counter and is
//! taken when the next event of that context asks for it.

use shootdown_impl::event::{Event, Flushed};
use shootdown_impl::id::CpuId;
use shootdown_impl::irq::Vector;
use shootdown_spec::id::{Context, Level};
use shootdown_spec::mm;
use shootdown_spec::model::{Action, Protocol};
use shootdown_spec::program::{Entry, Op, ProgramId, Reg};
use shootdown_spec::state::State;

use crate::code::model::Seen;
use crate::map::event::{Meaning, meaning};
use crate::map::id::{cpu_to_spec, mm_to_spec};
use crate::map::{self, tlb};

/// Why the protocol cannot follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the protocol would have had to do.
    pub wanted: String,
    /// The guard that is false, or the value that differs.
    pub reason: String,
}

/// A step that the protocol took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The action.
    pub action: Action,
    /// The program and the position of its step, for a step of a program.
    pub line: Option<(ProgramId, u8)>,
    /// Whether it was hidden: no event of the code says it happened.
    pub hidden: bool,
}

/// Lets the protocol follow.
///
/// `taken` is told each step. On success the state is the only one that agrees.
///
/// # Errors
/// If there is none.
pub fn follow(
    protocol: &Protocol,
    state: &State,
    cpu: CpuId,
    level: Level,
    seen: Seen,
    taken: &mut impl FnMut(&State, Taken),
) -> Result<State, Refused> {
    let who = cpu_to_spec(cpu);
    let context = Context { cpu: who, level };
    let event = match seen {
        Seen::Event(event) => event,
        Seen::Iret => {
            let is = |op: &Op| *op == Op::Return;
            return step(protocol, state, context, "Op::Return", is, taken);
        }
    };
    let mut take = |action| {
        enabled(protocol, state, action)?;
        taken(
            state,
            Taken {
                action,
                line: None,
                hidden: false,
            },
        );
        Ok(protocol.apply(state, &action))
    };
    let after = match meaning(&event) {
        Meaning::Stutter | Meaning::Environment => *state,
        Meaning::Start(operation) => {
            let program = map::program::program(operation).ok_or_else(|| Refused {
                wanted: "a program".to_string(),
                reason: format!("the protocol has no program {operation}"),
            })?;
            let mm = map::program::named_mm(operation, state.cpu(who).active);
            take(Action::Start {
                cpu: who,
                program,
                mm,
            })?
        }
        Meaning::Interrupt(Vector::FlushTlb(from)) => {
            let from = cpu_to_spec(from);
            take(Action::Ipi { cpu: who, from })?
        }
        Meaning::Interrupt(Vector::PgdFree(mm)) => {
            let mm = mm_to_spec(Some(mm));
            take(Action::IrqFree { cpu: who, mm })?
        }
        Meaning::Fill(slot) => {
            let entry = tlb::entry(slot);
            take(Action::Fill { cpu: who, entry })?
        }
        Meaning::Step(wanted, is) => {
            let state = &skip_hidden(protocol, state, context, is, taken);
            step(protocol, state, context, wanted, is, taken)?
        }
        Meaning::StepIf(wanted, is) => match next_op(protocol, state, context) {
            Some(op) if is(&op) => step(protocol, state, context, wanted, is, taken)?,
            _ => *state,
        },
        Meaning::Acquired => acquired(protocol, state, context, &event, taken)?,
        Meaning::Read => read(protocol, state, context, &event, taken)?,
    };
    values(protocol, state, &after, context, &event)?;
    names(protocol, state, context, &event)?;
    Ok(after)
}

/// What the context would do next.
fn next_op(protocol: &Protocol, state: &State, context: Context) -> Option<Op> {
    state
        .cpu(context.cpu)
        .next_op(&protocol.config, context.level)
}

/// `FlushLocal` where the mm is not loaded: the code does nothing and says nothing.
fn skip_hidden(
    protocol: &Protocol,
    state: &State,
    context: Context,
    is: fn(&Op) -> bool,
    taken: &mut impl FnMut(&State, Taken),
) -> State {
    let cpu = state.cpu(context.cpu);
    let ctx = cpu.context(context.level);
    let op = next_op(protocol, state, context);
    let nothing = matches!(op, Some(Op::FlushLocal(_))) && cpu.loaded_mm() != Some(ctx.mm);
    if !nothing || op.as_ref().is_some_and(is) || cpu.top() != context.level {
        return *state;
    }
    let action = Action::Step { cpu: context.cpu };
    let line = Some((ctx.program, ctx.pc));
    taken(
        state,
        Taken {
            action,
            line,
            hidden: true,
        },
    );
    protocol.apply(state, &action)
}

/// The context's next step, if it is what is wanted and can happen.
fn step(
    protocol: &Protocol,
    state: &State,
    context: Context,
    wanted: &'static str,
    is: impl Fn(&Op) -> bool,
    taken: &mut impl FnMut(&State, Taken),
) -> Result<State, Refused> {
    let cpu = state.cpu(context.cpu);
    let refused = |reason| {
        Err(Refused {
            wanted: format!("{context}: {wanted}"),
            reason,
        })
    };
    if cpu.top() != context.level {
        return refused(format!("{} executes at another level", context.cpu));
    }
    let ctx = cpu.context(context.level);
    match next_op(protocol, state, context) {
        None => refused(format!("nothing runs on {context}")),
        Some(op) if !is(&op) => {
            let line = protocol.config.program(ctx.program).line(ctx.pc);
            refused(format!(
                "the next step of {} there is `{}` ({op:?})",
                ctx.program, line.source
            ))
        }
        Some(_) => {
            let action = Action::Step { cpu: context.cpu };
            if !protocol.is_enabled(state, &action) {
                return refused(protocol.why_not(state, &action));
            }
            let line = Some((ctx.program, ctx.pc));
            taken(
                state,
                Taken {
                    action,
                    line,
                    hidden: false,
                },
            );
            Ok(protocol.apply(state, &action))
        }
    }
}

fn enabled(protocol: &Protocol, state: &State, action: Action) -> Result<(), Refused> {
    if protocol.is_enabled(state, &action) {
        return Ok(());
    }
    Err(Refused {
        wanted: action.to_string(),
        reason: protocol.why_not(state, &action),
    })
}

/// `LockAcquired`: the lock is granted now, or was when its last holder let go.
fn acquired(
    protocol: &Protocol,
    state: &State,
    context: Context,
    event: &Event,
    taken: &mut impl FnMut(&State, Taken),
) -> Result<State, Refused> {
    let Event::LockAcquired { lock } = *event else {
        return Ok(*state);
    };
    let id = map::spinlock::lock(lock);
    let ctx = state.cpu(context.cpu).context(context.level);
    if ctx.held.contains(id) {
        return Ok(*state);
    }
    let next = step(
        protocol,
        state,
        context,
        "Op::Lock(..)",
        |op| matches!(op, Op::Lock(..)),
        taken,
    )?;
    if next
        .cpu(context.cpu)
        .context(context.level)
        .held
        .contains(id)
    {
        return Ok(next);
    }
    let holders: Vec<_> = state.lock(id).holders().map(|h| h.to_string()).collect();
    Err(Refused {
        wanted: format!("{context}: Op::Lock, granted at once"),
        reason: format!("{id} is held by {}", holders.join(", ")),
    })
}

/// `EntryRead`: fast GUP's read is a step; under the lock it is one if it ends the matter.
fn read(
    protocol: &Protocol,
    state: &State,
    context: Context,
    event: &Event,
    taken: &mut impl FnMut(&State, Taken),
) -> Result<State, Refused> {
    let Event::EntryRead {
        present, splitting, ..
    } = *event
    else {
        return Ok(*state);
    };
    match next_op(protocol, state, context) {
        Some(Op::GupRead { .. }) => {}
        Some(Op::TestAndClearYoung { .. }) if !present || splitting => {}
        Some(Op::SetSplitting { .. }) if !present => {}
        _ => return Ok(*state),
    }
    step(
        protocol,
        state,
        context,
        "a read of the entry",
        |_| true,
        taken,
    )
}

/// Do the values that the code saw, and on which it goes on, agree with the protocol's?
fn values(
    protocol: &Protocol,
    before: &State,
    after: &State,
    context: Context,
    event: &Event,
) -> Result<(), Refused> {
    let (cpu, was) = (after.cpu(context.cpu), before.cpu(context.cpu));
    let (ctx, then) = (cpu.context(context.level), was.context(context.level));
    let same = |what: &'static str, code: bool| {
        if code {
            return Ok(());
        }
        Err(Refused {
            wanted: format!("{context}: {event:?}"),
            reason: format!("{what} in the protocol"),
        })
    };
    let on = |mm| mm_to_spec(Some(mm));
    match *event {
        Event::Begin { operation } | Event::End { operation } => {
            let program = if matches!(event, Event::Begin { .. }) {
                ctx
            } else {
                then
            }
            .program;
            same(
                "another program runs",
                map::program::program(operation) == Some(program),
            )
        }
        Event::IrqSave { enabled } => same("the flag was otherwise", was.irqs_on == enabled),
        Event::IrqRestore { enabled } => same("the flag is otherwise", cpu.irqs_on == enabled),
        Event::LockWait { lock } => same(
            "it does not spin for that lock",
            ctx.spins_for() == Some(map::spinlock::lock(lock)),
        ),
        Event::LockReleased { lock } => {
            let id = map::spinlock::lock(lock);
            same(
                "another lock is released",
                then.held.contains(id) && !ctx.held.contains(id),
            )
        }
        Event::InitEntryRead { present } => same(
            "init_mm's entry is otherwise",
            before.list.init_entry == present,
        ),
        Event::WalkAt { mm } => same("the walk is elsewhere", ctx.cursor == on(mm)),
        Event::WalkDone {} => same("the walk is not over", !ctx.cursor.is_some()),
        Event::KernelEntryRead { mm, present } => same(
            "the kernel entry is otherwise",
            before.mm(on(mm)).kernel_entry == present,
        ),
        Event::PinnedRead { pinned, .. } => {
            same("the page is otherwise", ctx.reg(Reg::SeenPinned) == pinned)
        }
        Event::KernelEntrySet { hypervisor, .. } => same(
            "the store goes the other way",
            then.reg(Reg::SeenPinned) == hypervisor,
        ),
        Event::EntryRead {
            mm,
            slot,
            present,
            splitting,
        } => {
            let entry = tlb::entry(slot);
            let e = before.mm(on(mm)).entry(entry);
            let alike = before.mm(on(mm)).translates(entry) == present && e.splitting == splitting;
            same("the entry is otherwise", alike)
        }
        Event::ClearYoung { young, .. } => {
            same("it was otherwise", ctx.reg(Reg::NeedFlush) == young)
        }
        Event::GetAndClear { mm, slot, frame } => {
            let was = before.mm(on(mm)).translates(tlb::entry(slot));
            same("the entry was otherwise", was == frame.is_some())
        }
        Event::SetSplitting { newly, mm } => {
            let was = before
                .mm(on(mm))
                .entry(tlb::entry(shootdown_impl::tlb::Slot::Huge))
                .splitting;
            same("SPLITTING was otherwise", was != newly)
        }
        Event::PendingRead { mm, count } => same(
            "the counter is otherwise",
            before.mm(on(mm)).pending == count,
        ),
        Event::FramePut { frame, freed } => {
            let entry = map::mm::entry_of_frame(frame);
            let last = before.mm(ctx.mm).frame(entry).refs == 1;
            same("it is another reference", last == freed)
        }
        Event::FlushLocal { scope, .. } => {
            let op = next_op(protocol, before, context);
            same(
                "it flushes otherwise",
                op == Some(Op::FlushLocal(tlb::scope(scope))),
            )
        }
        Event::MaskRead { mm, targets } => {
            let alike = ctx.mm == on(mm) && cpu.acks == map::ipi::targets(targets);
            same("other CPUs are awaited", alike)
        }
        Event::RequestPublished { mm, .. } => same("another mm is flushed", ctx.mm == on(mm)),
        Event::AcksSet { targets } => {
            // Whoever answered already has cleared its bit on the protocol's side.
            let all = map::ipi::targets(targets);
            same("other CPUs are awaited", cpu.acks.0 & !all.0 == 0)
        }
        Event::RequestRead { from, mm } => same(
            "another request was sent",
            ctx.sender == cpu_to_spec(from) && ctx.mm == on(mm),
        ),
        Event::FlushHandled { scope, result, .. } => {
            let expected = match was.loaded_mm() == Some(then.mm) {
                false => Flushed::NotLoaded,
                true if was.lazy => Flushed::LeftMm,
                true => Flushed::Flushed,
            };
            same(
                "the request is dealt with otherwise",
                result == expected && then.scope == tlb::scope(scope),
            )
        }
        Event::LoadCr3 { mm } => same("another mm is loaded", cpu.active == on(mm)),
        Event::MaskCleared { mm } => same("another mm's bit is cleared", then.cursor == on(mm)),
        Event::MmBorn { mm } | Event::ListAdd { mm } | Event::ListDel { mm } => {
            same("it is another mm", then.mm == on(mm))
        }
        Event::MmFreed { mm } => same("the mm lives", after.mm(on(mm)).life == mm::Life::Freed),
        _ => Ok(()),
    }
}

/// Do the mm, the entry and the frame that the event names agree with the step's? Comparing states shows what the code
/// did; this shows that it says so.
fn names(
    protocol: &Protocol,
    before: &State,
    context: Context,
    event: &Event,
) -> Result<(), Refused> {
    let mm = before.cpu(context.cpu).context(context.level).mm;
    let op = next_op(protocol, before, context);
    let entry = match op {
        Some(
            Op::TestAndClearYoung { entry, .. }
            | Op::GetAndClear { entry, .. }
            | Op::GupRead { entry, .. }
            | Op::GetPage(entry)
            | Op::PutPage(entry)
            | Op::UserStore(entry),
        ) => Some(entry),
        Some(Op::SplitCompound) => Some(Entry::Huge),
        _ => None,
    };
    let same_entry = |slot| entry.is_none_or(|entry| tlb::entry(slot) == entry);
    let same_frame = |frame| {
        let behind = |entry| map::id::mm_to_code(mm).map(|mm| map::mm::frame(mm, tlb::slot(entry)));
        entry.is_none_or(|entry| behind(entry) == Some(frame))
    };
    let same_mm = |of| mm_to_spec(Some(of)) == mm;
    let alike = match *event {
        Event::ClearYoung { mm, slot, .. }
        | Event::GetAndClear { mm, slot, .. }
        | Event::EntryRead { mm, slot, .. } => same_mm(mm) && same_entry(slot),
        Event::SetSplitting { mm, .. }
        | Event::PmdNotPresent { mm }
        | Event::PmdPopulate { mm }
        | Event::PendingRaised { mm }
        | Event::PendingDropped { mm }
        | Event::PendingRead { mm, .. }
        | Event::FlushLocal { mm, .. } => same_mm(mm),
        Event::HypercallFlush { mm, scope } => {
            same_mm(mm) && op == Some(Op::FlushHypercall(tlb::scope(scope)))
        }
        Event::Pinned { mm } => same_mm(mm) && op == Some(Op::SetPinned(true)),
        Event::Unpinned { mm } => same_mm(mm) && op == Some(Op::SetPinned(false)),
        Event::FrameGet { frame, slot } => same_frame(frame) && same_entry(slot),
        Event::FramePut { frame, .. } | Event::SplitCompound { frame } => same_frame(frame),
        Event::UserAccess { slot, frame, .. } => same_entry(slot) && frame.is_none_or(same_frame),
        _ => true,
    };
    if alike {
        return Ok(());
    }
    Err(Refused {
        wanted: format!("{context}: {event:?}"),
        reason: "it is another mm, entry or frame in the protocol".to_string(),
    })
}
