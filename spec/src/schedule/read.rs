//! Reads a schedule, keeping track of columns.

use super::axis::{Axis, DESIGN_AXES, ENVIRONMENT_AXES};
use super::{MAX_ACTIONS, Schedule, ScheduleError};
use crate::config::{Config, ConfigError, Start};
use crate::design::{DESIGNS, Design};
use crate::environment::Environment;
use crate::id::{CpuId, MAX_CPUS, MAX_MMS, MmId};
use crate::model::Action;
use crate::program::{Entry, PROGRAMS, ProgramId};
use crate::trace::Trace;
use crate::variant::{VARIANTS, VariantSet};
use crate::workload::{Workload, WorkloadError, nearest};
use std::str::FromStr;

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
    u8::from_str(piece.text)
        .ok()
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

impl ScheduleError {
    fn syntax(piece: Piece<'_>, wanted: impl Into<String>) -> ScheduleError {
        ScheduleError::Syntax {
            column: piece.column,
            found: piece.text.to_string(),
            wanted: wanted.into(),
        }
    }
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
