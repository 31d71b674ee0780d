//! What a verifier built by Spin prints, as far as a verdict needs it.
//!
//! Nothing is taken for a verdict that the verifier did not say: a report that is cut short, a
//! bound that was hit, an error that is neither an assertion nor an end state is [`Unreadable`].

use std::collections::BTreeSet;
use std::io;
use thiserror::Error;

/// What an exhaustive run found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// Distinct states.
    pub states: u64,
    /// Transitions, the initial state counted as one.
    pub transitions: u64,
    /// A state was reached in which nothing moves and somebody is not done.
    pub invalid_end_state: bool,
    /// Assertions that failed, by the expression asserted.
    pub assertions: BTreeSet<String>,
    /// Bytes in use at the end.
    pub memory_bytes: u64,
}

/// Why what was printed is no verdict.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// An error that is not among those looked for.
    #[error("it said `{0}`")]
    Said(String),
    /// The report does not have this line.
    #[error("it did not report {0}")]
    Lacks(&'static str),
    /// It did not exit properly.
    #[error("it ended with {0}")]
    Status(String),
    /// The pipe broke.
    #[error("{0}")]
    Pipe(#[from] io::Error),
}

impl Printed {
    /// Reads the verifier's output, line by line.
    ///
    /// # Errors
    /// If it does not say that every state was seen.
    pub fn read(lines: impl Iterator<Item = io::Result<String>>) -> Result<Printed, Unreadable> {
        let mut printed = Printed::default();
        let (mut states, mut transitions, mut memory, mut full) = (None, None, None, false);
        for line in lines {
            let line = line?;
            let text = line.trim();
            if let Some(error) = numbered_error(text) {
                if error == "invalid end state" {
                    printed.invalid_end_state = true;
                } else if let Some(what) = error.strip_prefix("assertion violated ") {
                    if !printed.assertions.contains(what) {
                        printed.assertions.insert(what.to_string());
                    }
                } else {
                    return Err(Unreadable::Said(text.to_string()));
                }
            } else if text.starts_with("Full statespace search") {
                full = true;
            } else if text.starts_with("error:")
                || text.starts_with("Warning:")
                || text.starts_with("pan: out of memory")
                || text.starts_with("pan: reached")
                || text.starts_with("Interrupted")
            {
                return Err(Unreadable::Said(text.to_string()));
            } else if let Some(n) = text.strip_suffix(" states, stored") {
                states = n.trim().parse().ok();
            } else if let Some((n, _)) = text.split_once(" transitions (= stored+matched") {
                transitions = n.trim().parse().ok();
            } else if let Some(n) = text.strip_suffix("total actual memory usage") {
                memory = n.trim().parse::<f64>().ok();
            }
        }
        if !full {
            return Err(Unreadable::Lacks("a full statespace search"));
        }
        printed.states = states.ok_or(Unreadable::Lacks("its number of states"))?;
        printed.transitions = transitions.ok_or(Unreadable::Lacks("its transitions"))?;
        // Megabytes of 2^20 bytes; small runs leave the line out.
        printed.memory_bytes = (memory.unwrap_or(0.0) * 1048576.0) as u64;
        Ok(printed)
    }
}

/// The text of `pan:12: text (at depth 34)`.
fn numbered_error(line: &str) -> Option<&str> {
    let (number, rest) = line.strip_prefix("pan:")?.split_once(": ")?;
    number.parse::<u64>().ok()?;
    let text = rest
        .rsplit_once(" (at depth")
        .map_or(rest, |(text, _)| text);
    Some(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
pan:1: assertion violated no_lock_held_across_ipi_wait (at depth 12)
pan:8: invalid end state (at depth 33)
pan:9: assertion violated no_lock_held_across_ipi_wait (at depth 30)

(Spin Version 6.5.2 -- 6 December 2019)

Full statespace search for:
	never claim         	- (none specified)
	assertion violations	+
	cycle checks       	- (disabled by -DSAFETY)
	invalid end states	+

State-vector 92 byte, depth reached 54, errors: 102
     2545 states, stored
     3161 states, matched
     5706 transitions (= stored+matched)
     2910 atomic steps
hash conflicts:         0 (resolved)

  133.000	total actual memory usage

pan: elapsed time 0 seconds
";

    fn read(text: &str) -> Result<Printed, Unreadable> {
        Printed::read(text.lines().map(|l| Ok(l.to_string())))
    }

    #[test]
    fn a_report_is_read() {
        let printed = read(REPORT).expect("it is complete");
        assert_eq!((printed.states, printed.transitions), (2545, 5706));
        assert!(printed.invalid_end_state);
        let asserted: Vec<_> = printed.assertions.iter().map(String::as_str).collect();
        assert_eq!(asserted, ["no_lock_held_across_ipi_wait"]);
        assert_eq!(printed.memory_bytes, 133 << 20);
    }

    #[test]
    fn the_list_of_what_is_checked_is_no_finding() {
        // "invalid end states +" and "assertion violations +" stand in every report.
        let clean: String = REPORT.lines().skip(3).map(|l| format!("{l}\n")).collect();
        let printed = read(&clean).expect("it is complete");
        assert!(!printed.invalid_end_state && printed.assertions.is_empty());
    }

    #[test]
    fn what_is_cut_short_is_no_verdict() {
        for text in [
            "",
            "pan: out of memory",
            "Full statespace search for:\n 12 states, stored",
            &REPORT.replace("Full statespace", "Bit statespace"),
            &REPORT.replace("hash conflicts", "error: max search depth too small\nhash"),
            &format!("Warning: Search not completed\n{REPORT}"),
            &REPORT.replace(
                "pan:8: invalid end state",
                "pan:8: array index out of bounds",
            ),
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
