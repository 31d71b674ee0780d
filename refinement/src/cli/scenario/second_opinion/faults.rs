//! Seeded faults of the models of scenarios: a comparison that cannot fail says nothing.
//!
//! Each spoils the text that the other checker gets, in whatever file it finds something to spoil, and must make a difference
//! in one of them.

use super::super::model::exported;
use super::{Asked, ours, told};
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use shootdown_refinement::scenario::Scenario;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is wrong with the model then, and a line as the writer would have it wrong.
type Fault = (&'static str, fn(&str) -> Option<String>);

const SPIN: &[Fault] = &[
    ("a step is taken wherever its context is", |line| {
        cut(line, "&& executes_", "&&")
    }),
    ("an interrupt comes wherever it is pending", |line| {
        cut(line, "&& arrives_", "&&")
    }),
    ("an assignment with a condition is always made", |line| {
        let (_, rest) = line.trim().strip_prefix("if :: ")?.split_once(" -> ")?;
        Some(format!("\t\t{};", rest.strip_suffix(" :: else fi;")?))
    }),
    ("interrupts are never turned off", |line| {
        let set = line.trim().starts_with("irqs_") && line.trim().ends_with(" = 0;");
        set.then(|| "\t\tskip;".to_string())
    }),
    ("interrupts are off at the start", |line| {
        let start = line.starts_with("bit irqs_");
        start.then(|| line.replace("= 1;", "= 0;"))
    }),
    ("a promise is not asserted", |line| {
        let (kept, _) = line.split_once("; assert(")?;
        Some(format!("{kept};"))
    }),
    ("every state may be the last", |line| {
        let last = line.trim().ends_with("-> skip }");
        last.then(|| "\t:: d_step { 1 -> skip }".to_string())
    }),
];

const TLC: &[Fault] = &[
    ("a step is taken wherever its context is", |line| {
        let guard = line.starts_with("    /\\ Executes");
        guard.then(|| "    /\\ TRUE".to_string())
    }),
    ("an interrupt comes wherever it is pending", |line| {
        let guard = line.starts_with("    /\\ Arrives");
        guard.then(|| "    /\\ TRUE".to_string())
    }),
    ("an assignment with a condition is always made", |line| {
        let (name, rest) = line.trim().split_once(" == IF ")?;
        let (_, set) = rest.split_once(" THEN [")?;
        let (set, _) = set.rsplit_once(" ELSE s")?;
        Some(format!("           {name} == [{set}"))
    }),
    ("interrupts are never turned off", |line| {
        let set = line.contains("EXCEPT !.irqs_") && line.ends_with(" = (0)]");
        set.then(|| line.replace(" = (0)]", " = (1)]"))
    }),
    ("interrupts are off at the start", |line| {
        let start = line.trim().starts_with("irqs_") && line.contains(" |-> 1");
        start.then(|| line.replace(" |-> 1", " |-> 0"))
    }),
    ("a promise is not looked at", |line| {
        let (kept, _) = line.split_once("\", ")?;
        let promise = kept.trim().starts_with("/\\ LookAt(") && !kept.ends_with("\"end");
        promise.then(|| format!("{kept}\", TRUE)"))
    }),
    ("nothing is ever owed", |line| {
        line.starts_with("Owed == ")
            .then(|| "Owed == FALSE".to_string())
    }),
];

/// Without what begins with `from`, up to the next `upto`.
fn cut(line: &str, from: &str, upto: &str) -> Option<String> {
    let (before, rest) = line.split_once(from)?;
    let (_, after) = rest.split_once(upto)?;
    Some(format!("{before}{upto}{after}"))
}

/// The model with a fault in every line that can have it; `None` if none can.
fn spoiled(model: &str, fault: fn(&str) -> Option<String>) -> Option<String> {
    let mut found = false;
    let mut text = String::new();
    for line in model.lines() {
        match fault(line).filter(|new| new != line) {
            Some(new) => {
                found = true;
                text += &new;
            }
            None => text += line,
        }
        text.push('\n');
    }
    found.then_some(text)
}

/// Plants each fault in file after file until it is noticed; one that is not is exit code 1.
pub fn run(files: &[PathBuf], asked: &Asked, cancel: &AtomicBool) -> Result<ExitCode, CliError> {
    let faults = match asked {
        Asked::Spin(_) => SPIN,
        Asked::Tlc(_) => TLC,
    };
    let scenarios: Vec<Scenario> = files
        .iter()
        .map(|file| Scenario::read(file))
        .collect::<Result<_, _>>()?;
    let mut text = String::new();
    let mut code = ExitCode::AsPromised;
    for (about, fault) in faults {
        let mut noticed = None;
        for scenario in &scenarios {
            if cancel.load(Ordering::Relaxed) {
                let _ = writeln!(text, "INCOMPLETE: not planted: {about}");
                code = code.max(ExitCode::Incomplete);
                break;
            }
            let machine = scenario.machine();
            let exported = exported(scenario, &machine)?;
            let Some(model) = spoiled(&asked.model(&exported), *fault) else {
                continue;
            };
            let Some(ours) = ours(scenario, &exported, None, cancel) else {
                continue;
            };
            let theirs = asked.of(model, &exported.promised(), ours.0, cancel)?;
            if theirs == ours {
                continue;
            }
            noticed = Some(format!(
                "{}: {}; spoiled: {}",
                scenario.file,
                told(&ours),
                told(&theirs)
            ));
            break;
        }
        let _ = match noticed {
            Some(by) => writeln!(text, "noticed: {about}\n    {by}"),
            None if cancel.load(Ordering::Relaxed) => Ok(()),
            None => {
                code = code.max(ExitCode::NotAsExpected);
                writeln!(text, "NOT NOTICED: {about}")
            }
        };
    }
    output::print(text)?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_ir::export::{promela, tla};

    #[test]
    fn every_fault_finds_something_to_spoil() {
        let text = "scenario \"t\"; cpus 2; spinlock_t l; void f(void *i) { }\n\
                    task a on CPU0 { spin_lock_irq(&l); spin_unlock_irq(&l); }\n\
                    task b on CPU1 { spin_lock(&l); smp_call_function(f, NULL, 1); spin_unlock(&l); assert(1 == 1); }\n";
        let scenario = Scenario::of_bytes(text.as_bytes(), "t.sd").expect("it is one");
        let machine = scenario.machine();
        let exported = exported(&scenario, &machine).expect("it can be written");
        for (about, fault) in SPIN {
            assert!(
                spoiled(&promela::write(&exported), *fault).is_some(),
                "Spin: {about}"
            );
        }
        for (about, fault) in TLC {
            assert!(
                spoiled(&tla::write(&exported), *fault).is_some(),
                "TLC: {about}"
            );
        }
    }
}
