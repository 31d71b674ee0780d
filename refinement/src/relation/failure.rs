//! What did not fit, in words.
//!
//! The longest matched prefix of the run with the protocol's line beside every step of the code, the protocol's state
//! there, what the code did next, and for everything the protocol could have done instead the guard that was false.

use std::fmt::Write as _;

use shootdown_impl::sim::Op;
use shootdown_spec::id::{Context, Level};
use shootdown_spec::model::Action;
use shootdown_spec::state::State;
use shootdown_spec::trace::Trace;

use super::joint::{Joint, Misfit, Refinement};
use crate::code::model::Seen;
use crate::code::state::Noticed;
use crate::map;

/// One step of a run of the code.
#[derive(Clone, Debug)]
pub struct Step {
    /// What happened.
    pub action: Action,
    /// The operation the code had announced, for a step of the code.
    pub op: Option<Op>,
    /// The protocol's line that was next there: program, kernel function, statement.
    pub line: Option<(&'static str, &'static str, &'static str)>,
}

/// A run of the code that does not fit.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Every step, the last one being the one that does not fit.
    pub steps: Vec<Step>,
    /// The state before the last step.
    pub before: Joint,
    /// Why it does not fit the protocol.
    pub misfit: Option<Misfit>,
    /// What the machine noticed.
    pub noticed: Option<Noticed>,
    /// What everybody else could have done in the protocol: the action, and the guard that is false if it is.
    pub instead: Vec<(Action, Option<String>)>,
}

impl Refinement {
    /// Plays a run of the code until it does not fit any more. `None`: all of it fits.
    pub fn explain(&self, trace: &Trace) -> Option<Failure> {
        let mut at = self.initial(&trace.start);
        let mut steps = Vec::new();
        for action in &trace.actions {
            steps.push(self.describe(&at, action));
            let (next, misfit) = self.step(&at, action);
            if misfit.is_some() || next.code.noticed.is_some() {
                let candidate = match &misfit {
                    Some(Misfit::Refused { candidate, .. }) => **candidate,
                    _ => at.spec,
                };
                return Some(Failure {
                    steps,
                    before: at,
                    misfit,
                    noticed: next.code.noticed,
                    instead: self.instead(&candidate),
                });
            }
            at = next;
        }
        None
    }

    /// A step of the code in a state.
    pub fn describe(&self, at: &Joint, action: &Action) -> Step {
        let cpu = map::id::cpu_to_code(action.cpu());
        let op = match action {
            Action::Step { .. } => self.code.announced(&at.code, cpu, at.code.top(cpu)),
            _ => None,
        };
        let line = self.spec.line(&at.spec, action);
        Step {
            action: *action,
            op,
            line: line.map(|(program, line)| (program.name(), line.function, line.source)),
        }
    }

    /// Every CPU's next step in the protocol, and every pending IPI.
    fn instead(&self, candidate: &State) -> Vec<(Action, Option<String>)> {
        let mut actions = Vec::new();
        for (cpu, c) in candidate.each_cpu(self.config()) {
            if c.context(c.top()).is_running() {
                actions.push(Action::Step { cpu });
            }
            actions.extend(c.pending_ipis().map(|ipi| Action::Ipi {
                cpu,
                from: ipi.from,
            }));
        }
        let guard = |action| {
            let possible = self.spec.is_enabled(candidate, &action);
            (
                action,
                (!possible).then(|| self.spec.why_not(candidate, &action)),
            )
        };
        actions.into_iter().map(guard).collect()
    }
}

/// The operation in a few words: `FetchAnd UserEntry(mm0, Pte) !0x20`.
pub fn operation(op: Op) -> String {
    let named = |what: &str, loc: &dyn std::fmt::Debug, value: Option<u64>| {
        let value = match value {
            None => String::new(),
            // A mask of the bits that stay is read more easily as the bits that go.
            Some(v) if v > u64::MAX / 2 => format!(" !{:#x}", !v),
            Some(v) => format!(" {v:#x}"),
        };
        format!("{what} {loc:?}{value}")
    };
    let text = match op {
        Op::Load(l) => named("Load", &l, None),
        Op::Store(l, v) => named("Store", &l, Some(v)),
        Op::FetchOr(l, v) => named("FetchOr", &l, Some(v)),
        Op::FetchAnd(l, v) => named("FetchAnd", &l, Some(v)),
        Op::FetchAdd(l, u64::MAX) => format!("FetchAdd {l:?} -1"),
        Op::FetchAdd(l, v) => format!("FetchAdd {l:?} {v}"),
        Op::HypervisorStore(l, v) => named("HypervisorStore", &l, Some(v)),
        other => format!("{other:?}"),
    };
    let mut text = text;
    for (wrapped, plain) in [("MmId(", "mm"), ("CpuId(", "CPU"), ("FrameId(", "frame")] {
        while let Some(at) = text.find(wrapped) {
            let digits = at + wrapped.len();
            let Some(end) = text[digits..].find(')') else {
                break;
            };
            let number = text[digits..digits + end].to_string();
            text.replace_range(at..=digits + end, &format!("{plain}{number}"));
        }
    }
    text
}

impl Failure {
    /// For people: the matched prefix, the step that does not fit, why, and what else there was.
    pub fn text(&self, refinement: &Refinement) -> String {
        let mut text = String::new();
        let matched = self.steps.len() - 1;
        let _ = writeln!(
            text,
            "the protocol follows {matched} step(s) of the code, then:"
        );
        for (i, step) in self.steps.iter().enumerate() {
            let mark = if i == matched { ">>" } else { "  " };
            let what = match step.op {
                Some(op) => format!("CPU{}  {}", step.action.cpu().0, operation(op)),
                None => step.action.to_string(),
            };
            let line = step
                .line
                .map_or(String::new(), |(program, function, source)| {
                    let place = if program == function {
                        program.to_string()
                    } else {
                        format!("{function}() of {program}")
                    };
                    format!("  | {source}  /* {place} */")
                });
            let _ = writeln!(text, "{mark} {:>3}  {what:<44}{line}", i + 1);
        }
        text.push('\n');
        if let Some(noticed) = &self.noticed {
            let _ = writeln!(text, "the machine notices: {noticed}");
        }
        match &self.misfit {
            None => {}
            Some(Misfit::Refused {
                cpu,
                level,
                seen,
                refused,
                ..
            }) => {
                let who = Context {
                    cpu: map::id::cpu_to_spec(*cpu),
                    level: *level,
                };
                let what = match seen {
                    Seen::Event(event) => format!("reports {event:?}"),
                    Seen::Iret => "returns from its interrupt".to_string(),
                };
                let _ = writeln!(
                    text,
                    "the code on {who} {what}; for that the protocol would have to do {}, but {}",
                    refused.wanted, refused.reason
                );
            }
            Some(Misfit::Disagrees(disagreement)) => {
                let _ = writeln!(text, "afterwards the states differ. {disagreement}");
            }
            Some(Misfit::Stuck { code, spec }) => {
                let names = |set: u8| {
                    let all: Vec<_> = (0..8)
                        .filter(|i| set >> i & 1 == 1)
                        .map(|i| Context::from_code(i).to_string())
                        .collect();
                    if all.is_empty() {
                        "nobody".to_string()
                    } else {
                        all.join(", ")
                    }
                };
                let _ = writeln!(
                    text,
                    "in the code {} can never move again, in the protocol {}",
                    names(*code),
                    names(*spec)
                );
            }
        }
        if self.misfit.is_some() {
            let _ = writeln!(text, "\nwhat the protocol could do instead:");
            for (action, guard) in &self.instead {
                let line = match self.candidate() {
                    Some(state) => refinement.spec.line(state, action),
                    None => refinement.spec.line(&self.before.spec, action),
                };
                let line = line.map_or(String::new(), |(_, line)| format!(" `{}`", line.source));
                let _ = match guard {
                    None => writeln!(text, "  {action}{line}"),
                    Some(guard) => writeln!(text, "  not: {action}{line}: {guard}"),
                };
            }
            let state = self.candidate().unwrap_or(&self.before.spec);
            let _ = writeln!(text, "\nthe protocol's state:");
            for (who, ctx) in state.each_context(refinement.config()) {
                let irqs = if state.cpu(who.cpu).irqs_on {
                    "on"
                } else {
                    "off"
                };
                let level = if who.level == Level::Irq {
                    ", in an interrupt"
                } else {
                    ""
                };
                let _ = writeln!(text, "  {}{level}, irqs {irqs}: {ctx:?}", who.cpu);
            }
        }
        text
    }

    fn candidate(&self) -> Option<&State> {
        match &self.misfit {
            Some(Misfit::Refused { candidate, .. }) => Some(candidate),
            _ => None,
        }
    }
}
