//! A check for machines that collect results: JUnit, SARIF, GitHub.

use super::LoadError;
use super::check::{Checked, Verdict};
use crate::ci::{Case, Finding, Outcome, Place, Severity};
use shootdown_ir::Expect;
use shootdown_ir::check::{Result as Judged, Verdict as Word};
use shootdown_ir::report::{Story, promise};
use shootdown_lang::{Diagnostics, Severity as Level};

/// A case for each property of a scenario.
pub fn cases(checked: &Checked<'_>) -> Vec<Case> {
    let suite = &checked.scenario.file;
    let mut cases: Vec<Case> = checked
        .outcome
        .results
        .iter()
        .map(|result| Case {
            suite: suite.clone(),
            name: result.name.clone(),
            outcome: outcome(checked, result),
            time: None,
        })
        .collect();
    // Expected to be violated, and there is no such property at all.
    if let Some(Expect::Violated(name)) = &checked.scenario.protocol.expect
        && checked.outcome.result(name).is_none()
        && let Verdict::Unexpected(why) = checked.verdict()
    {
        cases.push(Case {
            suite: suite.clone(),
            name: name.clone(),
            outcome: Outcome::Failed(vec![unexpected(checked, &why)]),
            time: None,
        });
    }
    let warnings = findings(&checked.scenario.warnings, Level::Warning);
    if !warnings.is_empty() {
        cases.push(Case {
            suite: suite.clone(),
            name: "text".to_string(),
            outcome: Outcome::Warned(warnings),
            time: None,
        });
    }
    if let Some(first) = cases.first_mut() {
        first.time = Some(checked.elapsed);
    }
    cases
}

fn outcome(checked: &Checked<'_>, result: &Judged) -> Outcome {
    let expected = match &checked.scenario.protocol.expect {
        Some(Expect::Violated(name)) => Some(name == &result.name),
        _ => None,
    };
    match (result.verdict, expected) {
        (Word::Violated, Some(true)) | (Word::Holds, None | Some(false)) => Outcome::Passed,
        (Word::Violated, Some(false)) => {
            Outcome::Skipped("violated, too; the file expects another violation".to_string())
        }
        (Word::Violated, None) => match checked.story(result) {
            Some(story) => Outcome::Failed(vec![violation(&story, result)]),
            None => Outcome::Undecided("violated, without a run".to_string()),
        },
        (Word::Incomplete, _) => {
            Outcome::Undecided(format!("incomplete: {}", checked.cut().unwrap_or_default()))
        }
        (Word::Holds | Word::Vacuous, Some(true)) => match checked.verdict() {
            Verdict::Unexpected(why) => Outcome::Failed(vec![unexpected(checked, &why)]),
            _ => Outcome::Undecided("not decided".to_string()),
        },
        (Word::Vacuous, _) => {
            Outcome::Skipped("vacuous: what it is about never happens".to_string())
        }
    }
}

fn unexpected(checked: &Checked<'_>, why: &str) -> Finding {
    let line = checked
        .scenario
        .text
        .lines()
        .position(|l| l.trim_start().starts_with("expect"));
    Finding {
        rule: "unexpected-pass".to_string(),
        promise: "what the file expects to be violated is violated".to_string(),
        level: Severity::Error,
        message: why.to_string(),
        place: Some(Place {
            file: checked.scenario.file.clone(),
            line: line.map(|l| l as u64 + 1),
        }),
        related: Vec::new(),
    }
}

/// A counterexample as a finding: at the statement where the first of those who hang stands, or that the last step executed;
/// the others' statements are related.
pub fn violation(story: &Story<'_>, result: &Judged) -> Finding {
    let file = &story.protocol().file;
    let n = story.end();
    let place = |line: u32| Place {
        file: file.clone(),
        line: (line > 0).then_some(u64::from(line)),
    };
    let mut told: Vec<(Place, String)> = story
        .status(n)
        .into_iter()
        .filter(|c| c.stuck && !c.statement.is_empty())
        .map(|c| {
            let waits = c.waits.unwrap_or_default();
            (
                place(c.line),
                format!("CPU{}, {}: {waits}", c.cpu, c.source),
            )
        })
        .collect();
    if told.is_empty() {
        told = match story.records().last() {
            Some(step) => vec![(
                place(step.line),
                format!("CPU{}: {}", step.cpu, step.statement),
            )],
            None => vec![(place(0), String::new())],
        };
    }
    let (title, sentence) = story.explain().unwrap_or_default();
    let invariant = story
        .protocol()
        .invariants
        .iter()
        .find(|i| i.name == result.name)
        .map(|i| i.text.clone());
    let first = told.remove(0);
    Finding {
        rule: result.name.clone(),
        promise: invariant
            .or_else(|| promise(&result.name).map(str::to_string))
            .unwrap_or_default(),
        level: Severity::Error,
        message: format!(
            "{title}: {}\n{}",
            sentence.replace('\n', " "),
            story.replay_command()
        ),
        place: Some(first.0),
        related: told,
    }
}

/// What a text's diagnostics of a level say, each as a finding.
fn findings(found: &Diagnostics, level: Level) -> Vec<Finding> {
    let of_level = found.list.iter().filter(|d| d.severity() == level);
    of_level
        .map(|d| {
            let (line, _) = found.file.line_column(d.primary.span.start);
            let help: String = d.help.iter().map(|h| format!("\nhelp: {h}")).collect();
            Finding {
                rule: d.code.name.to_string(),
                promise: d
                    .code
                    .explain
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_string(),
                level: match level {
                    Level::Error => Severity::Error,
                    Level::Warning => Severity::Warning,
                },
                message: format!("{}{help}", d.message),
                place: Some(Place {
                    file: found.file.name.clone(),
                    line: Some(u64::from(line)),
                }),
                related: Vec::new(),
            }
        })
        .collect()
}

/// A file that is no scenario: a finding for each error of its text.
pub fn unread(file: &str, error: &LoadError) -> Case {
    let plain = |line: Option<u64>, rule: &str, promise: &str, message: String| Finding {
        rule: rule.to_string(),
        promise: promise.to_string(),
        level: Severity::Error,
        message,
        place: Some(Place {
            file: file.to_string(),
            line,
        }),
        related: Vec::new(),
    };
    let findings = match error {
        LoadError::Text(found) => findings(found, Level::Error),
        LoadError::Compile { error, .. } => vec![plain(
            Some(u64::from(error.span.line.max(1))),
            "too-large",
            "the scenario fits the search",
            error.to_string(),
        )],
        other => vec![plain(
            None,
            "unreadable",
            "the file can be read",
            other.to_string(),
        )],
    };
    Case {
        suite: file.to_string(),
        name: "text".to_string(),
        outcome: Outcome::Failed(findings),
        time: None,
    }
}
