//! The situation that one dump shows.

use super::locks::{held_by_lockdep, held_by_table, lock_name};
use super::{Context, Doing, How, Irqs, LockName, Situation, Who};
use crate::console::frame::{Frame, Marker};
use crate::console::log::{CsdState, Dump, Item, Kind, Log};
use crate::console::segment::{Contexts, Segment, contexts};
use crate::console::table::{Does, does};

/// The situation that one dump shows.
#[must_use]
pub fn of_dump(who: Who, dump: &Dump, log: &Log) -> Situation {
    let Contexts {
        segments,
        interrupted_at,
        reports,
    } = contexts(dump);
    let empty = Segment::default();
    let first = segments.first().unwrap_or(&empty);
    let context = context_of(first, segments.len() > 1);
    let (mut doing, place) = doing(first, dump, reports, log);
    if let Doing::Spins(lock) | Doing::SleepsFor(lock) = &mut doing {
        *lock = lock_name(first, dump, log);
    }
    let cpu = match who {
        Who::Cpu(cpu) => Some(cpu),
        Who::Task(_) => None,
    };
    let irqs = irqs(first, context, interrupted_at, &doing, cpu, log);
    let mm = first
        .registers
        .get("CR3")
        .map(|cr3| cr3 & !0x1fff & !(1 << 63));
    let interrupted: Vec<Vec<Frame>> = segments[1.min(segments.len())..]
        .iter()
        .filter(|s| !s.user && !s.frames.is_empty())
        .map(|s| s.frames.clone())
        .collect();
    let doubtful = segments
        .get(1)
        .map(|s| s.doubtful.clone())
        .unwrap_or_default();
    // Only the idle task idles, but for threads that inject idle time.
    let doing_idle = doing == Doing::Idle && !dump.skipped_idle;
    let another = dump.pid.is_some_and(|pid| pid != 0)
        && !dump.comm.as_ref().is_some_and(|comm| comm.contains("idle"));
    let mut holds = Vec::new();
    held_by_lockdep(dump, &doing, log, &mut holds);
    // A context that spins may spin for the very lock that the function takes.
    if matches!(
        doing,
        Doing::AwaitsAcks | Doing::AwaitsHandler | Doing::Rendezvous { .. }
    ) {
        held_by_table(first, &interrupted, &mut holds);
    }
    Situation {
        who,
        task: dump.comm.clone().map(|comm| (comm, dump.pid)),
        line: dump.line,
        time: dump.time,
        doing,
        place,
        frames: first.frames.iter().take(8).cloned().collect(),
        irqs,
        context,
        interrupted,
        doubtful,
        mm,
        holds,
        samples: 1,
        moved: false,
        stays: true,
        placed: placed(dump) && !(doing_idle && another),
        whole: dump.ended,
        registers: first.registers.clone(),
    }
}

/// Whether the innermost function is sure to be the one that is here first.
fn placed(dump: &Dump) -> bool {
    if dump.numbered || dump.skipped_idle {
        return true;
    }
    let first = dump.items.iter().position(|item| {
        matches!(
            item,
            Item::At(..) | Item::Trace | Item::Frame(_) | Item::Marker(..)
        )
    });
    let Some(first) = first else {
        return dump.kind == Kind::Registers;
    };
    match &dump.items[first] {
        // Of a system call or a fault, below the kernel's frames: those are missing. Nor is it the first place if
        // registers stand before it: those are the kernel's.
        Item::At(_, true) => first == 0 && !dump.items.iter().any(|item| {
            matches!(item, Item::Registers(r) if r.get("ORIG_RAX").is_some_and(|call| call < 0x1000))
        }),
        // A place that is cut.
        Item::At(None, false) => false,
        // Registers of an interrupted context have no words behind them.
        Item::At(..) => {
            let behind = dump.items[first + 1..].iter().find(|item| {
                matches!(item, Item::At(_, false) | Item::Trace | Item::Frame(_) | Item::Marker(..))
            });
            matches!(behind, None | Some(Item::Trace)) || matches!(behind, Some(Item::At(..)))
        }
        _ => false,
    }
}

fn context_of(segment: &Segment, above: bool) -> Context {
    let hard = [
        "do_IRQ",
        "handle_irq_event",
        "__common_interrupt",
        "common_interrupt",
        "generic_handle_irq",
        "hrtimer_interrupt",
        "generic_smp_call_function_interrupt",
        "generic_smp_call_function_single_interrupt",
        "__flush_smp_call_function_queue",
        "flush_smp_call_function_queue",
        "smp_call_function_interrupt",
        "do_handle_IPI",
        "handle_domain_irq",
        "local_apic_timer_interrupt",
    ];
    if segment.marker == Some(Marker::Nmi) {
        return Context::Nmi;
    }
    // The innermost of the two decides, for a softirq may be interrupted.
    for frame in &segment.frames {
        match does(&frame.function) {
            Some(Does::Softirq)
                if frame.function != "irq_exit" && frame.function != "run_ksoftirqd" =>
            {
                return Context::Softirq;
            }
            _ if hard.contains(&&*frame.function) => return Context::Hardirq,
            _ => {}
        }
    }
    match segment.marker {
        Some(Marker::Softirq) => Context::Softirq,
        Some(Marker::Irq) if above || !segment.frames.is_empty() => {
            // The stack of interrupts, and no frame tells which.
            if segment.irqs.is_some_and(|(on, _)| on) {
                Context::Softirq
            } else {
                Context::Hardirq
            }
        }
        _ => Context::Task,
    }
}

/// What the innermost frames do.
fn doing(
    segment: &Segment,
    dump: &Dump,
    reports: Option<u64>,
    log: &Log,
) -> (Doing, Option<(String, u64)>) {
    if reports.is_some() || dump.oops.is_some() {
        return (
            Doing::Prints,
            segment.frames.first().map(|f| (f.function.clone(), f.line)),
        );
    }
    if segment.frames.is_empty() {
        return match (segment.user, dump.skipped_idle) {
            (_, true) => (Doing::Idle, None),
            (true, _) => (Doing::User, None),
            _ => (Doing::NotShown("its stack is not in the log".into()), None),
        };
    }
    let mut delay = None;
    for frame in &segment.frames {
        let at = Some((frame.function.clone(), frame.line));
        let first = Some((segment.frames[0].function.clone(), segment.frames[0].line));
        let doing = match does(&frame.function) {
            Some(Does::Helper | Does::SendsIpi) => continue,
            Some(Does::Delays) => {
                delay.get_or_insert(frame);
                continue;
            }
            Some(Does::AwaitsAcks) => Doing::AwaitsAcks,
            Some(does) if does.spins() => Doing::Spins(LockName::default()),
            Some(Does::SleepsForLock) => Doing::SleepsFor(LockName::default()),
            Some(Does::Sleeps) => return (sleeping(segment), at),
            Some(Does::AwaitsStoppers) => Doing::Rendezvous { stoppers: true },
            Some(Does::AwaitsEverybody) => Doing::Rendezvous { stoppers: false },
            Some(Does::AwaitsHandler) => Doing::AwaitsHandler,
            Some(Does::Idle) => Doing::Idle,
            Some(Does::Offline) => Doing::Offline,
            Some(Does::Stopped) => Doing::Stopped,
            Some(Does::Reports | Does::ReportsInInterrupt) => Doing::Prints,
            Some(Does::Runs) => {
                return (
                    Doing::Runs(format!("{} gets on by itself", frame.function)),
                    at,
                );
            }
            Some(Does::Softirq) => return (Doing::Runs("it runs softirqs".into()), at),
            // A delay by itself ends, unless its caller's name says that it waits for something.
            None => match delay {
                Some(delay)
                    if ends_by_itself(segment, log) && !sounds_like_a_wait(&frame.function) =>
                {
                    let why = format!(
                        "{}, called by {}, counts time",
                        delay.function, frame.function
                    );
                    return (Doing::Runs(why), Some((delay.function.clone(), delay.line)));
                }
                _ => return (Doing::NotKnown(frame.function.clone()), first),
            },
            Some(Does::InterruptEntry) => return (Doing::NotKnown(frame.function.clone()), first),
            Some(_) => Doing::NotKnown(frame.function.clone()),
        };
        return (doing, at);
    }
    let first = &segment.frames[0];
    (
        Doing::NotKnown(first.function.clone()),
        Some((first.function.clone(), first.line)),
    )
}

/// Whether a delay is one that somebody asked for: `__spin_lock_debug`, to 4.1, calls `__delay` itself.
fn ends_by_itself(segment: &Segment, log: &Log) -> bool {
    log.version.is_some_and(|version| version >= (4, 2))
        || segment
            .frames
            .iter()
            .any(|f| f.function.contains("udelay") || f.function.contains("ndelay"))
}

fn sounds_like_a_wait(function: &str) -> bool {
    let name = function.to_ascii_lowercase();
    [
        "lock",
        "wait",
        "spin",
        "sync",
        "acquire",
        "rendezvous",
        "barrier",
        "poll",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// Below `schedule`: a lock, or something else.
fn sleeping(segment: &Segment) -> Doing {
    let known = segment
        .frames
        .iter()
        .find(|f| !matches!(does(&f.function), Some(Does::Sleeps | Does::Helper)));
    match known.and_then(|f| does(&f.function)) {
        Some(Does::SleepsForLock) => Doing::SleepsFor(LockName::default()),
        _ => Doing::Sleeps,
    }
}

fn irqs(
    segment: &Segment,
    context: Context,
    interrupted_at: Option<u64>,
    doing: &Doing,
    cpu: Option<u32>,
    log: &Log,
) -> Option<Irqs> {
    let inferred = |on, line, why: &str| {
        Some(Irqs {
            on,
            line,
            how: How::Inferred(why.into()),
        })
    };
    if let Some((on, line)) = segment.irqs {
        return Some(Irqs {
            on,
            line,
            how: How::Printed,
        });
    }
    if segment.user {
        return inferred(true, 0, "user mode");
    }
    if let Some(line) = interrupted_at {
        return inferred(
            true,
            line,
            "the report came by an interrupt, which was taken",
        );
    }
    let cpu = cpu?;
    if let Some(csd) = log.csd.values().find(|c| c.to == cpu && c.ended.is_none())
        && let Some((CsdState::HandlingThis | CsdState::HandlingPrior, line)) = csd.state
    {
        return inferred(false, line, "it is in the handler of an IPI");
    }
    if let Some(stuck) = log.stuck.get(&cpu).filter(|s| s.hard) {
        return inferred(
            false,
            stuck.line,
            "a hard lockup: no timer interrupt was taken",
        );
    }
    if context == Context::Hardirq
        && let Some(frame) = segment.frames.first()
    {
        return inferred(false, frame.line, "a hard interrupt");
    }
    if matches!(doing, Doing::Spins(_))
        && let Some(frame) = segment
            .frames
            .iter()
            .find(|f| f.function.contains("lock_irqsave") || f.function.ends_with("lock_irq"))
    {
        return inferred(false, frame.line, "the lock is taken with interrupts off");
    }
    None
}
