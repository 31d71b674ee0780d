//! A protocol as a system of guarded steps over bounded cells.
//!
//! This is the only meaning of an instruction: [`compile`](crate::compile::compile) writes every instruction, every
//! interrupt's arrival and every task switch as a condition and assignments over cells. The search runs them, the
//! exporters print them, footprints are read off them.

use crate::expr::{Binary, Unary};
use crate::protocol::{Kind, Pc, SourceId, Span};

/// Index of a [`Cell`] in [`System::cells`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(pub u32);

/// Index of a [`Context`] in [`System::contexts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(pub u32);

impl ContextId {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a cell is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A declared variable: its index, and the element.
    Var(u32, u32),
    /// A declared local variable of a context: its index, and the element.
    Local(ContextId, u32, u32),
    /// State of a CPU: what executes, interrupt flag, counts.
    Cpu(u32),
    /// State of a context: place, what it interrupted, budget, pending.
    Context(ContextId),
    /// State of a lock: its index.
    Lock(u32),
    /// Call queues and call data.
    Call,
}

/// What it means when a value does not fit a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The author declared the range: the property `range` is violated.
    Range,
    /// Nobody declared a range: the search cannot go on there and is incomplete.
    Grows,
    /// A count of the machine: the property `balance` is violated.
    Balance,
}

/// A bounded integer, the smallest part of a state.
#[derive(Clone, Debug)]
pub struct Cell {
    /// A name, unique in the system, made of letters, digits and `_`, as exporters need it.
    pub name: String,
    /// The least value.
    pub lo: i64,
    /// The greatest value.
    pub hi: i64,
    /// The value at the start.
    pub init: i64,
    /// What it is part of.
    pub part: Part,
    /// What a value outside means.
    pub overflow: Overflow,
}

/// A cell, or one of a row of cells chosen by a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CellRef {
    /// The cell, or the first of the row.
    pub base: CellId,
    /// The length of the row; 1 for a cell.
    pub len: u32,
    /// The position in the row, from 0; must be below `len`.
    pub index: Option<Box<X>>,
}

/// An expression over cells. As [`Expr`](crate::Expr), with nothing left that depends on where it is evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum X {
    /// A constant.
    Const(i64),
    /// A cell's value.
    Cell(CellRef),
    /// One operand.
    Unary(Unary, Box<X>),
    /// Two operands; `&&` and `||` do not evaluate what is not needed.
    Binary(Binary, Box<X>, Box<X>),
    /// `c ? a : b`
    If(Box<X>, Box<X>, Box<X>),
}

/// An assignment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assign {
    /// Done only if this is non-zero when its turn comes.
    pub when: Option<X>,
    /// Where to.
    pub to: CellRef,
    /// What; evaluated when its turn comes.
    pub value: X,
}

/// A promise about the moment a step is taken, besides those about states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// An assertion of the program.
    Assertion,
    /// Sleeping is allowed.
    NoSleepInAtomic,
    /// Interrupts are on while acknowledgements are awaited.
    IrqsOnWhileWaitingForIpi,
    /// The lock that is released is held in that way by the context that releases it.
    UnlockHeld,
    /// At the end of a program, locks, counts and the interrupt flag are as at its start.
    Balance,
    /// Values, indexes and divisors are in range.
    Range,
}

impl Check {
    /// All, in the order of reports.
    pub const ALL: [Check; 6] = [
        Check::Assertion,
        Check::NoSleepInAtomic,
        Check::IrqsOnWhileWaitingForIpi,
        Check::UnlockHeld,
        Check::Balance,
        Check::Range,
    ];

    /// The name of the property.
    pub fn name(self) -> &'static str {
        match self {
            Check::Assertion => "assertion",
            Check::NoSleepInAtomic => "no_sleep_in_atomic",
            Check::IrqsOnWhileWaitingForIpi => "irqs_on_while_waiting_for_ipi",
            Check::UnlockHeld => "unlock_held",
            Check::Balance => "balance",
            Check::Range => "range",
        }
    }
}

/// What a step is, besides its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The context starts: an interrupt is taken, a work item or a stopper starts.
    Start,
    /// An instruction.
    Op,
    /// The second half of one: what it queued for is there.
    Granted,
    /// The scheduler switches to a thread that can only spin where it stands.
    Switch,
    /// The program ends.
    End,
    /// The oldest store of a store buffer reaches memory.
    Drain,
}

/// One step of one context, at one place.
#[derive(Clone, Debug)]
pub struct Step {
    /// Whose.
    pub context: ContextId,
    /// At which place; 0: it does not run.
    pub at: u32,
    /// What it is.
    pub what: What,
    /// Must it come if it can come again and again? An interrupt that comes by itself need not.
    pub owed: bool,
    /// What the instruction itself needs: non-zero when it can be taken.
    pub ready: X,
    /// What it does, in order. The new place is among it.
    pub assigns: Vec<Assign>,
    /// What must hold when the context executes at this place, whether or not the step is ready.
    pub checks: Vec<(Check, X)>,
}

/// A place of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The line of the source's program.
    pub line: Pc,
    /// Has it queued already, and waits for its turn?
    pub queued: bool,
}

/// A source on a CPU.
#[derive(Clone, Debug)]
pub struct Context {
    /// The source.
    pub source: SourceId,
    /// Its kind.
    pub kind: Kind,
    /// The CPU.
    pub cpu: usize,
    /// Its number among the contexts of its CPU, from 1 (0 in the CPU's `top` cell means idle).
    pub slot: i64,
    /// The cell of its place: 0 while it does not run, else 1 + an index into [`places`](Self::places).
    pub place: CellId,
    /// The places.
    pub places: Vec<At>,
    /// Non-zero where it executes: on top of its CPU's stack, or a thread the scheduler may switch to.
    pub executes: X,
    /// Non-zero where its CPU lets it start, if there is a reason to.
    pub arrives: X,
    /// Non-zero where it was raised, sent, queued or armed and has not started.
    pub pending: X,
    /// Its steps by place: `steps[place]` are indexes into [`System::steps`].
    pub steps: Vec<Vec<u32>>,
}

/// Cells that hold the state of a CPU.
#[derive(Clone, Copy, Debug)]
pub struct CpuCells {
    /// What executes: 0 or the slot of a context.
    pub top: CellId,
    /// Interrupt flag: 1 on.
    pub irqs: CellId,
    /// Preempt count, spinlocks included.
    pub preempt: CellId,
    /// Bottom-half count.
    pub bh: CellId,
}

/// A promise about every state.
#[derive(Clone, Debug)]
pub struct StateProperty {
    /// Its name.
    pub name: String,
    /// Non-zero where it is kept.
    pub holds: X,
    /// Where it stands.
    pub span: Span,
}

/// A compiled protocol.
#[derive(Clone, Debug)]
pub struct System {
    /// The number of CPUs.
    pub cpus: usize,
    /// All cells.
    pub cells: Vec<Cell>,
    /// Where the system can start: for each start the values that differ from the cells' own. None: as the cells say.
    pub starts: Vec<Vec<(CellId, i64)>>,
    /// Cells of each CPU.
    pub cpu_cells: Vec<CpuCells>,
    /// All contexts, by CPU, lowest level first.
    pub contexts: Vec<Context>,
    /// All steps.
    pub steps: Vec<Step>,
    /// The declared invariants.
    pub invariants: Vec<StateProperty>,
    /// Where the cells of declared objects are.
    pub objects: Objects,
}

/// Where the cells of declared objects are.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// By variable: the first cell; `None` for a local one.
    pub vars: Vec<Option<CellId>>,
    /// By lock.
    pub locks: Vec<LockCells>,
    /// Per context: the cell of its RCU nesting.
    pub rcu: Vec<CellId>,
    /// Per context: the set of contexts its grace period waits for; `None` if it never waits.
    pub grace: Vec<Option<CellId>>,
    /// Per context: the set of CPUs its grace period waits for; `None` if it never waits.
    pub grace_cpus: Vec<Option<CellId>>,
    /// Per context, for interrupt contexts: what it interrupted, a slot.
    pub below: Vec<Option<CellId>>,
    /// Per context: the cell that says it is pending, if it can be raised or sent.
    pub raised: Vec<Option<CellId>>,
    /// Per context: how often it may still come by itself.
    pub left: Vec<Option<CellId>>,
    /// Per context: which call an IPI handler serves (0: none), an index into [`calls`](Self::calls) + 1.
    pub serving: Vec<Option<CellId>>,
    /// Per CPU: its call queue.
    pub queue: Vec<Vec<CellId>>,
    /// The calls.
    pub calls: Vec<Call>,
    /// Per source: the cell that masks it.
    pub masked: Vec<Option<CellId>>,
    /// Per CPU: its store buffer; none where stores reach memory at once.
    pub buffers: Vec<StoreBuffer>,
}

/// A CPU's store buffer.
#[derive(Clone, Debug, Default)]
pub struct StoreBuffer {
    /// Its cells, two an entry, oldest first: which cell (0: no entry), and the value.
    pub cells: Vec<CellId>,
    /// By cell: what an entry for it says.
    pub numbers: Vec<(CellId, i64)>,
    /// The context that carries its stores to memory.
    pub context: Option<ContextId>,
    /// Who stores what through it.
    pub stores: Vec<(ContextId, CellId)>,
    /// Steps that wait until it is empty.
    pub barriers: Vec<u32>,
}

/// A way in which a function can be queued on a CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function.
    pub handler: SourceId,
    /// The cell that is 1 while its call data is busy.
    pub busy: CellId,
}

/// Cells of a lock's elements.
#[derive(Clone, Debug)]
pub struct LockCells {
    /// Contexts that take it, in the order of owner numbers, which count from 1.
    pub takers: Vec<ContextId>,
    /// First owner cell, one an element: 0 or the number of the taker that holds it exclusively.
    pub owner: CellId,
    /// Elements.
    pub len: u32,
    /// First queue cell: `depth` an element; numbers of takers, the first in line first.
    pub queue: Option<CellId>,
    /// Cells of a queue.
    pub depth: u32,
    /// First reader cell: one a taker an element.
    pub readers: Option<CellId>,
}

impl X {
    /// 1.
    pub const TRUE: X = X::Const(1);
    /// 0.
    pub const FALSE: X = X::Const(0);

    /// `self op other`, folded where both are constant or one decides.
    #[must_use]
    pub fn op(self, op: Binary, other: X) -> X {
        match (op, &self, &other) {
            (Binary::And, X::Const(0), _) | (Binary::Or, X::Const(0), X::Const(0)) => X::FALSE,
            (Binary::And, X::Const(_), _) | (Binary::Or, X::Const(0), _) => other,
            (Binary::Or, X::Const(_), _) => X::TRUE,
            (Binary::And, _, X::Const(c)) if *c != 0 => self,
            (Binary::Or, _, X::Const(0)) => self,
            (Binary::Add, _, X::Const(0)) | (Binary::Sub, _, X::Const(0)) => self,
            (_, X::Const(a), X::Const(b)) => match crate::expr::binary(op, *a, *b) {
                Some(value) => X::Const(value),
                None => X::Binary(op, Box::new(self), Box::new(other)),
            },
            _ => X::Binary(op, Box::new(self), Box::new(other)),
        }
    }

    /// `self && other`
    #[must_use]
    pub fn and(self, other: X) -> X {
        self.op(Binary::And, other)
    }

    /// `self || other`
    #[must_use]
    pub fn or(self, other: X) -> X {
        self.op(Binary::Or, other)
    }

    /// `self == value`
    #[must_use]
    pub fn is(self, value: i64) -> X {
        self.op(Binary::Eq, X::Const(value))
    }

    /// `self != value`
    #[must_use]
    pub fn is_not(self, value: i64) -> X {
        self.op(Binary::Ne, X::Const(value))
    }

    /// `!self`
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "`!` on an expression would read as Rust's own negation"
    )]
    pub fn not(self) -> X {
        match self {
            X::Const(c) => X::Const(i64::from(c == 0)),
            other => X::Unary(Unary::Not, Box::new(other)),
        }
    }

    /// `self ? a : b`
    #[must_use]
    pub fn choose(self, a: X, b: X) -> X {
        match self {
            X::Const(0) => b,
            X::Const(_) => a,
            _ if a == b => a,
            c => X::If(Box::new(c), Box::new(a), Box::new(b)),
        }
    }

    /// All of them.
    pub fn all(of: impl IntoIterator<Item = X>) -> X {
        of.into_iter().fold(X::TRUE, X::and)
    }

    /// Any of them.
    pub fn any(of: impl IntoIterator<Item = X>) -> X {
        of.into_iter().fold(X::FALSE, X::or)
    }

    /// Calls `f` for every cell row that is read.
    pub fn each_read(&self, f: &mut impl FnMut(&CellRef)) {
        match self {
            X::Const(_) => {}
            X::Cell(cell) => {
                f(cell);
                if let Some(index) = &cell.index {
                    index.each_read(f);
                }
            }
            X::Unary(_, a) => a.each_read(f),
            X::Binary(_, a, b) => {
                a.each_read(f);
                b.each_read(f);
            }
            X::If(c, a, b) => {
                c.each_read(f);
                a.each_read(f);
                b.each_read(f);
            }
        }
    }
}

impl CellId {
    /// The cell's value.
    pub fn get(self) -> X {
        X::Cell(CellRef::one(self))
    }

    /// The cell `n` further on.
    #[must_use]
    pub fn plus(self, n: usize) -> CellId {
        CellId(self.0 + n as u32)
    }

    /// `self = value`
    pub fn set(self, value: X) -> Assign {
        CellRef::one(self).set(value)
    }
}

impl CellRef {
    /// One cell.
    pub fn one(cell: CellId) -> CellRef {
        CellRef {
            base: cell,
            len: 1,
            index: None,
        }
    }

    /// One of a row of `len` cells.
    pub fn row(base: CellId, len: u32, index: X) -> CellRef {
        match index {
            X::Const(i) if i >= 0 && i < i64::from(len) => CellRef::one(base.plus(i as usize)),
            index => CellRef {
                base,
                len,
                index: Some(Box::new(index)),
            },
        }
    }

    /// The cells it can be.
    pub fn cells(&self) -> impl Iterator<Item = CellId> + use<> {
        (self.base.0..self.base.0 + self.len).map(CellId)
    }

    /// Its value.
    pub fn get(self) -> X {
        X::Cell(self)
    }

    /// `self = value`
    pub fn set(self, value: X) -> Assign {
        Assign {
            when: None,
            to: self,
            value,
        }
    }
}

impl Assign {
    /// The same, if `when`.
    #[must_use]
    pub fn when(mut self, when: X) -> Assign {
        self.when = match self.when.take() {
            None if when == X::TRUE => None,
            None => Some(when),
            Some(old) => Some(old.and(when)),
        };
        self
    }
}
