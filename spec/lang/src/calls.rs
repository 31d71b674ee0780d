//! The kernel's calls: names, arguments, what each does, in one table.
//!
//! An entry says how a call is written and what it lowers to; `lower` has one meaning for each [`Does`]. The kernel's many
//! names for one thing are entries or aliases here and nothing anywhere else. What is known and cannot be expressed is in
//! [`refused`], with what to write instead.

mod access;
mod atomic;
mod context;
mod cross;
mod deferred;
mod locks;
mod masks;
mod rcu;
pub mod refused;
mod values;
mod wait;

use shootdown_ir::Mode;

/// What a call takes at one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arg {
    /// `&lock` of this sort.
    Object(Sort),
    /// `&lock`, any lock.
    AnyLock,
    /// A variable for interrupt flags.
    Flags,
    /// A value.
    Value,
    /// A condition that is evaluated again and again while waiting.
    Condition,
    /// A set of CPUs, `mask` or `&mask`.
    Mask,
    /// `&variable` that is read and written: a number.
    Number,
    /// A variable by its name, of any integer type, as `this_cpu_inc(x)`.
    Variable,
    /// `&mask` that is written.
    MaskPlace,
    /// A function of the file.
    Function,
    /// 0 or 1, a constant.
    Wait,
    /// A source of one of these kinds, `&name` or `name`.
    Source(&'static [&'static str]),
    /// Anything; not looked at.
    Ignored,
    /// Any number of anything.
    Rest,
}

/// Kinds of objects that calls tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// `bool`
    Bool,
    /// `int` and its like.
    Int,
    /// `cpumask_t`
    Mask,
    /// `atomic_t`
    Atomic,
    /// `spinlock_t`
    Spin,
    /// `raw_spinlock_t`
    RawSpin,
    /// `rwlock_t`
    Rw,
    /// `struct mutex`
    Mutex,
    /// `struct rw_semaphore`
    RwSem,
    /// `struct semaphore`
    Sem,
    /// `struct completion`
    Completion,
    /// `seqcount_t`
    Seqcount,
    /// `seqlock_t`
    Seqlock,
    /// `call_single_data_t`
    Csd,
    /// `wait_queue_head_t`
    Queue,
    /// `struct srcu_struct`
    Srcu,
    /// `struct rcu_head`
    RcuHead,
}

impl Sort {
    /// As it is declared.
    #[must_use]
    pub fn written(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Mask => "cpumask_t",
            Self::Atomic => "atomic_t",
            Self::Spin => "spinlock_t",
            Self::RawSpin => "raw_spinlock_t",
            Self::Rw => "rwlock_t",
            Self::Mutex => "struct mutex",
            Self::RwSem => "struct rw_semaphore",
            Self::Sem => "struct semaphore",
            Self::Completion => "struct completion",
            Self::Seqcount => "seqcount_t",
            Self::Seqlock => "seqlock_t",
            Self::Csd => "call_single_data_t",
            Self::Queue => "wait_queue_head_t",
            Self::Srcu => "struct srcu_struct",
            Self::RcuHead => "struct rcu_head",
        }
    }

    /// Whether it holds a value that statements may read and write.
    #[must_use]
    pub fn is_value(self) -> bool {
        matches!(self, Self::Bool | Self::Int | Self::Mask | Self::Atomic)
    }
}

/// What a lock call does beside the lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum With {
    /// Nothing.
    Plain,
    /// Bottom halves off, on.
    Bh,
    /// Interrupts off, on.
    Irq,
    /// Interrupts off and their state saved, restored.
    Save,
}

/// What a read-modify-write does to its variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Reads only.
    Read,
    /// The operand is the new value.
    Set,
    /// Adds the operand, or 1.
    Add,
    /// Subtracts the operand, or 1.
    Sub,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Clears the operand's bits.
    AndNot,
    /// Sets the bit whose number is the operand.
    SetBit,
    /// Clears that bit.
    ClearBit,
    /// Flips that bit.
    FlipBit,
    /// If it is the first operand, stores the second.
    CompareExchange,
    /// Adds the first operand unless it is the second (`atomic_add_unless`; 1 and 0 if there are none).
    AddUnless,
    /// Subtracts 1 unless the result is negative.
    DecIfPositive,
}

/// What a read-modify-write gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gives {
    /// Nothing.
    Nothing,
    /// The value before.
    Old,
    /// The value after.
    New,
    /// 1 if the value after is 0.
    IsZero,
    /// 1 if the value after is negative.
    IsNegative,
    /// The bit before.
    OldBit,
    /// 1 if it was changed.
    Did,
}

/// How a set of CPUs is computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MaskOp {
    /// `dst = 0`
    Clear,
    /// `dst = all`
    SetAll,
    /// `dst = a`
    Copy,
    /// `dst = ~a`
    Complement,
    /// `dst = a & b`
    And,
    /// `dst = a | b`
    Or,
    /// `dst = a ^ b`
    Xor,
    /// `dst = a & ~b`
    AndNot,
}

/// A value that a call computes and that changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// `smp_processor_id()`
    ThisCpu,
    /// `num_online_cpus()`
    Cpus,
    /// The argument itself.
    Same,
    /// `BIT(n)`, `cpumask_of(n)`
    Bit,
    /// `per_cpu(x, cpu)` and its like: handled where places are.
    PerCpu,
    /// `this_cpu_ptr(&x)`, `this_cpu_read(x)`.
    ThisCpuPlace,
    /// `cpumask_empty(m)`
    Empty,
    /// `cpumask_full(m)`
    Full,
    /// `cpumask_weight(m)`
    Weight,
    /// `cpumask_first(m)`
    First,
    /// `cpumask_next(n, m)`
    Next,
    /// `cpumask_any_but(m, cpu)`
    AnyBut,
    /// `cpumask_test_cpu(cpu, m)`
    TestCpu,
    /// `cpumask_equal(a, b)`
    Equal,
    /// `cpumask_subset(a, b)`
    Subset,
    /// `cpumask_intersects(a, b)`
    Intersects,
    /// `test_bit(n, &x)`
    TestBit,
    /// `cpu_online(n)`
    CpuOnline,
    /// `min(a, b)`
    Min,
    /// `max(a, b)`
    Max,
    /// `irqs_disabled()`
    IrqsDisabled,
    /// `in_interrupt()`
    InInterrupt,
    /// `in_task()`
    InTask,
    /// `in_hardirq()`
    InHardirq,
    /// `in_serving_softirq()`
    InSoftirq,
    /// `in_nmi()`
    InNmi,
    /// `spin_is_locked(&l)`
    IsLocked,
    /// `completion_done(&c)`
    CompletionDone,
    /// `read_seqretry(&s, seq)`
    SeqRetry,
    /// `work_busy(&w)`
    IsActive,
}

/// Whom a call on other CPUs goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// Every other CPU.
    Others,
    /// One CPU; here if it is this one.
    One,
    /// Those of a set, without this one.
    Many,
    /// One of a set, this one if it is in it.
    Any,
    /// Every CPU, this one too.
    Each,
    /// Those of a set, this one too if it is in it.
    EachOf,
    /// One CPU, with call data of the caller's, without waiting.
    Csd,
}

/// What a call does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Does {
    /// Nothing: no step.
    Nothing,
    /// A full memory barrier: no step where memory is sequentially consistent.
    Barrier,
    /// A value.
    Value(Value),
    /// Takes a lock.
    Lock(Mode, With),
    /// Takes a lock, or gives -EINTR: a signal may come.
    LockInterruptible(Mode),
    /// Takes a lock if it is free: gives 1, else 0.
    TryLock(Mode, With),
    /// As [`TryLock`](Self::TryLock), but 0 means taken (`down_trylock`).
    Unlock(Mode, With),
    /// A writer becomes a reader.
    Downgrade,
    /// `down()`; with true it may be interrupted.
    Down(bool),
    /// `down_trylock()`: 0 means taken.
    DownTry,
    /// `up()`
    Up,
    /// `init_completion()`
    CompletionInit,
    /// `complete()`; with true `complete_all()`.
    Complete(bool),
    /// `wait_for_completion()`; with true it may be interrupted.
    WaitCompletion(bool),
    /// `wait_for_completion_timeout()`
    WaitCompletionTimeout,
    /// `try_wait_for_completion()`
    TryWaitCompletion,
    /// `read_seqbegin()`: waits for a writer to end.
    SeqBegin,
    /// `raw_seqcount_begin()`: does not wait; odd counts read as even.
    SeqBeginRaw,
    /// `write_seqcount_begin()`
    SeqWriteBegin,
    /// `write_seqcount_end()`
    SeqWriteEnd,
    /// `write_seqlock()`
    SeqLock(With),
    /// `write_sequnlock()`
    SeqUnlock(With),
    /// `read_seqlock_excl()`
    SeqLockExcl(With),
    /// `read_sequnlock_excl()`
    SeqUnlockExcl(With),
    /// `local_irq_save()`
    IrqSave,
    /// `local_irq_restore()`
    IrqRestore,
    /// `local_irq_disable()` (true), `local_irq_enable()`
    IrqOff(bool),
    /// `local_bh_disable()` (true), `local_bh_enable()`
    BhOff(bool),
    /// `preempt_disable()` (true), `preempt_enable()`
    PreemptOff(bool),
    /// `get_cpu()`
    GetCpu,
    /// `rcu_read_lock()` (true), `rcu_read_unlock()`
    Rcu(bool),
    /// `rcu_read_lock_bh()`
    RcuBh(bool),
    /// `rcu_read_lock_sched()`
    RcuSched(bool),
    /// `synchronize_rcu()`
    SynchronizeRcu,
    /// `call_rcu()`
    CallRcu,
    /// `rcu_barrier()`
    RcuBarrier,
    /// `srcu_read_lock()`
    SrcuLock,
    /// `srcu_read_unlock()`
    SrcuUnlock,
    /// `synchronize_srcu()`
    SynchronizeSrcu,
    /// A function on other CPUs.
    Call(To),
    /// `send_ipi(mask, handler)`
    SendIpi,
    /// `stop_machine(f)`; true: under `cpus_read_lock()` of the caller's.
    StopMachine(bool),
    /// `stop_one_cpu(cpu, f)`; waits.
    StopOne(bool),
    /// Starts a source on a CPU: an argument, else this one.
    Raise,
    /// Withdraws a pending source.
    Cancel,
    /// Waits for a source: (a pending one runs first, a pending one is withdrawn, sleeps).
    Sync(bool, bool, bool),
    /// Waits for every work item.
    FlushAll,
    /// A source does not start any more (true); it may be waited for, sleeping or not.
    Mask(bool, Option<bool>),
    /// `cpus_read_lock()`; true: for writing; the second: taken, else released.
    Hotplug(bool, bool),
    /// `wait_event()`; may be interrupted.
    WaitEvent(bool),
    /// `wait_event_timeout()`
    WaitEventTimeout,
    /// `wake_up()`
    WakeUp,
    /// `might_sleep()`
    MightSleep,
    /// `schedule()`, `cond_resched()`, `msleep()`
    Yield,
    /// An assertion: the argument must be 0.
    Bug,
    /// An assertion on interrupts: off (true) or on.
    AssertIrqs(bool),
    /// An assertion that a lock is held.
    AssertHeld,
    /// A read-modify-write.
    Change(Change, Gives),
    /// A set of CPUs.
    MaskOp(MaskOp),
}

/// An entry of the table.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// How it may be written: lists of arguments, the usual one first.
    pub forms: &'static [&'static [Arg]],
    /// What it does.
    pub does: Does,
    /// One line for people.
    pub doc: &'static str,
}

impl Call {
    /// How it is written: `smp_call_function(func, info, wait)`.
    #[must_use]
    pub fn written(&self) -> String {
        let form = self.forms.last().copied().unwrap_or(&[]);
        let args: Vec<String> = form.iter().map(|arg| arg.written()).collect();
        format!("{}({})", self.name, args.join(", "))
    }

    /// Every way to write it.
    pub fn all_written(&self) -> impl Iterator<Item = String> + '_ {
        self.forms.iter().map(|form| {
            let args: Vec<String> = form.iter().map(|arg| arg.written()).collect();
            format!("{}({})", self.name, args.join(", "))
        })
    }

    /// Other names of the same.
    pub fn aliases(&self) -> impl Iterator<Item = &'static str> + '_ {
        let same = values::ALIASES.iter().filter(|(_, of)| *of == self.name);
        same.map(|(alias, _)| *alias)
    }

    /// Whether it gives a value.
    #[must_use]
    pub fn gives(&self) -> bool {
        match self.does {
            Does::Value(_)
            | Does::LockInterruptible(_)
            | Does::TryLock(..)
            | Does::Down(true)
            | Does::DownTry
            | Does::WaitCompletion(true)
            | Does::WaitCompletionTimeout
            | Does::TryWaitCompletion
            | Does::SeqBegin
            | Does::SeqBeginRaw
            | Does::SrcuLock
            | Does::GetCpu
            | Does::WaitEvent(true)
            | Does::WaitEventTimeout
            | Does::Bug => true,
            Does::Change(_, gives) => gives != Gives::Nothing,
            _ => false,
        }
    }

    /// Whether it may sleep.
    #[must_use]
    pub fn sleeps(&self) -> bool {
        let object = |sort| {
            self.forms
                .iter()
                .any(|form| form.contains(&Arg::Object(sort)))
        };
        match self.does {
            Does::Lock(..) | Does::LockInterruptible(_) => {
                object(Sort::Mutex) || object(Sort::RwSem)
            }
            Does::Down(_)
            | Does::WaitCompletion(_)
            | Does::WaitCompletionTimeout
            | Does::SynchronizeRcu
            | Does::RcuBarrier
            | Does::SynchronizeSrcu
            | Does::StopMachine(_)
            | Does::StopOne(true)
            | Does::FlushAll
            | Does::Hotplug(_, true)
            | Does::WaitEvent(_)
            | Does::WaitEventTimeout
            | Does::MightSleep
            | Does::Yield => true,
            Does::Sync(_, _, sleeps) => sleeps,
            Does::Mask(_, sync) => sync == Some(true),
            _ => false,
        }
    }
}

impl Arg {
    /// As it is written in an example.
    #[must_use]
    pub fn written(self) -> String {
        match self {
            Self::Object(Sort::Completion) => "&completion",
            Self::Object(Sort::Queue) => "queue",
            Self::Object(Sort::Csd) => "&csd",
            Self::Object(Sort::Srcu) => "&srcu",
            Self::Object(Sort::RcuHead) => "&head",
            Self::Object(Sort::Seqcount) => "&seqcount",
            Self::Object(_) | Self::AnyLock => "&lock",
            Self::Flags => "flags",
            Self::Value => "value",
            Self::Condition => "condition",
            Self::Mask | Self::MaskPlace => "&mask",
            Self::Number => "&variable",
            Self::Variable => "variable",
            Self::Function => "func",
            Self::Wait => "wait",
            Self::Source(kinds) => {
                return format!("&{}", kinds.first().copied().unwrap_or("source"));
            }
            Self::Ignored => "NULL",
            Self::Rest => "...",
        }
        .to_owned()
    }
}

/// The table, in groups.
pub static GROUPS: &[(&str, &[Call])] = &[
    ("Locks", locks::CALLS),
    ("Waiting", wait::CALLS),
    ("Interrupts, bottom halves, preemption, RCU", context::CALLS),
    ("RCU callbacks, SRCU", rcu::CALLS),
    ("Calls on other CPUs", cross::CALLS),
    ("Interrupts, softirqs, timers and work", deferred::CALLS),
    ("Atomic operations", atomic::CALLS),
    ("Sets of CPUs", masks::CALLS),
    ("Values and no-ops", values::CALLS),
];

/// Every entry.
pub fn all() -> impl Iterator<Item = &'static Call> {
    GROUPS.iter().flat_map(|(_, calls)| calls.iter())
}

/// The entry of a name: as written, by an alias, or by the kernel's rules for names (`atomic64_inc`, `_relaxed`).
#[must_use]
pub fn find(name: &str) -> Option<&'static Call> {
    let exact = |name: &str| all().find(|call| call.name == name);
    let alias = |name: &str| {
        values::ALIASES
            .iter()
            .find(|&&(alias, _)| alias == name)
            .map(|&(_, of)| of)
    };
    if let Some(call) = exact(name).or_else(|| exact(alias(name)?)) {
        return Some(call);
    }
    let mut plain = name.to_owned();
    for prefix in [
        "atomic64_",
        "atomic_long_",
        "refcount_",
        "raw_atomic_",
        "arch_atomic_",
    ] {
        if let Some(rest) = plain.strip_prefix(prefix) {
            plain = format!("atomic_{rest}");
        }
    }
    for suffix in ["_relaxed", "_acquire", "_release"] {
        if let Some(rest) = plain.strip_suffix(suffix)
            && (plain.starts_with("atomic_")
                || plain.starts_with("xchg")
                || plain.starts_with("cmpxchg"))
        {
            plain = rest.to_owned();
        }
    }
    for (prefix, with) in [
        ("raw_cpu_", "this_cpu_"),
        ("__this_cpu_", "this_cpu_"),
        ("raw_write_seqcount", "write_seqcount"),
        ("raw_read_seqcount", "read_seqcount"),
        ("raw_local_irq_", "local_irq_"),
        ("__cpumask_", "cpumask_"),
        ("arch_spin_", "raw_spin_"),
    ] {
        if let Some(rest) = plain.strip_prefix(prefix) {
            plain = format!("{with}{rest}");
        }
    }
    if plain == name {
        return None;
    }
    exact(&plain).or_else(|| exact(alias(&plain)?))
}
