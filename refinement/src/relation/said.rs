//! Does an event say what its step did? Comparing states shows what the code did; this compares every operand.

use shootdown_impl::event::{Event, Flushed};
use shootdown_impl::tlb::AccessKind;
use shootdown_spec::id::Context;
use shootdown_spec::mm;
use shootdown_spec::model::Protocol;
use shootdown_spec::program::{Entry, Mode, Op, ProgramId, Reg};
use shootdown_spec::state::State;

use super::step::{Refused, next_op};
use crate::map::id::{cpu_to_spec, mm_to_spec};
use crate::map::{self, tlb};

/// Do the values that the code saw, and on which it goes on, agree with the protocol's?
pub(super) fn values(
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
    let held_as = |state: &State, lock| {
        let id = map::spinlock::lock(lock);
        let mode = match state.lock(id).readers().any(|who| who == context) {
            true => Mode::Shared,
            false => Mode::Exclusive,
        };
        map::spinlock::named(id, mode, &protocol.config.design) == Some(lock)
    };
    match *event {
        Event::Begin { operation } | Event::End { operation } => {
            let of = if matches!(event, Event::Begin { .. }) {
                ctx
            } else {
                then
            };
            same(
                "another program runs, or on another mm,",
                map::program::operation(of.program, of.mm) == Some(operation),
            )
        }
        Event::IrqSave { enabled } => same("the flag was otherwise", was.irqs_on == enabled),
        Event::IrqRestore { enabled } => same("the flag is otherwise", cpu.irqs_on == enabled),
        Event::LockWait { lock } => {
            let id = map::spinlock::lock(lock);
            let Some(Op::Lock(_, mode)) = next_op(protocol, before, context) else {
                return same("it takes no lock", false);
            };
            let named = map::spinlock::named(id, mode, &protocol.config.design) == Some(lock);
            same(
                "it does not spin for that lock",
                named && ctx.spins_for() == Some(id),
            )
        }
        Event::LockAcquired { lock } => same("it takes it otherwise", held_as(after, lock)),
        Event::LockReleased { lock } => {
            let id = map::spinlock::lock(lock);
            let lets_go = then.held.contains(id) && !ctx.held.contains(id);
            same("another lock is released", lets_go && held_as(before, lock))
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
        Event::FlushLocal { mm, .. } if was.loaded_mm() != Some(on(mm)) || was.lazy => {
            same("the CPU has nothing to flush, or leaves the mm,", false)
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
        Event::RequestPublished { mm, scope } => {
            let asked = |ipi: shootdown_spec::cpu::PendingIpi| {
                (ipi.mm, ipi.scope) == (on(mm), tlb::scope(scope))
            };
            let mut sent = after
                .each_cpu(&protocol.config)
                .filter_map(|(_, other)| other.pending_ipi(context.cpu));
            let alike = ctx.mm == on(mm) && sent.all(asked);
            same("another mm is flushed, or another part of it,", alike)
        }
        Event::AcksSet { targets } => {
            // A CPU that answered already has cleared its bit on the protocol's side.
            let all = map::ipi::targets(targets);
            same("other CPUs are awaited", cpu.acks.0 & !all.0 == 0)
        }
        Event::RequestRead { from, mm } => {
            let handler = ctx.program == ProgramId::FlushTlbInterrupt;
            let due = next_op(protocol, before, context) == Some(Op::FlushRequested);
            let sent = ctx.sender == cpu_to_spec(from) && ctx.mm == on(mm);
            same("another request was sent", handler && due && sent)
        }
        Event::Acked { from } => same("another CPU asked", then.sender == cpu_to_spec(from)),
        Event::FlushHandled {
            from,
            mm,
            scope,
            result,
        } => {
            let expected = match was.loaded_mm() == Some(then.mm) {
                false => Flushed::NotLoaded,
                true if was.lazy => Flushed::LeftMm,
                true => Flushed::Flushed,
            };
            same(
                "the request is dealt with otherwise",
                result == expected
                    && (then.sender, then.mm, then.scope)
                        == (cpu_to_spec(from), on(mm), tlb::scope(scope)),
            )
        }
        Event::LoadCr3 { mm } => same("another mm is loaded", cpu.active == on(mm)),
        Event::MaskCleared { mm } => same("another mm's bit is cleared", then.cursor == on(mm)),
        Event::MmBorn { mm } | Event::ListAdd { mm } | Event::ListDel { mm } => {
            same("it is another mm", then.mm == on(mm))
        }
        Event::MmFreed { mm } => same(
            "it is another mm, or it lives,",
            then.mm == on(mm) && after.mm(on(mm)).life == mm::Life::Freed,
        ),
        // It may have left by a flush since it looked.
        Event::LeaveMm { mm } => same(
            "the CPU is not lazy on that mm",
            was.lazy && was.active == on(mm),
        ),
        Event::TlbFill { mm, kind, .. } => same(
            "the walker looks ahead, and in the mm that is loaded,",
            was.loaded_mm() == Some(on(mm)) && kind == AccessKind::Load,
        ),
        _ => Ok(()),
    }
}

/// Do the mm, the entry and the frame that the event names agree with the step's?
pub(super) fn names(
    protocol: &Protocol,
    before: &State,
    context: Context,
    event: &Event,
) -> Result<(), Refused> {
    let mm = before.cpu(context.cpu).context(context.level).mm;
    let op = next_op(protocol, before, context);
    let (then, of) = (
        before.cpu(context.cpu).context(context.level),
        match op {
            Some(
                Op::ReadKernelEntry { of, .. }
                | Op::ReadPinned { of }
                | Op::WriteKernelEntry { of },
            ) => Some(of),
            _ => None,
        },
    );
    let entry = match op {
        Some(
            Op::TestAndClearYoung { entry, .. }
            | Op::GetAndClear { entry, .. }
            | Op::GupRead { entry, .. }
            | Op::GetPage(entry)
            | Op::PutPage(entry)
            | Op::UserStore(entry),
        ) => Some(entry),
        Some(Op::SplitCompound | Op::SetSplitting { .. }) => Some(Entry::Huge),
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
        Event::KernelEntryRead { mm, .. }
        | Event::PinnedRead { mm, .. }
        | Event::KernelEntrySet { mm, .. } => {
            of.is_some_and(|of| then.mm_of(of) == mm_to_spec(Some(mm)))
        }
        Event::SetSplitting { mm, .. }
        | Event::MaskSet { mm }
        | Event::LeaveMm { mm }
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
        Event::UserAccess {
            slot, frame, kind, ..
        } => same_entry(slot) && frame.is_none_or(same_frame) && kind == AccessKind::Store,
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
