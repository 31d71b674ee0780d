//! A check as text: the report of one file, and the line of one among several.

use super::check::{Checked, Verdict};
use shootdown_ir::Expect;
use shootdown_ir::check::{Result as Judged, Verdict as Word, Violation};
use shootdown_ir::report::TextOptions;
use shootdown_trace::paragraph::wrap;
use std::fmt::Write as _;

/// Which counterexamples are told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Only this property's.
    pub property: Option<&'a str>,
    /// All of them.
    pub all: bool,
}

/// `1 step`, `2 steps`.
pub fn plural(n: usize, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{} {one}s", count(n)),
    }
}

/// A count with thousands separators.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The whole report of one file.
pub fn report(checked: &Checked<'_>, wanted: Wanted<'_>, options: &TextOptions) -> String {
    let mut text = header(checked);
    text += "\n";
    for result in &checked.outcome.results {
        text += &line(checked, result);
    }
    let unreached = &checked.outcome.unreached;
    if !unreached.is_empty() {
        let sentence = format!("never happened: {}", unreached.join("; "));
        let _ = writeln!(text, "\n{}", wrap(&sentence, options.width, 2));
    }
    let first = checked.first().map(|r| r.name.clone());
    let mut rest = 0;
    for result in checked.outcome.violated() {
        let is_wanted = match wanted.property {
            Some(name) => name == result.name,
            None => wanted.all || Some(&result.name) == first.as_ref(),
        };
        match (is_wanted, checked.story(result)) {
            (true, Some(story)) => {
                let _ = writeln!(
                    text,
                    "\n{}: the shortest run that violates it\n",
                    result.name
                );
                text += &story.text(options);
            }
            _ => rest += 1,
        }
    }
    if rest > 0 {
        let _ = writeln!(
            text,
            "\n{rest} more violated: `--all`, or `--property NAME`, shows the runs"
        );
    }
    if let Some(cut) = checked.cut() {
        let sentence = format!("INCOMPLETE: {cut}. What is not violated so far may still be.");
        let _ = writeln!(text, "\n{}", wrap(&sentence, options.width, 2));
    }
    if let Some(closing) = closing(checked) {
        let _ = writeln!(text, "\n{}", wrap(&closing, options.width, 2));
    }
    text
}

/// What is checked, and how large it was.
pub fn header(checked: &Checked<'_>) -> String {
    let p = &checked.scenario.protocol;
    let expect = match &p.expect {
        None => String::new(),
        Some(Expect::Ok) => " | expect ok".to_string(),
        Some(Expect::Violated(name)) => format!(" | expect violated {name}"),
    };
    let complete = match checked.outcome.cut() {
        None => "complete",
        Some(_) => "INCOMPLETE",
    };
    let reduced = match checked.reduced.any() {
        true => format!(
            "reduced: {}; these states stand for all others\n",
            checked.reduced
        ),
        false => String::new(),
    };
    format!(
        "{} | {} | {}{expect}\n{complete}: {}, {}, depth {}; {:.3} s\n{reduced}",
        checked.scenario.file,
        p.name,
        checked.scenario.size(),
        plural(checked.outcome.graph.len(), "state"),
        plural(checked.outcome.graph.transitions(), "transition"),
        checked.outcome.graph.levels.len().saturating_sub(1),
        checked.elapsed.as_secs_f64(),
    )
}

fn line(checked: &Checked<'_>, result: &Judged) -> String {
    let mut line = format!("  {:<33} ", result.name);
    match result.verdict {
        Word::Violated => {
            line += "VIOLATED    ";
            line += &shape(checked, result);
        }
        Word::Vacuous => {
            line += "vacuous     what it is about never happens: the check means nothing here"
        }
        word => line += word.name(),
    }
    line.push('\n');
    line
}

/// `6 steps`, or `a loop, 4 steps`.
fn shape(checked: &Checked<'_>, result: &Judged) -> String {
    let Some(story) = checked.story(result) else {
        return String::new();
    };
    match result.violation {
        Some(Violation::Circle(_)) => format!("a loop, {}", plural(story.len(), "step")),
        _ => plural(story.len(), "step"),
    }
}

/// Whether it is as expected; `None` where nothing is expected and nothing needs to be said.
pub fn closing(checked: &Checked<'_>) -> Option<String> {
    let also = || {
        let Some(Expect::Violated(name)) = &checked.scenario.protocol.expect else {
            return String::new();
        };
        let others: Vec<&str> = checked
            .outcome
            .violated()
            .map(|r| r.name.as_str())
            .filter(|n| n != name)
            .collect();
        match others.is_empty() {
            true => String::new(),
            false => format!("; violated, too: {}", others.join(", ")),
        }
    };
    Some(
        match (&checked.scenario.protocol.expect, checked.verdict()) {
            (_, Verdict::Unexpected(why)) => format!("NOT AS EXPECTED: {why}"),
            (Some(Expect::Ok), Verdict::AsExpected) => {
                let vacuous: Vec<&str> = vacuous(checked);
                match vacuous.is_empty() {
                    true => "as expected: nothing is violated".to_string(),
                    false => format!(
                        "as expected: nothing is violated; vacuous, so that it says nothing: {}",
                        vacuous.join(", ")
                    ),
                }
            }
            (Some(Expect::Violated(name)), Verdict::AsExpected) => {
                format!("as expected: {name} is violated{}", also())
            }
            (_, Verdict::Incomplete) => {
                "not decided: raise the bound, or make the scenario smaller".to_string()
            }
            (None, _) => return None,
            (_, Verdict::Violated) => return None,
        },
    )
}

fn vacuous<'a>(checked: &'a Checked<'_>) -> Vec<&'a str> {
    let all = checked.outcome.results.iter();
    all.filter(|r| r.verdict == Word::Vacuous)
        .map(|r| r.name.as_str())
        .collect()
}

/// What came out, in a few words: `no_deadlock violated in 6 steps, also no_lock_cycle`.
pub fn outcome(checked: &Checked<'_>) -> String {
    let Some(first) = checked.first() else {
        let vacuous = vacuous(checked);
        return match (checked.cut(), vacuous.is_empty()) {
            (Some(cut), _) => format!("incomplete: {cut}"),
            (None, true) => "nothing violated".to_string(),
            (None, false) => format!("nothing violated; vacuous: {}", vacuous.join(", ")),
        };
    };
    let mut text = format!("{} violated, {}", first.name, shape(checked, first));
    let others: Vec<&str> = checked
        .outcome
        .violated()
        .map(|r| r.name.as_str())
        .filter(|n| *n != first.name)
        .collect();
    if !others.is_empty() {
        text += &format!("; also {}", others.join(", "));
    }
    text
}

/// One line among several files.
pub fn summary(checked: &Checked<'_>, name_width: usize) -> String {
    let word = match checked.verdict() {
        Verdict::AsExpected if checked.scenario.protocol.expect.is_some() => "as expected",
        Verdict::AsExpected => "ok",
        Verdict::Violated => "VIOLATED",
        Verdict::Unexpected(_) => "UNEXPECTED",
        Verdict::Incomplete => "INCOMPLETE",
    };
    let why = match checked.verdict() {
        Verdict::Unexpected(why) => why,
        _ => outcome(checked),
    };
    format!(
        "{:<name_width$}  {word:<11}  {:>9} states  {why}\n",
        checked.scenario.file,
        count(checked.outcome.graph.len()),
    )
}
