//! Completions, wait queues, sleeping.

use super::{Arg, Call, Does, Sort, Value};

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

const COMPLETION: &[&[Arg]] = &[&[Arg::Object(Sort::Completion)]];
const COMPLETION_TIMEOUT: &[&[Arg]] = &[&[Arg::Object(Sort::Completion), Arg::Ignored]];
const EVENT: &[&[Arg]] = &[
    &[Arg::Condition],
    &[Arg::Object(Sort::Queue), Arg::Condition],
];
const EVENT_TIMEOUT: &[&[Arg]] = &[&[Arg::Object(Sort::Queue), Arg::Condition, Arg::Ignored]];
const QUEUE: &[&[Arg]] = &[&[Arg::Object(Sort::Queue)]];

/// The waiting calls.
pub static CALLS: &[Call] = &[
    call(
        "init_completion",
        COMPLETION,
        Does::CompletionInit,
        "nothing is completed yet",
    ),
    call(
        "reinit_completion",
        COMPLETION,
        Does::CompletionInit,
        "nothing is completed any more",
    ),
    call(
        "complete",
        COMPLETION,
        Does::Complete(false),
        "lets one waiter go on; from any context",
    ),
    call(
        "complete_all",
        COMPLETION,
        Does::Complete(true),
        "lets every waiter go on, also those who come later",
    ),
    call(
        "wait_for_completion",
        COMPLETION,
        Does::WaitCompletion(false),
        "waits sleeping for complete()",
    ),
    call(
        "wait_for_completion_io",
        COMPLETION,
        Does::WaitCompletion(false),
        "waits sleeping for complete()",
    ),
    call(
        "wait_for_completion_interruptible",
        COMPLETION,
        Does::WaitCompletion(true),
        "wait_for_completion(): 0, or a signal comes first: -ERESTARTSYS (-512)",
    ),
    call(
        "wait_for_completion_killable",
        COMPLETION,
        Does::WaitCompletion(true),
        "as wait_for_completion_interruptible()",
    ),
    call(
        "wait_for_completion_timeout",
        COMPLETION_TIMEOUT,
        Does::WaitCompletionTimeout,
        "sleeps; 1 if it was completed, 0 if the time was over first: such a wait always ends",
    ),
    call(
        "try_wait_for_completion",
        COMPLETION,
        Does::TryWaitCompletion,
        "takes a completion if there is one: 1, else 0",
    ),
    call(
        "completion_done",
        COMPLETION,
        Does::Value(Value::CompletionDone),
        "1 if something is completed and not waited for yet",
    ),
    call(
        "wait_event",
        EVENT,
        Does::WaitEvent(false),
        "sleeps until the condition is true. With a queue: until wake_up(&queue) finds it true, as in the kernel; without: at once",
    ),
    call(
        "wait_event_interruptible",
        EVENT,
        Does::WaitEvent(true),
        "wait_event(): 0, or a signal comes first: -ERESTARTSYS (-512)",
    ),
    call(
        "wait_event_killable",
        EVENT,
        Does::WaitEvent(true),
        "as wait_event_interruptible()",
    ),
    call(
        "wait_event_timeout",
        EVENT_TIMEOUT,
        Does::WaitEventTimeout,
        "sleeps; 1 if the condition is true, 0 if the time was over first: such a wait always ends",
    ),
    call(
        "wake_up",
        QUEUE,
        Does::WakeUp,
        "wakes those who wait on the queue; from any context",
    ),
    call(
        "wake_up_all",
        QUEUE,
        Does::WakeUp,
        "wakes those who wait on the queue",
    ),
    call(
        "wake_up_interruptible",
        QUEUE,
        Does::WakeUp,
        "wakes those who wait on the queue",
    ),
    call(
        "wake_up_interruptible_all",
        QUEUE,
        Does::WakeUp,
        "wakes those who wait on the queue",
    ),
    call(
        "wake_up_locked",
        QUEUE,
        Does::WakeUp,
        "wakes those who wait on the queue",
    ),
    call(
        "might_sleep",
        &[&[]],
        Does::MightSleep,
        "an assertion that sleeping is allowed: write it for kmalloc(GFP_KERNEL), copy_from_user() and their like",
    ),
    call("might_fault", &[&[]], Does::MightSleep, "might_sleep()"),
    call(
        "schedule",
        &[&[]],
        Does::Yield,
        "another task of this CPU may run first; `while (c) schedule();` sleeps until c is 0",
    ),
    call(
        "yield",
        &[&[]],
        Does::Yield,
        "another task of this CPU may run first",
    ),
    call(
        "cond_resched",
        &[&[]],
        Does::Yield,
        "another task of this CPU may run first",
    ),
    call(
        "schedule_timeout",
        &[&[Arg::Ignored]],
        Does::Yield,
        "another task of this CPU may run first; time is not modelled",
    ),
    call(
        "msleep",
        &[&[Arg::Ignored]],
        Does::Yield,
        "sleeps; time is not modelled",
    ),
    call(
        "usleep_range",
        &[&[Arg::Ignored, Arg::Ignored]],
        Does::Yield,
        "sleeps; time is not modelled",
    ),
    call(
        "ssleep",
        &[&[Arg::Ignored]],
        Does::Yield,
        "sleeps; time is not modelled",
    ),
];
