//! From a protocol to a system of guarded steps: what each instruction, each arrival of an interrupt and each task switch
//! does, stated once.
//!
//! # The machine
//!
//! * Each CPU has a stack of contexts: a thread (task, work item, stopper), above it a softirq or timer, above that
//!   device interrupts and IPI handlers, above all an NMI. Its top executes.
//! * A device interrupt or an IPI arrives where interrupts are on, and turns them off; its return turns them on. A
//!   source does not interrupt itself on the same CPU.
//! * A softirq or timer arrives where interrupts are on, the bottom-half count is 0 and a thread or nothing executes.
//!   (The kernel looks at `local_bh_enable` and at the end of an interrupt; one may come there at any moment.)
//! * An NMI arrives wherever no NMI runs on its CPU.
//! * A thread may be switched to where the CPU is idle or the thread that executes sleeps, stands at `cond_resched()`, or
//!   (preempt full) can be preempted: preempt and bottom-half counts 0, interrupts on, no stopper.
//! * Without preemption a thread that is switched to and finds that it has to spin keeps its CPU: being switched to is a step
//!   of its own there. Everywhere else it is part of the thread's next step.
//! * Work items of one CPU are threads of their own, as with concurrency-managed workqueues (2.6.36 and later): where one
//!   sleeps another may run.
//! * Spinlocks are granted first come, first served. A mutex goes to whoever comes when it is free. An rwsem is first come,
//!   first served.
//! * Call data (csd) is busy from the send until the handler has returned; a CPU serves its call queue in order.
//! * A grace period waits for the sections between `rcu_read_lock` and `rcu_read_unlock` that are open when it begins, and
//!   for every CPU that then runs a region with preemption, bottom halves or interrupts off, a handler or a stopper: the
//!   flavours of RCU are one since 4.20. Without preemption it waits for every other CPU to switch, sleep or idle.

use crate::expr::{Binary, Expr, Place};
use crate::protocol::{
    Fires, Kind, Line, LockKind, Op, Pc, Preempt, Protocol, Source, SourceId, Span, Storage, VarId,
};
use crate::system::{
    Assign, At, Cell, CellId, CellRef, Context, ContextId, CpuCells, Objects, Overflow, Part,
    StateProperty, Step, System, What, X,
};
use std::collections::HashMap;

mod buffers;
mod calls;
mod cells;
mod contexts;
mod expressions;
mod grace;
mod locks;
mod ops;

pub use crate::buffer::ENTRIES as STORE_BUFFER_ENTRIES;

/// The most CPUs a protocol may have: sets of CPUs are kept in a cell.
pub const MAX_CPUS: usize = 16;
/// The most contexts (sources times CPUs): sets of contexts are kept in a cell.
pub const MAX_CONTEXTS: usize = 60;

/// Why a protocol cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    /// What is wrong and what to do.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// The system of a protocol.
///
/// # Errors
/// More CPUs or contexts than [`MAX_CPUS`] and [`MAX_CONTEXTS`], or an instruction that names something that does not fit it.
pub fn compile(protocol: &Protocol) -> Result<System, CompileError> {
    if protocol.cpus == 0 || protocol.cpus > MAX_CPUS {
        return Err(CompileError {
            message: format!("{} CPUs: 1 to {MAX_CPUS} are possible", protocol.cpus),
            span: Span::default(),
        });
    }
    let mut compiler = Compiler::new(protocol);
    compiler.find_contexts()?;
    compiler.allocate()?;
    for context in 0..compiler.system.contexts.len() {
        compiler.program(ContextId(context as u32))?;
    }
    compiler.grace_periods();
    compiler.spinning_threads();
    compiler.scheduling();
    compiler.invariants()?;
    compiler.store_buffers();
    Ok(compiler.system)
}

struct Compiler<'a> {
    p: &'a Protocol,
    system: System,
    names: HashMap<String, u32>,
    /// By context: the first cell of each of its local variables.
    locals: Vec<HashMap<VarId, CellId>>,
    /// By context: what makes its thread ready to be switched away from, beyond preemption.
    yields: Vec<Vec<X>>,
    /// By context: places where it sleeps while its step is not ready.
    sleeps: Vec<Vec<u32>>,
    /// Sources that a `Raise` names.
    raised: Vec<bool>,
    /// By context and line: its first place.
    first_place: Vec<HashMap<Pc, u32>>,
    /// Unlocks that are plain stores.
    releases: Vec<buffers::Release>,
    /// By step of a trylock: is the lock taken?
    taken_if: HashMap<u32, X>,
}

/// What an instruction is compiled in: the context, its CPU, and where it stands.
struct Here<'a> {
    context: ContextId,
    cpu: usize,
    place: u32,
    line: &'a Line,
    pc: Pc,
}

impl<'a> Compiler<'a> {
    fn new(p: &'a Protocol) -> Compiler<'a> {
        let mut raised = vec![false; p.sources.len()];
        for source in &p.sources {
            for line in &source.program {
                match &line.op {
                    Op::Raise { source, .. } => raised[source.0 as usize] = true,
                    Op::SendIpi { handler, .. } => raised[handler.0 as usize] = true,
                    _ => {}
                }
            }
        }
        for (i, source) in p.sources.iter().enumerate() {
            if source.fires == Fires::Raised && source.kind != Kind::Ipi {
                raised[i] = true;
            }
        }
        Compiler {
            p,
            system: System {
                cpus: p.cpus,
                cells: Vec::new(),
                starts: Vec::new(),
                cpu_cells: Vec::new(),
                contexts: Vec::new(),
                steps: Vec::new(),
                invariants: Vec::new(),
                objects: Objects::default(),
            },
            names: HashMap::new(),
            locals: Vec::new(),
            yields: Vec::new(),
            sleeps: Vec::new(),
            raised,
            first_place: Vec::new(),
            releases: Vec::new(),
            taken_if: HashMap::new(),
        }
    }

    /// The contexts that a source has.
    fn contexts_of(&self, source: SourceId) -> impl Iterator<Item = ContextId> + '_ {
        (0..self.system.contexts.len() as u32)
            .map(ContextId)
            .filter(move |c| self.system.contexts[c.index()].source == source)
    }

    fn source(&self, context: ContextId) -> &'a Source {
        self.p.source(self.system.contexts[context.index()].source)
    }

    fn cpu(&self, cpu: usize) -> CpuCells {
        self.system.cpu_cells[cpu]
    }

    fn is_thread(kind: Kind) -> bool {
        matches!(kind, Kind::Task | Kind::Work | Kind::Stopper)
    }

    fn error<T>(&self, span: Span, message: impl Into<String>) -> Result<T, CompileError> {
        Err(CompileError {
            message: message.into(),
            span,
        })
    }

    fn invariants(&mut self) -> Result<(), CompileError> {
        for invariant in &self.p.invariants {
            let holds = self.expression(&invariant.holds, None, 0)?;
            self.system.invariants.push(StateProperty {
                name: invariant.name.clone(),
                holds,
                span: invariant.span,
            });
        }
        Ok(())
    }
}
