//! The protocol written out for other checkers.
//!
//! What every writer needs is here: [`flow`] resolves a program's control steps and finds what a
//! step waits for, [`names`] gives variables, locks and labels the same names in every language,
//! [`Exported`] collects what a model of one configuration must contain. How a language says it
//! is one file per language: [`promela`], [`tla`].
//!
//! A writer says again, by hand, what each step means; it shares with the checker the programs,
//! not the semantics. That is what makes the other checker's verdict a second opinion, and also
//! its limit: a path that `path/` gets wrong is wrong in every language.

pub mod flow;
pub mod names;
pub mod promela;
pub mod tla;

use crate::config::Config;
use crate::design::PgdLock;
use crate::environment::FlushBackend;
use crate::id::MmId;
use crate::program::{Op, Program, ProgramId, Reg};
use crate::property::{Decided, PROPERTIES, Property};
use crate::variant::Variant;
use flow::Flow;

/// Everything that a model of one configuration has to contain, whatever the language.
#[derive(Debug)]
pub struct Exported<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Programs that a CPU may start, with their control flow.
    pub tasks: Vec<Flow<'a>>,
    /// Programs that run in an interrupt.
    pub interrupts: Vec<Flow<'a>>,
}

impl<'a> Exported<'a> {
    /// Collects what the configuration needs.
    pub fn new(config: &'a Config) -> Exported<'a> {
        let started = |id: ProgramId| config.workload.uses(id);
        let in_irq = |id: ProgramId| match id {
            ProgramId::FlushTlbInterrupt => {
                config.environment.flush_backend == FlushBackend::Ipi && config.cpus() > 1
            }
            ProgramId::PgdFree => config.environment.pgd_free_in_irq,
            _ => false,
        };
        let flows = |keep: &dyn Fn(ProgramId) -> bool| {
            let programs = config.reachable_programs().filter(|p| keep(p.id));
            programs.map(Flow::of).collect()
        };
        Exported {
            config,
            tasks: flows(&started),
            interrupts: flows(&in_irq),
        }
    }

    /// Every program once, those of process context first.
    pub fn programs(&self) -> impl Iterator<Item = &Flow<'a>> {
        let known = |id| self.tasks.iter().any(|t: &Flow<'_>| t.program.id == id);
        let only_irq = self.interrupts.iter().filter(move |f| !known(f.program.id));
        self.tasks.iter().chain(only_irq)
    }

    /// The mms on which a CPU may start a program; [`MmId::NONE`] for one that names none.
    pub fn starts_on(&self, cpu: usize, id: ProgramId) -> impl Iterator<Item = MmId> {
        let choices = self.config.choices(cpu).iter();
        choices.filter(move |c| c.0 == id).map(|c| c.1)
    }

    /// Does any program execute a step like this?
    pub fn any_step(&self, like: impl Fn(&Op) -> bool) -> bool {
        self.programs()
            .any(|f| f.steps.iter().any(|s| like(&s.line.op)))
    }

    /// Is the deviation asked for?
    pub fn deviates(&self, variant: Variant) -> bool {
        self.config.variants.has(variant)
    }

    /// Is `pgd_lock` an `rwlock_t`?
    pub fn rwlock(&self) -> bool {
        self.config.design.pgd_lock == PgdLock::Rwlock
    }

    /// How many contexts can ask for a lock: one per CPU, two where an interrupt may.
    pub fn lockers(&self) -> usize {
        let takes_lock = |f: &Flow<'_>| {
            let locks = |op: &Op| matches!(op, Op::Lock(..) | Op::TryLock { .. });
            f.steps.iter().any(|s| locks(&s.line.op))
        };
        let in_irq = self.interrupts.iter().any(takes_lock);
        self.config.cpus() * if in_irq { 2 } else { 1 }
    }

    /// The properties that are decided on states: what a writer turns into assertions, apart
    /// from `no_deadlock`, which other checkers decide in their own way.
    pub fn state_properties() -> impl Iterator<Item = &'static Property> {
        let on_states = |p: &&Property| matches!(p.decided, Decided::OnStates(_));
        PROPERTIES.iter().filter(on_states)
    }
}

/// Local variables that the steps of a program set.
pub fn registers(program: &Program) -> Vec<Reg> {
    let mut all: Vec<Reg> = Vec::new();
    for line in &program.lines {
        for &reg in flow::sets(&line.op) {
            if !all.contains(&reg) {
                all.push(reg);
            }
        }
    }
    all
}
