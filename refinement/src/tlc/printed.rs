//! What TLC prints with `-tool`, as far as a verdict needs it.
//!
//! Messages stand between two marks, with a code and a severity; what a module prints stands
//! between the messages. Nothing is taken for a verdict that TLC did not say: an error that is
//! not a temporal property's, a warning that is not known to be harmless, states left on the
//! queue, a report without its end are [`Unreadable`].

use std::collections::BTreeSet;
use std::io;
use thiserror::Error;

/// What a run that explored everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// Distinct states.
    pub states: u64,
    /// Initial states and transitions, duplicates included.
    pub transitions: u64,
    /// What the module said is violated.
    pub violated: BTreeSet<String>,
    /// A temporal property is.
    pub progress_violated: bool,
}

/// Why what was printed is no verdict.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// An error that is not among those looked for.
    #[error("it said `{0}`")]
    Said(String),
    /// The report does not have this.
    #[error("it did not report {0}")]
    Lacks(&'static str),
    /// It did not exit properly.
    #[error("it ended with {0}")]
    Status(String),
    /// The pipe broke.
    #[error("{0}")]
    Pipe(#[from] io::Error),
}

/// Messages by their codes (`tlc2.output.EC`).
mod code {
    /// "Model checking completed. No error has been found."
    pub const COMPLETED: u32 = 2193;
    /// "N states generated, M distinct states found, K states left on queue."
    pub const STATES: u32 = 2199;
    /// "Temporal properties were violated."
    pub const TEMPORAL: u32 = 2116;
    /// "The following behavior constitutes a counter-example:"
    pub const COUNTEREXAMPLE: u32 = 2264;
    /// Which garbage collector would be the fastest.
    pub const COLLECTOR: u32 = 2401;
}

/// Severities: an error, a bug of TLC's, a warning; 0 informs and 4 is a state of a run.
const SERIOUS: std::ops::RangeInclusive<u32> = 1..=3;

impl Printed {
    /// Reads TLC's output, line by line.
    ///
    /// # Errors
    /// If it does not say that every state was seen.
    pub fn read(lines: impl Iterator<Item = io::Result<String>>) -> Result<Printed, Unreadable> {
        let mut printed = Printed::default();
        let (mut completed, mut counted) = (false, None);
        let mut message: Option<(u32, u32)> = None;
        // SANY's complaints stand outside of messages; the message that follows has no details.
        let mut refusal: Vec<String> = Vec::new();
        for line in lines {
            let line = line?;
            let text = line.trim();
            if let Some(begun) = begins(text) {
                message = Some(begun);
                match begun.0 {
                    code::COMPLETED => completed = true,
                    code::TEMPORAL => printed.progress_violated = true,
                    _ => {}
                }
            } else if text.starts_with("@!@!@ENDMSG") {
                message = None;
            } else if let Some((code, severity)) = message {
                match code {
                    code::STATES => counted = counted.or_else(|| states(text)),
                    code::TEMPORAL | code::COUNTEREXAMPLE | code::COLLECTOR => {}
                    _ if SERIOUS.contains(&severity) && !text.is_empty() => {
                        refusal.push(text.to_string());
                        return Err(Unreadable::Said(refusal.join("; ")));
                    }
                    _ => {}
                }
            } else if let Some(name) = violated(text) {
                printed.violated.insert(name.to_string());
            } else if text.contains("Error") || (1..4).contains(&refusal.len()) && !text.is_empty()
            {
                refusal.push(text.to_string());
            }
        }
        if !completed && !printed.progress_violated {
            return Err(Unreadable::Lacks("that it has completed"));
        }
        let (generated, distinct, left) =
            counted.ok_or(Unreadable::Lacks("its number of states"))?;
        if left != 0 {
            return Err(Unreadable::Said(format!("{left} states left on queue")));
        }
        (printed.transitions, printed.states) = (generated, distinct);
        Ok(printed)
    }
}

/// Code and severity of `@!@!@STARTMSG 2193:0 @!@!@`.
fn begins(line: &str) -> Option<(u32, u32)> {
    let rest = line.strip_prefix("@!@!@STARTMSG ")?;
    let (code, severity) = rest.split_whitespace().next()?.split_once(':')?;
    Some((code.parse().ok()?, severity.parse().ok()?))
}

/// The name in `<<"violated", "no_deadlock">>`.
fn violated(line: &str) -> Option<&str> {
    line.strip_prefix("<<\"violated\", \"")?
        .strip_suffix("\">>")
}

/// The three numbers of "N states generated, M distinct states found, K states left on queue."
fn states(line: &str) -> Option<(u64, u64, u64)> {
    let (generated, rest) = line.split_once(" states generated, ")?;
    let (distinct, rest) = rest.split_once(" distinct states found, ")?;
    let left = rest.strip_suffix(" states left on queue.")?;
    let number = |text: &str| text.replace(',', "").parse().ok();
    Some((number(generated)?, number(distinct)?, number(left)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What TLC 2.15 printed of `export tla`'s module for `--design v2.6.37 --env nosplit
    /// --workload unmapping`, under the survey of every property; paths and times taken out.
    const SURVEY: &str = include_str!("survey.txt");
    /// The same of `progress`, which the deadlock violates; the states of the run taken out.
    const PROGRESS: &str = include_str!("progress.txt");

    fn read(text: &str) -> Result<Printed, Unreadable> {
        Printed::read(text.lines().map(|l| Ok(l.to_string())))
    }

    #[test]
    fn a_survey_is_read() {
        let printed = read(SURVEY).expect("it is complete");
        assert!(!printed.progress_violated);
        // As `check` says of the same cell.
        assert_eq!((printed.states, printed.transitions), (2544, 5705));
        let violated: Vec<_> = printed.violated.iter().map(String::as_str).collect();
        let three = [
            "no_deadlock",
            "no_irqs_off_wait_for_flush_lock",
            "no_lock_held_across_ipi_wait",
        ];
        assert_eq!(violated, three);
    }

    #[test]
    fn a_violated_temporal_property_is_a_verdict() {
        let printed = read(PROGRESS).expect("it is complete");
        assert!(printed.progress_violated);
        let states = read(SURVEY).expect("it is complete").states;
        assert_eq!(printed.states, states);
    }

    #[test]
    fn what_is_cut_short_is_no_verdict() {
        let before = SURVEY.find("@!@!@STARTMSG 2193").expect("it completed");
        let cut: String = SURVEY[..before].lines().map(|l| format!("{l}\n")).collect();
        for text in [
            "",
            &cut,
            &SURVEY.replace("STARTMSG 2193:0", "STARTMSG 2200:0"),
            &SURVEY.replace("STARTMSG 2199:0", "STARTMSG 2200:0"),
            &SURVEY.replace(", 0 states left", ", 12 states left"),
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_tlc_complains_about_is_no_verdict() {
        let complaint = |code, text| {
            let said = format!("@!@!@STARTMSG {code} @!@!@\n{text}\n@!@!@ENDMSG 1 @!@!@\n");
            match read(&format!("{said}{SURVEY}")) {
                Err(Unreadable::Said(said)) => said,
                other => panic!("{other:?}"),
            }
        };
        let said = complaint("2110:1", "Invariant TypeOK is violated.");
        assert_eq!(said, "Invariant TypeOK is violated.");
        complaint("2999:3", "Something is odd.");
    }

    #[test]
    fn why_a_module_is_refused_is_told() {
        let said = "***Parse Error***\n\nWas expecting \"====\"\nEncountered \"x\"\n\
                    @!@!@STARTMSG 3002:1 @!@!@\nParsing or semantic analysis failed.\n";
        match read(said) {
            Err(Unreadable::Said(said)) => assert!(said.contains("Was expecting"), "{said}"),
            other => panic!("{other:?}"),
        }
    }
}
