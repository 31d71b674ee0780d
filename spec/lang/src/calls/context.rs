//! What is switched off on this CPU, and RCU.

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

const NONE: &[&[Arg]] = &[&[]];
const FLAGS: &[&[Arg]] = &[&[Arg::Flags]];

/// The calls.
pub static CALLS: &[Call] = &[
    call(
        "local_irq_save",
        FLAGS,
        Does::IrqSave,
        "saves the interrupt flag, turns interrupts off",
    ),
    call(
        "local_irq_restore",
        FLAGS,
        Does::IrqRestore,
        "restores the interrupt flag",
    ),
    call(
        "local_irq_disable",
        NONE,
        Does::IrqOff(true),
        "turns interrupts off on this CPU",
    ),
    call(
        "local_irq_enable",
        NONE,
        Does::IrqOff(false),
        "turns interrupts on on this CPU",
    ),
    call("cli", NONE, Does::IrqOff(true), "local_irq_disable()"),
    call("sti", NONE, Does::IrqOff(false), "local_irq_enable()"),
    call(
        "local_bh_disable",
        NONE,
        Does::BhOff(true),
        "no softirq starts on this CPU",
    ),
    call(
        "local_bh_enable",
        NONE,
        Does::BhOff(false),
        "softirqs may start again",
    ),
    call(
        "preempt_disable",
        NONE,
        Does::PreemptOff(true),
        "no other task starts on this CPU",
    ),
    call(
        "preempt_enable",
        NONE,
        Does::PreemptOff(false),
        "other tasks may start again",
    ),
    call(
        "preempt_enable_no_resched",
        NONE,
        Does::PreemptOff(false),
        "preempt_enable()",
    ),
    call(
        "pagefault_disable",
        NONE,
        Does::PreemptOff(true),
        "preempt_disable(), as it was before 3.x",
    ),
    call(
        "pagefault_enable",
        NONE,
        Does::PreemptOff(false),
        "preempt_enable()",
    ),
    call(
        "migrate_disable",
        NONE,
        Does::Nothing,
        "nothing: a task stays on its CPU",
    ),
    call(
        "migrate_enable",
        NONE,
        Does::Nothing,
        "nothing: a task stays on its CPU",
    ),
    call(
        "get_cpu",
        NONE,
        Does::GetCpu,
        "preempt_disable(); gives this CPU",
    ),
    call("put_cpu", NONE, Does::PreemptOff(false), "ends get_cpu()"),
    call(
        "rcu_read_lock",
        NONE,
        Does::Rcu(true),
        "opens an RCU reader section",
    ),
    call("rcu_read_unlock", NONE, Does::Rcu(false), "closes it"),
    call(
        "rcu_read_lock_bh",
        NONE,
        Does::RcuBh(true),
        "rcu_read_lock() with bottom halves off",
    ),
    call(
        "rcu_read_unlock_bh",
        NONE,
        Does::RcuBh(false),
        "ends rcu_read_lock_bh()",
    ),
    call(
        "rcu_read_lock_sched",
        NONE,
        Does::RcuSched(true),
        "rcu_read_lock() with preemption off",
    ),
    call(
        "rcu_read_unlock_sched",
        NONE,
        Does::RcuSched(false),
        "ends rcu_read_lock_sched()",
    ),
    call(
        "synchronize_rcu",
        NONE,
        Does::SynchronizeRcu,
        "sleeps until every reader section that is open now has closed, and every CPU that has preemption, bottom halves or interrupts off now, or runs a handler, has left that; with `preempt none` until every other CPU has switched, slept or idled",
    ),
    call(
        "synchronize_rcu_expedited",
        NONE,
        Does::SynchronizeRcu,
        "synchronize_rcu()",
    ),
    call(
        "synchronize_net",
        NONE,
        Does::SynchronizeRcu,
        "synchronize_rcu()",
    ),
    call(
        "synchronize_sched",
        NONE,
        Does::SynchronizeRcu,
        "synchronize_rcu(), as since 4.20",
    ),
    call(
        "irqs_disabled",
        NONE,
        Does::Value(Value::IrqsDisabled),
        "1 if interrupts are off on this CPU",
    ),
    call(
        "in_interrupt",
        NONE,
        Does::Value(Value::InInterrupt),
        "1 in a softirq, interrupt or NMI, and where bottom halves are off",
    ),
    call(
        "in_task",
        NONE,
        Does::Value(Value::InTask),
        "1 in a task, work item or stopper",
    ),
    call(
        "in_hardirq",
        NONE,
        Does::Value(Value::InHardirq),
        "1 in an interrupt or IPI handler",
    ),
    call(
        "in_irq",
        NONE,
        Does::Value(Value::InHardirq),
        "1 in an interrupt or IPI handler",
    ),
    call(
        "in_serving_softirq",
        NONE,
        Does::Value(Value::InSoftirq),
        "1 in a softirq, tasklet or timer function",
    ),
    call("in_nmi", NONE, Does::Value(Value::InNmi), "1 in an NMI"),
    call(
        "lockdep_assert_irqs_disabled",
        NONE,
        Does::AssertIrqs(true),
        "an assertion that interrupts are off",
    ),
    call(
        "lockdep_assert_irqs_enabled",
        NONE,
        Does::AssertIrqs(false),
        "an assertion that interrupts are on",
    ),
];
