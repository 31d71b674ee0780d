//! Two scenarios side by side: what changed in the text, in the verdicts, and in the run.

use super::check::Checked;
use serde::Serialize;
use shootdown_ir::report::Story;
use similar::{ChangeTag, TextDiff};
use std::fmt::Write as _;

/// The difference of two scenarios.
#[derive(Debug, Serialize)]
pub struct Comparison {
    schema: &'static str,
    /// The files.
    pub before: String,
    /// The files.
    pub after: String,
    /// Lines that went (`-`) and came (`+`), with their numbers; comments and blanks do not count.
    pub changed: Vec<Changed>,
    /// Properties by name, with their words before and after; `None`: not checked there.
    pub verdicts: Vec<Words>,
    /// Where the counterexample of one side parts from the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parting: Option<Parting>,
}

/// A line of one side.
#[derive(Debug, Serialize)]
pub struct Changed {
    /// `-` or `+`.
    pub sign: char,
    /// The line's number in its file, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// A property on both sides.
#[derive(Debug, Serialize)]
pub struct Words {
    /// Its name.
    pub name: String,
    /// Its verdict before.
    pub before: Option<&'static str>,
    /// Its verdict after.
    pub after: Option<&'static str>,
}

/// Where a run parts.
#[derive(Debug, Serialize)]
pub struct Parting {
    /// The property whose counterexample it is.
    pub property: String,
    /// The file that it is a run of.
    pub of: String,
    /// The first step that differs, from 1; `None`: the whole run is possible on the other side.
    pub step: Option<usize>,
    /// What the step is there, and what it would be on the other side.
    pub told: String,
}

/// Compares two scenarios that were checked.
pub fn compare(before: &Checked<'_>, after: &Checked<'_>) -> Comparison {
    let words =
        |checked: &Checked<'_>, name: &str| checked.outcome.result(name).map(|r| r.verdict.name());
    let mut names: Vec<&str> = Vec::new();
    for result in before.outcome.results.iter().chain(&after.outcome.results) {
        if !names.contains(&result.name.as_str()) {
            names.push(&result.name);
        }
    }
    Comparison {
        schema: "shootdown/scenario-compare/1",
        before: before.scenario.file.clone(),
        after: after.scenario.file.clone(),
        changed: changed(&before.scenario.text, &after.scenario.text),
        verdicts: names
            .iter()
            .map(|name| Words {
                name: name.to_string(),
                before: words(before, name),
                after: words(after, name),
            })
            .collect(),
        parting: parting(before, after).or_else(|| parting(after, before)),
    }
}

/// A line without its comment and the blanks around and inside of it.
fn bare(line: &str) -> String {
    let line = line.split("//").next().unwrap_or_default();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn changed(before: &str, after: &str) -> Vec<Changed> {
    let lines = |text: &str| -> Vec<(usize, String, String)> {
        text.lines()
            .enumerate()
            .map(|(i, l)| (i + 1, bare(l), l.trim_end().to_string()))
            .filter(|(_, bare, _)| !bare.is_empty())
            .collect()
    };
    let (old, new) = (lines(before), lines(after));
    let old_bare: Vec<&str> = old.iter().map(|l| l.1.as_str()).collect();
    let new_bare: Vec<&str> = new.iter().map(|l| l.1.as_str()).collect();
    let mut config = TextDiff::configure();
    config.timeout(std::time::Duration::from_secs(2));
    let diff = config.diff_slices(&old_bare, &new_bare);
    diff.iter_all_changes()
        .filter_map(|change| {
            let (sign, of) = match change.tag() {
                ChangeTag::Delete => ('-', &old[change.old_index()?]),
                ChangeTag::Insert => ('+', &new[change.new_index()?]),
                ChangeTag::Equal => return None,
            };
            Some(Changed {
                sign,
                line: of.0,
                text: of.2.clone(),
            })
        })
        .collect()
}

/// The counterexample of one side, walked on the other.
fn parting(of: &Checked<'_>, on: &Checked<'_>) -> Option<Parting> {
    let result = of.first()?;
    let story = of.story(result)?;
    let (told, step) = walk(&story, on);
    Some(Parting {
        property: result.name.clone(),
        of: of.scenario.file.clone(),
        step,
        told,
    })
}

fn walk(story: &Story<'_>, on: &Checked<'_>) -> (String, Option<usize>) {
    let records = story.records();
    let words: Vec<String> = story.words();
    for n in 0..records.len() {
        let text = words[..=n].join(" ");
        let own = &records[n];
        let here = format!("CPU{}, {}: `{}`", own.cpu, own.source, own.statement);
        let replayed = Story::replay(&on.scenario.protocol, on.machine, &text);
        let refused = match replayed {
            Ok((other, None)) => {
                let others = other.records();
                let its = &others[n];
                if its.statement == own.statement {
                    continue;
                }
                format!("`{}` (line {})", its.statement, its.line)
            }
            Ok((_, Some(refused))) => refused.to_string(),
            Err(error) => error.to_string(),
        };
        return (
            format!(
                "{here} (line {}); in {}: {refused}",
                own.line, on.scenario.file
            ),
            Some(n + 1),
        );
    }
    (
        format!("the whole run is possible in {}, too", on.scenario.file),
        None,
    )
}

impl Comparison {
    /// As text.
    pub fn text(&self, width: usize) -> String {
        let mut text = format!("{} -> {}\n", self.before, self.after);
        match self.changed.is_empty() {
            true => text += "\nNo statement changed.\n",
            false => text += "\nChanged:\n",
        }
        for line in &self.changed {
            let _ = writeln!(text, "  {} {:>4}  {}", line.sign, line.line, line.text);
        }
        text += "\nVerdicts:\n";
        for words in &self.verdicts {
            let (before, after) = (
                words.before.unwrap_or("not checked"),
                words.after.unwrap_or("not checked"),
            );
            let arrow = match before == after {
                true => before.to_string(),
                false => format!("{before} -> {after}"),
            };
            let _ = writeln!(text, "  {:<33} {arrow}", words.name);
        }
        if let Some(parting) = &self.parting {
            let at = match parting.step {
                Some(step) => format!("parts at step {step}"),
                None => "does not part".to_string(),
            };
            let sentence = format!(
                "The run of {} that violates {} {at}: {}",
                parting.of, parting.property, parting.told
            );
            let _ = writeln!(
                text,
                "\n{}",
                shootdown_trace::paragraph::wrap(&sentence, width, 2)
            );
        }
        text
    }
}
