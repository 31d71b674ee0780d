//! The steps of a run.

use super::Played;
use crate::web::subject::Subject;
use crate::web::view::step::{ActionKind, StepView};
use shootdown_spec::model::Action;
use shootdown_spec::program::Op;
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::report;

/// The name of an abstract step: `Lock`, `AwaitAcks`.
pub(super) fn op_name(op: &Op) -> String {
    let text = format!("{op:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_string()
}

/// Every step. One of the code is told by the protocol's steps that it was, if it was any.
pub(super) fn steps(played: &Played) -> Vec<StepView> {
    let (protocol, config) = (played.subject.protocol(), played.config());
    let last = played.last().state();
    let violated = PROPERTIES.iter().find(|p| p.is_violated(config, last));
    let records = report::steps(protocol, &played.told, violated.map(|p| p.name))
        .expect("the run was played");
    played
        .actions
        .iter()
        .enumerate()
        .map(|(i, action)| {
            let at = &played.states[i];
            let cpu = at.state().cpu(action.cpu());
            let line = protocol.line(at.state(), action);
            let operation = played.subject.operation(at, action);
            let told = &records[played.before[i]..played.before[i + 1]];
            let notes: Vec<&str> = told.iter().filter_map(|r| r.note.as_deref()).collect();
            let own = told.iter().rfind(|r| r.cpu == action.cpu().0);
            let level = match action {
                Action::Ipi { .. } | Action::IrqFree { .. } => shootdown_spec::id::Level::Irq,
                _ => cpu.top(),
            };
            let source = match own {
                Some(record) => record.step.clone(),
                // A step of the code that is none of the protocol's.
                None => operation
                    .clone()
                    .map_or_else(|| action.to_string(), |op| format!("<{op}>")),
            };
            StepView {
                n: i + 1,
                cpu: action.cpu().0,
                action: action.to_string(),
                kind: ActionKind::of(action),
                level,
                program: own
                    .and_then(|r| r.program)
                    .or_else(|| line.map(|(program, _)| program.name())),
                function: own
                    .and_then(|r| r.function)
                    .or_else(|| line.map(|(_, line)| line.function)),
                source,
                line: line.map(|_| cpu.context(cpu.top()).pc),
                op: own.and_then(|r| r.op.as_ref()).map(op_name),
                note: (!notes.is_empty()).then(|| notes.join("; ")),
                elsewhere: told.iter().flat_map(|r| r.elsewhere.clone()).collect(),
                matters: told.iter().any(|r| r.matters),
                operation,
                spec_steps: matches!(played.subject, Subject::Code(_)).then_some(told.len()),
            }
        })
        .collect()
}
