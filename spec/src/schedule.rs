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

use crate::config::{Config, ConfigError, Start};
use crate::design::{DESIGNS, Design, Flush, PgdLock, Ptl};
use crate::environment::{Environment, FlushBackend};
use crate::id::{CpuId, MAX_CPUS, MAX_MMS, MmId};
use crate::model::Action;
use crate::program::{Entry, PROGRAMS, ProgramId};
use crate::trace::Trace;
use crate::variant::{VARIANTS, VariantSet};
use crate::workload::{Workload, WorkloadError, nearest};
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

    fn syntax(piece: Piece<'_>, wanted: impl Into<String>) -> ScheduleError {
        ScheduleError::Syntax {
            column: piece.column,
            found: piece.text.to_string(),
            wanted: wanted.into(),
        }
    }
}

/// A part of the text, with the column it starts in.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    text: &'a str,
    column: usize,
}

impl<'a> Piece<'a> {
    fn split(self, separator: char) -> impl Iterator<Item = Piece<'a>> {
        let mut column = self.column;
        self.text.split(separator).map(move |text| {
            let piece = Piece { text, column };
            column += text.chars().count() + 1;
            piece
        })
    }

    /// What comes before and after the first `separator`.
    fn split_once(self, separator: char) -> Option<(Piece<'a>, Piece<'a>)> {
        let (head, _) = self.text.split_once(separator)?;
        Some((self.head(head.len()), self.tail(head.len() + 1)))
    }

    fn head(self, bytes: usize) -> Piece<'a> {
        Piece {
            text: &self.text[..bytes],
            ..self
        }
    }

    fn tail(self, bytes: usize) -> Piece<'a> {
        Piece {
            text: &self.text[bytes..],
            column: self.column + self.text[..bytes].chars().count(),
        }
    }

    /// What comes after `prefix`, if it starts so.
    fn strip(self, prefix: &str) -> Option<Piece<'a>> {
        let stripped = self.text.starts_with(prefix);
        stripped.then(|| self.tail(prefix.len()))
    }

    fn end(self) -> usize {
        self.column + self.text.chars().count()
    }

    fn trim(self) -> Piece<'a> {
        let text = self.text.trim_start();
        self.tail(self.text.len() - text.len())
            .head(text.trim_end().len())
    }
}

/// One axis of a design or an environment, as `key=value`.
struct Axis<T> {
    key: &'static str,
    wanted: &'static str,
    set: fn(&mut T, &str) -> Option<()>,
    get: fn(&T) -> String,
}

/// Sets `$field` to what `$parse` makes of the text.
macro_rules! axis {
    ($key:literal, $wanted:literal, $field:ident, $parse:expr, $show:expr) => {
        Axis {
            key: $key,
            wanted: $wanted,
            set: |axes, text| {
                axes.$field = $parse(text)?;
                Some(())
            },
            get: |axes| $show(&axes.$field).to_string(),
        }
    };
}

fn named<T: Copy>(names: &[(&str, T)], text: &str) -> Option<T> {
    names.iter().find(|n| n.0 == text).map(|n| n.1)
}

const ON_OFF: &[(&str, bool)] = &[("on", true), ("off", false)];
const YES_NO: &[(&str, bool)] = &[("yes", true), ("no", false)];

fn on_off(text: &str) -> Option<bool> {
    named(ON_OFF, text)
}

fn show_on_off(on: &bool) -> &'static str {
    if *on { "on" } else { "off" }
}

fn number(text: &str) -> Option<u8> {
    u8::from_str(text).ok()
}

const DESIGN_AXES: &[Axis<Design>] = &[
    axis!(
        "pgd_lock",
        "irqsave, plain or rwlock",
        pgd_lock,
        |t| named(PgdLock::NAMES, t),
        |v: &PgdLock| v.name()
    ),
    axis!(
        "walk_takes_ptl",
        "yes or no",
        walk_takes_ptl,
        |t| named(YES_NO, t),
        |v: &bool| if *v { "yes" } else { "no" }
    ),
    axis!(
        "ptl",
        "plain or irqsave",
        ptl,
        |t| named(Ptl::NAMES, t),
        |v: &Ptl| v.name()
    ),
    axis!(
        "flush",
        "under_lock, young_after_unlock, after_unlock or after_unlock_tracked",
        flush,
        |t| named(Flush::NAMES, t),
        |v: &Flush| v.name()
    ),
];

/// The first two are always written.
const ENVIRONMENT_AXES: &[Axis<Environment>] = &[
    axis!("cpus", "a number", cpus, number, |v: &u8| *v),
    axis!("mms", "a number", mms, number, |v: &u8| *v),
    axis!("ops", "a number", ops_per_cpu, number, |v: &u8| *v),
    axis!("split", "on or off", split_ptlocks, on_off, show_on_off),
    axis!("thp", "on or off", thp, on_off, show_on_off),
    axis!(
        "flush_backend",
        "ipi or hypercall",
        flush_backend,
        |t| named(FlushBackend::NAMES, t),
        |v: &FlushBackend| v.name()
    ),
    axis!("xen_pin", "on or off", xen_pin, on_off, show_on_off),
    axis!(
        "pgd_free_in_irq",
        "on or off",
        pgd_free_in_irq,
        on_off,
        show_on_off
    ),
];

/// Reads `key=value,key=value` into `target`; returns which axes were given, as a bit set.
fn parse_axes<T>(
    table: &'static [Axis<T>],
    target: &mut T,
    section: Piece<'_>,
    what: &'static str,
) -> Result<u32, ScheduleError> {
    let mut given = 0;
    for item in section.split(',') {
        let Some((key, value)) = item.split_once('=') else {
            return Err(ScheduleError::syntax(item, format!("a {what}: key=value")));
        };
        let Some(i) = table.iter().position(|a| a.key == key.text) else {
            return Err(ScheduleError::Unknown {
                column: key.column,
                what,
                name: key.text.to_string(),
                nearest: nearest(key.text, table.iter().map(|a| a.key)),
            });
        };
        let axis = &table[i];
        if given >> i & 1 == 1 {
            return Err(ScheduleError::Twice {
                column: key.column,
                key: axis.key,
            });
        }
        given |= 1 << i;
        (axis.set)(target, value.text)
            .ok_or_else(|| ScheduleError::syntax(value, axis.wanted.to_string()))?;
    }
    Ok(given)
}

fn parse_design(section: Piece<'_>) -> Result<Design, ScheduleError> {
    if !section.text.contains('=') {
        return Design::named(section.text).ok_or_else(|| ScheduleError::Unknown {
            column: section.column,
            what: "design",
            name: section.text.to_string(),
            nearest: nearest(section.text, DESIGNS.iter().map(|d| d.name)),
        });
    }
    let mut design = DESIGNS[0].design;
    let given = parse_axes(DESIGN_AXES, &mut design, section, "design axis")?;
    match DESIGN_AXES
        .iter()
        .enumerate()
        .find(|(i, _)| given >> i & 1 == 0)
    {
        Some((_, missing)) => Err(ScheduleError::CutOff {
            column: section.end(),
            wanted: missing.key,
        }),
        None => Ok(design),
    }
}

fn parse_variants(section: Piece<'_>) -> Result<VariantSet, ScheduleError> {
    let mut set = VariantSet::NONE;
    for item in section.split(',') {
        let Some(variant) = VARIANTS.iter().find(|v| v.name == item.text) else {
            return Err(ScheduleError::Unknown {
                column: item.column,
                what: "variant",
                name: item.text.to_string(),
                nearest: nearest(item.text, VARIANTS.iter().map(|v| v.name)),
            });
        };
        if set.has(variant.variant) {
            return Err(ScheduleError::Twice {
                column: item.column,
                key: variant.name,
            });
        }
        set = set.with(variant.variant);
    }
    Ok(set)
}

fn parse_mm(piece: Piece<'_>) -> Result<MmId, ScheduleError> {
    (0..MAX_MMS as u8)
        .map(MmId)
        .find(|mm| mm.to_string() == piece.text)
        .ok_or_else(|| ScheduleError::syntax(piece, "an mm: mm0 to mm3"))
}

fn parse_cpu(piece: Piece<'_>, cpus: usize) -> Result<CpuId, ScheduleError> {
    number(piece.text)
        .filter(|n| (*n as usize) < cpus)
        .map(CpuId)
        .ok_or_else(|| ScheduleError::syntax(piece, format!("a CPU: 0 to {}", cpus - 1)))
}

fn parse_start(section: Piece<'_>, cpus: usize) -> Result<Start, ScheduleError> {
    let mut start = [MmId::NONE; MAX_CPUS];
    let given = section.text.split(',').count();
    if given != cpus {
        let wanted = format!("a placement of {cpus} CPUs: mm0 or none for each");
        return Err(ScheduleError::syntax(section, wanted));
    }
    for (slot, item) in start.iter_mut().zip(section.split(',')) {
        if item.text != "none" {
            *slot = parse_mm(item)?;
        }
    }
    Ok(start)
}

/// One action, and how often it happens.
fn parse_action(token: Piece<'_>, cpus: usize) -> Result<(Action, usize), ScheduleError> {
    let digits = token.text.bytes().take_while(u8::is_ascii_digit).count();
    let (cpu, rest) = (parse_cpu(token.head(digits), cpus), token.tail(digits));
    let Ok(cpu) = cpu else {
        return Err(ScheduleError::syntax(
            token,
            format!(
                "an action of CPU 0 to {}, such as 0, 0*4, 0:pgd_alloc@mm1, 1!0, 1!free@mm1, 0~pte, [ or ]",
                cpus - 1
            ),
        ));
    };
    if rest.text.is_empty() {
        return Ok((Action::Step { cpu }, 1));
    }
    if let Some(count) = rest.strip("*") {
        let n = usize::from_str(count.text).ok();
        return match n.filter(|n| (1..=MAX_ACTIONS).contains(n)) {
            Some(n) => Ok((Action::Step { cpu }, n)),
            None => Err(ScheduleError::syntax(
                count,
                format!("a number of steps: 1 to {MAX_ACTIONS}"),
            )),
        };
    }
    let action = if let Some(started) = rest.strip(":") {
        let (name, mm) = match started.split_once('@') {
            Some((name, mm)) => (name, parse_mm(mm)?),
            None => (started, MmId::NONE),
        };
        let program = ProgramId::named(name.text).ok_or_else(|| ScheduleError::Unknown {
            column: name.column,
            what: "program",
            name: name.text.to_string(),
            nearest: nearest(name.text, PROGRAMS.iter().map(|p| p.name)),
        })?;
        Action::Start { cpu, program, mm }
    } else if let Some(mm) = rest.strip("!free@") {
        let mm = parse_mm(mm)?;
        Action::IrqFree { cpu, mm }
    } else if let Some(from) = rest.strip("!") {
        let from = parse_cpu(from, cpus).map_err(|_| {
            let wanted = format!(
                "an interrupt: the CPU that sent it (0 to {}), or free@mm1",
                cpus - 1
            );
            ScheduleError::syntax(from, wanted)
        })?;
        Action::Ipi { cpu, from }
    } else if let Some(entry) = rest.strip("~") {
        let found = Entry::ALL.into_iter().find(|e| e.to_string() == entry.text);
        let entry = found.ok_or_else(|| ScheduleError::syntax(entry, "an entry: pte or pmd"))?;
        Action::Fill { cpu, entry }
    } else {
        let wanted = "what a CPU can do: *count, :program, !cpu, !free@mm, ~entry";
        return Err(ScheduleError::syntax(rest, wanted));
    };
    Ok((action, 1))
}

fn parse_actions(
    section: Piece<'_>,
    cpus: usize,
) -> Result<(Vec<Action>, Option<usize>), ScheduleError> {
    let (mut actions, mut loops_to, mut closed) = (Vec::new(), None, false);
    let mut rest = section.trim();
    while !rest.text.is_empty() {
        let end = rest.text.find(char::is_whitespace);
        let token = rest.head(end.unwrap_or(rest.text.len()));
        rest = rest.tail(token.text.len()).trim();
        if closed {
            return Err(ScheduleError::syntax(
                token,
                "possible here: a loop ends the schedule",
            ));
        }
        match token.text {
            "[" if loops_to.is_none() => loops_to = Some(actions.len()),
            "[" => return Err(ScheduleError::syntax(token, "possible twice")),
            "]" if loops_to.is_some_and(|to| to < actions.len()) => closed = true,
            "]" => {
                return Err(ScheduleError::syntax(
                    token,
                    "the end of a loop with actions in it",
                ));
            }
            _ => {
                let (action, n) = parse_action(token, cpus)?;
                if actions.len() + n > MAX_ACTIONS {
                    let wanted = format!("possible: a schedule has at most {MAX_ACTIONS} actions");
                    return Err(ScheduleError::syntax(token, wanted));
                }
                actions.extend(std::iter::repeat_n(action, n));
            }
        }
    }
    if loops_to.is_some() && !closed {
        return Err(ScheduleError::CutOff {
            column: section.end(),
            wanted: "the `]` that ends the loop",
        });
    }
    Ok((actions, loops_to))
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// If it cannot be read or its configuration makes no sense; with the column and what
    /// would do. That every action is possible is not checked here but by [`Trace::states`].
    pub fn parse(text: &str) -> Result<Schedule, ScheduleError> {
        let whole = Piece { text, column: 1 }.trim();
        let mut sections = whole.split(';').map(Piece::trim).peekable();
        let mut next = |wanted| {
            sections.next().ok_or(ScheduleError::CutOff {
                column: whole.end(),
                wanted,
            })
        };

        let design = parse_design(next("a design")?)?;
        let axes = next("an environment such as cpus=2,mms=1")?;
        let mut environment = Environment::default();
        parse_axes(ENVIRONMENT_AXES, &mut environment, axes, "environment axis")?;
        let section = next("the workload")?;
        let work = section
            .strip("workload=")
            .ok_or_else(|| ScheduleError::syntax(section, "the workload: workload=..."))?;
        let workload = Workload::parse(work.text, &environment).map_err(|e| shifted(e, work))?;
        let mut section = next("the placement start=")?;
        let mut variants = VariantSet::NONE;
        if let Some(list) = section.strip("variants=") {
            variants = parse_variants(list)?;
            section = next("the placement start=")?;
        }
        let config = Config::new(design, environment, workload, variants).map_err(|error| {
            let at_fault = match error {
                ConfigError::Range { .. } | ConfigError::XenNeedsHypercall => axes,
                _ => work,
            };
            ScheduleError::Config {
                column: at_fault.column,
                error,
            }
        })?;
        let placement = section
            .strip("start=")
            .ok_or_else(|| ScheduleError::syntax(section, "the placement: start=..."))?;
        let start = parse_start(placement, config.cpus())?;
        let (actions, loops_to) = parse_actions(next("the list of actions")?, config.cpus())?;
        let rest = next("the `;` at the end")?;
        if !rest.text.is_empty() {
            return Err(ScheduleError::syntax(
                rest,
                "part of a schedule, which ends with its actions",
            ));
        }
        if let Some(more) = sections.next() {
            return Err(ScheduleError::Syntax {
                column: more.column - 1,
                found: ";".to_string(),
                wanted: "part of a schedule, which ends with its actions".to_string(),
            });
        }
        Ok(Schedule {
            config,
            trace: Trace {
                start,
                actions,
                loops_to,
            },
        })
    }
}

/// The workload's error, with its column counted from the start of the schedule.
fn shifted(mut error: WorkloadError, section: Piece<'_>) -> WorkloadError {
    match &mut error {
        WorkloadError::Unknown { column, .. } | WorkloadError::Syntax { column, .. } => {
            *column += section.column - 1;
        }
    }
    error
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
