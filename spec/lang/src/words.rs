//! The words of the language, for editors and the reference; and a scenario to start from.

use crate::calls::{self, Call};

/// Words at top level.
pub const ITEMS: &[&str] = &[
    "scenario",
    "cpus",
    "preempt",
    "expect",
    "rule",
    "invariant",
    "enum",
    "percpu",
    "task",
    "irq",
    "softirq",
    "timer",
    "nmi",
    "work",
    "stopper",
    "on",
    "any",
    "times",
    "raised",
    "in",
    "reader_pref",
    "fair",
    "strict",
    "none",
    "full",
    "ok",
    "violated",
    "static",
    "const",
    "void",
];

/// Words in bodies.
pub const STATEMENTS: &[&str] = &[
    "if",
    "else",
    "while",
    "do",
    "for_each_cpu",
    "either",
    "or",
    "atomic",
    "assert",
    "goto",
    "return",
    "break",
    "continue",
];

/// Names with a value of their own.
pub const VALUES: &[&str] = &[
    "this_cpu",
    "NR_CPUS",
    "nr_cpu_ids",
    "true",
    "false",
    "NULL",
    "cpu_online_mask",
];

/// Types.
pub const TYPES: &[&str] = &[
    "bool",
    "int",
    "unsigned",
    "long",
    "u32",
    "u64",
    "cpumask_t",
    "atomic_t",
    "spinlock_t",
    "raw_spinlock_t",
    "rwlock_t",
    "seqcount_t",
    "seqlock_t",
    "call_single_data_t",
    "wait_queue_head_t",
    "struct mutex",
    "struct rw_semaphore",
    "struct semaphore",
    "struct completion",
    "struct srcu_struct",
    "struct rcu_head",
];

/// Every word that is no call: what an editor colours as a keyword.
#[must_use]
pub fn keywords() -> Vec<&'static str> {
    [ITEMS, STATEMENTS, VALUES, TYPES].concat()
}

/// The kernel's calls in groups, each with how it is written and what it does.
#[must_use]
pub fn calls() -> &'static [(&'static str, &'static [Call])] {
    calls::GROUPS
}

/// Calls of the kernel that are known and refused, and what to write instead. A `*` at the end stands for any rest.
#[must_use]
pub fn refused() -> &'static [(&'static str, &'static str)] {
    calls::refused::REFUSED
}

/// A commented scenario called `name`, to be changed into one's own. It reads and has the verdict that it expects.
#[must_use]
pub fn new_template(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(|c| !c.is_control() && *c != '"' && *c != '\\')
        .collect();
    format!(
        r#"// Which commit, mail or driver this is about.
// What can go wrong, in a sentence.
scenario "{name}";
cpus 2;                          // CPU0 and CPU1; NR_CPUS in expressions
expect violated no_deadlock;     // or: expect ok;

// Locks and state. Also: raw_spinlock_t, rwlock_t, struct mutex, struct rw_semaphore,
// struct completion, seqlock_t, atomic_t, cpumask_t, int n in 0..3, percpu bool x.
spinlock_t lock;
bool stale = 1;

// A function is inlined where it is called. One that is called on other CPUs runs there as an interrupt.
void flush(void *info)
{{
    stale = false;
}}

// What can run: task, irq, softirq, timer, nmi, work, stopper; `on CPU0` or `on any` (one on every CPU),
// `times 2`, `raised` (only when raise_irq(), schedule_work(), mod_timer() ... start it).
task updater on CPU0 {{
    spin_lock(&lock);
    smp_call_function(flush, NULL, 1);       // waits until CPU1 has answered
    assert(!stale);
    spin_unlock(&lock);
}}

// Interrupts are off while this one waits for the lock: it never answers. With spin_lock() it does.
task reader on CPU1 {{
    spin_lock_irqsave(&lock, flags);
    spin_unlock_irqrestore(&lock, flags);
}}
"#
    )
}
