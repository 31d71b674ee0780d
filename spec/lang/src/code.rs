//! Every check of a scenario's text: its code, and what `shootdown explain CODE` says.

/// Whether the scenario can be checked at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can; this may be what the check finds.
    Warning,
}

impl Severity {
    /// The word that a diagnostic starts with.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code {
    /// Its name, as it stands in `error[NAME]`.
    pub name: &'static str,
    /// Whether what it finds stops the check.
    pub severity: Severity,
    /// The long form.
    pub explain: &'static str,
}

macro_rules! codes {
    ($($id:ident $severity:ident $name:literal $explain:literal)*) => {
        $(
            #[doc = concat!("`", $name, "`: see [`Code::explain`].")]
            pub static $id: Code = Code {
                name: $name,
                severity: Severity::$severity,
                explain: $explain,
            };
        )*
        /// All of them.
        pub static CODES: &[&Code] = &[$(&$id),*];
    };
}

codes! {
    // The file.
    BINARY Error "binary-file"
    "The file is not text: it has a NUL byte or bytes that are not UTF-8.
Give the name of a scenario, a text file that usually ends in `.sd`."
    TOO_LARGE Error "file-too-large"
    "A scenario has at most 1 MiB of text. A typical one has 50 lines: tell only the locks, interrupts and IPIs of the
protocol, and what they guard."
    PREPROCESSOR Error "preprocessor"
    "There is no preprocessor. Instead of
    #include <linux/spinlock.h>   write nothing: the kernel's calls are known
    #define MAX 3                 write  enum { MAX = 3 };
    #ifdef CONFIG_X               write  either { ... } or { ... }, or one file for each configuration"
    UNKNOWN_CHARACTER Error "unknown-character"
    "A character that the language does not use outside of comments and strings. Names are ASCII letters, digits and `_`.
Text that was copied from a web page or a mail often has typographic quotes, dashes or special blanks."
    UNTERMINATED Error "unterminated"
    "A comment `/* ... */` or a string \"...\" is opened and not closed. A string ends on its own line."
    BAD_NUMBER Error "bad-number"
    "Numbers are whole and have at most 63 bits: 10, 0x1f, 017 (octal), 0b101, with C's suffixes (1UL)."
    // Syntax.
    UNEXPECTED Error "unexpected"
    "Something else must stand here; the message says what. A file is a list of
    scenario \"NAME\";  cpus N;  preempt none;  expect ok;  expect violated NAME;  rule NAME;  invariant NAME: EXPR;
    declarations, functions (void f(void) { ... }), and sources (task NAME on CPU0 { ... })
and a body is a list of C statements."
    MISSING_SEMICOLON Error "missing-semicolon"
    "Every declaration and every simple statement ends with `;`, as in C."
    UNCLOSED Error "unclosed"
    "A `{` has no matching `}`. The message shows the `{` and the line at which the next item begins."
    TOO_DEEP Error "too-deep"
    "Blocks, statements and expressions may be nested 100 deep, so that a file that is no scenario cannot exhaust the stack.
Divide the code into functions."
    NOT_IN_LANGUAGE Error "not-in-language"
    "C has it and the language does not: `for (;;)`, `switch`, pointer variables, `->`, casts, structures of your own, results of
your own functions, assignments inside of an expression. The help line says what to write instead. What remains is
what can be checked exhaustively and still looks like the kernel."
    DUPLICATE Error "duplicate"
    "Something that a scenario has once stands there twice: a setting (`cpus`, `scenario`, `expect`, `preempt`) or a name. Functions,
sources, variables, locks and constants share one name space."
    MISSING_CPUS Error "missing-cpus"
    "A scenario says how many CPUs it has: `cpus 2;`. Most deadlocks of locks and IPIs need two or three. `NR_CPUS` is
that number."
    NO_SOURCE Error "no-source"
    "Nothing runs: there is no task, irq, softirq, timer, nmi, work or stopper. Write `task NAME on CPU0 { ... }`."
    // Names and types.
    UNKNOWN_NAME Error "unknown-name"
    "The name is declared nowhere in the file. The nearest known name is offered. Variables, locks and constants are declared at
top level, or at the start of a body for a local variable; `flags` of spin_lock_irqsave() need no declaration."
    UNKNOWN_CALL Error "unknown-call"
    "Neither a call of the kernel that the language knows nor a function of this file. The nearest one is offered. What a function
does to locks, interrupts and IPIs has to be written: declare it, `void name(void) { ... }`."
    UNSUPPORTED_CALL Error "unsupported-call"
    "A call of the kernel that the language knows and cannot express. The help line says what to write instead."
    UNKNOWN_TYPE Error "unknown-type"
    "The types are bool, int (and C's and the kernel's other integers, which are the same here), cpumask_t, atomic_t, spinlock_t,
raw_spinlock_t, rwlock_t, seqcount_t, seqlock_t, call_single_data_t, wait_queue_head_t, struct mutex, struct rw_semaphore,
struct semaphore, struct completion, and enums of the file."
    UNKNOWN_PROPERTY Error "unknown-property"
    "`expect violated NAME` names a property that is always checked, a rule that the file asks for, or one of its invariants. `rule
NAME` names a rule."
    WRONG_KIND Error "wrong-kind"
    "The argument is another kind of object than the call takes: a mutex for a spinlock, a variable for a lock, a task where an
interrupt is wanted. Each lock has its own calls, as in the kernel."
    WRONG_ARITY Error "wrong-arity"
    "The number of arguments is wrong. The message shows how the call is written. Calls on other CPUs may be written
short, `on_each_cpu(f, 1)`, or as in the kernel, `on_each_cpu(f, NULL, 1)`."
    NO_VALUE Error "no-value"
    "A call that has no result stands where a value is wanted."
    NEEDS_CONSTANT Error "needs-constant"
    "A constant is wanted here: a number, a value of an enum, NR_CPUS, or an expression of these."
    OUT_OF_RANGE Error "out-of-range"
    "A constant does not fit: a CPU that does not exist, an index behind the end of an array, a value outside of the declared
range (`int n in 0..3`), a division by zero. `cpus` may be 1 to 16."
    NOT_ASSIGNABLE Error "not-assignable"
    "Only variables can be assigned: not constants, locks, functions or values."
    BAD_JUMP Error "bad-jump"
    "`goto` names a label of the same function; a label stands there once; `break` and `continue` stand in a loop."
    RECURSION Error "recursion"
    "A function calls itself, directly or through others. Functions are inlined where they are called, and a kernel stack is
small: write a loop."
    TOO_LONG Error "too-long"
    "A source has more than 4096 steps after its functions are inlined. Functions that call functions twice double at every
level."
    NOT_ATOMIC Error "not-atomic"
    "`atomic { ... }` is one step: assignments, if and else, calls that only assign, and at its start one wait. Locks, interrupts, IPIs
and loops are steps of their own. Every `atomic` is printed as an assumption, because the kernel does not have it."
    NEEDS_STATEMENT Error "needs-statement"
    "The call does something, and the expression it stands in is evaluated at other times: in an invariant, in the condition
of a wait. Call it in a statement and use its result: `n = atomic_inc_return(&x);`."
    FLAGS_NEVER_SAVED Error "flags-never-saved"
    "The interrupt flags that are restored here were saved nowhere in this function: in C, an uninitialised variable. Save them with
spin_lock_irqsave(&lock, flags) or local_irq_save(flags), or use spin_unlock() or spin_unlock_irq()."
    // What the search decides, and the text already shows.
    LOCK_IMBALANCE Warning "lock-imbalance"
    "On some way through the source a lock is taken and still held at the end, or two ways that meet disagree on what is held. The search
reports it as `balance` if such a way can be taken."
    UNLOCK_UNHELD Warning "unlock-without-lock"
    "The lock is released here, and on every way to this line it is not held by this source. The search reports it as `unlock_held`."
    SELF_DEADLOCK Warning "self-deadlock"
    "The lock is taken here and is already held on every way to this line: the source waits for itself. Kernel locks are
not recursive."
    RECURSIVE_READ Warning "recursive-read"
    "The lock is taken for reading inside of a section that reads it already. A `strict` rwlock or an rw_semaphore queues the second
reader behind a waiting writer, who waits for the first: a deadlock of two CPUs. So does a `fair` one (qrwlock), unless
the second reader runs in an interrupt. Declare it `reader_pref` if the kernel's is."
    SLEEP_IN_ATOMIC Warning "sleep-in-atomic"
    "The call may sleep, and sleeping is forbidden here: a spinlock or rwlock is held, preemption, bottom halves or interrupts are off,
an RCU reader section is open, or this is an interrupt. The search reports it as `no_sleep_in_atomic`."
    IPI_IRQS_OFF Warning "ipi-wait-irqs-off"
    "The call waits for other CPUs to answer an interrupt, and on every way to this line interrupts are off here. Two CPUs that do
so at once wait for each other; so does one whose target spins, interrupts off, for a lock of this one. The comment at
smp_call_function_many() forbids it. The search reports it as `irqs_on_while_waiting_for_ipi`."
    CROSSED_FLAGS Warning "crossed-flags"
    "The same variable is saved to twice before it is restored: the first saved state is lost. Use two variables, or spin_lock() for
the inner lock."
    FLAGS_MAYBE_UNSAVED Warning "flags-maybe-unsaved"
    "On some way to this line the flags were not saved. What is restored there is the initial value, 0: interrupts go off."
    RESTORE_ORDER Warning "restore-order"
    "Interrupts are turned on here while a lock is still held that was taken with interrupts off: spin_unlock_irq() of the inner lock
of two, for instance. If an interrupt takes the outer lock, it deadlocks."
    CONTEXT_IMBALANCE Warning "context-imbalance"
    "On some way the source ends with interrupts, bottom halves or preemption off, or in an RCU reader section. The search reports it
as `balance`."
    NMI_LOCK Warning "nmi-lock"
    "The lock is taken in an NMI and elsewhere. An NMI comes whatever is off, also where the same CPU holds the lock; then it waits for what
it interrupted. Use a trylock in the NMI."
    NEVER_RAISED Warning "never-raised"
    "The source runs only when something raises it, and nothing does: it never runs."
    UNUSED_LOCK Warning "unused-lock"
    "The lock is declared and never taken."
    UNUSED_FUNCTION Warning "unused-function"
    "The function is never called: nothing of it is checked by the search."
    UNUSED_VARIABLE Warning "unused-variable"
    "The variable is declared and never used."
    UNREACHABLE Warning "unreachable"
    "No way leads to this statement."
    IGNORED_RESULT Warning "ignored-result"
    "The call may fail, and its result says whether it did: a trylock whose result is ignored releases, later, what it may not
have."
}

/// The check of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Code> {
    CODES.iter().copied().find(|code| code.name == name)
}
