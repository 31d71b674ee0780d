//! Interrupts, softirqs, timers and work items: raised, withdrawn, waited for.

use super::{Arg, Call, Does, Value};

const fn call(
    name: &'static str,
    forms: &'static [&'static [Arg]],
    does: Does,
    doc: &'static str,
) -> Call {
    Call {
        name,
        forms,
        does,
        doc,
    }
}

const ANY_KIND: &[&str] = &["irq", "softirq", "timer", "nmi", "work", "stopper", "task"];
const ANY: Arg = Arg::Source(ANY_KIND);
const SOFTIRQ: Arg = Arg::Source(&["softirq"]);
const TIMER: Arg = Arg::Source(&["timer", "irq"]);
const WORK: Arg = Arg::Source(&["work"]);
const IRQ: Arg = Arg::Source(&["irq", "nmi"]);
const TASK: Arg = Arg::Source(&["task", "stopper"]);

/// The calls.
pub static CALLS: &[Call] = &[
    call(
        "raise_irq",
        &[&[ANY], &[ANY, Arg::Value]],
        Does::Raise,
        "makes a source pending on a CPU (this one, if none is given): a device interrupt, a stopper's work",
    ),
    call(
        "raise_softirq",
        &[&[SOFTIRQ]],
        Does::Raise,
        "makes a softirq pending on this CPU",
    ),
    call(
        "raise_softirq_irqoff",
        &[&[SOFTIRQ]],
        Does::Raise,
        "raise_softirq()",
    ),
    call(
        "tasklet_schedule",
        &[&[SOFTIRQ]],
        Does::Raise,
        "makes a tasklet (a softirq source) pending on this CPU",
    ),
    call(
        "tasklet_hi_schedule",
        &[&[SOFTIRQ]],
        Does::Raise,
        "tasklet_schedule()",
    ),
    call(
        "tasklet_kill",
        &[&[SOFTIRQ]],
        Does::Sync(true, false, true),
        "sleeps until the tasklet has run and is not pending",
    ),
    call(
        "tasklet_disable",
        &[&[SOFTIRQ]],
        Does::Mask(true, Some(true)),
        "the tasklet does not start any more; waits for it",
    ),
    call(
        "tasklet_disable_nosync",
        &[&[SOFTIRQ]],
        Does::Mask(true, None),
        "the tasklet does not start any more",
    ),
    call(
        "tasklet_enable",
        &[&[SOFTIRQ]],
        Does::Mask(false, None),
        "the tasklet may start again",
    ),
    call(
        "mod_timer",
        &[&[TIMER, Arg::Ignored]],
        Does::Raise,
        "arms a timer on this CPU; it fires at any time from here on",
    ),
    call(
        "add_timer",
        &[&[TIMER]],
        Does::Raise,
        "arms a timer on this CPU",
    ),
    call(
        "add_timer_on",
        &[&[TIMER, Arg::Value]],
        Does::Raise,
        "arms a timer on a CPU",
    ),
    call(
        "del_timer",
        &[&[TIMER]],
        Does::Cancel,
        "disarms a timer; one that runs goes on",
    ),
    call("timer_delete", &[&[TIMER]], Does::Cancel, "del_timer()"),
    call(
        "try_to_del_timer_sync",
        &[&[TIMER]],
        Does::Cancel,
        "del_timer()",
    ),
    call(
        "del_timer_sync",
        &[&[TIMER]],
        Does::Sync(false, true, false),
        "disarms a timer and spins until it does not run",
    ),
    call(
        "timer_delete_sync",
        &[&[TIMER]],
        Does::Sync(false, true, false),
        "del_timer_sync()",
    ),
    call(
        "timer_shutdown_sync",
        &[&[TIMER]],
        Does::Sync(false, true, false),
        "del_timer_sync()",
    ),
    call(
        "hrtimer_start",
        &[&[TIMER, Arg::Rest]],
        Does::Raise,
        "arms an hrtimer, which is an irq source",
    ),
    call(
        "hrtimer_cancel",
        &[&[TIMER]],
        Does::Sync(false, true, false),
        "disarms an hrtimer and spins until it does not run",
    ),
    call(
        "hrtimer_try_to_cancel",
        &[&[TIMER]],
        Does::Cancel,
        "disarms an hrtimer",
    ),
    call(
        "schedule_work",
        &[&[WORK]],
        Does::Raise,
        "queues a work item on this CPU, or the one it is declared on",
    ),
    call(
        "schedule_work_on",
        &[&[Arg::Value, WORK]],
        Does::Raise,
        "queues a work item on a CPU",
    ),
    call(
        "queue_work",
        &[&[Arg::Ignored, WORK]],
        Does::Raise,
        "schedule_work(); the queue is not looked at",
    ),
    call(
        "queue_work_on",
        &[&[Arg::Value, Arg::Ignored, WORK]],
        Does::Raise,
        "schedule_work_on()",
    ),
    call(
        "schedule_delayed_work",
        &[&[WORK, Arg::Ignored]],
        Does::Raise,
        "schedule_work(): it runs at any time from here on",
    ),
    call(
        "schedule_delayed_work_on",
        &[&[Arg::Value, WORK, Arg::Ignored]],
        Does::Raise,
        "schedule_work_on()",
    ),
    call(
        "queue_delayed_work",
        &[&[Arg::Ignored, WORK, Arg::Ignored]],
        Does::Raise,
        "schedule_work()",
    ),
    call(
        "mod_delayed_work",
        &[&[Arg::Ignored, WORK, Arg::Ignored]],
        Does::Raise,
        "schedule_work()",
    ),
    call(
        "flush_work",
        &[&[WORK]],
        Does::Sync(true, false, true),
        "sleeps until a work item has run and is not pending",
    ),
    call(
        "flush_delayed_work",
        &[&[WORK]],
        Does::Sync(true, false, true),
        "flush_work()",
    ),
    call(
        "cancel_work",
        &[&[WORK]],
        Does::Cancel,
        "withdraws a work item that is pending",
    ),
    call(
        "cancel_delayed_work",
        &[&[WORK]],
        Does::Cancel,
        "cancel_work()",
    ),
    call(
        "cancel_work_sync",
        &[&[WORK]],
        Does::Sync(false, true, true),
        "withdraws a work item and sleeps until it does not run",
    ),
    call(
        "cancel_delayed_work_sync",
        &[&[WORK]],
        Does::Sync(false, true, true),
        "cancel_work_sync()",
    ),
    call(
        "disable_work_sync",
        &[&[WORK]],
        Does::Sync(false, true, true),
        "cancel_work_sync()",
    ),
    call(
        "flush_scheduled_work",
        &[&[]],
        Does::FlushAll,
        "sleeps until no work item is pending or runs",
    ),
    call(
        "flush_workqueue",
        &[&[Arg::Ignored]],
        Does::FlushAll,
        "flush_scheduled_work(); all work items are in one queue",
    ),
    call(
        "drain_workqueue",
        &[&[Arg::Ignored]],
        Does::FlushAll,
        "flush_workqueue()",
    ),
    call(
        "destroy_workqueue",
        &[&[Arg::Ignored]],
        Does::FlushAll,
        "flush_workqueue()",
    ),
    call(
        "work_busy",
        &[&[WORK]],
        Does::Value(Value::IsActive),
        "1 if a work item is pending or runs",
    ),
    call(
        "irq_work_queue",
        &[&[IRQ]],
        Does::Raise,
        "makes an irq source pending on this CPU",
    ),
    call(
        "irq_work_queue_on",
        &[&[IRQ, Arg::Value]],
        Does::Raise,
        "makes an irq source pending on a CPU",
    ),
    call(
        "irq_work_sync",
        &[&[IRQ]],
        Does::Sync(true, false, false),
        "spins until it has run",
    ),
    call(
        "synchronize_irq",
        &[&[IRQ]],
        Does::Sync(false, false, true),
        "sleeps until the interrupt's handler runs nowhere",
    ),
    call(
        "synchronize_hardirq",
        &[&[IRQ]],
        Does::Sync(false, false, false),
        "spins until the interrupt's handler runs nowhere",
    ),
    call(
        "disable_irq",
        &[&[IRQ]],
        Does::Mask(true, Some(true)),
        "the interrupt does not come any more; waits for its handler",
    ),
    call(
        "disable_irq_nosync",
        &[&[IRQ]],
        Does::Mask(true, None),
        "the interrupt does not come any more",
    ),
    call(
        "disable_hardirq",
        &[&[IRQ]],
        Does::Mask(true, Some(false)),
        "disable_irq() that spins, from any context",
    ),
    call(
        "enable_irq",
        &[&[IRQ]],
        Does::Mask(false, None),
        "the interrupt may come again",
    ),
    call(
        "free_irq",
        &[&[IRQ], &[IRQ, Arg::Ignored]],
        Does::Mask(true, Some(true)),
        "disable_irq()",
    ),
    call(
        "wake_up_process",
        &[&[TASK]],
        Does::Raise,
        "starts a `task NAME raised`",
    ),
];
