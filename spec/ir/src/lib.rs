//! One instruction set for protocols of locks, interrupts and IPIs.
//!
//! A [`Protocol`] declares storage, locks and *sources* (what can run: tasks, interrupt handlers, stoppers, work items)
//! and gives each source a program of [`Op`]s over the declared objects. What a step does is stated here and nowhere
//! else: front ends (the scenario language) build protocols, and everything that runs, proves, draws or exports one
//! reads it.
//!
//! Compiling a protocol gives a system of guarded steps over bounded
//! cells, which the search, the second opinions and the proofs share.

pub mod buffer;
pub mod check;
pub mod compile;
pub mod edit;
pub mod eval;
pub mod explore;
pub mod export;
pub mod expr;
pub mod id;
pub mod keep;
pub mod levels;
pub mod machine;
pub mod order;
pub mod packed;
pub mod progress;
pub mod protocol;
pub mod reduce;
pub mod remembered;
pub mod report;
pub mod run;
pub mod stuck;
pub mod sweep;
pub mod system;
pub mod waits;

pub use expr::{Binary, Expr, Place, Unary};
pub use protocol::{
    Access, Csd, Expect, Fairness, Fires, Invariant, IrqOp, Kind, Line, Lock, LockId, LockKind,
    LockRef, Memory, Mode, Op, Pc, Preempt, Protocol, Rule, Set, Source, SourceId, Span, Storage,
    Text, Var, VarId,
};
