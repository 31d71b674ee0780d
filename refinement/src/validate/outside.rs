//! Operations that are not the protocol's: they keep a long run supplied, and take its locks on the way.
//!
//! | operation | here |
//! |---|---|
//! | `handle_mm_fault` | takes the entry's lock as the protocol has it, maps a page ([`shootdown_spec::mm::Mm::map`]) |
//! | `user_access` | a translation that is cached, a walk that caches one, or a fault; on bare metal, before it, the loss of one |
//! | `leave_mm` on a CPU that has left already | nothing |

use shootdown_impl::event::{Event, Lock};
use shootdown_impl::id::{CpuId, MmId};
use shootdown_impl::operation::Operation;
use shootdown_impl::tlb::{AccessKind, Slot};
use shootdown_spec::design::Ptl;
use shootdown_spec::environment::FlushBackend;
use shootdown_spec::id::{Context, Level};
use shootdown_spec::model::Protocol;
use shootdown_spec::program::{Entry, Mode};

use super::shadow::Shadow;
use crate::map::{self, id::cpu_to_spec, id::mm_to_spec, tlb};
use crate::relation::step::Refused;

/// What of it a CPU runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outside {
    /// Nothing.
    #[default]
    Nothing,
    /// Something that does nothing.
    Idle(Operation),
    /// A touch of a page; whether it is done.
    Access(Slot, AccessKind, bool),
    /// The page-fault handler, on this mm.
    Fault(Slot, MmId, At),
}

/// How far the page-fault handler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// It has begun.
    Begun,
    /// Interrupts are off (where page-table locks are irqsave).
    IrqsOff,
    /// It has the lock.
    Locked,
    /// It has read the entry: nothing is there that keeps it from mapping a page but, if so it was, the frame's use.
    Empty {
        /// Whether the frame was in use when the entry was read.
        in_use: bool,
    },
    /// It has taken a free frame.
    Allocated,
    /// It is done, and has the lock still.
    Done,
    /// It has let go of the lock.
    Unlocked,
    /// Interrupts are on again.
    IrqsOn,
}

/// The operation, if it is not the protocol's on a CPU as it is now.
pub fn outside(shadow: &Shadow, cpu: CpuId, operation: Operation) -> Option<Outside> {
    let state = shadow.state.cpu(cpu_to_spec(cpu));
    match operation {
        Operation::HandleMmFault(slot) => {
            let mm = map::id::mm_to_code(state.active)?;
            Some(Outside::Fault(slot, mm, At::Begun))
        }
        Operation::UserAccess(slot, kind) => Some(Outside::Access(slot, kind, false)),
        Operation::LeaveMm if !state.loaded => Some(Outside::Idle(operation)),
        _ => None,
    }
}

/// The operation that it is.
fn operation(outside: Outside) -> Option<Operation> {
    match outside {
        Outside::Nothing => None,
        Outside::Idle(operation) => Some(operation),
        Outside::Access(slot, kind, _) => Some(Operation::UserAccess(slot, kind)),
        Outside::Fault(slot, ..) => Some(Operation::HandleMmFault(slot)),
    }
}

fn may_end(protocol: &Protocol, outside: Outside) -> bool {
    match outside {
        Outside::Nothing => false,
        Outside::Idle(_) => true,
        Outside::Access(.., done) => done,
        Outside::Fault(.., at) => match protocol.config.design.ptl {
            Ptl::Irqsave => at == At::IrqsOn,
            Ptl::Plain => at == At::Unlocked,
        },
    }
}

/// Follows one event of such an operation.
pub fn follow(
    protocol: &Protocol,
    shadow: &mut Shadow,
    cpu: CpuId,
    event: &Event,
) -> Result<(), Refused> {
    let now = shadow.outside[cpu.index()];
    let next = match (now, *event) {
        (_, Event::End { operation: ended })
            if operation(now) == Some(ended) && may_end(protocol, now) =>
        {
            Outside::Nothing
        }
        (
            Outside::Access(slot, kind, false),
            Event::UserAccess {
                slot: s,
                kind: k,
                frame,
                filled,
            },
        ) if (s, k) == (slot, kind) => {
            access(protocol, shadow, cpu, slot, kind, frame, filled)?;
            Outside::Access(slot, kind, true)
        }
        (Outside::Access(slot, _, false), Event::TlbEvicted { mm, slot: of }) if of == slot => {
            evicted(shadow, cpu, mm, slot)?;
            now
        }
        (Outside::Fault(slot, mm, at), _) => {
            let at = fault(protocol, shadow, cpu, (slot, mm, at), event)?;
            Outside::Fault(slot, mm, at)
        }
        _ => return refuse(cpu, event, format!("{cpu} is in {}", name(now))),
    };
    shadow.outside[cpu.index()] = next;
    Ok(())
}

/// In words, for a report.
pub fn name(outside: Outside) -> String {
    match (outside, operation(outside)) {
        (Outside::Fault(_, mm, at), Some(o)) => format!("{o} of {mm} ({at:?})"),
        (_, Some(o)) => o.to_string(),
        (_, None) => "nothing".to_string(),
    }
}

fn refuse<T>(cpu: CpuId, event: &Event, reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        wanted: format!("{cpu}: {event:?}"),
        reason: reason.into(),
    })
}

/// Hardware may drop a translation at any time. That it had is known when the next access walks.
fn evicted(shadow: &mut Shadow, cpu: CpuId, mm: MmId, slot: Slot) -> Result<(), Refused> {
    let (who, entry) = (cpu_to_spec(cpu), tlb::entry(slot));
    let state = &mut shadow.state.cpus[who.index()];
    if state.loaded_mm() == Some(mm_to_spec(Some(mm))) && state.tlb.contains(entry) {
        state.tlb.evict(entry);
        return Ok(());
    }
    let event = Event::TlbEvicted { mm, slot };
    refuse(cpu, &event, "no such translation was cached")
}

fn access(
    protocol: &Protocol,
    shadow: &mut Shadow,
    cpu: CpuId,
    slot: Slot,
    kind: AccessKind,
    frame: Option<shootdown_impl::id::FrameId>,
    filled: bool,
) -> Result<(), Refused> {
    let event = Event::UserAccess {
        slot,
        kind,
        frame,
        filled,
    };
    let (who, entry) = (cpu_to_spec(cpu), tlb::entry(slot));
    // A hypercall drops the translations of one CPU after the other, at moments that no event tells.
    let exact = protocol.config.environment.flush_backend == FlushBackend::Ipi;
    let state = &mut shadow.state;
    let Some(mm) = state.cpu(who).loaded_mm() else {
        return match frame {
            None => Ok(()),
            Some(_) => refuse(cpu, &event, format!("{cpu} has no mm loaded")),
        };
    };
    if let Some(frame) = frame
        && map::id::mm_to_code(mm).is_none_or(|mm| map::mm::frame(mm, slot) != frame)
    {
        return refuse(cpu, &event, format!("{frame} is not what {mm} has there"));
    }
    if frame.is_none() && filled {
        return refuse(cpu, &event, "a fault fills nothing");
    }
    let cached = state.cpu(who).tlb.contains(entry);
    let translates = state.mm(mm).translates(entry);
    let store = kind == AccessKind::Store;
    match (frame.is_some(), filled) {
        (true, true) if exact && cached => {
            refuse(cpu, &event, "the translation is cached: no walk")
        }
        (true, true) if !translates => {
            refuse(cpu, &event, format!("{mm}'s {entry} translates nothing"))
        }
        (true, true) => {
            state.mms[mm.index()].walk(entry, store);
            state.cpus[who.index()].tlb.insert(entry);
            Ok(())
        }
        (true, false) if cached || !exact && translates => {
            state.cpus[who.index()].tlb.insert(entry);
            Ok(())
        }
        (true, false) => refuse(cpu, &event, "no such translation is cached"),
        (false, _) if exact && cached => refuse(cpu, &event, "the translation is cached: no fault"),
        (false, _) if translates => {
            refuse(cpu, &event, format!("{mm}'s {entry} is there: no fault"))
        }
        (false, _) => Ok(()),
    }
}

fn fault(
    protocol: &Protocol,
    shadow: &mut Shadow,
    cpu: CpuId,
    (slot, mm, at): (Slot, MmId, At),
    event: &Event,
) -> Result<At, Refused> {
    let (who, entry, id) = (cpu_to_spec(cpu), tlb::entry(slot), mm_to_spec(Some(mm)));
    let context = Context {
        cpu: who,
        level: Level::Task,
    };
    let irqsave = protocol.config.design.ptl == Ptl::Irqsave;
    let split = slot == Slot::Pte && protocol.config.environment.split_ptlocks;
    let lock = if split {
        Lock::Pte(mm)
    } else {
        Lock::PageTable(mm)
    };
    let before_lock = if irqsave { At::IrqsOff } else { At::Begun };
    // A page can be mapped if nothing but that mapping would have the frame.
    let free = |shadow: &Shadow| {
        let refs = shadow.state.mm(id).frame(entry).refs;
        refs == u8::from(slot == Slot::Huge)
    };
    let unlocks = match at {
        At::Done => true,
        // The CPU that finds the frame free maps it. It is looked at once, between the read and the unlock.
        At::Empty { in_use } => in_use || !free(shadow),
        _ => false,
    };
    match *event {
        Event::IrqSave { enabled } if irqsave && at == At::Begun => {
            let cpu_state = &mut shadow.state.cpus[who.index()];
            if cpu_state.irqs_on != enabled {
                return refuse(cpu, event, "the flag was otherwise");
            }
            cpu_state.irqs_on = false;
            Ok(At::IrqsOff)
        }
        Event::LockWait { lock: l } if l == lock && at == before_lock => {
            shadow.waits(context, lock).map(|()| at)
        }
        Event::LockAcquired { lock: l } if l == lock && at == before_lock => {
            shadow.served(context, lock)?;
            let lock = &mut shadow.state.locks[map::spinlock::lock(lock).index()];
            if !lock.is_free() {
                let holders: Vec<_> = lock.holders().map(|h| h.to_string()).collect();
                return refuse(cpu, event, format!("it is held by {}", holders.join(", ")));
            }
            lock.acquire(context, Mode::Exclusive, false);
            Ok(At::Locked)
        }
        Event::EntryRead {
            mm: m,
            slot: s,
            present,
            splitting,
        } if (m, s) == (mm, slot) && at == At::Locked => {
            let of = shadow.state.mm(id);
            if of.translates(entry) != present || of.entry(entry).splitting != splitting {
                return refuse(cpu, event, format!("the entry is {:?}", of.entry(entry)));
            }
            let mappable = match entry {
                Entry::Pte => !of.entry(entry).present,
                Entry::Huge => of.entry(entry).table,
            };
            let in_use = !free(shadow);
            Ok(match mappable {
                true => At::Empty { in_use },
                false => At::Done,
            })
        }
        Event::FrameAlloc { frame }
            if matches!(at, At::Empty { .. })
                && slot == Slot::Pte
                && map::mm::frame(mm, slot) == frame =>
        {
            if !shadow.state.mms[id.index()].allocate(entry) {
                return refuse(cpu, event, "the frame is in use");
            }
            Ok(At::Allocated)
        }
        Event::EntrySet {
            mm: m,
            slot: s,
            frame,
        } if (m, s) == (mm, slot)
            && map::mm::frame(mm, slot) == frame
            && match at {
                At::Allocated => slot == Slot::Pte,
                At::Empty { .. } => slot == Slot::Huge,
                _ => false,
            } =>
        {
            if !shadow.state.mms[id.index()].map(entry) {
                let of = shadow.state.mm(id);
                return refuse(
                    cpu,
                    event,
                    format!(
                        "the entry is {:?}, its frame has {:?}",
                        of.entry(entry),
                        of.frame(entry)
                    ),
                );
            }
            Ok(At::Done)
        }
        Event::LockReleased { lock: l } if l == lock && unlocks => {
            shadow.state.locks[map::spinlock::lock(lock).index()].release(context);
            Ok(At::Unlocked)
        }
        Event::IrqRestore { enabled } if irqsave && at == At::Unlocked => {
            if !enabled {
                return refuse(cpu, event, "interrupts were on when it began");
            }
            shadow.state.cpus[who.index()].irqs_on = true;
            Ok(At::IrqsOn)
        }
        _ => refuse(
            cpu,
            event,
            format!("{cpu} is in {}", name(Outside::Fault(slot, mm, at))),
        ),
    }
}
