//! Each program as an `inline`, in the order of its kernel function.

use super::super::flow::{Flow, Next, Step};
use super::super::{Exported, names};
use super::steps::{self, Case};
use super::{comment, indent, processes};
use crate::program::{Op, Pc, ProgramId, Reg};
use crate::variant::Variant;
use std::fmt::Write as _;

/// Every program.
pub(super) fn inlines(e: &Exported<'_>) -> String {
    let programs: Vec<_> = e.programs().map(|flow| inline(e, flow)).collect();
    programs.join("\n")
}

/// The program, called by `who`; a jump back to its first step leads to the call.
pub(super) fn call(flow: &Flow<'_>, who: &str) -> String {
    let id = flow.program.id;
    match flow.steps[0].is_target {
        true => format!("{}: {id}({who})", names::label(id, flow.steps[0].pc)),
        false => format!("{id}({who})"),
    }
}

fn inline(e: &Exported<'_>, flow: &Flow<'_>) -> String {
    let id = flow.program.id;
    let mut text = format!("/* {} */\ninline {id}(self)\n{{\n", id.info().about);
    let mut function = "";
    for (at, step) in flow.steps.iter().enumerate() {
        if step.line.function != function {
            function = step.line.function;
            let _ = writeln!(text, "\t/* --- {function}() --- */");
        }
        let last = at + 1 == flow.steps.len();
        text += &one(e, flow, step);
        text += if last { "\n" } else { ";\n" };
    }
    text + "}\n"
}

/// One step, with its comment and its label.
fn one(e: &Exported<'_>, flow: &Flow<'_>, step: &Step<'_>) -> String {
    let mut shape = steps::shape(e, &step.line.op);
    if step.line.op == Op::Return {
        shape.always = processes::ending(e, flow);
    }
    let mut guards = Vec::new();
    // A broken lock is granted at once, and may be somebody else's by now.
    let granted_at_once = e.deviates(Variant::BrokenSpinlock);
    if let Some((lock, mode)) = step.awaits.filter(|_| !granted_at_once) {
        guards.push(steps::granted(e, lock, mode));
    }
    guards.extend(shape.guard.take());
    if shape.cases.is_empty() && step.line.op != Op::Return {
        shape.cases.push(Case {
            when: None,
            then: Vec::new(),
            to: None,
        });
    }
    let follower = flow.follower(step.pc);
    let goes = |case: &Case| flow.next(case.to.unwrap_or(step.pc + 1));
    let straight = |case: &Case| {
        case.then.is_empty() && follower.is_some_and(|pc| goes(case) == Next::Step(pc))
    };
    let mut body: Vec<String> = guards;
    let decides = !shape.cases.iter().all(straight);
    let statements = |list: &[String]| list.join(";\n");
    if !shape.always.is_empty() {
        let always = statements(&shape.always);
        // An inline is several statements.
        match decides && (shape.always.len() > 1 || always.contains('(')) {
            // One transition of the verifier inside the atomic one.
            true => body.push(format!("d_step {{\n{}}}", indent(&always, 1))),
            false => body.push(always),
        }
    }
    if decides {
        body.push(cases(flow, &shape.cases, goes, follower));
    }
    let body = body.join(";\n");
    let source = match step.line.source {
        "" => String::new(),
        source => format!("\t/* {}: {} */\n", step.pc, comment(source)),
    };
    let mut text = source;
    // Spin wants the label of a sequence's first statement outside of it: see `call`.
    if step.is_target && step.pc != flow.steps[0].pc {
        let _ = writeln!(text, "{}:", names::label(flow.program.id, step.pc));
    }
    // Spin has no label inside a d_step, and so none right before one.
    let (open, close) = match (decides, step.is_target) {
        (true, _) => ("atomic {", "}"),
        (false, true) => ("if :: d_step {", "} fi"),
        (false, false) => ("d_step {", "}"),
    };
    let short = !decides && body.lines().count() == 1 && body.len() < 70;
    let _ = match short {
        true => write!(text, "\t{open} {body} {close}"),
        false => write!(text, "\t{open}\n{}\t{close}", indent(&body, 2)),
    };
    text
}

/// The outcomes of a step: what it then does, and where it leads.
fn cases(
    flow: &Flow<'_>,
    cases: &[Case],
    goes: impl Fn(&Case) -> Next,
    follower: Option<Pc>,
) -> String {
    let id = flow.program.id;
    if let [only] = cases {
        return go(id, &goes(only), follower).unwrap_or_default();
    }
    let mut text = String::from("if\n");
    for case in cases {
        let mut then = case.then.join(";\n");
        let mut when = case.when.clone().unwrap_or("else".into());
        if case.then.len() > 1 {
            then = format!("d_step {{\n{}}}", indent(&then, 1));
        }
        let parts = [
            (!then.is_empty()).then_some(then),
            go(id, &goes(case), follower),
        ];
        let rest: Vec<_> = parts.into_iter().flatten().collect();
        if !rest.is_empty() {
            when += " ->";
        }
        let _ = writeln!(text, ":: {when}");
        text += &indent(&rest.join(";\n"), 1);
    }
    text + "fi"
}

/// How control gets there; `None` if by falling through.
fn go(id: ProgramId, next: &Next, follower: Option<Pc>) -> Option<String> {
    match next {
        Next::Step(pc) if Some(*pc) == follower => None,
        Next::Step(pc) => Some(format!("goto {}", names::label(id, *pc))),
        Next::If {
            reg,
            value,
            then,
            otherwise,
        } => {
            let not = if *value { "" } else { "!" };
            let arrow = |go: Option<String>| match go {
                Some(go) => format!(" ->\n{}", indent(&go, 1).trim_end()),
                None => String::new(),
            };
            Some(format!(
                "if\n:: {not}{}{}\n:: else{}\nfi",
                variable(*reg),
                arrow(go(id, then, follower)),
                arrow(go(id, otherwise, follower)),
            ))
        }
    }
}

/// A local variable as an expression.
fn variable(reg: Reg) -> &'static str {
    match reg {
        Reg::SameMm => "(mm == prev)",
        Reg::NoPrev => "(prev == NONE)",
        _ => names::register(reg).expect("a branch depends on a variable"),
    }
}
