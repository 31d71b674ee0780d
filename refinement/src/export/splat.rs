//! A run as a kernel log would have it: lockdep's layout of today, that of 2.6.38, or DEPT's.
//!
//! Every text is headed as what it is: a model checker's counterexample, not a kernel log. There are no addresses, no
//! process ids and no timestamps in a model, so none are printed: a frame reads `function+step/steps [program]` with
//! the statement behind it, a task is a program on a CPU.

mod dept;
mod frame;
mod layout;

use super::lockdep::{self, Report};
use super::run::Run;
use std::fmt::Write as _;

/// Whose layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// lockdep of 6.18.
    #[default]
    Modern,
    /// lockdep of 2.6.38.
    V2_6_38,
    /// DEPT: waits and events instead of locks.
    Dept,
}

/// Columns of the heading.
const WIDTH: usize = 80;

/// The run as a splat; `None` if there is nothing in it that the tool would report.
///
/// lockdep reports the first thing in the run that could go wrong, hung or not; DEPT's form tells the cycle of waits
/// that the run ends in.
pub fn splat(run: &Run, flavour: Flavour) -> Option<String> {
    match flavour {
        Flavour::Dept => dept::write(run),
        Flavour::Modern | Flavour::V2_6_38 => {
            let report = lockdep::watch(run)?;
            let mut text = heading(run, &about_lockdep(run, &report));
            let old = flavour == Flavour::V2_6_38;
            text += &layout::write(run, &report, old);
            if !old {
                text += &csd(run);
            }
            Some(text)
        }
    }
}

fn about_lockdep(run: &Run, report: &Report) -> String {
    let steps = run.trace.actions.len();
    let seen = if report.needs_acks() {
        "lockdep has no node for the wait for an IPI acknowledgement and was silent about this. It is shown \
         what it would print with one: ipi_ack(CPUn) is a pseudo lock that CPUn withholds while its interrupts are \
         off, and that a sender of a flush IPI waits for."
    } else {
        "lockdep sees this one: no acknowledgement is needed for it."
    };
    format!("{seen} Noticed at step {} of {steps}.", report.by.place.n)
}

/// What the text is, and is not.
fn heading(run: &Run, about: &str) -> String {
    let mut text = String::from(
        "*** A model checker's counterexample in the words of a kernel log. NOT A KERNEL LOG. ***\n",
    );
    let promise = match run.property {
        Some(p) => format!(" {} is violated.", p.name),
        None => String::new(),
    };
    let frames =
        "A frame is function+step/steps [program] and the statement, from the model's programs.";
    let _ = writeln!(text, "{}", fill(&format!("{about}{promise} {frames}")));
    let _ = writeln!(text, "{}", fill(&run.subject()));
    let _ = writeln!(text, "shootdown replay '{}'", run.schedule());
    text
}

fn fill(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        if column > 0 && column + 1 + word.chars().count() > WIDTH {
            out.push('\n');
            column = 0;
        }
        if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.chars().count();
    }
    out
}

/// What the log of the hung machine itself would have: the watchdog of cross-CPU calls, which a kernel with
/// `CONFIG_CSD_LOCK_WAIT_DEBUG` runs. Empty if every IPI was acknowledged.
fn csd(run: &Run) -> String {
    let stuck = run.last().stuck(&run.protocol.config);
    let lost = run.ipis.iter().filter(|i| i.acked.is_none());
    let lost = lost.filter(|i| i.awaited.is_some_and(|(who, _)| stuck.contains(who)));
    let mut text = String::new();
    for (n, ipi) in lost.enumerate() {
        let _ = writeln!(
            text,
            "smp: csd: Detected non-responsive CSD lock (#{0}) on CPU#{1}, waiting for ever for CPU#{2:02} \
             flush_tlb_func({3}).\nsmp: \tcsd: CSD lock (#{0}) unresponsive.",
            n + 1,
            ipi.from.0,
            ipi.to.0,
            ipi.mm,
        );
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "\nAnd what the machine itself would have logged once it hung (CONFIG_CSD_LOCK_WAIT_DEBUG):\n{text}"
    )
}
