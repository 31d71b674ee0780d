//! The system as a TLA+ module for TLC: the state is one record with a field for each cell, each step an action.
//!
//! Assignments are a chain of `LET`s, each on the state that the one before it left. What is promised is said by `Survey`,
//! which prints the name of a promise that a state breaks, once, and is always true, so that the search goes on.

use super::{Exported, plain};
use crate::expr::{Binary, Unary};
use crate::system::{CellRef, X};
use std::fmt::Write as _;

/// The name under which `Survey` reports a state without a step in which a context still runs or is pending.
pub const END: &str = "end";

/// The module's name.
pub const MODULE: &str = "Scenario";

/// The configuration file; TLC is to be run with `-deadlock`, since a state without a step is no error.
pub const CFG: &str = "INIT Init\nNEXT Next\nINVARIANT Survey\n";

const OPERATORS: &str = "\
RECURSIVE And(_, _)
And(a, b) == IF a = 0 \\/ b = 0 THEN 0 ELSE IF a = -1 THEN b ELSE IF b = -1 THEN a
             ELSE 2 * And(a \\div 2, b \\div 2) + (a % 2) * (b % 2)
Or(a, b) == a + b - And(a, b)
Xor(a, b) == a + b - 2 * And(a, b)
\\* As in C: towards 0.
Abs(a) == IF a < 0 THEN -a ELSE a
Div(a, b) == IF (a < 0) = (b < 0) THEN Abs(a) \\div Abs(b) ELSE -(Abs(a) \\div Abs(b))
Rem(a, b) == a - b * Div(a, b)
Bit(p) == IF p THEN 1 ELSE 0
";

/// Writes the module.
pub fn write(e: &Exported<'_>) -> String {
    let mut text = format!("---- MODULE {MODULE} ----\n");
    let _ = writeln!(text, "\\* {}, for TLC.", e.protocol.name.replace('\n', " "));
    let _ = writeln!(
        text,
        "\\* An action is a step of `shootdown check`; TLC finds as many distinct states."
    );
    let _ = writeln!(text, "EXTENDS Integers, TLC\nVARIABLE s\n\n{OPERATORS}");
    let fields: Vec<String> = e
        .system
        .cells
        .iter()
        .zip(&e.names)
        .map(|(c, name)| format!("{name} |-> {}", c.init.clamp(c.lo, c.hi)))
        .collect();
    let _ = writeln!(text, "Init == s = [\n    {}]\n", fields.join(",\n    "));
    for (c, lets) in e.lets.iter().enumerate() {
        for (what, x) in ["Arrives", "Executes"].into_iter().zip(lets) {
            let _ = writeln!(text, "{what}{c} == {}", truth(x, e));
        }
    }
    text.push('\n');
    for written in &e.steps {
        text += &action(e, written);
    }
    let names = e.steps.iter().map(|w| format!("    \\/ Step{}\n", w.step));
    let _ = writeln!(text, "Next ==\n{}", names.collect::<String>());
    let _ = writeln!(text, "Owed == {}\n", truth(&e.active, e));
    let _ = writeln!(
        text,
        "LookAt(n, name, holds) ==\n    \\/ holds\n    \\/ TLCGet(n)\n    \\/ TLCSet(n, TRUE) /\\ PrintT(<<\"violated\", name>>)\n"
    );
    let names: Vec<&str> = e.promised().into_iter().collect();
    let _ = writeln!(
        text,
        "ASSUME \\A n \\in 1 .. {} : TLCSet(n, FALSE)\n",
        names.len() + 1
    );
    text.push_str("Survey ==\n");
    let groups = e.groups();
    for (n, name) in names.iter().enumerate() {
        let all: Vec<String> = groups
            .iter()
            .filter(|g| g.name == *name)
            .map(|g| format!("~{}", truth(&g.broken, e)))
            .collect();
        let _ = writeln!(
            text,
            "    /\\ LookAt({}, \"{name}\", {})",
            n + 1,
            all.join(" /\\ ")
        );
    }
    let _ = writeln!(
        text,
        "    /\\ LookAt({}, \"{END}\", ~Owed \\/ ENABLED Next)\n====",
        names.len() + 1
    );
    text
}

fn action(e: &Exported<'_>, written: &super::Written) -> String {
    let step = &e.system.steps[written.step as usize];
    let lets = if step.at == 0 { "Arrives" } else { "Executes" };
    let mut text = format!("\\* {}\n", e.comment(written.step));
    let _ = writeln!(
        text,
        "Step{} ==\n    /\\ {}\n    /\\ {lets}{}\n    /\\ {}\n    /\\ LET s0 == s",
        written.step,
        truth(&e.at(step.context, step.at), e),
        step.context.0,
        evaluated(truth(&written.guard, e)),
    );
    for (i, a) in step.assigns.iter().enumerate() {
        let on = format!("s{i}");
        let p = Printer { e, state: &on };
        let value = p.number(&plain(&a.value, e.system));
        let sets: Vec<String> = match &a.to.index {
            None => vec![format!("!.{} = {value}", e.names[a.to.base.0 as usize])],
            Some(index) => {
                let index = p.number(&plain(index, e.system));
                let cells = a.to.cells().enumerate();
                cells
                    .map(|(i, c)| {
                        format!(
                            "!.{} = IF {index} = {i} THEN {value} ELSE @",
                            e.names[c.0 as usize]
                        )
                    })
                    .collect()
            }
        };
        let set = format!("[{on} EXCEPT {}]", sets.join(", "));
        let set = match &a.when {
            None => set,
            Some(when) => {
                let when = p.truth(&plain(when, e.system));
                format!("IF {when} THEN {set} ELSE {on}")
            }
        };
        let _ = writeln!(text, "           s{} == {set}", i + 1);
    }
    let _ = writeln!(text, "       IN s' = s{}\n", step.assigns.len());
    text
}

/// TLC takes a disjunction among an action's conjuncts apart and goes every way that is true, each to the same state.
fn evaluated(x: String) -> String {
    match x.contains("\\/") {
        true => format!("({x} = TRUE)"),
        false => x,
    }
}

fn truth(x: &X, e: &Exported<'_>) -> String {
    Printer { e, state: "s" }.truth(&plain(x, e.system))
}

/// Prints expressions over one state of a step.
struct Printer<'a> {
    e: &'a Exported<'a>,
    state: &'a str,
}

impl Printer<'_> {
    fn cell(&self, r: &CellRef) -> String {
        let name = |i: u32| format!("{}.{}", self.state, self.e.names[(r.base.0 + i) as usize]);
        match &r.index {
            None => name(0),
            Some(index) => {
                let index = self.number(index);
                (0..r.len - 1).rev().fold(name(r.len - 1), |rest, i| {
                    format!("(IF {index} = {i} THEN {} ELSE {rest})", name(i))
                })
            }
        }
    }

    fn number(&self, x: &X) -> String {
        let n = |a: &X| self.number(a);
        match x {
            X::Const(c) => format!("({c})"),
            X::Cell(r) => self.cell(r),
            X::Unary(Unary::Neg, a) => format!("(-{})", n(a)),
            X::If(c, a, b) => format!("(IF {} THEN {} ELSE {})", self.truth(c), n(a), n(b)),
            X::Binary(op, a, b) => match op {
                Binary::Add => format!("({} + {})", n(a), n(b)),
                Binary::Sub => format!("({} - {})", n(a), n(b)),
                Binary::Mul => format!("({} * {})", n(a), n(b)),
                Binary::Div => format!("Div({}, {})", n(a), n(b)),
                Binary::Rem => format!("Rem({}, {})", n(a), n(b)),
                Binary::BitAnd => format!("And({}, {})", n(a), n(b)),
                Binary::BitOr => format!("Or({}, {})", n(a), n(b)),
                Binary::BitXor => format!("Xor({}, {})", n(a), n(b)),
                Binary::Shl => format!("({} * 2^{})", n(a), n(b)),
                Binary::Shr => format!("({} \\div 2^{})", n(a), n(b)),
                _ => format!("Bit({})", self.truth(x)),
            },
            X::Unary(..) => format!("Bit({})", self.truth(x)),
        }
    }

    fn truth(&self, x: &X) -> String {
        let compare = |a: &X, symbol: &str, b: &X| {
            format!("({} {symbol} {})", self.number(a), self.number(b))
        };
        match x {
            X::Const(0) => "FALSE".into(),
            X::Const(_) => "TRUE".into(),
            X::Unary(Unary::Not, a) => format!("(~{})", self.truth(a)),
            X::If(c, a, b) => format!(
                "(IF {} THEN {} ELSE {})",
                self.truth(c),
                self.truth(a),
                self.truth(b)
            ),
            X::Binary(op, a, b) => match op {
                Binary::Eq => compare(a, "=", b),
                Binary::Ne => compare(a, "#", b),
                Binary::Lt => compare(a, "<", b),
                Binary::Le => compare(a, "<=", b),
                Binary::Gt => compare(a, ">", b),
                Binary::Ge => compare(a, ">=", b),
                Binary::And => format!("({} /\\ {})", self.truth(a), self.truth(b)),
                Binary::Or => format!("({} \\/ {})", self.truth(a), self.truth(b)),
                _ => format!("({} # 0)", self.number(x)),
            },
            _ => format!("({} # 0)", self.number(x)),
        }
    }
}
