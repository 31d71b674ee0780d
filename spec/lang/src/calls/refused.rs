//! Calls of the kernel that are known and cannot be expressed, and what to write instead.

/// A name, or the start of one if it ends with `*`; and the replacement.
pub static REFUSED: &[(&str, &str)] = &[
    (
        "call_rcu_tasks*",
        "Tasks RCU is not modelled: declare `struct rcu_head head;` and write call_rcu(&head, func)",
    ),
    (
        "synchronize_rcu_tasks*",
        "Tasks RCU is not modelled: write synchronize_rcu(), or wait_event() for what it waits for",
    ),
    (
        "kfree_rcu*",
        "nobody waits for it: delete it, or write call_rcu(&head, func) with a function that sets what an assertion reads",
    ),
    (
        "call_srcu",
        "call synchronize_srcu(&srcu) in a `work NAME { ... }` that does the rest, and schedule_work(&NAME) here",
    ),
    (
        "srcu_barrier",
        "flush_work() the work item that calls synchronize_srcu()",
    ),
    (
        "alloc_ordered_workqueue*",
        "each work item is a thread of its own: declare a `struct mutex queue;` and take it first in every item of an ordered queue",
    ),
    (
        "create_singlethread_workqueue*",
        "each work item is a thread of its own: declare a `struct mutex queue;` and take it first in every item of the queue",
    ),
    (
        "alloc_workqueue*",
        "queues have no name here: delete it; queue_work(system_wq, &NAME) works without",
    ),
    (
        "prepare_to_wait*",
        "write wait_event(queue, condition), which prepares, waits and finishes",
    ),
    (
        "finish_wait",
        "write wait_event(queue, condition), which prepares, waits and finishes",
    ),
    ("add_wait_queue*", "write wait_event(queue, condition)"),
    ("remove_wait_queue", "write wait_event(queue, condition)"),
    (
        "set_current_state",
        "write wait_event(condition), or `while (!condition) schedule();`",
    ),
    (
        "__set_current_state",
        "write wait_event(condition), or `while (!condition) schedule();`",
    ),
    ("wait_on_bit*", "write wait_event(!test_bit(n, &word))"),
    (
        "wake_up_bit",
        "clear the bit: wait_event(condition) without a queue needs no wake-up",
    ),
    (
        "wait_event_lock_irq*",
        "write the loop: `while (!condition) { spin_unlock_irq(&l); wait_event(condition); spin_lock_irq(&l); }`",
    ),
    (
        "bit_spin_*",
        "declare a `spinlock_t` in its place: it blocks in the same way",
    ),
    (
        "local_lock*",
        "write preempt_disable(), or local_irq_disable(): without PREEMPT_RT it is no more",
    ),
    (
        "local_unlock*",
        "write preempt_enable(), or local_irq_enable()",
    ),
    (
        "ww_mutex_*",
        "take the mutexes with mutex_lock() in the order you want to check, and mutex_trylock() where it backs off",
    ),
    (
        "kthread_*",
        "declare `task NAME raised { ... }` and start it with wake_up_process(&NAME)",
    ),
    (
        "kmalloc*",
        "write might_sleep() where the allocation may sleep (GFP_KERNEL), nothing where it may not (GFP_ATOMIC)",
    ),
    (
        "kzalloc*",
        "write might_sleep() where the allocation may sleep (GFP_KERNEL), nothing where it may not (GFP_ATOMIC)",
    ),
    ("vmalloc*", "write might_sleep()"),
    (
        "alloc_page*",
        "write might_sleep() where the allocation may sleep",
    ),
    (
        "get_free_page*",
        "write might_sleep() where the allocation may sleep",
    ),
    (
        "kfree*",
        "delete it, or set a variable that an assertion reads: `freed = true;`",
    ),
    ("vfree*", "write might_sleep()"),
    ("copy_from_user*", "write might_sleep()"),
    ("copy_to_user*", "write might_sleep()"),
    ("get_user*", "write might_sleep()"),
    ("put_user*", "write might_sleep()"),
    (
        "mm_cpumask",
        "declare the set: `cpumask_t mm_cpumask = 3;`, and write `mm_cpumask`",
    ),
    (
        "try_cmpxchg*",
        "write `old = cmpxchg(&v, expected, new);` and compare",
    ),
    (
        "atomic_try_cmpxchg*",
        "write `old = atomic_cmpxchg(&v, expected, new);` and compare",
    ),
    (
        "kref_*",
        "use an atomic_t: atomic_inc(&ref), and `if (atomic_dec_and_test(&ref)) ...`",
    ),
    (
        "list_*",
        "there are no lists: use an array of states, `int state[4];`",
    ),
    (
        "hlist_*",
        "there are no lists: use an array of states, `int state[4];`",
    ),
    (
        "llist_*",
        "there are no lists: use an array of states, `int state[4];`",
    ),
    (
        "in_atomic",
        "write irqs_disabled() or in_interrupt(); the preempt count cannot be read",
    ),
    (
        "preempt_count",
        "write irqs_disabled() or in_interrupt(); the preempt count cannot be read",
    ),
    (
        "preemptible",
        "write irqs_disabled() or in_interrupt(); the preempt count cannot be read",
    ),
    (
        "lockdep_assert_preemption_*",
        "delete it: sleeping where preemption is off is always reported",
    ),
    (
        "need_resched",
        "delete it: another task may run at any step where preemption allows it",
    ),
    (
        "smp_send_reschedule",
        "it carries no function: delete it, or write send_ipi(mask, handler) with a handler",
    ),
    (
        "resched_cpu",
        "delete it: another task may run at any step where preemption allows it",
    ),
    (
        "stop_two_cpus",
        "declare a `stopper NAME on any raised { ... }` and queue it with raise_irq(NAME, cpu) on both, preemption off",
    ),
    (
        "stop_cpus",
        "declare a `stopper NAME on any raised { ... }` and queue it with raise_irq(NAME, cpu) on each, preemption off",
    ),
    (
        "on_each_cpu_cond*",
        "compute the set and write on_each_cpu_mask(&mask, f, wait)",
    ),
    (
        "smp_call_on_cpu",
        "declare a `work NAME on any { ... }`; write schedule_work_on(cpu, &NAME) and flush_work(&NAME)",
    ),
    (
        "work_on_cpu*",
        "declare a `work NAME on any { ... }`; write schedule_work_on(cpu, &NAME) and flush_work(&NAME)",
    ),
    (
        "schedule_on_each_cpu",
        "declare a `work NAME on any { ... }`; write for_each_cpu (c, cpu_online_mask) schedule_work_on(c, &NAME); and flush_work(&NAME)",
    ),
    (
        "timer_pending",
        "keep a variable of your own: `armed = true;` beside mod_timer()",
    ),
    (
        "work_pending",
        "write work_busy(&work), which is 1 while it runs, too",
    ),
    ("panic", "write assert(0)"),
    ("BUG", "write assert(0)"),
    ("unreachable", "write assert(0)"),
    ("signal_pending*", "let `either { ... } or { ... }` choose"),
    ("get_random*", "let `either { ... } or { ... }` choose"),
    ("prandom_*", "let `either { ... } or { ... }` choose"),
    (
        "time_after*",
        "time is not modelled: let `either { ... } or { ... }` choose",
    ),
    (
        "time_before*",
        "time is not modelled: let `either { ... } or { ... }` choose",
    ),
    ("ktime_*", "time is not modelled: delete it"),
    ("spin_until_cond", "write `while (!condition) cpu_relax();`"),
    ("smp_cond_load_*", "write `while (!condition) cpu_relax();`"),
    (
        "flush_tlb_*",
        "write what it does: `smp_call_function_many(mask, flush_tlb_func, 1);`",
    ),
    (
        "flush_icache_*",
        "write what it does: `on_each_cpu(flush, 1);`",
    ),
    ("spin_lock_mutex", "write spin_lock()"),
    (
        "read_poll_timeout*",
        "write wait_event_timeout(queue, condition, 1)",
    ),
    (
        "seqprop_*",
        "use write_seqcount_begin() and read_seqcount_begin()",
    ),
    (
        "down_timeout",
        "write `if (down_trylock(&s)) ...`: time is not modelled",
    ),
    ("exit", "write `return;`"),
    ("do_exit", "write `return;`"),
];

/// The replacement of a refused call.
#[must_use]
pub fn find(name: &str) -> Option<&'static str> {
    REFUSED
        .iter()
        .find(|(pattern, _)| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => *pattern == name,
        })
        .map(|&(_, help)| help)
}
