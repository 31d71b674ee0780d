//! The words of the language, for editors and the reference; and a scenario to start from.

use crate::calls::{self, Call};

/// Words at top level.
pub const ITEMS: &[&str] = &[
    "scenario",
    "cpus",
    "preempt",
    "memory",
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
    TEMPLATE.replace("NAME", &name)
}

const TEMPLATE: &str = r#"// Where this comes from: a commit, a mail, a function and its file.
// What is asked, in a sentence: can the two below wait for each other?
scenario "NAME";
cpus 2;                                  // as few as show it: 2 or 3
// preempt none;                         // a task runs until it sleeps; the default is `preempt full`
expect ok;                               // or: expect violated no_deadlock;   a gate for CI either way

spinlock_t table_lock;                   // rwlock_t, struct mutex, struct rw_semaphore, struct completion, ...
cpumask_t flush_cpumask;                 // sets of CPUs; int, bool, atomic_t; int n in 0..3 is checked
bool young = 1;                          // `percpu int x;` is one for each CPU, `int a[2];` an array

// A function runs where it is called, or as an IPI handler where it is sent.
void flush_interrupt(void)
{
    cpumask_clear_cpu(smp_processor_id(), &flush_cpumask);
}

// What runs: task, irq, softirq, timer, nmi, work, stopper; `on CPU0` or `on any`; `times 2`; `raised`.
task page_aging on CPU0 {
    bool flush = false;
    spin_lock(&table_lock);
    if (young) {
        young = false;
        flush = true;
    }
    spin_unlock(&table_lock);
    if (flush) {                         // try it with the unlock below this block
        flush_cpumask = BIT(1);
        send_ipi(flush_cpumask, flush_interrupt);
        while (!cpumask_empty(flush_cpumask)) cpu_relax();
    }
}

task table_walk on CPU1 {
    spin_lock_irqsave(&table_lock, flags);
    assert(irqs_disabled());             // must be so whenever this line is reached
    spin_unlock_irqrestore(&table_lock, flags);
}

// Of every reachable state:
// invariant one_at_a_time: !(a && b);
"#;
