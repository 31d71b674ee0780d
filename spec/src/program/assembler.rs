//! Writes programs down line by line, with labels that may lie ahead.

use super::{Line, Op, Pc, Program, ProgramId, Reg};

/// A jump target that may lie ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// Builds a [`Program`] line by line; labels are resolved at the end.
#[derive(Debug)]
pub struct Assembler {
    id: ProgramId,
    function: &'static str,
    lines: Vec<Line>,
    /// Line number of each label, once bound.
    labels: Vec<Option<usize>>,
}

impl Assembler {
    /// Starts the program `id`, whose first lines are in kernel function `function`.
    pub fn new(id: ProgramId, function: &'static str) -> Assembler {
        Assembler {
            id,
            function,
            lines: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// The following lines are in kernel function `function`; returns the one before.
    pub fn enter(&mut self, function: &'static str) -> &'static str {
        std::mem::replace(&mut self.function, function)
    }

    /// A label to be bound later.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Binds `label` to the next line.
    pub fn bind(&mut self, label: Label) {
        let slot = &mut self.labels[label.0];
        assert!(slot.is_none(), "label bound twice in {}", self.id);
        *slot = Some(self.lines.len());
    }

    /// A label bound to the next line.
    pub fn here(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    /// Appends a step with the C statement it stands for.
    pub fn step(&mut self, op: Op, source: &'static str) {
        self.lines.push(Line {
            op,
            source,
            function: self.function,
        });
    }

    /// The placeholder that jump fields hold until [`Assembler::finish`] resolves them.
    pub fn to(label: Label) -> Pc {
        label.0 as Pc
    }

    /// Appends a branch taken when `reg` is `value`.
    pub fn branch(&mut self, reg: Reg, value: bool, to: Label) {
        self.step(
            Op::Branch {
                reg,
                value,
                to: Self::to(to),
            },
            "",
        );
    }

    /// Appends a jump.
    pub fn goto(&mut self, to: Label) {
        self.step(Op::Goto { to: Self::to(to) }, "");
    }

    /// Ends the program: appends [`Op::Return`] and resolves every label.
    ///
    /// # Panics
    /// If a label was never bound, which is a mistake in a file under `path/`.
    pub fn finish(mut self, source: &'static str) -> Program {
        self.step(Op::Return, source);
        let (labels, id) = (self.labels, self.id);
        let resolve = |pc: &mut Pc| {
            let line =
                labels[*pc as usize].unwrap_or_else(|| panic!("label without a line in {id}"));
            *pc = line as Pc;
        };
        for line in &mut self.lines {
            match &mut line.op {
                Op::TryLock { busy: to, .. }
                | Op::ReadInitEntry { absent: to }
                | Op::ForEachPgd { done: to }
                | Op::ReadKernelEntry { present: to, .. }
                | Op::TestAndClearYoung { not_young: to, .. }
                | Op::GetAndClear { absent: to, .. }
                | Op::GupRead { slow: to, .. }
                | Op::TestSplitting { splitting: to }
                | Op::StopBeingLazy { loaded: to }
                | Op::Branch { to, .. }
                | Op::Goto { to } => resolve(to),
                Op::SetSplitting { not_huge, already } => {
                    resolve(not_huge);
                    resolve(already);
                }
                _ => {}
            }
        }
        Program {
            id,
            lines: self.lines,
        }
    }
}
