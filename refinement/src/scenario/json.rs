//! A check as versioned JSON.

use super::check::{Checked, Verdict};
use serde::Serialize;
use shootdown_ir::Expect;
use shootdown_ir::report::{ContextRecord, StepRecord};
use shootdown_lang::Diagnostics;

/// What `check FILE --format json` prints: one scenario.
#[derive(Debug, Serialize)]
pub struct ScenarioJson {
    schema: &'static str,
    scenario: String,
    file: String,
    cpus: usize,
    expect: Option<String>,
    /// `as_expected`, `violated`, `unexpected` or `incomplete`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Reductions that had an effect; counts are then those of the states that stand for others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reduced: Vec<&'static str>,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    states: StatesJson,
    properties: Vec<PropertyJson>,
    unreached: Vec<String>,
    warnings: Vec<DiagnosticJson>,
    elapsed_ms: u64,
}

#[derive(Debug, Serialize)]
struct StatesJson {
    unique: usize,
    generated: usize,
    depth: usize,
}

#[derive(Debug, Serialize)]
struct PropertyJson {
    name: String,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    counterexample: Option<RunJson>,
}

/// A run.
#[derive(Debug, Serialize)]
pub struct RunJson {
    steps: Vec<StepRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loops_to: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sentence: Option<String>,
    contexts: Vec<ContextRecord>,
    schedule: String,
}

/// One thing that is wrong with a text.
#[derive(Debug, Serialize)]
pub struct DiagnosticJson {
    code: &'static str,
    severity: &'static str,
    message: String,
    line: u32,
    column: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    help: Vec<String>,
}

/// A file that is no scenario, as JSON.
#[derive(Debug, Serialize)]
pub struct UnreadJson {
    schema: &'static str,
    file: String,
    /// `unreadable`.
    outcome: &'static str,
    reason: String,
    diagnostics: Vec<DiagnosticJson>,
}

impl RunJson {
    /// The run as data.
    pub fn new(story: &shootdown_ir::report::Story<'_>) -> RunJson {
        RunJson {
            steps: story.records(),
            loops_to: story.loops_to(),
            sentence: story.explain().map(|(_, sentence)| sentence),
            contexts: story.status(story.end()),
            schedule: story.schedule(),
        }
    }
}

impl ScenarioJson {
    /// The JSON of a check.
    pub fn new(checked: &Checked<'_>) -> ScenarioJson {
        let p = &checked.scenario.protocol;
        let outcome = &checked.outcome;
        let (word, reason) = match checked.verdict() {
            Verdict::AsExpected => ("as_expected", None),
            Verdict::Violated => ("violated", None),
            Verdict::Unexpected(why) => ("unexpected", Some(why)),
            Verdict::Incomplete => ("incomplete", None),
        };
        ScenarioJson {
            schema: "shootdown/scenario-check/1",
            scenario: p.name.clone(),
            file: checked.scenario.file.clone(),
            cpus: p.cpus,
            expect: p.expect.as_ref().map(|e| match e {
                Expect::Ok => "ok".to_string(),
                Expect::Violated(name) => format!("violated {name}"),
            }),
            outcome: word,
            reason,
            reduced: checked.reduced.names(),
            complete: outcome.cut().is_none(),
            stopped: checked.cut(),
            states: StatesJson {
                unique: outcome.graph.len(),
                generated: outcome.graph.transitions(),
                depth: outcome.graph.levels.len().saturating_sub(1),
            },
            properties: outcome
                .results
                .iter()
                .map(|r| PropertyJson {
                    name: r.name.clone(),
                    verdict: r.verdict.name(),
                    counterexample: checked.story(r).as_ref().map(RunJson::new),
                })
                .collect(),
            unreached: outcome.unreached.clone(),
            warnings: diagnostics(&checked.scenario.warnings),
            elapsed_ms: checked.elapsed.as_millis() as u64,
        }
    }
}

impl UnreadJson {
    /// The JSON of a file that is no scenario.
    pub fn new(file: &str, error: &super::LoadError) -> UnreadJson {
        UnreadJson {
            schema: "shootdown/scenario-check/1",
            file: file.to_string(),
            outcome: "unreadable",
            reason: error.to_string(),
            diagnostics: match error {
                super::LoadError::Text(found) => diagnostics(found),
                _ => Vec::new(),
            },
        }
    }
}

fn diagnostics(found: &Diagnostics) -> Vec<DiagnosticJson> {
    found
        .list
        .iter()
        .map(|d| {
            let (line, column) = found.file.line_column(d.primary.span.start);
            DiagnosticJson {
                code: d.code.name,
                severity: d.severity().word(),
                message: d.message.clone(),
                line,
                column,
                help: d.help.clone(),
            }
        })
        .collect()
}
