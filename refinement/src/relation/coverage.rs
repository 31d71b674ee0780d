//! Which steps of the protocol the code took, in which interrupt state.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use shootdown_spec::config::Config;
use shootdown_spec::id::Level;
use shootdown_spec::model::Protocol;
use shootdown_spec::program::{PROGRAM_COUNT, ProgramId};
use shootdown_spec::state::State;

use super::step::Taken;
use crate::cancel::Cancel;

/// In which state of its CPU a step was taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Irqs {
    /// Process context, interrupts on.
    On,
    /// Process context, interrupts off.
    Off,
    /// In an interrupt.
    In,
}

impl Irqs {
    /// All of them.
    pub const ALL: [Irqs; 3] = [Irqs::On, Irqs::Off, Irqs::In];

    fn of(irqs_on: bool, level: Level) -> Self {
        match (level, irqs_on) {
            (Level::Irq, _) => Irqs::In,
            (Level::Task, true) => Irqs::On,
            (Level::Task, false) => Irqs::Off,
        }
    }
}

impl std::fmt::Display for Irqs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Irqs::On => "irqs on",
            Irqs::Off => "irqs off",
            Irqs::In => "in an interrupt",
        })
    }
}

/// A step of a program in an interrupt state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The program.
    pub program: ProgramId,
    /// The position of the step in it.
    pub pc: u8,
    /// The interrupt state.
    pub irqs: Irqs,
}

/// The most steps a program has.
const STEPS: usize = 64;

/// What was taken, from any number of threads.
pub struct Coverage {
    /// By program, position, interrupt state.
    places: Box<[AtomicBool]>,
    hidden: Box<[AtomicBool]>,
}

impl Coverage {
    /// Nothing yet.
    ///
    /// # Panics
    /// If a program has more than 64 steps.
    pub fn new(config: &Config) -> Self {
        for program in config.reachable_programs() {
            assert!(program.lines.len() <= STEPS, "{} is too long", program.id);
        }
        let empty = || {
            (0..PROGRAM_COUNT * STEPS * 3)
                .map(|_| AtomicBool::new(false))
                .collect()
        };
        Self {
            places: empty(),
            hidden: empty(),
        }
    }

    /// Notes a step that the protocol took in this state.
    pub fn note(&self, state: &State, taken: Taken) {
        let Some((program, pc)) = taken.line else {
            return;
        };
        let cpu = state.cpu(taken.action.cpu());
        let place = Place {
            program,
            pc,
            irqs: Irqs::of(cpu.irqs_on, cpu.top()),
        };
        let table = if taken.hidden {
            &self.hidden
        } else {
            &self.places
        };
        let cell = &table[index(place)];
        // Mostly it is known already: a read does not take the line away from the other threads.
        if !cell.load(Relaxed) {
            cell.store(true, Relaxed);
        }
    }

    /// Notes every step that could be taken in this state of the protocol.
    pub fn note_possible(&self, protocol: &Protocol, state: &State) {
        use shootdown_spec::model::Action;
        for (cpu, c) in state.each_cpu(&protocol.config) {
            let action = Action::Step { cpu };
            let ctx = c.context(c.top());
            if ctx.is_running() && protocol.is_enabled(state, &action) {
                let line = Some((ctx.program, ctx.pc));
                self.note(
                    state,
                    Taken {
                        action,
                        line,
                        hidden: false,
                    },
                );
            }
        }
    }

    /// Everything that was taken and that an event of the code said.
    pub fn taken(&self) -> impl Iterator<Item = Place> {
        places(&self.places)
    }

    /// What was taken without an event.
    pub fn hidden(&self) -> impl Iterator<Item = Place> {
        places(&self.hidden)
    }

    /// Was it taken, with or without an event?
    pub fn has(&self, place: Place) -> bool {
        self.places[index(place)].load(Relaxed) || self.hidden[index(place)].load(Relaxed)
    }
}

fn index(place: Place) -> usize {
    (place.program as usize * STEPS + place.pc as usize) * 3 + place.irqs as usize
}

fn places(table: &[AtomicBool]) -> impl Iterator<Item = Place> {
    let programs = shootdown_spec::program::PROGRAMS.iter().map(|p| p.id);
    let all = programs.flat_map(|program| {
        (0..STEPS as u8).flat_map(move |pc| Irqs::ALL.map(|irqs| Place { program, pc, irqs }))
    });
    all.filter(|place| table[index(*place)].load(Relaxed))
}

/// A step that the protocol allows and the code never took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The program.
    pub program: ProgramId,
    /// Which step, in which interrupt state.
    pub place: Place,
    /// The statement.
    pub source: &'static str,
    /// Why the code never does it; `None` is a hole.
    pub reason: Option<&'static str>,
}

/// Why the code never takes some steps: program (or `*`), statement, interrupt state, reason.
const REASONS: &[(&str, &str, Irqs, &str)] = &[];

/// Explores the protocol of the same configuration and lists what it can do and the code did not. None if `cancel` was
/// raised before that was known.
pub fn missing(refinement: &super::joint::Refinement, cancel: &Cancel) -> Option<Vec<Missing>> {
    use shootdown_spec::search::{Options, search};
    let possible = Coverage::new(refinement.config());
    let options = Options {
        cancel: cancel.clone(),
        ..Options::default()
    };
    let explored = search(
        &refinement.spec,
        |protocol: &Protocol, state: &State| {
            possible.note_possible(protocol, state);
            0
        },
        &options,
    );
    if !explored.complete {
        return None;
    }
    let reason = |program: ProgramId, source: &str, irqs| {
        let row = REASONS
            .iter()
            .find(|(p, s, i, _)| (*p == "*" || *p == program.name()) && *s == source && *i == irqs);
        row.map(|(.., reason)| *reason)
    };
    let missing = possible
        .taken()
        .filter(|place| !refinement.coverage.has(*place))
        .map(|place| {
            let source = refinement
                .config()
                .program(place.program)
                .line(place.pc)
                .source;
            Missing {
                program: place.program,
                place,
                source,
                reason: reason(place.program, source, place.irqs),
            }
        })
        .collect();
    Some(missing)
}
