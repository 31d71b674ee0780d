//! The steps of a run as data.

use super::Run;
use super::event::events;
use crate::id::{Context, Level};
use crate::model::{Action, Protocol};
use crate::program::Op;
use crate::trace::{Trace, TraceError};
use serde::Serialize;

/// One step of a run, with what its CPU has and waits for after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepRecord {
    /// Number of the step, from 1.
    pub n: usize,
    /// The CPU.
    pub cpu: u8,
    /// The program it belongs to; none for a fill by the hardware walker.
    pub program: Option<&'static str>,
    /// The C statement, or in angle brackets what happened instead.
    pub step: String,
    /// The kernel function that contains the statement.
    pub function: Option<&'static str>,
    /// The abstract step.
    pub op: Option<Op>,
    /// What came of it, in words.
    pub note: Option<String>,
    /// Interrupts are on after it.
    pub irqs_on: bool,
    /// It happened in an interrupt handler.
    pub in_irq: bool,
    /// Locks that the CPU holds after it, interrupted code included.
    pub holds: Vec<String>,
    /// What the CPU waits for after it.
    pub waits: Option<String>,
    /// Shown by default in the text.
    pub matters: bool,
    /// The action, as it can be replayed.
    pub action: Action,
    /// What it meant to other CPUs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Elsewhere>,
}

/// What a step meant to another CPU: a lock granted, an IPI sent, an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Elsewhere {
    /// The other CPU.
    pub cpu: u8,
    /// What it gets.
    pub note: String,
}

/// Every step of a run.
///
/// # Errors
/// If the run is not possible.
pub fn steps(
    protocol: &Protocol,
    trace: &Trace,
    property: Option<&str>,
) -> Result<Vec<StepRecord>, TraceError> {
    let run = Run {
        protocol,
        trace,
        states: trace.states(protocol)?,
        property: property.and_then(|name| crate::property::Property::named(name).map(|(_, p)| p)),
    };
    let records = events(&run).into_iter().map(|event| {
        let (before, after) = (&run.states[event.n - 1], &run.states[event.n]);
        let who = event.action.cpu();
        let cpu = after.cpu(who);
        let program = match event.action {
            Action::Fill { .. } => None,
            Action::Step { .. } => Some(before.cpu(who).context(event.level).program),
            _ => Some(cpu.context(event.level).program),
        };
        let held = cpu
            .context(Level::Task)
            .held
            .union(cpu.context(Level::Irq).held);
        let top = Context {
            cpu: who,
            level: cpu.top(),
        };
        StepRecord {
            n: event.n,
            cpu: who.0,
            program: program.map(|p| p.name()),
            step: event.what,
            function: event.function,
            op: protocol
                .line(before, &event.action)
                .map(|(_, line)| line.op),
            note: event.note,
            irqs_on: cpu.irqs_on,
            in_irq: event.level == Level::Irq,
            holds: held.iter().map(|l| l.to_string()).collect(),
            waits: super::cycle::wait(&protocol.config, after, top),
            matters: event.matters,
            action: event.action,
            elsewhere: event
                .elsewhere
                .into_iter()
                .map(|(cpu, note)| Elsewhere { cpu: cpu.0, note })
                .collect(),
        }
    });
    Ok(records.collect())
}
