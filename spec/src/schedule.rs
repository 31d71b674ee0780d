//! A run as one line of text, complete in itself: configuration, placement, every action.
//!
//! ```text
//! v2.6.37;cpus=2,mms=1;workload=aging;start=mm0,mm0;1:vmalloc_sync_all 1*3 0:page_referenced_one_huge@mm0 0*4 1;
//! ```
//!
//! Sections, each closed by `;`, so that a line that was cut off is noticed:
//!
//! 1. the design: a name, or all four axes, `pgd_lock=plain,walk_takes_ptl=yes,ptl=plain,flush=under_lock`;
//! 2. the environment: `cpus` and `mms`, and every axis that differs from the default
//!    (`ops`, `split`, `thp`, `flush_backend`, `xen_pin`, `pgd_free_in_irq`);
//! 3. `workload=` and its text form; 4. `variants=`, if there are any;
//! 5. `start=`: per CPU the mm it starts on, or `none`;
//! 6. the actions, separated by blanks:
//!
//! | action | what happens |
//! |---|---|
//! | `0:pgd_free@mm1` | CPU0 starts a program (on an mm, if it names one) |
//! | `0`, `0*4` | CPU0 executes one step, four steps |
//! | `1!0` | CPU1 takes the flush IPI that CPU0 sent |
//! | `1!free@mm1` | CPU1 takes an interrupt that frees mm1 |
//! | `0~pte`, `0~pmd` | CPU0's hardware walker caches the entry |
//! | `[` … `]` | what is repeated for ever, at the end of a lasso |
//!
//! Nothing in it needs more than single quotes in a shell. Blanks may be line breaks: mail wraps lines.

mod axis;
mod read;

use crate::config::{Config, ConfigError};
use crate::environment::Environment;
use crate::model::Action;
use crate::trace::Trace;
use crate::workload::WorkloadError;
use axis::{Axis, DESIGN_AXES, ENVIRONMENT_AXES};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Most actions a schedule may have: more is a typing error, not a run anybody reads.
pub const MAX_ACTIONS: usize = 1 << 16;

/// A run together with everything it depends on.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The configuration it runs in.
    pub config: Config,
    /// The run. Whether it is possible there is for [`Trace::states`] to say.
    pub trace: Trace,
}

/// Equal in everything a run depends on; the workload's text does not count, its roles do.
impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        let (a, b) = (&self.config, &other.config);
        a.design == b.design
            && a.environment == b.environment
            && a.workload.roles == b.workload.roles
            && a.variants == b.variants
            && self.trace == other.trace
    }
}

/// Why a schedule could not be read. Columns count characters from 1; one past the last
/// character means that something is missing at the end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// It ends too early.
    #[error("column {column}: {wanted} is missing: was the schedule cut off?")]
    CutOff {
        /// Where it ends.
        column: usize,
        /// What should come there.
        wanted: &'static str,
    },
    /// A name that does not exist.
    #[error("column {column}: no {what} is called `{name}`{}", suggestion(.nearest))]
    Unknown {
        /// Where.
        column: usize,
        /// What was looked for.
        what: &'static str,
        /// What was written.
        name: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// Something that cannot be read.
    #[error("column {column}: `{found}` is not {wanted}")]
    Syntax {
        /// Where.
        column: usize,
        /// What was written.
        found: String,
        /// What would do.
        wanted: String,
    },
    /// An axis or a variant given twice.
    #[error("column {column}: `{key}` is given twice")]
    Twice {
        /// Where the second one is.
        column: usize,
        /// What is given twice.
        key: &'static str,
    },
    /// The workload; its column counts from the start of the schedule.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// Axes that contradict each other.
    #[error("column {column}: {error}")]
    Config {
        /// Start of the section at fault.
        column: usize,
        /// What is wrong with it.
        #[source]
        error: ConfigError,
    },
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest
        .map(|n| format!(", did you mean `{n}`?"))
        .unwrap_or_default()
}

impl ScheduleError {
    /// Where it is, in characters from 1.
    pub fn column(&self) -> usize {
        match self {
            ScheduleError::CutOff { column, .. }
            | ScheduleError::Unknown { column, .. }
            | ScheduleError::Syntax { column, .. }
            | ScheduleError::Twice { column, .. }
            | ScheduleError::Config { column, .. }
            | ScheduleError::Workload(
                WorkloadError::Unknown { column, .. } | WorkloadError::Syntax { column, .. },
            ) => *column,
        }
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Schedule, ScheduleError> {
        Schedule::parse(text)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_schedule(f, &self.config, &self.trace)
    }
}

/// The schedule of a run of `config`.
pub fn schedule(config: &Config, trace: &Trace) -> String {
    struct Borrowed<'a>(&'a Config, &'a Trace);
    impl fmt::Display for Borrowed<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_schedule(f, self.0, self.1)
        }
    }
    Borrowed(config, trace).to_string()
}

fn write_axes<T>(f: &mut fmt::Formatter<'_>, axes: &[&Axis<T>], values: &T) -> fmt::Result {
    for (i, axis) in axes.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(f, "{comma}{}={}", axis.key, (axis.get)(values))?;
    }
    Ok(())
}

fn write_schedule(f: &mut fmt::Formatter<'_>, config: &Config, trace: &Trace) -> fmt::Result {
    match config.design.name() {
        Some(name) => f.write_str(name)?,
        None => write_axes(f, &DESIGN_AXES.iter().collect::<Vec<_>>(), &config.design)?,
    }
    f.write_str(";")?;
    let (environment, default) = (&config.environment, Environment::default());
    let axes = ENVIRONMENT_AXES.iter().enumerate();
    let differ = axes.filter(|(i, a)| *i < 2 || (a.get)(environment) != (a.get)(&default));
    write_axes(f, &differ.map(|(_, a)| a).collect::<Vec<_>>(), environment)?;
    // Blanks mean nothing in a workload, line breaks would break the line.
    let workload: String = config.workload.text.split_whitespace().collect();
    write!(f, ";workload={workload};")?;
    if !config.variants.is_empty() {
        write!(f, "variants={};", config.variants)?;
    }
    f.write_str("start=")?;
    for (i, mm) in trace.start[..config.cpus()].iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        if mm.is_some() {
            write!(f, "{comma}{mm}")?;
        } else {
            write!(f, "{comma}none")?;
        }
    }
    f.write_str(";")?;
    let stem = trace.loops_to.unwrap_or(trace.actions.len());
    let (stem, repeated) = trace.actions.split_at(stem.min(trace.actions.len()));
    write_actions(f, stem)?;
    if trace.loops_to.is_some() {
        f.write_str(if stem.is_empty() { "[ " } else { " [ " })?;
        write_actions(f, repeated)?;
        f.write_str(" ]")?;
    }
    f.write_str(";")
}

fn write_actions(f: &mut fmt::Formatter<'_>, actions: &[Action]) -> fmt::Result {
    for (i, run) in actions.chunk_by(|a, b| a == b).enumerate() {
        let steps = matches!(run[0], Action::Step { .. });
        let times = if steps { 1 } else { run.len() };
        for n in 0..times {
            f.write_str(if i + n == 0 { "" } else { " " })?;
            write_action(f, &run[0])?;
        }
        if steps && run.len() > 1 {
            write!(f, "*{}", run.len())?;
        }
    }
    Ok(())
}

fn write_action(f: &mut fmt::Formatter<'_>, action: &Action) -> fmt::Result {
    write!(f, "{}", action.cpu().0)?;
    match action {
        Action::Start { program, mm, .. } if mm.is_some() => write!(f, ":{program}@{mm}"),
        Action::Start { program, .. } => write!(f, ":{program}"),
        Action::Step { .. } => Ok(()),
        Action::Ipi { from, .. } => write!(f, "!{}", from.0),
        Action::IrqFree { mm, .. } => write!(f, "!free@{mm}"),
        Action::Fill { entry, .. } => write!(f, "~{entry}"),
    }
}
