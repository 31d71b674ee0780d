//! Every call of the table can be written in every form that it promises.

use shootdown_lang::calls::{Arg, Call, Sort};
use shootdown_lang::{calls, parse};

fn argument(call: &Call, arg: Arg) -> String {
    match arg {
        Arg::Object(sort) => format!("&an_{}", sort.written().replace("struct ", "")),
        Arg::AnyLock => "&an_spinlock_t".to_owned(),
        Arg::Flags => "flags".to_owned(),
        Arg::Value => "1".to_owned(),
        Arg::Condition => "x == 1".to_owned(),
        Arg::Mask => "cpu_online_mask".to_owned(),
        Arg::Number if call.name.starts_with("this_cpu") || call.name == "per_cpu_ptr" => {
            "&p".to_owned()
        }
        Arg::Number => "&n".to_owned(),
        Arg::Variable => "p".to_owned(),
        Arg::MaskPlace => "&mask".to_owned(),
        Arg::Function => "f".to_owned(),
        Arg::Wait => "1".to_owned(),
        Arg::Source(kinds) => format!("&a_{}", kinds[0]),
        Arg::Ignored => "NULL".to_owned(),
        Arg::Rest => "\"text %d\", 1".to_owned(),
    }
}

const DECLARATIONS: &str = "scenario \"t\"; cpus 2;
spinlock_t an_spinlock_t; raw_spinlock_t an_raw_spinlock_t; rwlock_t an_rwlock_t; struct mutex an_mutex;
struct rw_semaphore an_rw_semaphore; struct semaphore an_semaphore; struct completion an_completion;
seqcount_t an_seqcount_t; seqlock_t an_seqlock_t; call_single_data_t an_call_single_data_t; wait_queue_head_t an_wait_queue_head_t;
struct srcu_struct an_srcu_struct; struct rcu_head an_rcu_head;
int x, n; percpu int p; cpumask_t mask;
void f(void *info) { x = 1; }
irq a_irq on any raised { } softirq a_softirq on any raised { } timer a_timer on any raised { } work a_work on any { }
task a_task on any raised { }
";

#[test]
fn every_form_of_every_call_is_lowered() {
    let mut count = 0;
    for (group, list) in calls() {
        for call in *list {
            for form in call.forms {
                let arguments: Vec<String> = form.iter().map(|&arg| argument(call, arg)).collect();
                let written = format!("{}({})", call.name, arguments.join(", "));
                let statement = if call.gives() {
                    format!("x = {written};")
                } else {
                    format!("{written};")
                };
                // What is restored was saved.
                let text = format!(
                    "{DECLARATIONS}task t on CPU0 {{\n    local_irq_save(flags);\n    local_irq_restore(flags);\n    {statement}\n}}\n"
                );
                let read = parse(&text, "t.sd")
                    .unwrap_or_else(|errors| panic!("{group}: {}", errors.render(false)));
                shootdown_ir::compile::compile(&read.protocol)
                    .unwrap_or_else(|error| panic!("{written}: {error}"));
                count += 1;
            }
        }
    }
    assert!(count > 330, "{count} forms");
}

#[test]
fn a_call_says_how_it_is_written_and_what_it_does() {
    for (_, list) in calls() {
        for call in *list {
            assert!(call.written().starts_with(call.name));
            assert!(call.doc.len() > 3, "{}", call.name);
        }
    }
    let lock = calls()
        .iter()
        .flat_map(|(_, list)| *list)
        .find(|call| call.name == "spin_lock_irqsave")
        .expect("in the table");
    assert_eq!(lock.written(), "spin_lock_irqsave(&lock, flags)");
    assert!(!lock.sleeps());
    assert_eq!(Sort::Mutex.written(), "struct mutex");
}

/// What a kernel engineer types from habit.
#[test]
fn kernel_style_is_read_as_it_is() {
    let text = r#"
/* SPDX-License-Identifier: GPL-2.0 */
scenario "style";
cpus 4;

static DEFINE_SPINLOCK(a_lock);
static DEFINE_RAW_SPINLOCK(b_lock);
static DEFINE_MUTEX(m);
static DECLARE_RWSEM(sem);
static DEFINE_PER_CPU(int, counter) = 3;
static DEFINE_PER_CPU(spinlock_t, pcpu_lock);
static DECLARE_COMPLETION(done);
static DECLARE_WAIT_QUEUE_HEAD(wq);
static DEFINE_SEQLOCK(sl);
static atomic_t refs = ATOMIC_INIT(1);
static const int limit = 3;
enum state { IDLE, BUSY = 4, DEAD };
static enum state st = IDLE;
static volatile unsigned long word;
u32 table[4] = { 1, 2, 3 };
rwlock_t rw fair;
percpu int row[2];

static void work_fn(void *info);

static inline void bump(int *v, int by)
{
	*v += by;
}

static void locked(spinlock_t *lock, unsigned long n)
{
	unsigned long flags;

	if (n > 2)
		return;
	spin_lock_irqsave(lock, flags);
	bump(&table[n], 2);
	spin_unlock_irqrestore(lock, flags);
}

static void work_fn(void *info)
{
	this_cpu_inc(counter);
	complete(&done);
}

task worker on CPU0
{
	int cpu, i = 0, ret, seq;
	bool ok = true;

	cpu = get_cpu();
	per_cpu(counter, cpu)++;
	*this_cpu_ptr(&counter) = 1;
	row[1] = i;
	per_cpu(row[0], 2) = 4;
	put_cpu();
	for_each_online_cpu(cpu) {
		if (cpu == smp_processor_id())
			continue;
		smp_call_function_single(cpu, work_fn, NULL, 1);
	}
	while (i < limit) {
		locked(&a_lock, i);
		i++;
	}
	ret = mutex_lock_interruptible(&m);
	if (ret)
		goto out;
	if (!spin_trylock(&a_lock)) {
		mutex_unlock(&m);
		return;
	} else if (atomic_read(&refs) > 5 && ok) {
		st = BUSY;
	} else
		st = DEAD;
	spin_unlock(&a_lock);
	mutex_unlock(&m);
	do {
		seq = read_seqbegin(&sl);
	} while (read_seqretry(&sl, seq));
	if (atomic_dec_and_test(&refs))
		wake_up_all(&wq);
	word |= BIT(3) | (1UL << 2);
	word = st == DEAD ? 0x10 : 020;
	if (likely(!test_and_set_bit(0, &word)) || unlikely(in_interrupt()))
		clear_bit(0, &word);
	write_seqlock(&sl); write_sequnlock(&sl);
	spin_lock(per_cpu_ptr(&pcpu_lock, 1));
	spin_unlock(&per_cpu(pcpu_lock, 1));
out:
	WARN_ON(ret > 0);
	pr_info("done %d\n", ret);
}

task waiter on CPU1
{
	int left;

	wait_for_completion(&done);
	wait_event(wq, atomic_read(&refs) == 0);
	left = wait_event_timeout(wq, st != IDLE, 10);
	down_read(&sem);
	up_read(&sem);
	raw_spin_lock_irq(&b_lock);
	raw_spin_unlock_irq(&b_lock);
	while (atomic_cmpxchg(&refs, 0, 1) != 0)
		cpu_relax();
	read_lock(&rw); read_unlock(&rw);
	BUG_ON(left < 0);
}
"#;
    match parse(text, "style.sd") {
        Ok(read) => {
            shootdown_ir::compile::compile(&read.protocol).expect("a protocol that compiles");
        }
        Err(errors) => panic!("{}", errors.render(false)),
    }
}

fn violated(text: &str) -> Vec<String> {
    let read = parse(text, "t.sd").unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    let system = shootdown_ir::compile::compile(&read.protocol).expect("a protocol that compiles");
    let machine = shootdown_ir::machine::Machine::new(&system);
    let outcome = shootdown_ir::check::check(
        &read.protocol,
        &machine,
        shootdown_ir::explore::Bounds {
            states: Some(100_000),
            ..Default::default()
        },
    );
    assert_eq!(outcome.cut(), None);
    outcome
        .violated()
        .map(|result| result.name.clone())
        .collect()
}

/// Somebody else holds the lock at that moment: it is not the caller's.
#[test]
fn lockdep_assert_held_asks_for_a_lock_of_the_callers_own() {
    let text = "scenario \"t\"; cpus 2; spinlock_t l;
void f(void) { lockdep_assert_held(&l); }
task holder on CPU0 { spin_lock(&l); f(); spin_unlock(&l); }
task other on CPU1 { while (!spin_is_locked(&l)) cpu_relax(); f(); }";
    assert!(violated(text).contains(&"assertion".to_owned()));
    let own = text.replace("cpu_relax(); f();", "cpu_relax();");
    assert!(!violated(&own).contains(&"assertion".to_owned()));
}

/// The condition becomes true and nobody wakes the sleeper: with a queue it sleeps on, as in the kernel.
#[test]
fn a_wake_up_that_is_forgotten_leaves_the_waiter_asleep() {
    let text = "scenario \"t\"; cpus 2; wait_queue_head_t wq; bool ready;
task waiter on CPU0 { wait_event(wq, ready); }
task waker on CPU1 { ready = true; WAKE }";
    assert!(violated(&text.replace("WAKE", "")).contains(&"no_deadlock".to_owned()));
    assert_eq!(
        violated(&text.replace("WAKE", "wake_up(&wq);")),
        Vec::<String>::new()
    );
    assert_eq!(
        violated(&text.replace("WAKE", "").replace("wq, ready", "ready")),
        Vec::<String>::new()
    );
}

/// An interrupt without `times` comes more than once: two can be counted.
#[test]
fn an_interrupt_without_a_count_comes_again() {
    let text = "scenario \"t\"; cpus 1; int n in 0..3;
irq tick on CPU0 { if (n < 3) n++; assert(n < 3); }
task t on CPU0 { }";
    assert!(violated(text).contains(&"assertion".to_owned()));
}

#[test]
fn what_a_function_that_nobody_calls_does_with_rcu_is_forgotten() {
    let text = "scenario \"t\"; cpus 2; struct rcu_head h; int x;
void cb(struct rcu_head *p) { x = 1; }
void unused(void) { call_rcu(&h, cb); rcu_barrier(); }
task t on CPU0 { rcu_barrier(); }
";
    let read = parse(text, "t.sd").unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    assert_eq!(read.protocol.sources.len(), 1);
    shootdown_ir::compile::compile(&read.protocol).expect("no source is missing");
}
