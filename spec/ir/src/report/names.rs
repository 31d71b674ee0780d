//! What things are called in messages.

use super::Story;
use crate::eval::{self, Cells};
use crate::machine::View;
use crate::protocol::{Kind, Line, LockId, Storage};
use crate::system::{CellId, ContextId, Part, X};

impl Story<'_> {
    /// A context in a sentence: its CPU where that says it all, else with its name.
    pub fn who(&self, context: ContextId) -> String {
        let cpu = self.cpu_of(context);
        let threads = self
            .contexts()
            .filter(|&c| self.is_thread(c) && self.cpu_of(c) == cpu);
        if self.is_thread(context) && threads.count() == 1 {
            format!("CPU{cpu}")
        } else {
            format!("{} on CPU{cpu}", self.source_of(context).name)
        }
    }

    /// A context by its name, always: `smp_invalidate_interrupt on CPU1`.
    pub fn named(&self, context: ContextId) -> String {
        format!(
            "{} on CPU{}",
            self.source_of(context).name,
            self.cpu_of(context)
        )
    }

    /// The kind and name of a context: `task get_dirty_log`.
    pub(super) fn kind_and_name(&self, context: ContextId) -> String {
        let source = self.source_of(context);
        format!("{} {}", source.kind, source.name)
    }

    /// A lock, or an element of one.
    pub fn lock_name(&self, lock: LockId, element: u32) -> String {
        let it = self.protocol.lock(lock);
        match (it.per_cpu, it.len) {
            (true, _) => format!("CPU{element}'s {}", it.name),
            (false, Some(_)) => format!("{}[{element}]", it.name),
            (false, None) => it.name.clone(),
        }
    }

    /// `file:line`, or an empty text where there is no line.
    pub fn place(&self, line: u32) -> String {
        match (self.protocol.file.as_str(), line) {
            (_, 0) => String::new(),
            ("", line) => format!("line {line}"),
            (file, line) => format!("{file}:{line}"),
        }
    }

    /// ` (file:line)`, or nothing.
    pub(super) fn at(&self, line: &Line) -> String {
        match self.place(line.span.line) {
            place if place.is_empty() => place,
            place => format!(" ({place})"),
        }
    }

    /// The variable that a cell is part of, as it is written; `None` for state of the machine.
    pub fn variable(&self, cell: CellId) -> Option<String> {
        let (var, element) = match self.machine.system().cells[cell.0 as usize].part {
            Part::Var(var, element) | Part::Local(_, var, element) => (var, element),
            _ => return None,
        };
        let it = &self.protocol.vars[var as usize];
        Some(match (it.storage, it.len) {
            (Storage::PerCpu, _) => format!("per_cpu({}, {element})", it.name),
            (_, Some(_)) => format!("{}[{element}]", it.name),
            (_, None) => it.name.clone(),
        })
    }

    /// The value of a cell as it is written: a set of CPUs in braces.
    pub fn value(&self, cell: CellId, value: i64) -> String {
        let is_mask = match self.machine.system().cells[cell.0 as usize].part {
            Part::Var(var, _) | Part::Local(_, var, _) => self.protocol.vars[var as usize].is_mask,
            _ => false,
        };
        match is_mask && value >= 0 {
            true => self.cpus(value),
            false => value.to_string(),
        }
    }

    /// A set of CPUs: `{CPU0,CPU2}`.
    pub(super) fn cpus(&self, mask: i64) -> String {
        let names: Vec<String> = (0..63)
            .filter(|c| mask >> c & 1 == 1)
            .map(|c| format!("CPU{c}"))
            .collect();
        format!("{{{}}}", names.join(","))
    }

    /// The cells of declared variables that an expression reads in a state, in order, each once.
    pub(super) fn reads(&self, view: &View<'_>, x: &X) -> Vec<CellId> {
        let mut cells: Vec<CellId> = Vec::new();
        x.each_read(&mut |r| {
            let offset = match &r.index {
                None => Some(0),
                Some(index) => view
                    .value(index)
                    .and_then(|i| u32::try_from(i).ok())
                    .filter(|&i| i < r.len),
            };
            let Some(offset) = offset else { return };
            let cell = CellId(r.base.0 + offset);
            if self.variable(cell).is_some() && !cells.contains(&cell) {
                cells.push(cell);
            }
        });
        cells
    }

    /// `a is 1, b is {CPU1}`: the values of cells in a state.
    pub(super) fn values(&self, n: usize, cells: &[CellId]) -> String {
        let view = self.view(n);
        let texts: Vec<String> = cells
            .iter()
            .filter_map(|&cell| {
                let value = self.value(cell, view.cell(cell));
                Some(format!("{} is {value}", self.variable(cell)?))
            })
            .collect();
        texts.join(", ")
    }

    /// The step that wrote a cell last before state `n`.
    pub(super) fn written(&self, n: usize, cell: CellId) -> Option<usize> {
        (0..n)
            .rev()
            .find(|&i| self.view(i).cell(cell) != self.view(i + 1).cell(cell))
    }

    /// The value of an expression in state `n`.
    pub(super) fn evaluate(&self, n: usize, x: &X) -> Option<i64> {
        eval::value(x, &self.view(n), self.protocol.cpus)
    }

    /// How a context of this kind is announced when it starts or goes on.
    pub(super) fn head(&self, context: ContextId) -> String {
        let source = self.source_of(context);
        let name = &source.name;
        match source.kind {
            Kind::Task => format!("{name}()"),
            Kind::Work => format!("[work] {name}()"),
            Kind::Stopper => format!("[stopper] {name}()"),
            Kind::Softirq => format!("<softirq {name}>"),
            Kind::Timer => format!("<timer {name}>"),
            Kind::Irq => format!("<interrupt {name}>"),
            Kind::Ipi => format!("<IPI {name}>"),
            Kind::Nmi => format!("<NMI {name}>"),
            Kind::StoreBuffer => "<store buffer>".to_string(),
        }
    }

    /// What reaches memory in the step from state `n`, of a store buffer.
    pub(super) fn drained(&self, n: usize) -> String {
        let changes = self.changes(n);
        if !changes.is_empty() {
            return format!("now in memory: {}", changes.join(", "));
        }
        let (before, after) = (self.view(n), self.view(n + 1));
        let objects = &self.machine.system().objects;
        let released = objects.locks.iter().position(|lock| {
            (0..lock.len as usize).any(|i| {
                let owner = lock.owner.plus(i);
                before.cell(owner) != after.cell(owner)
            })
        });
        match released {
            Some(lock) => format!(
                "now in memory: {} is released",
                self.protocol.locks[lock].name
            ),
            None => "now in memory: what was there already".to_string(),
        }
    }
}
