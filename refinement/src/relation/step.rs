//! The protocol follows one event of the code.
//!
//! Given an event there is at most one thing the protocol can do: all its nondeterminism is in who moves and when an
//! interrupt hits, and the event says both. So the set of protocol states that agree with a run of the code so far has
//! one element, or none. The only hidden step ([`crate::map::event`]) changes nothing but a program counter and is
//! taken when the next event of that context asks for it.

use shootdown_impl::event::Event;
use shootdown_impl::id::CpuId;
use shootdown_impl::irq::Vector;
use shootdown_spec::id::{Context, Level};
use shootdown_spec::model::{Action, Protocol};
use shootdown_spec::program::{Entry, Op, ProgramId, Reg};
use shootdown_spec::state::State;

use crate::code::model::Seen;
use crate::map::event::{Meaning, meaning};
use crate::map::id::{cpu_to_spec, mm_to_spec};
use crate::map::{self, tlb};
use crate::relation::said;

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
/// `taken` is called with each step. On success the state is the only one that agrees.
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
        Meaning::Stutter => *state,
        Meaning::Environment => {
            return Err(Refused {
                wanted: format!("{context}: {event:?}"),
                reason: "no program of the protocol maps or allocates a page".to_string(),
            });
        }
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
        Meaning::BitSet => bit_set(protocol, state, context, taken)?,
        Meaning::Acquired => acquired(protocol, state, context, &event, taken)?,
        Meaning::Read => read(protocol, state, context, &event, taken)?,
    };
    said::values(protocol, state, &after, context, &event)?;
    said::names(protocol, state, context, &event)?;
    Ok(after)
}

/// What the context would do next.
pub(super) fn next_op(protocol: &Protocol, state: &State, context: Context) -> Option<Op> {
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
        // It was queued and has got it: the step before the next one took it.
        let lines = protocol.config.program(ctx.program);
        let before = (0..ctx.pc).rev().map(|pc| lines.line(pc).op);
        return match before.into_iter().find(|op| !op.is_control()) {
            Some(Op::Lock(l, _)) if l.resolve(ctx.mm, ctx.cursor) == id => Ok(*state),
            _ => Err(Refused {
                wanted: format!("{context}: takes {lock}"),
                reason: "it has it already".to_string(),
            }),
        };
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

/// `EntryRead`: fast GUP's read is a step; under the lock it is one if it ends the matter, and else comes right before
/// the step that goes by it.
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
    let wanted = "a read of the entry";
    let huge = |op: &Op| {
        let young = matches!(op, Op::TestAndClearYoung { entry, .. } if *entry == Entry::Huge);
        young || matches!(op, Op::SetSplitting { .. })
    };
    match next_op(protocol, state, context) {
        Some(Op::TestAndClearYoung { .. }) if present && !splitting => {}
        Some(Op::SetSplitting { .. }) if present => {}
        _ => {
            let is = |op: &Op| matches!(op, Op::GupRead { .. }) || huge(op);
            return step(protocol, state, context, wanted, is, taken);
        }
    }
    // No step yet, but it must be the next one.
    step(protocol, state, context, wanted, huge, &mut |_, _| ())?;
    Ok(*state)
}

/// `MaskSet`: a step, or that of `switch_mm` to the mm it is on already, which finds its bit set and goes on.
fn bit_set(
    protocol: &Protocol,
    state: &State,
    context: Context,
    taken: &mut impl FnMut(&State, Taken),
) -> Result<State, Refused> {
    let ctx = state.cpu(context.cpu).context(context.level);
    let over = matches!(
        next_op(protocol, state, context),
        Some(Op::IrqRestore(_) | Op::Return)
    );
    let again = ctx.program == ProgramId::SwitchMm && ctx.reg(Reg::SameMm);
    if again && over && state.cpu(context.cpu).top() == context.level {
        return Ok(*state);
    }
    let is = |op: &Op| *op == Op::CpumaskSet;
    step(protocol, state, context, "Op::CpumaskSet", is, taken)
}
