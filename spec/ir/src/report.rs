//! Counterexamples that people read: a run in `CPU0 | CPU1 | ...` columns of the protocol's own statements, the state it
//! ends in, and what is wrong there as a sentence.
//!
//! [`Story`] is a run with all its states: a counterexample that [`check`](crate::check::check) found, or a replayed
//! string. [`Story::text`] is for a terminal or a mail, [`Story::records`] the same run as data. Nothing here decides
//! anything: a sentence describes the state that the check found.
//!
//! How to read the columns: one row per step, in temporal order, with the line of the file; the statement stands in the
//! column of the CPU that executes it, under the function it is in. The marks left of each column show in every row what
//! that CPU has: interrupts off, locks held, locks waited for.

mod columns;
mod cycle;
mod event;
mod ipi;
mod lasso;
mod marks;
mod names;
mod note;
mod page;
mod property;
mod record;
mod replay;
mod status;
mod story;
mod style;
mod violation;
mod wait;

pub use ipi::Ipi;
pub use property::{PROPERTIES, Property, promise};
pub use record::{ContextRecord, StepRecord};
pub use replay::ReplayError;
pub use story::Story;

/// How [`Story::text`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns of the terminal; lines are wrapped to it, inside the CPUs' columns too. Below what the CPUs need at least
    /// (about 20 each), lines get longer.
    pub width: usize,
    /// Every step, not only those that matter.
    pub verbose: bool,
    /// With ANSI colours.
    pub colour: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        TextOptions {
            width: 80,
            verbose: false,
            colour: false,
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    let items: Vec<String> = items.into_iter().map(|i| i.to_string()).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// `1 step`, `2 steps`.
fn plural(n: usize, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        _ => format!("{n} {one}s"),
    }
}
