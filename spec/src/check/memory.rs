//! Checks with x86's store buffers: the same properties, and one run for each that is violated.

use super::packed::{is_violated, stop, verdicts};
use crate::barrier::Barrier;
use crate::config::Config;
use crate::id::MmId;
use crate::lower::facts::{Facts, Memory};
use crate::lower::{Lowered, NotLowered, lower};
use crate::program::ProgramId;
use crate::property::{Decided, PROPERTIES, Property};
use crate::search::{Options, Progress, Stop};
use crate::verdict::{States, Verdict};
use shootdown_ir::explore::{Bounds, explore};
use shootdown_ir::levels::{self, Found, Observe, Stopped};
use shootdown_ir::machine::Machine;
use shootdown_ir::packed::Packed;
use shootdown_ir::run;
use shootdown_ir::system::{ContextId, What};
use std::time::{Duration, Instant};

/// What a check with store buffers found.
#[derive(Debug)]
pub struct BufferedResult {
    /// Every reachable state was seen.
    pub complete: bool,
    /// Why not, if not.
    pub stopped: Option<Stop>,
    /// How large the space is.
    pub states: States,
    /// Every property, in the order of [`PROPERTIES`].
    pub properties: Vec<BufferedProperty>,
    /// How long it took.
    pub elapsed: Duration,
    /// The most the search held at once.
    pub peak_memory_bytes: u64,
    /// Bits of a state.
    pub state_bits: u32,
}

/// A property's verdict.
#[derive(Clone, Debug)]
pub struct BufferedProperty {
    /// Its name.
    pub name: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// Its witnesses, and whether a state was one for each.
    pub witnesses: Vec<(&'static str, bool)>,
    /// States that violate it; 0 for one that is decided on runs.
    pub violating_states: u64,
    /// A shortest run to the first of them, with the fewest changes of CPU; `None` if there was no room or time for it.
    pub run: Option<BufferedRun>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferedRun {
    /// By CPU: the mm it has loaded at the start.
    pub start: Vec<Option<MmId>>,
    /// The steps.
    pub steps: Vec<BufferedStep>,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferedStep {
    /// The CPU.
    pub cpu: usize,
    /// By an interrupt handler.
    pub in_interrupt: bool,
    /// The kernel function; empty for hardware.
    pub function: &'static str,
    /// What it does.
    pub what: Does,
}

/// What a step of a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// A program begins, on this mm if it names one.
    Starts(&'static str, Option<String>),
    /// An interrupt is taken.
    Interrupt(String),
    /// The statement.
    Statement(&'static str),
    /// The hardware walker caches an entry.
    Fills(String),
    /// The oldest store of the CPU's buffer is in memory now.
    Drains(String),
}

/// Why there is no check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChecked {
    /// See there.
    #[error(transparent)]
    NotLowered(#[from] NotLowered),
    /// A state does not fit.
    #[error(
        "with store buffers a state takes {words} words of 64 bits, and the search takes at most {}: fewer CPUs, mms or \
         programs",
        levels::MAX_WORDS
    )]
    TooWide {
        /// Words of a state.
        words: usize,
    },
    /// A count leaves its range.
    #[error(
        "a value does not fit at `{statement}` of {program}: this deviation is not for store buffers"
    )]
    Misfit {
        /// The program.
        program: &'static str,
        /// The statement.
        statement: &'static str,
    },
}

/// Checks the configuration on x86's memory: each CPU's plain stores wait in a buffer of [`shootdown_ir::buffer::ENTRIES`]
/// entries. `without`: barriers that are left out.
///
/// Bounds on states and depth are not looked at.
///
/// # Errors
/// The configuration cannot be lowered, or its states are too wide.
pub fn check_with_store_buffers(
    config: &Config,
    without: &[Barrier],
    options: &Options,
) -> Result<BufferedResult, NotChecked> {
    let begun = Instant::now();
    let lowered = lower(config)?.with_store_buffers(without);
    let machine = lowered.machine();
    let words = machine.words();
    if words > levels::MAX_WORDS {
        return Err(NotChecked::TooWide { words });
    }
    let packed = Packed::new(&machine);
    let facts = Facts::new(&lowered, &packed);
    let tell = |p: &levels::Progress| {
        if let Some(progress) = &options.progress {
            progress(&Progress::of_levels(p, begun.elapsed()));
        }
    };
    let found = levels::run(
        &packed,
        &facts,
        levels::Options {
            threads: options.threads.get(),
            memory: options.max_memory,
            timeout: options.timeout,
            cancel: Some(&options.cancel),
            tell: Some(&tell),
            ..levels::Options::default()
        },
    )
    .map_err(|words| NotChecked::TooWide { words })?;
    if let Some(Stopped::Misfit(step)) = found.stopped {
        let it = lowered.told(&[], step);
        let (program, statement) = match it.what {
            Does::Statement(statement) => (it.function, statement),
            _ => (it.function, "start"),
        };
        return Err(NotChecked::Misfit { program, statement });
    }
    let runs = Runs {
        lowered: &lowered,
        machine: &machine,
        facts: &facts,
        options,
        begun,
    };
    let judged = PROPERTIES.iter().zip(verdicts(config, &found)).enumerate();
    let properties = judged.map(|(i, (property, (verdict, witnesses)))| {
        let violated = verdict == Verdict::Violated;
        let verdict = match property.decided {
            // Somewhere the rank does not fall, so that a run may go round.
            Decided::OnGraph if found.not_lowered > 0 && !violated => Verdict::Incomplete,
            _ => verdict,
        };
        BufferedProperty {
            name: property.name,
            verdict,
            witnesses,
            violating_states: found.counts[i],
            run: is_violated(property, i, &found)
                .then(|| runs.to(property, i, &found))
                .flatten(),
        }
    });
    let properties = properties.collect();
    Ok(BufferedResult {
        complete: found.stopped.is_none(),
        stopped: found.stopped.map(stop),
        states: States {
            unique: found.distinct,
            generated: found.generated,
            depth: found.levels.len().saturating_sub(1) as u64,
        },
        properties,
        elapsed: begun.elapsed(),
        peak_memory_bytes: found.peak_bytes,
        state_bits: machine.state_bits(),
    })
}

/// Looks for runs: searches once more with paths, as far as the level where a violation was seen first.
struct Runs<'a> {
    lowered: &'a Lowered<'a>,
    machine: &'a Machine<'a>,
    facts: &'a Facts,
    options: &'a Options,
    begun: Instant,
}

impl Runs<'_> {
    fn to(&self, property: &Property, i: usize, found: &Found) -> Option<BufferedRun> {
        let (level, depth) = match property.decided {
            Decided::OnStates(_) => (found.first[i]?, found.first[i]?),
            // That it is an end shows when it is expanded.
            Decided::OnGraph => (found.ends.1?, found.ends.1? + 1),
        };
        let most = self.options.max_memory;
        let bounds = Bounds {
            depth: Some(depth),
            memory: most.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            until: self.options.timeout.map(|most| self.begun + most),
            cancel: Some(&self.options.cancel),
            ..Bounds::default()
        };
        let graph = explore(self.machine, bounds);
        if graph.cut.is_some() {
            return None;
        }
        let first = *graph.levels.get(level)?;
        let end = graph.levels.get(level + 1).copied();
        let end = end.unwrap_or(graph.len() as u32);
        let mut memory = Memory::default();
        let steps = &self.machine.system().steps;
        let target = (first..end).find(|&number| {
            let facts = self.facts.facts(graph.state(number), &mut memory);
            match property.decided {
                Decided::OnStates(_) => facts >> i & 1 == 1,
                Decided::OnGraph => {
                    let mut edges = graph.edges(number).iter();
                    let owed = edges.any(|e| steps[e.step as usize].owed);
                    !owed && self.facts.has_work_left(facts)
                }
            }
        })?;
        let run = run::shortest(self.machine, &graph, target);
        let states = run.states.iter().map(|&number| graph.state(number));
        let told = states
            .zip(&run.steps)
            .map(|(state, &step)| self.lowered.told(state, step));
        Some(BufferedRun {
            start: self.lowered.loaded(graph.state(*run.states.first()?)),
            steps: told.collect(),
        })
    }
}

impl Lowered<'_> {
    /// What a step does that is taken in this state.
    fn told(&self, state: &[u64], number: u32) -> BufferedStep {
        let step = &self.system.steps[number as usize];
        let context = &self.system.contexts[step.context.index()];
        let (cpu, level) = (context.cpu, step.context.index() % 2);
        let hardware = step.context.index() >= 2 * self.system.cpus;
        let step_of = |function, what| BufferedStep {
            cpu,
            in_interrupt: !hardware && level == 1,
            function,
            what,
        };
        if step.what == What::Drain {
            let entry = self.oldest(cpu).filter(|_| !state.is_empty());
            let number = entry.map_or(0, |cell| self.machine().slot(cell).get(state));
            return step_of("", Does::Drains(self.stored(cpu, number).to_string()));
        }
        if hardware {
            let names = step.assigns.last().map(|a| a.to.base);
            let text = names.map_or("", |cell| &self.system.cells[cell.0 as usize].name);
            let text = text.trim_end_matches("_accessed").replace('_', "'s ");
            return step_of("", Does::Fills(text));
        }
        let named = |mm: MmId| mm.is_some().then(|| mm.to_string());
        if step.what == What::Start {
            let Some(place) = self.place_after(ContextId(step.context.0), step) else {
                return step_of("", Does::Starts("", None));
            };
            let program = place.0;
            if level == 1 {
                let text = match program {
                    ProgramId::FlushTlbInterrupt => "takes the flush IPI".to_string(),
                    program => format!("an interrupt: {program}({})", place.1),
                };
                return step_of("", Does::Interrupt(text));
            }
            return step_of("", Does::Starts(program.name(), named(place.1)));
        }
        let (function, statement) = self.line_at(level, step.at);
        step_of(function, Does::Statement(statement))
    }
}
