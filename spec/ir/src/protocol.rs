//! What a protocol declares, and the instructions its programs are made of.

use crate::expr::{Expr, Place};
pub use crate::id::{LockId, SourceId, VarId};
use std::fmt;

/// Position of a line in its program.
pub type Pc = usize;

/// A part of the text a protocol was read from, in bytes, and its first line and column (from 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Line of the first byte, from 1; 0 if the protocol was not read from a text.
    pub line: u32,
    /// Column of the first byte in characters, from 1.
    pub column: u32,
}

/// Everything that is known of a protocol before it runs.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// Its name, as people call it.
    pub name: String,
    /// The file it was read from, for messages; empty if none.
    pub file: String,
    /// The number of CPUs, at least 1.
    pub cpus: usize,
    /// Whether a task can be preempted where nothing forbids it.
    pub preempt: Preempt,
    /// When a CPU's stores reach the others.
    pub memory: Memory,
    /// Variables: global, per CPU, local to a source.
    pub vars: Vec<Var>,
    /// Locks.
    pub locks: Vec<Lock>,
    /// What can run.
    pub sources: Vec<Source>,
    /// Promises about declared state, to be kept in every reachable state.
    pub invariants: Vec<Invariant>,
    /// Rules to be checked besides what always is.
    pub rules: Vec<Rule>,
    /// What the author says must come out.
    pub expect: Option<Expect>,
}

/// `CONFIG_PREEMPT` or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preempt {
    /// A task runs until it sleeps, ends or calls `cond_resched()`.
    None,
    /// A task can be preempted where preempt and bottom-half counts are 0 and interrupts are on.
    #[default]
    Full,
}

/// When a CPU's stores reach the other CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// At once: sequential consistency.
    #[default]
    Sc,
    /// Through a store buffer, as on x86: total store order.
    Tso,
}

impl Memory {
    /// The name: `sc`, `tso`.
    pub fn name(self) -> &'static str {
        match self {
            Memory::Sc => "sc",
            Memory::Tso => "tso",
        }
    }
}

/// A rule that is checked on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `no_lock_held_across_ipi_wait`: nobody awaits acknowledgements of an IPI while it holds a lock.
    Strict,
    /// `no_irqs_off_wait_for_flush_lock`: no CPU with interrupts off waits, through any chain of holders, for a lock
    /// that is held across a wait for an IPI.
    Upstream,
}

/// The verdict a scenario's author expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing is violated.
    Ok,
    /// The named property or invariant is violated.
    Violated(String),
}

/// A named promise about every reachable state.
#[derive(Clone, Debug)]
pub struct Invariant {
    /// Its name.
    pub name: String,
    /// What must be non-zero; no [`Expr::ThisCpu`].
    pub holds: Expr,
    /// As it stands in the text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// Where a variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// One for the machine.
    Global,
    /// One for each CPU.
    PerCpu,
    /// One for each instance of a source; it is fresh in every run of the source's program.
    Local(SourceId),
}

/// A variable: an integer, or an array of them.
#[derive(Clone, Debug)]
pub struct Var {
    /// Its name.
    pub name: String,
    /// Where it lives.
    pub storage: Storage,
    /// Number of elements of an array, `None` for a scalar. A per-CPU variable is a scalar here.
    pub len: Option<usize>,
    /// The least value.
    pub lo: i64,
    /// The greatest value.
    pub hi: i64,
    /// Did the author declare the range? Leaving a declared range violates `range`; leaving another ends the search
    /// as incomplete and names the variable.
    pub declared_range: bool,
    /// Initial value of every element: one, or one an element (for a per-CPU variable: one a CPU).
    pub init: Vec<i64>,
    /// Is it a set of CPUs? For output only.
    pub is_mask: bool,
    /// Where it is declared.
    pub span: Span,
}

/// How a reader of an rwlock treats waiting writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fairness {
    /// A reader waits for a writer inside only (x86 before 3.16, `rwlock_t` on many architectures).
    ReaderPref,
    /// qrwlock: a reader queues behind a waiting writer, unless it runs in an interrupt, where it waits for a writer
    /// inside only.
    Fair,
    /// A reader always queues behind a waiting writer.
    Strict,
}

/// What kind of lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// `spinlock_t`, `raw_spinlock_t`: first come, first served; taking it disables preemption.
    Spin,
    /// `rwlock_t`: taking it disables preemption.
    Rw(Fairness),
    /// `struct mutex`: its waiters sleep; the first to come gets it when it is free.
    Mutex,
    /// `struct rw_semaphore`: its waiters sleep, first come, first served, readers behind waiting writers.
    RwSem,
}

impl LockKind {
    /// Do its waiters sleep?
    pub fn sleeps(self) -> bool {
        matches!(self, LockKind::Mutex | LockKind::RwSem)
    }
}

/// A lock, or an array of them.
#[derive(Clone, Debug)]
pub struct Lock {
    /// Its name.
    pub name: String,
    /// What kind.
    pub kind: LockKind,
    /// Number of elements of an array (for a per-CPU lock the number of CPUs), `None` for one lock.
    pub len: Option<usize>,
    /// Is there one for each CPU?
    pub per_cpu: bool,
    /// Where it is declared.
    pub span: Span,
}

/// A lock as an instruction names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockRef {
    /// The lock.
    pub lock: LockId,
    /// The element, where it is an array.
    pub index: Option<Expr>,
}

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// `spin_lock`, `write_lock`, `mutex_lock`, `down_write`.
    Exclusive,
    /// `read_lock`, `down_read`.
    Shared,
}

/// In which context a source runs, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A task: runs its program once (or as often as it fires) in process context.
    Task,
    /// A work item, run by a worker thread of its CPU; another work item starts only where a task could.
    Work,
    /// A stopper thread (`stop_machine`, `stop_one_cpu`): preempts tasks, no task preempts it.
    Stopper,
    /// A softirq or tasklet: comes where no other softirq and no hardirq runs below and bottom halves are on.
    Softirq,
    /// A timer function: runs as a softirq.
    Timer,
    /// A device interrupt: comes where interrupts are on, and turns them off.
    Irq,
    /// The handler of an IPI: as a device interrupt.
    Ipi,
    /// A non-maskable interrupt: always comes, unless one runs on that CPU.
    Nmi,
    /// No program: the store buffer of a CPU. It takes a step when a store reaches memory.
    StoreBuffer,
}

/// How often a source runs, and who starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fires {
    /// A task: once, from the start on. Another kind: at most this often on each of its CPUs, whenever it can come; it
    /// need not come at all.
    Times(u32),
    /// Only when raised, sent, queued or armed by a step.
    Raised,
}

impl Fires {
    /// `Times(ALWAYS)`: again and again, without an end.
    pub const ALWAYS: u32 = u32::MAX;
}

/// What can run: a program and where, in which context, and how often.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name: the function's.
    pub name: String,
    /// In which context.
    pub kind: Kind,
    /// The CPU; `None`: an instance on every CPU.
    pub on: Option<usize>,
    /// How often.
    pub fires: Fires,
    /// Its program; the entry is line 0. It ends with [`Op::Return`].
    pub program: Vec<Line>,
    /// Where it is declared.
    pub span: Span,
}

/// What a line says to people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The C statement.
    pub statement: String,
    /// The function it stands in: the innermost inlined one.
    pub function: String,
    /// The calls that lead there from the source's body, outermost first; empty in the body itself.
    pub via: Vec<String>,
}

/// How a step meets memory that is not sequentially consistent ([`Memory::Tso`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Plain loads, and at most one plain store.
    #[default]
    Plain,
    /// A locked instruction or a fence: what was stored before is in memory.
    Locked,
}

/// One line of a program.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it does.
    pub op: Op,
    /// How it meets memory.
    pub access: Access,
    /// What people read.
    pub text: Text,
    /// Where it stands.
    pub span: Span,
}

/// Which call data structure a cross call uses: it is busy from the send until the handler has returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Csd {
    /// The calling CPU's own, one for each target (`smp_call_function_many`).
    PerTarget,
    /// One on the caller's stack (`smp_call_function_single` that waits).
    OnStack,
    /// The calling CPU's own, one for all targets (`smp_call_function_single` that does not wait).
    PerCpu,
    /// A declared `call_single_data_t`: a variable that is 0 while it is free. One target only.
    Object(Place),
}

/// Interrupts of this CPU.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IrqOp {
    /// `local_irq_save(flags)`: stores 1 if they were on, turns them off.
    Save(Place),
    /// `local_irq_restore(flags)`: turns them on if `flags` is 1, else off.
    Restore(Place),
    /// `local_irq_disable()`
    Off,
    /// `local_irq_enable()`
    On,
}

/// One assignment of an update.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    /// Done only if this is non-zero when its turn comes.
    pub when: Option<Expr>,
    /// Where to.
    pub place: Place,
    /// What.
    pub value: Expr,
}

/// One instruction. Each is one atomic step, unless it says otherwise.
///
/// A step is possible where its context executes: it is on top of its CPU's stack of contexts, or it is a thread that
/// the scheduler may switch to.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Assignments, one after the other, in one step. None: a step that does nothing.
    Update(Vec<Set>),
    /// Goes on if `cond` is non-zero, else to `otherwise`.
    Branch {
        /// The condition.
        cond: Expr,
        /// Where to go if it is 0.
        otherwise: Pc,
    },
    /// Jumps. No step of its own: it belongs to the step before it.
    Goto(Pc),
    /// Waits until `until` is non-zero: `while (!until) cpu_relax()`; with `sleeps`, `wait_event(until)`. One step, possible
    /// when `until` is non-zero; then does `then` in the same step (`wait_for_completion` takes one completion).
    Await {
        /// What is awaited.
        until: Expr,
        /// Does it sleep, so that another task of this CPU runs?
        sleeps: bool,
        /// What is done at once when it is so.
        then: Vec<Set>,
    },
    /// Takes a lock. Two steps where others are ahead: it queues, then gets it.
    Lock(LockRef, Mode),
    /// Takes a lock if nobody is ahead, else goes to `otherwise`.
    TryLock {
        /// The lock.
        lock: LockRef,
        /// How.
        mode: Mode,
        /// Where to go if it was not taken.
        otherwise: Pc,
    },
    /// Releases a lock.
    Unlock(LockRef, Mode),
    /// `downgrade_write`: a holder for writing becomes a reader.
    Downgrade(LockRef),
    /// Interrupts of this CPU on or off.
    Irq(IrqOp),
    /// `local_bh_disable()` (true), `local_bh_enable()` (false).
    BhDisable(bool),
    /// `preempt_disable()` (true), `preempt_enable()` (false).
    PreemptDisable(bool),
    /// `rcu_read_lock()` (true), `rcu_read_unlock()` (false).
    RcuRead(bool),
    /// `synchronize_rcu()`: sleeps until all readers that read now have left. Two steps: it notes them, then waits.
    SynchronizeRcu,
    /// Sends a bare IPI: marks the handler's vector pending on every CPU of the set. A CPU that has it pending already
    /// takes it once.
    SendIpi {
        /// The set of CPUs.
        to: Expr,
        /// The handler, of kind [`Kind::Ipi`].
        handler: SourceId,
    },
    /// Calls a function on other CPUs: waits until the call data is free, then queues it on each target and sends the IPI.
    /// Targets serve their queue first come, first served.
    CrossCall {
        /// The set of CPUs.
        to: Expr,
        /// The handler, of kind [`Kind::Ipi`].
        handler: SourceId,
        /// The call data.
        csd: Csd,
    },
    /// Waits (busy) until the handlers of this context's last cross call to the CPUs of the set have returned.
    AwaitAcks {
        /// The set of CPUs, as at the call: a local variable or a constant.
        from: Expr,
        /// The handler that was called.
        handler: SourceId,
        /// The call data.
        csd: Csd,
    },
    /// Raises, queues or arms a source on a CPU: pending until it starts. Already pending: nothing happens.
    Raise {
        /// The source.
        source: SourceId,
        /// The CPU; must be one the source can run on.
        cpu: Expr,
    },
    /// Withdraws the source where it is pending (`del_timer`, `cancel_work`).
    Cancel(SourceId),
    /// Waits until no instance of the sources runs and, with `pending`, none is pending (`flush_work`; without:
    /// `del_timer_sync`, `synchronize_irq`). An instance that the caller interrupted is waited for, too.
    Sync {
        /// The sources.
        sources: Vec<SourceId>,
        /// Does a pending instance have to run first?
        pending: bool,
        /// Withdraws a pending instance in the step that ends the wait and forbids that one starts before
        /// (`del_timer_sync`, `cancel_work_sync`).
        cancel: bool,
        /// Does it sleep?
        sleeps: bool,
    },
    /// `disable_irq_nosync` (true), `enable_irq` (false): while disabled, the source does not start.
    Mask(SourceId, bool),
    /// Goes to any of these lines, as it pleases.
    Choose(Vec<Pc>),
    /// `assert(cond)`: violated where it is 0 when the step is taken.
    Assert {
        /// What must be so.
        cond: Expr,
    },
    /// `might_sleep()`: sleeping must be allowed here.
    MightSleep,
    /// `cond_resched()`, `schedule()`: another task may run first; sleeping must be allowed.
    Yield,
    /// The program ends; the interrupted context goes on. Held locks and counts must be as at the start.
    Return,
}

impl Protocol {
    /// The source that stands for the store buffers of all CPUs, last in [`Protocol::sources`]; its name is no C name.
    pub fn add_store_buffers(&mut self) {
        self.memory = Memory::Tso;
        self.sources.push(Source {
            name: "store-buffer".to_string(),
            kind: Kind::StoreBuffer,
            on: None,
            fires: Fires::Times(0),
            program: vec![Line {
                op: Op::Return,
                access: Access::Plain,
                text: Text::default(),
                span: Span::default(),
            }],
            span: Span::default(),
        });
    }

    /// The variable.
    pub fn var(&self, var: VarId) -> &Var {
        &self.vars[var.0 as usize]
    }

    /// The lock.
    pub fn lock(&self, lock: LockId) -> &Lock {
        &self.locks[lock.0 as usize]
    }

    /// The source.
    pub fn source(&self, source: SourceId) -> &Source {
        &self.sources[source.0 as usize]
    }

    /// The set of all CPUs.
    pub fn all_cpus(&self) -> i64 {
        (1 << self.cpus) - 1
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Task => "task",
            Kind::Work => "work",
            Kind::Stopper => "stopper",
            Kind::Softirq => "softirq",
            Kind::Timer => "timer",
            Kind::Irq => "irq",
            Kind::Ipi => "IPI handler",
            Kind::Nmi => "NMI",
            Kind::StoreBuffer => "store buffer",
        })
    }
}
