//! What `shootdown new NAME` writes.

/// A commented scenario that is checked as it stands, called `name`.
pub fn template(name: &str) -> String {
    TEMPLATE.replace("NAME", name)
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
