//! A run as data: what programs and other forms of the report need.

use super::Story;
use super::event::events;
use crate::system::ContextId;
use serde::Serialize;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepRecord {
    /// Its number, from 1.
    pub n: usize,
    /// The CPU.
    pub cpu: usize,
    /// The kind of context: `task`, `IPI handler`.
    pub kind: String,
    /// The source that runs.
    pub source: String,
    /// The function that the statement stands in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub function: String,
    /// The statement, or the start of something.
    pub statement: String,
    /// The file; empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The line, from 1; 0 if there is none.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The wait that begins with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// What it changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// Where a context is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContextRecord {
    /// The CPU.
    pub cpu: usize,
    /// The kind of context.
    pub kind: String,
    /// The source.
    pub source: String,
    /// The statement it stands at.
    pub statement: String,
    /// The line.
    pub line: u32,
    /// Locks it holds.
    pub holds: Vec<String>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// Can it never move again?
    pub stuck: bool,
}

impl Story<'_> {
    /// The steps as data.
    pub fn records(&self) -> Vec<StepRecord> {
        events(self)
            .into_iter()
            .map(|event| {
                let line = self.line_of(event.n - 1);
                let source = self.source_of(event.context);
                let statement = match (&line, event.what.is_empty()) {
                    (Some((_, line)), true) => line.text.statement.clone(),
                    _ => event.what,
                };
                StepRecord {
                    n: event.n,
                    cpu: self.cpu_of(event.context),
                    kind: source.kind.to_string(),
                    source: source.name.clone(),
                    function: line.map_or(String::new(), |(_, l)| l.text.function.clone()),
                    statement,
                    file: self.protocol.file.clone(),
                    line: event.line,
                    column: line.map_or(source.span.column, |(_, l)| l.span.column),
                    note: event.note.map(|n| n.text),
                    waits: event.waits.map(|w| w.note),
                    changes: self.changes(event.n - 1),
                }
            })
            .collect()
    }

    /// Where every context is after `n` steps that runs or is pending.
    pub fn status(&self, n: usize) -> Vec<ContextRecord> {
        let place = |c: ContextId| self.stands_at(n, c);
        self.contexts()
            .filter(|&c| place(c).is_some() || self.is_pending(n, c))
            .map(|c| {
                let source = self.source_of(c);
                let line = place(c).map(|(_, line)| line);
                ContextRecord {
                    cpu: self.cpu_of(c),
                    kind: source.kind.to_string(),
                    source: source.name.clone(),
                    statement: line.map_or(String::new(), |l| l.text.statement.clone()),
                    line: line.map_or(source.span.line, |l| l.span.line),
                    holds: self.held(n, c),
                    waits: self.wait_text(n, c),
                    stuck: self.stuck() >> c.0 & 1 == 1,
                }
            })
            .collect()
    }
}
