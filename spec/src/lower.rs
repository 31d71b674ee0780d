//! A configuration in the instruction set of [`shootdown_ir`]: the same machine as [`crate::model`], as guarded steps over
//! bounded cells, without messages.
//!
//! The mm a program names, the pgd its walk stands on and a handler's request are part of its *place*: of a program
//! there is a copy for each, so that every step but the walk's names its cells outright. Held locks are a function of the place.
//! A queue is the rank of each context that waits; an unlock moves the next one on, as [`crate::spinlock`] does.

mod cells;
pub mod edit;
pub mod facts;
mod lock;
mod memory;
mod places;
mod rank;
mod start;
mod step;

use crate::config::Config;
use crate::id::MmId;
use crate::program::{Pc, ProgramId, Scope};
use crate::variant::Variant;
use cells::Cells;
use places::Places;
use shootdown_ir::protocol::{Kind, SourceId};
use shootdown_ir::system::{Assign, Check, Context, ContextId, Objects, Step, System, What, X};

/// Where a context stands: the step it executes next, and what its program was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    program: ProgramId,
    pc: Pc,
    /// The mm it names.
    mm: MmId,
    /// The pgd the walk stands on; the mm switched away from.
    cursor: MmId,
    /// The flush handler's request.
    request: Option<(u8, Scope)>,
}

/// The configuration cannot be written in the instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("with `broken-spinlock` the locks a context holds are no function of its place")]
pub struct NotLowered;

/// A configuration in the instruction set.
#[derive(Debug)]
pub struct Lowered<'a> {
    config: &'a Config,
    /// The system.
    pub system: System,
    cells: Cells,
    places: Places,
    /// By CPU; empty where memory is sequentially consistent.
    stores: Vec<memory::Stores>,
}

/// The system of a configuration.
///
/// # Errors
/// With the deviation `broken-spinlock`, where owner and believer of a lock differ.
pub fn lower(config: &Config) -> Result<Lowered<'_>, NotLowered> {
    if config.variants.has(Variant::BrokenSpinlock) {
        return Err(NotLowered);
    }
    let places = Places::find(config);
    let mut lowering = Lowered {
        config,
        system: System {
            cpus: config.cpus(),
            cells: Vec::new(),
            starts: Vec::new(),
            cpu_cells: Vec::new(),
            contexts: Vec::new(),
            steps: Vec::new(),
            invariants: Vec::new(),
            objects: Objects::default(),
        },
        cells: Cells::default(),
        places,
        stores: Vec::new(),
    };
    lowering.allocate();
    for cpu in 0..config.cpus() {
        lowering.starts_of(cpu);
        for level in [0, 1] {
            for (number, place) in lowering.places.of(level) {
                lowering.steps_at(cpu, level, number, place);
            }
        }
        lowering.fills(cpu);
    }
    Ok(lowering)
}

/// The context that executes a step.
#[derive(Clone, Copy)]
struct Here {
    cpu: usize,
    /// 0: task, 1: interrupt.
    level: usize,
    place: Place,
    number: u32,
}

impl Here {
    /// Number of the context among all, as [`crate::id::Context::code`].
    fn code(&self) -> usize {
        2 * self.cpu + self.level
    }
}

impl Lowered<'_> {
    /// Contexts of the system: task and interrupt of each CPU, then the hardware walkers.
    fn contexts(&mut self) {
        let cpus = self.config.cpus();
        for code in 0..2 * cpus {
            let (cpu, level) = (code / 2, code % 2);
            self.system.contexts.push(Context {
                source: SourceId(0),
                kind: if level == 0 { Kind::Task } else { Kind::Irq },
                cpu,
                slot: level as i64 + 1,
                place: self.cells.at[code],
                places: Vec::new(),
                executes: match level {
                    0 => self.cells.at[code + 1].get().is(0),
                    _ => X::TRUE,
                },
                arrives: match level {
                    0 => self.cells.at[code + 1].get().is(0),
                    _ => X::TRUE,
                },
                pending: X::FALSE,
                steps: vec![Vec::new(); self.places.count(level) + 1],
            });
        }
        for cpu in 0..cpus {
            self.system.contexts.push(Context {
                source: SourceId(0),
                kind: Kind::Nmi,
                cpu,
                slot: 3,
                place: self.cells.nowhere,
                places: Vec::new(),
                executes: X::TRUE,
                arrives: X::TRUE,
                pending: X::FALSE,
                steps: vec![Vec::new()],
            });
        }
    }

    fn push(&mut self, context: usize, at: u32, what: What, ready: X, assigns: Vec<Assign>) {
        if ready == X::FALSE {
            return;
        }
        let number = self.system.steps.len() as u32;
        self.system.contexts[context].steps[at as usize].push(number);
        self.system.steps.push(Step {
            context: ContextId(context as u32),
            at,
            what,
            owed: what != What::Start || context < 2 * self.config.cpus(),
            ready,
            assigns: assigns
                .into_iter()
                .filter(|a| a.when != Some(X::FALSE))
                .collect(),
            checks: Vec::<(Check, X)>::new(),
        });
    }
}
