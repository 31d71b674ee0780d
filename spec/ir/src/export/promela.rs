//! The system as a Promela model: one process, a global variable for each cell, one alternative for each step.
//!
//! Every alternative is one `d_step`, so that Spin stores our states and one more: the one before the promises of the
//! initial state are looked at. A promise is asserted behind every step that writes something it reads. A state in which
//! nothing is owed any more has an alternative that changes nothing, so that Spin's invalid end states are those in which a
//! context still runs or is pending.

use super::{Exported, Group, plain};
use crate::expr::{Binary, Unary};
use crate::system::{Assign, CellRef, X};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// How Spin has to be called: without optimisations that change the number of states.
pub const SPIN_FLAGS: &[&str] = &["-o2", "-o3", "-a"];

/// How the verifier has to be compiled, so that it counts every state and takes large ones.
pub const PAN_FLAGS: &[&str] = &["-DSAFETY", "-DNOFAIR", "-DNOREDUCE", "-DVECTORSZ=4096"];

/// States that Spin counts and ours does not have.
pub const EXTRA_STATES: u64 = 1;

/// The name under which a promise is asserted.
pub fn asserted(name: &str) -> String {
    format!("p_{name}")
}

/// Writes the model.
pub fn write(e: &Exported<'_>) -> String {
    let groups = e.groups();
    let mut text = head(e);
    for (cell, name) in e.system.cells.iter().zip(&e.names) {
        let kind = match (cell.lo, cell.hi) {
            (0.., ..=1) => "bit",
            (0.., ..=255) => "byte",
            (-32768.., ..=32767) => "short",
            _ => "int",
        };
        let _ = writeln!(
            text,
            "{kind} {name} = {};",
            cell.init.clamp(cell.lo, cell.hi)
        );
    }
    for name in e.promised() {
        let _ = writeln!(text, "hidden byte {};", asserted(name));
    }
    text.push('\n');
    for (c, lets) in e.lets.iter().enumerate() {
        for (what, x) in ["arrives", "executes"].into_iter().zip(lets) {
            let _ = writeln!(text, "#define {what}_{c} {}", print(x, e));
        }
    }
    text.push_str("\nactive proctype machine()\n{\n\td_step {\n\t\tskip;\n");
    text += &promises(&groups, None, e);
    text.push_str("\t}\n\tdo\n");
    for written in &e.steps {
        let step = &e.system.steps[written.step as usize];
        let c = step.context.0;
        let at = print(&e.at(step.context, step.at), e);
        let lets = if step.at == 0 { "arrives" } else { "executes" };
        let guard = print(&written.guard, e);
        let _ = writeln!(text, "\t/* {} */", e.comment(written.step));
        let _ = writeln!(text, "\t:: d_step {{ {at} && {lets}_{c} && {guard} ->");
        let mut writes = BTreeSet::new();
        for a in &step.assigns {
            writes.extend(a.to.cells().map(|c| c.0));
            text += &assign(a, e);
        }
        text += &promises(&groups, Some(&writes), e);
        text.push_str("\t}\n");
    }
    let done = print(&e.active.clone().not(), e);
    let _ = writeln!(
        text,
        "\t/* nothing is owed any more */\n\t:: d_step {{ {done} -> skip }}"
    );
    text.push_str("\tod\n}\n");
    text
}

fn head(e: &Exported<'_>) -> String {
    format!(
        "\
/*
 * {name}, as a model for the Spin verifier.
 *
 * A transition is a step of `shootdown check`. Spin stores as many states as `check` finds, and one.
 *
 *     spin {spin} model.pml
 *     gcc {pan} -w -o pan pan.c
 *     ./pan -c0 -n -m1000000
 */

",
        name = e.protocol.name.replace("*/", "* /"),
        spin = SPIN_FLAGS.join(" "),
        pan = PAN_FLAGS.join(" "),
    )
}

/// The promises that the step can break.
fn promises(groups: &[Group], writes: Option<&BTreeSet<u32>>, e: &Exported<'_>) -> String {
    let mut text = String::new();
    let touched = |g: &&Group| writes.is_none_or(|w| !g.reads.is_disjoint(w));
    let mut names: Vec<&str> = groups
        .iter()
        .filter(touched)
        .map(|g| g.name.as_str())
        .collect();
    names.dedup();
    for name in names {
        let all: Vec<String> = groups
            .iter()
            .filter(touched)
            .filter(|g| g.name == name)
            .map(|g| print(&g.broken, e))
            .collect();
        let p = asserted(name);
        let _ = writeln!(text, "\t\t{p} = !({}); assert({p});", all.join(" || "));
    }
    text
}

fn assign(a: &Assign, e: &Exported<'_>) -> String {
    let value = print(&a.value, e);
    let set = match &a.to.index {
        None => format!("{} = {value}", e.names[a.to.base.0 as usize]),
        Some(index) => {
            let index = print(index, e);
            let ways = a.to.cells().enumerate().map(|(i, cell)| {
                format!(
                    ":: {index} == {i} -> {} = {value} ",
                    e.names[cell.0 as usize]
                )
            });
            format!("if {}fi", ways.collect::<String>())
        }
    };
    match &a.when {
        None => format!("\t\t{set};\n"),
        Some(when) => format!("\t\tif :: {} -> {set} :: else fi;\n", print(when, e)),
    }
}

fn cell(r: &CellRef, e: &Exported<'_>) -> String {
    let name = |i: u32| e.names[(r.base.0 + i) as usize].clone();
    match &r.index {
        None => name(0),
        // Its readers have made sure that it is in the row.
        Some(index) => {
            let index = print_plain(index, e);
            (0..r.len - 1).rev().fold(name(r.len - 1), |rest, i| {
                format!("({index} == {i} -> {} : {rest})", name(i))
            })
        }
    }
}

/// The expression in Promela.
fn print(x: &X, e: &Exported<'_>) -> String {
    print_plain(&plain(x, e.system), e)
}

fn print_plain(x: &X, e: &Exported<'_>) -> String {
    let sub = |a: &X| print_plain(a, e);
    match x {
        X::Const(c) if *c < 0 => format!("({c})"),
        X::Const(c) => c.to_string(),
        X::Cell(r) => cell(r, e),
        X::Unary(Unary::Not, a) => format!("!({})", sub(a)),
        X::Unary(_, a) => format!("(0 - {})", sub(a)),
        X::Binary(op, a, b) => format!("({} {} {})", sub(a), symbol(*op), sub(b)),
        X::If(c, a, b) => format!("({} -> {} : {})", sub(c), sub(a), sub(b)),
    }
}

fn symbol(op: Binary) -> &'static str {
    match op {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        Binary::Rem => "%",
        Binary::BitAnd => "&",
        Binary::BitOr => "|",
        Binary::BitXor => "^",
        Binary::Shl => "<<",
        Binary::Shr => ">>",
        Binary::Eq => "==",
        Binary::Ne => "!=",
        Binary::Lt => "<",
        Binary::Le => "<=",
        Binary::Gt => ">",
        Binary::Ge => ">=",
        Binary::And => "&&",
        Binary::Or => "||",
    }
}
