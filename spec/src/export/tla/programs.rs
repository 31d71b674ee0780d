//! Each program as actions, one per step, in the order of its kernel function.

use super::super::flow::{self, Flow, Next, Step};
use super::super::{Exported, names, registers};
use super::comment;
use super::effect::{Effect, becomes, changed, conjunction, disjunction, except, unchanged};
use super::steps::{Case, Steps};
use super::variables::{At, Variables};
use crate::id::Level;
use crate::path;
use crate::program::{Op, Pc, Program, ProgramId, Reg};
use crate::variant::Variant;
use std::fmt::Write as _;

/// Every program.
pub(super) fn all(e: &Exported<'_>, v: &Variables) -> String {
    let programs: Vec<_> = e.programs().map(|flow| program(e, v, flow)).collect();
    programs.join("\n")
}

/// The actions of a program, together.
pub(super) fn name(id: ProgramId) -> &'static str {
    id.name()
}

fn program(e: &Exported<'_>, v: &Variables, flow: &Flow<'_>) -> String {
    let id = flow.program.id;
    let at = At::of(e, id);
    let steps = Steps { e, v, at };
    let dashes = "-".repeat(78);
    let mut text = format!("{dashes}\n\\* {}: {}\n\\*\n", id.name(), id.info().about);
    for line in path::header(id) {
        text += &match line {
            "" => String::from("\\*\n"),
            line => comment(line, "\\* "),
        };
    }
    let mut function = "";
    for step in &flow.steps {
        text.push('\n');
        if step.line.function != function {
            function = step.line.function;
            let _ = writeln!(text, "\\* --- {function}() ---");
        }
        text += &one(&steps, flow, step);
    }
    let calls = |s: &Step<'_>| format!("{id}_{}({})", s.pc, at.parameters());
    let calls: Vec<_> = flow.steps.iter().map(calls).collect();
    let all = [
        format!("program{} = \"{id}\"", at.index()),
        disjunction(&calls, 0).trim_end().to_string(),
    ];
    text += &format!("\n{}({}) ==\n", name(id), at.parameters());
    text + &conjunction(&all, 4)
}

/// One step, with its comment.
fn one(steps: &Steps<'_>, flow: &Flow<'_>, step: &Step<'_>) -> String {
    let (e, at, id) = (steps.e, steps.at, flow.program.id);
    let source = match step.line.source {
        "" => "back to user mode",
        source => source,
    };
    let mut text = comment(source, &format!("\\* {}: ", step.pc));
    let mut shape = steps.shape(&step.line.op);
    if step.line.op == Op::Return {
        shape.always = ending(steps, flow.program);
    }
    let level = at.level();
    let mut all = vec![format!("Executes(c, {level}, \"{id}\", {})", step.pc)];
    // A broken lock is granted at once, and may be somebody else's by now.
    if !e.deviates(Variant::BrokenSpinlock) {
        all.extend(step.awaits.map(|(lock, mode)| steps.granted(lock, mode)));
    }
    all.append(&mut shape.guards);
    if shape.cases.is_empty() && step.line.op != Op::Return {
        shape.cases.push(Case {
            when: None,
            then: Vec::new(),
            to: None,
        });
    }
    all.extend(shape.always.iter().map(|e| e.text.clone()));
    let mut sets = changed(&shape.always);
    let goes = |case: &Case| flow.next(case.to.unwrap_or(step.pc + 1));
    let go = |case: &Case| {
        let step = target(steps, &goes(case), &step.line.op);
        format!("Goto(c, {level}, {step})")
    };
    if let Some((first, rest)) = shape.cases.split_first() {
        let together = rest.iter().all(|c| goes(c) == goes(first));
        let within: Vec<_> = shape.cases.iter().flat_map(|c| &c.then).collect();
        let mut inner: Vec<&str> = Vec::new();
        for effect in within {
            inner.extend(effect.sets.iter().filter(|s| !sets.contains(s)));
        }
        inner.sort_unstable();
        inner.dedup();
        // A test whose outcomes are the same only says what was looked at.
        let same = together && inner.is_empty();
        if !rest.is_empty() && !same {
            all.push(outcomes(&shape.cases, &inner, |c| {
                (!together).then(|| go(c))
            }));
        } else {
            all.extend(first.then.iter().map(|e| e.text.clone()));
        }
        if together {
            all.push(go(first));
        }
        sets.extend(
            shape
                .cases
                .iter()
                .flat_map(|c| &c.then)
                .flat_map(|e| e.sets.iter().copied()),
        );
        sets.push("pc");
    }
    all.extend(unchanged(&steps.v.all_but(&sets)));
    let _ = writeln!(text, "{id}_{}({}) ==", step.pc, at.parameters());
    text + &conjunction(&all, 4)
}

/// What comes of a step, the first that applies. `inner` are the variables that any outcome sets.
fn outcomes(cases: &[Case], inner: &[&str], go: impl Fn(&Case) -> Option<String>) -> String {
    let mut text = String::new();
    for (n, case) in cases.iter().enumerate() {
        let mut all: Vec<String> = case.then.iter().map(|e| e.text.clone()).collect();
        let set = changed(&case.then);
        let rest: Vec<&str> = inner.iter().copied().filter(|v| !set.contains(v)).collect();
        all.extend(unchanged(&rest));
        all.extend(go(case));
        let body = match all.as_slice() {
            [one] => one.clone(),
            all => conjunction(all, 0).replace('\n', "\n     "),
        };
        let body = body.trim_end();
        let _ = match (&case.when, n) {
            (Some(when), 0) => writeln!(text, "IF {when}\nTHEN {body}"),
            (Some(when), _) => writeln!(text, "ELSE IF {when}\nTHEN {body}"),
            (None, _) => writeln!(text, "ELSE {body}"),
        };
    }
    text
}

/// The number of the step that comes next, as an expression. A variable that `op` has just set has
/// its new value.
fn target(steps: &Steps<'_>, next: &Next, op: &Op) -> String {
    match next {
        Next::Step(pc) => pc.to_string(),
        Next::If {
            reg,
            value,
            then,
            otherwise,
        } => {
            let variable = match reg {
                Reg::SameMm => format!("{} = prev[c]", steps.read("mm")),
                Reg::NoPrev => "prev[c] = NoMm".into(),
                _ => {
                    let name = names::register(*reg).expect("a branch depends on a variable");
                    let read = steps.read(name);
                    match flow::sets(op).contains(reg) {
                        true => read.replacen(name, &format!("{name}'"), 1),
                        false => read,
                    }
                }
            };
            let (then, otherwise) = match value {
                true => (then, otherwise),
                false => (otherwise, then),
            };
            format!(
                "IF {variable} THEN {} ELSE {}",
                target(steps, then, op),
                target(steps, otherwise, op)
            )
        }
    }
}

/// The last step of a program: forgets where it was and its variables; an interrupt returns.
fn ending(steps: &Steps<'_>, program: &Program) -> Vec<Effect> {
    let id = program.id;
    let mut all = vec![steps.set("program", "\"idle\""), steps.set("pc", "0")];
    if names::names_mm(id) {
        all.push(steps.set("mm", "NoMm"));
    }
    match id {
        ProgramId::VmallocSyncAll => {
            all.push(becomes("synced", "TRUE"));
            // A walk that broke off still stands on a pgd.
            all.push(except("walk", "![c]", "NoMm"));
        }
        ProgramId::SwitchMm => all.push(except("prev", "![c]", "NoMm")),
        ProgramId::FlushTlbInterrupt => {
            all.push(except("sender", "![c]", "NoCpu"));
            all.push(except("scope", "![c]", "{}"));
        }
        _ => {}
    }
    for reg in registers(program) {
        let name = names::register(reg).filter(|n| steps.v.has(n));
        all.extend(name.map(|name| steps.set(name, "FALSE")));
    }
    if !steps.e.deviates(Variant::IretKeepsIrqsOff) {
        match steps.at {
            At::One(Level::Task) => {}
            At::One(Level::Irq) => all.push(except("irqs_on", "![c]", "TRUE")),
            At::Either => all.push(except("irqs_on", "![c]", "@ \\/ l = \"irq\"")),
        }
    }
    all
}

/// The first step that a program executes.
pub(super) fn first(steps: &Steps<'_>, flow: &Flow<'_>) -> String {
    let nothing = Op::Goto { to: 0 as Pc };
    target(steps, &flow.next(0), &nothing)
}
