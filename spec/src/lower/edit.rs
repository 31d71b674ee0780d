//! Faults of the specification as edits of the lowered system: one statement, start or interrupt, changed in every copy of
//! it, whichever CPU or mm the copy is for.
//!
//! A [`Spot`] and a [`Change`] are words, so that the same edit can be made in any configuration that has the statement.

mod apply;
mod list;
mod role;
mod run;
mod words;

use super::{Here, Lowered, Place};
use crate::id::MmId;
use crate::program::{Op, Program, ProgramId};
use role::{Axis, Role, Roles};
pub use run::{Baseline, CutOff, Difference, Limits, Outcome, Scan, Seen};
use shootdown_ir::system::{System, What, X};
use std::collections::BTreeMap;
use std::fmt;
use words::Words;

/// A step of the protocol, the same in every configuration that has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// The program; `hardware` for the page walker; `every task`, `every interrupt`, `every unlock`.
    pub program: &'static str,
    /// The kernel function that contains the statement.
    pub function: &'static str,
    /// The C statement; `start` for what starts the program.
    pub statement: &'static str,
    /// What the step is.
    pub op: String,
    /// The how manieth of its kind in the program, from 1.
    pub nth: usize,
    /// Its guard, where the statement has several ways to go; empty if it can always be taken.
    pub when: String,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`", self.program, self.statement)?;
        if self.nth > 1 {
            write!(f, " ({})", self.nth)?;
        }
        if !self.function.is_empty() && self.function != self.program {
            write!(f, " in {}", self.function)?;
        }
        Ok(())
    }
}

/// What is changed in a step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// A clause is left out: of the guard, or of the condition of an assignment.
    Clause {
        /// The assignment; `None`: the guard.
        of: Option<String>,
        /// The clause.
        clause: String,
    },
    /// A clause is asked the other way round: whether anything depends on it at all. Never drawn.
    Opposite {
        /// The assignment; `None`: the guard.
        of: Option<String>,
        /// The clause.
        clause: String,
    },
    /// An assignment is left out.
    Drop(String),
    /// An assignment is made whatever its condition says.
    Always(String),
    /// The step can always be taken, or never.
    Guard(bool),
    /// The guard has one clause more.
    Also {
        /// The cell.
        cell: String,
        /// The value it must have.
        value: i64,
    },
    /// Two assignments are made in the other order.
    Swap(String, String),
    /// Another cell of the same kind is read or written.
    Operand {
        /// In this assignment; `None`: in the guard.
        of: Option<String>,
        /// The cell.
        cell: String,
        /// Which other.
        to: Like,
    },
    /// Another constant.
    Constant {
        /// In this assignment; `None`: in the guard.
        of: Option<String>,
        /// The comparison in the guard, or the assignment.
        part: String,
    },
    /// The statement does nothing, control goes on.
    Skip,
    /// Nothing: the control, which must never be noticed.
    Nothing,
}

/// A cell like another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Like {
    axis: Axis,
    words: String,
}

impl Change {
    /// A word for the kind of change.
    pub fn kind(&self) -> &'static str {
        match self {
            Change::Clause { of: None, .. } => "guard clause dropped",
            Change::Clause { of: Some(_), .. } => "condition clause dropped",
            Change::Opposite { .. } => "clause negated",
            Change::Drop(_) => "assignment dropped",
            Change::Always(_) => "condition dropped",
            Change::Guard(true) => "guard widened",
            Change::Guard(false) => "step removed",
            Change::Also { .. } => "guard narrowed",
            Change::Swap(..) => "assignments swapped",
            Change::Operand { .. } => "wrong operand",
            Change::Constant { .. } => "wrong constant",
            Change::Skip => "statement skipped",
            Change::Nothing => "nothing",
        }
    }
}

impl Change {
    /// The clause that is left out, where it is one.
    pub fn clause(&self) -> Option<&str> {
        match self {
            Change::Clause { clause, .. } => Some(clause),
            _ => None,
        }
    }
}

/// So much of an assignment's text tells which it is.
fn short(text: &str) -> String {
    const MOST: usize = 100;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_string(),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |of: &Option<String>| match of {
            None => "the guard".to_string(),
            Some(assign) => format!("`{}`", short(assign)),
        };
        match self {
            Change::Clause { of, clause } => write!(f, "{} without `{}`", place(of), short(clause)),
            Change::Opposite { of, clause } => {
                write!(f, "{} with `{}` negated", place(of), short(clause))
            }
            Change::Drop(assign) => write!(f, "`{}` left out", short(assign)),
            Change::Always(assign) => write!(f, "`{}` done without the if", short(assign)),
            Change::Guard(true) => write!(f, "guard always true"),
            Change::Guard(false) => write!(f, "never taken"),
            Change::Also { cell, value } => write!(f, "only where {cell} == {value}"),
            Change::Swap(a, b) => write!(f, "`{}` after `{}`", short(a), short(b)),
            Change::Operand { of, cell, to } => {
                write!(f, "{} for {cell} in {}", to.words, place(of))
            }
            Change::Constant { of: None, part } => {
                write!(f, "another constant in `{}`", short(part))
            }
            Change::Constant { part, .. } => write!(f, "another value in `{}`", short(part)),
            Change::Skip => write!(f, "does nothing"),
            Change::Nothing => write!(f, "unchanged"),
        }
    }
}

/// A configuration that can be edited.
#[derive(Debug)]
pub struct Editable<'a> {
    lowered: Lowered<'a>,
    roles: Roles,
    spots: BTreeMap<Spot, Vec<u32>>,
}

/// What every unlock does to the queue of its lock is written once and the same for all: one spot stands for them.
const EVERY_UNLOCK: &str = "every unlock";

/// The gates of tasks and of interrupts, which are conditions of contexts.
const GATES: [&str; 2] = ["every task", "every interrupt"];

impl<'a> Editable<'a> {
    /// Finds the spots of a configuration.
    pub fn new(lowered: Lowered<'a>) -> Editable<'a> {
        let roles = Roles::of(&lowered);
        let mut it = Editable {
            lowered,
            roles,
            spots: BTreeMap::new(),
        };
        for number in 0..it.lowered.system.steps.len() {
            let spot = it.spot_of(number as u32);
            it.spots.entry(spot).or_default().push(number as u32);
        }
        let unlocks = it.spots.iter().filter(|(spot, _)| spot.op == "Unlock");
        let unlocks: Vec<u32> = unlocks.flat_map(|(_, steps)| steps).copied().collect();
        if !unlocks.is_empty() {
            let spot = Spot {
                program: EVERY_UNLOCK,
                function: "",
                statement: "hands the lock on",
                op: "HandOn".to_string(),
                nth: 1,
                when: String::new(),
            };
            it.spots.insert(spot, unlocks);
        }
        for (level, program) in GATES.into_iter().enumerate() {
            let when = it.words(it.gate_here(level)).x(it.gate(level));
            let spot = Spot {
                program,
                function: "",
                statement: "executes on its CPU",
                op: "Gate".to_string(),
                nth: 1,
                when,
            };
            it.spots.insert(spot, Vec::new());
        }
        it
    }

    /// Every step, as the protocol's text has it.
    pub fn spots(&self) -> impl Iterator<Item = &Spot> {
        self.spots.keys()
    }

    /// Does the configuration have it?
    pub fn has(&self, spot: &Spot) -> bool {
        self.spots.contains_key(spot)
    }

    /// The system as it is.
    pub fn system(&self) -> &System {
        &self.lowered.system
    }

    fn gate(&self, level: usize) -> &X {
        &self.lowered.system.contexts[level].executes
    }

    fn gate_here(&self, level: usize) -> Here {
        Here {
            cpu: 0,
            level,
            place: NOWHERE,
            number: 0,
        }
    }

    fn words(&self, here: Here) -> Words<'_> {
        Words {
            lowered: &self.lowered,
            roles: &self.roles,
            here,
            lock: None,
        }
    }

    /// The lock that is released there, by its number.
    fn unlocks(&self, here: Here) -> Option<i64> {
        if here.level > 1 || here.place.program == ProgramId::None {
            return None;
        }
        let program = self.lowered.config.program(here.place.program);
        match program.line(here.place.pc).op {
            Op::Unlock(lock) => Some(self.lowered.lock_number_of(lock, here.place) as i64),
            _ => None,
        }
    }

    /// The same in an unlock, where its lock has no other name.
    fn words_of_queue(&self, here: Here) -> Words<'_> {
        let lock = self.unlocks(here).unwrap_or_default();
        Words {
            lock: Some(self.roles.lock_words(&here, lock)),
            ..self.words(here)
        }
    }

    /// The context that executes a step, and where it stands; at a start, what is started.
    fn here(&self, number: u32) -> Here {
        let step = &self.lowered.system.steps[number as usize];
        let cpus = self.lowered.config.cpus();
        let code = step.context.index();
        if code >= 2 * cpus {
            let mut mm = MmId::NONE;
            for assign in &step.assigns {
                if let Role::Entry(m, ..) = self.roles.role(assign.to.base) {
                    mm = MmId(m);
                }
            }
            return Here {
                cpu: code - 2 * cpus,
                level: 2,
                place: Place { mm, ..NOWHERE },
                number: 0,
            };
        }
        let level = code % 2;
        let at = match step.at {
            0 => self.lowered.first_place(step).unwrap_or(0),
            at => i64::from(at),
        };
        Here {
            cpu: code / 2,
            level,
            place: self.lowered.places.at(level, at).unwrap_or(NOWHERE),
            number: step.at,
        }
    }

    fn spot_of(&self, number: u32) -> Spot {
        let step = &self.lowered.system.steps[number as usize];
        let here = self.here(number);
        let words = self.words(here);
        let when = match &step.ready {
            X::Const(_) => String::new(),
            ready => words.x(ready),
        };
        let program = words.program();
        if step.what == What::Start {
            let (function, statement) = match here.place.program {
                ProgramId::None => ("", "fill of the TLB"),
                program => (
                    self.lowered.config.program(program).line(0).function,
                    "start",
                ),
            };
            return Spot {
                program,
                function,
                statement,
                op: "Start".to_string(),
                nth: 1,
                when,
            };
        }
        let lines = self.lowered.config.program(here.place.program);
        let line = lines.line(here.place.pc);
        Spot {
            program,
            function: line.function,
            statement: line.source,
            op: kind(line.op),
            nth: nth(lines, here.place.pc),
            when,
        }
    }
}

const NOWHERE: Place = Place {
    program: ProgramId::None,
    pc: 0,
    mm: MmId::NONE,
    cursor: MmId::NONE,
    request: None,
};

/// The name of the step's kind.
fn kind(op: Op) -> String {
    let text = format!("{op:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_string()
}

/// The how manieth line of its kind with its statement it is.
fn nth(program: &Program, pc: u8) -> usize {
    let line = program.line(pc);
    let same = program.lines[..=usize::from(pc)].iter();
    same.filter(|l| l.source == line.source && kind(l.op) == kind(line.op))
        .count()
}
