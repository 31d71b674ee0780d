//! Conditions and assignments in words that are the same in every copy of a statement.

use super::super::{Here, Lowered};
use super::role::Roles;
use crate::program::ProgramId;
use shootdown_ir::expr::{Binary, Unary};
use shootdown_ir::system::{Assign, CellRef, X};

/// Says what stands in a step.
pub(super) struct Words<'a> {
    pub(super) lowered: &'a Lowered<'a>,
    pub(super) roles: &'a Roles,
    pub(super) here: Here,
    /// The lock that is called just that.
    pub(super) lock: Option<String>,
}

impl Words<'_> {
    pub(super) fn cell(&self, r: &CellRef) -> String {
        let mut name = self.roles.words(&self.here, r.base);
        if let Some(lock) = &self.lock
            && (name.starts_with("owner of ") || name.ends_with(" reads pgd_lock"))
        {
            name = name.replace(lock, "the lock");
        }
        match &r.index {
            Some(index) => format!("{name}[{}]", self.x(index)),
            None => name,
        }
    }

    /// An expression.
    pub(super) fn x(&self, x: &X) -> String {
        match x {
            X::Const(c) => c.to_string(),
            X::Cell(r) => self.cell(r),
            X::Unary(Unary::Not, a) => format!("!({})", self.x(a)),
            X::Unary(op, a) => format!("{op:?}({})", self.x(a)),
            X::Binary(op @ (Binary::And | Binary::Or), ..) => self.chain(x, *op),
            X::Binary(op @ Binary::Add, ..) => self.chain(x, *op),
            X::Binary(op, a, b) => {
                let right = match (&**a, &**b) {
                    (X::Cell(r), X::Const(c)) => self.value(r, *c),
                    _ => self.x(b),
                };
                format!("{} {} {right}", self.x(a), sign(*op))
            }
            X::If(c, a, b) => format!("({} ? {} : {})", self.x(c), self.x(a), self.x(b)),
        }
    }

    /// What is connected by one operator, each thing said once: there are as many as there are CPUs.
    fn chain(&self, x: &X, op: Binary) -> String {
        let mut parts = Vec::new();
        self.collect(x, op, &mut parts);
        let mut seen: Vec<String> = Vec::new();
        for part in parts {
            if !seen.contains(&part) {
                seen.push(part);
            }
        }
        let sign = format!(" {} ", sign(op));
        match op {
            Binary::Or if seen.len() > 1 => format!("({})", seen.join(&sign)),
            _ => seen.join(&sign),
        }
    }

    fn collect(&self, x: &X, op: Binary, parts: &mut Vec<String>) {
        match x {
            X::Binary(o, a, b) if *o == op => {
                self.collect(a, op, parts);
                self.collect(b, op, parts);
            }
            other => parts.push(self.x(other)),
        }
    }

    fn value(&self, cell: &CellRef, value: i64) -> String {
        let named = self.roles.value_words(&self.here, cell.base, value);
        match named {
            Some(named) if self.lock.as_ref() == Some(&named) => "the lock".to_string(),
            Some(named) => named,
            None => value.to_string(),
        }
    }

    /// An assignment.
    pub(super) fn assign(&self, assign: &Assign) -> String {
        let to = self.cell(&assign.to);
        let text = if self.is_place(assign) {
            format!("go on{}", self.target(&assign.value))
        } else {
            match &assign.value {
                X::Const(c) => format!("{to} = {}", self.value(&assign.to, *c)),
                value => format!("{to} = {}", self.x(value)),
            }
        };
        match &assign.when {
            Some(when) => format!("{text} if {}", self.x(when)),
            None => text,
        }
    }

    /// Is it the step's own place?
    pub(super) fn is_place(&self, assign: &Assign) -> bool {
        self.here.level < 2 && assign.to.base == self.lowered.cells.at[self.here.code()]
    }

    /// Where control goes.
    fn target(&self, x: &X) -> String {
        match x {
            X::Const(0) => " to whatever ran before".to_string(),
            X::Const(number) => {
                let Some(place) = self.lowered.places.at(self.here.level, *number) else {
                    return String::new();
                };
                let line = self.lowered.config.program(place.program).line(place.pc);
                let on = match place.cursor == self.here.place.cursor {
                    true => "",
                    false => " on another pgd",
                };
                format!(" to `{}`{on}", line.source)
            }
            X::If(c, a, b) => format!(" ({} ?{} :{})", self.x(c), self.target(a), self.target(b)),
            other => format!(" to {}", self.x(other)),
        }
    }

    /// The program's name.
    pub(super) fn program(&self) -> &'static str {
        match self.here.place.program {
            ProgramId::None => "hardware",
            program => program.name(),
        }
    }
}

fn sign(op: Binary) -> &'static str {
    match op {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Eq => "==",
        Binary::Ne => "!=",
        Binary::Le => "<=",
        Binary::Lt => "<",
        Binary::Ge => ">=",
        Binary::Gt => ">",
        Binary::And => "&&",
        Binary::Or => "||",
        _ => "?",
    }
}
