//! The lines of a trace, by what they are.

use super::line::Malformed;
use super::place::printable;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many malformed lines are kept to be shown, and how many names of unknown events.
const SHOWN: usize = 10;
const NAMES: usize = 64;

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// The line, from 1.
    pub line: u64,
    /// The column in bytes, from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// Lines by what they are.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// All.
    pub lines: u64,
    /// Events, unknown ones included.
    pub events: u64,
    /// Events that are not in the table, by name; after the first names only `(others)`.
    pub unknown: BTreeMap<String, u64>,
    /// Comments.
    pub comments: u64,
    /// Functions of stacks.
    #[serde(skip_serializing_if = "is_zero")]
    pub frames: u64,
    /// `CPU:n [LOST k EVENTS]`.
    pub lost_markers: u64,
    /// The console around a dump.
    pub text: u64,
    /// Damaged lines.
    pub malformed: u64,
    /// The first of those.
    pub first_malformed: Vec<Unread>,
    /// What the header of `trace` says: entries in the buffer, entries written.
    pub entries: Option<(u64, u64)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Counts {
    pub(super) fn unknown(&mut self, name: &[u8]) {
        let name = printable(&String::from_utf8_lossy(&name[..name.len().min(64)]));
        let known = self.unknown.contains_key(&name) || self.unknown.len() < NAMES;
        let name = if known { name } else { "(others)".into() };
        *self.unknown.entry(name).or_default() += 1;
    }

    pub(super) fn malformed(&mut self, malformed: Malformed) {
        self.malformed += 1;
        if self.first_malformed.len() < SHOWN {
            self.first_malformed.push(Unread {
                line: self.lines,
                column: malformed.column,
                reason: malformed.reason,
            });
        }
    }
}
