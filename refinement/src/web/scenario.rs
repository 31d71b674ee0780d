//! Scenarios that come as text: read, checked, compared. Nothing of them is kept, and nothing is written.
//!
//! A search has no moments at which it could give its turn up. So it first gets one turn, in which nearly every scenario is
//! done; what takes longer is begun anew beside the turns, one such search at a time ([`super::turns`]).

mod run;
mod waiting;

use super::job::{Beside, LONGEST};
use super::turns::TURN;
use super::view::scenario::{
    BesideView, CheckedView, DiagnosticView, LabelView, LinkView, OrderView, PropertyView,
    ResultView, ScenarioRunView, TextView,
};
use shootdown_ir::Expect;
use shootdown_ir::check::{Result as Judged, Verdict as Word};
use shootdown_ir::machine::Machine;
use shootdown_ir::order::Order;
use shootdown_ir::report::{Story, promise};
use shootdown_lang::{Diagnostics, Span};
use shootdown_refinement::scenario::check::Verdict;
use shootdown_refinement::scenario::compare::{Comparison, compare};
use shootdown_refinement::scenario::{Checked, Limits, LoadError, Scenario, check, text};
use std::time::Duration;

/// Most steps of all runs of an answer: what a page can still show. `shootdown check` tells longer ones.
const MOST_STEPS: usize = 4096;

/// A scenario's text and what messages call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The name.
    pub name: String,
    /// The text, which need not be one.
    pub bytes: Vec<u8>,
}

impl Text {
    fn read(&self) -> Result<Scenario, LoadError> {
        Scenario::of_bytes(&self.bytes, &self.name)
    }
}

/// What the text alone shows.
pub fn look(of: &Text) -> TextView {
    text_view(&of.read())
}

fn text_view(read: &Result<Scenario, LoadError>) -> TextView {
    let (title, size, diagnostics, more) = match read {
        Ok(scenario) => (
            scenario.protocol.name.clone(),
            scenario.size(),
            diagnostics(&scenario.warnings),
            scenario.warnings.cut,
        ),
        Err(LoadError::Text(found)) => {
            (String::new(), String::new(), diagnostics(found), found.cut)
        }
        Err(other) => {
            let line = match other {
                LoadError::Compile { error, .. } => error.span.line,
                _ => 0,
            };
            let place = LabelView {
                line,
                column: 1,
                start: 0,
                end: 0,
                text: String::new(),
            };
            let found = DiagnosticView {
                code: "too-large",
                severity: "error",
                message: other.to_string(),
                at: place,
                also: Vec::new(),
                within: None,
                notes: Vec::new(),
                help: vec!["fewer CPUs, smaller ranges, shorter arrays".to_string()],
                explain: "The scenario needs more than a search can keep of a state.",
            };
            (String::new(), String::new(), vec![found], false)
        }
    };
    TextView {
        schema: "shootdown/scenario-text/1",
        readable: read.is_ok(),
        title,
        size,
        diagnostics,
        more,
    }
}

fn diagnostics(found: &Diagnostics) -> Vec<DiagnosticView> {
    let label = |span: Span, text: &str| {
        let (line, column) = found.file.line_column(span.start);
        let units = |at: u32| {
            let before = found.file.text.get(..at as usize);
            before.map_or(0, |text| text.encode_utf16().count())
        };
        LabelView {
            line: if found.file.text.is_empty() { 0 } else { line },
            column,
            start: units(span.start),
            end: units(span.end),
            text: text.to_string(),
        }
    };
    let list = found.list.iter();
    list.map(|d| DiagnosticView {
        code: d.code.name,
        severity: d.severity().word(),
        message: d.message.clone(),
        at: label(d.primary.span, &d.primary.text),
        also: d.secondary.iter().map(|l| label(l.span, &l.text)).collect(),
        within: d.within.clone(),
        notes: d.notes.clone(),
        help: d.help.clone(),
        explain: d.code.explain,
    })
    .collect()
}

/// Checks a text.
///
/// # Errors
/// If nobody waits for the result any more.
pub fn checked(of: &Text, beside: &Beside) -> Result<CheckedView, String> {
    let read = of.read();
    let text = text_view(&read);
    let result = match &read {
        Err(_) => None,
        Ok(scenario) => {
            let machine = scenario.machine();
            Some(result(&search(scenario, &machine, beside)?))
        }
    };
    Ok(CheckedView {
        schema: "shootdown/scenario/1",
        text,
        result,
    })
}

/// Compares two texts.
///
/// # Errors
/// If nobody waits for the result any more.
pub fn compared(before: &Text, after: &Text, beside: &Beside) -> Result<BesideView, String> {
    let (old, new) = (before.read(), after.read());
    let mut view = BesideView {
        schema: "shootdown/scenario-beside/1",
        before: text_view(&old),
        after: text_view(&new),
        comparison: None,
        outcomes: Vec::new(),
        runs: Vec::new(),
    };
    if let (Ok(old), Ok(new)) = (&old, &new) {
        let machines = (old.machine(), new.machine());
        let old = search(old, &machines.0, beside)?;
        let new = search(new, &machines.1, beside)?;
        let comparison = compare(&old, &new);
        view.outcomes = vec![text::outcome(&old), text::outcome(&new)];
        view.runs = runs(&old, &new, &comparison);
        view.comparison = Some(comparison);
    }
    Ok(view)
}

/// Searches: in a turn, and if that is too short anew beside the turns.
fn search<'a>(
    scenario: &'a Scenario,
    machine: &'a Machine<'a>,
    beside: &Beside,
) -> Result<Checked<'a>, String> {
    let within = |time: Duration| Limits {
        states: None,
        memory: Some(beside.max_memory),
        time: Some(time),
        cancel: Some(&beside.cancel),
        ..Limits::default()
    };
    let short = check(scenario, machine, within(TURN));
    if !matches!(short.outcome.cut(), Some(shootdown_ir::explore::Cut::Time)) {
        return Ok(short);
    }
    // What it has found so far would only be in the way.
    drop(short);
    let _alone = beside
        .alone()
        .ok_or("the search was ended: nobody watched it")?;
    Ok(check(scenario, machine, within(LONGEST)))
}

fn result(checked: &Checked<'_>) -> ResultView {
    let (word, why) = match checked.verdict() {
        Verdict::AsExpected => ("as_expected", None),
        Verdict::Violated => ("violated", None),
        Verdict::Unexpected(why) => ("unexpected", Some(format!("not as expected: {why}"))),
        Verdict::Incomplete => ("incomplete", None),
    };
    let sentence = why
        .or_else(|| text::closing(checked))
        .unwrap_or_else(|| text::outcome(checked));
    let mut left = MOST_STEPS;
    let outcome = &checked.outcome;
    ResultView {
        word,
        sentence,
        expect: checked.scenario.protocol.expect.as_ref().map(|e| match e {
            Expect::Ok => "ok".to_string(),
            Expect::Violated(name) => format!("violated {name}"),
        }),
        cut: checked.cut(),
        states: outcome.graph.len(),
        transitions: outcome.graph.transitions(),
        elapsed_ms: checked.elapsed.as_millis() as u64,
        properties: outcome
            .results
            .iter()
            .map(|r| property(checked, r, &mut left))
            .collect(),
        unreached: outcome.unreached.clone(),
        first: checked.first().map(|r| r.name.clone()),
        order: order(checked.scenario),
    }
}

fn property(checked: &Checked<'_>, result: &Judged, left: &mut usize) -> PropertyView {
    let invariants = &checked.scenario.protocol.invariants;
    let invariant = invariants.iter().find(|i| i.name == result.name);
    let story = match result.verdict {
        Word::Violated => checked.story(result).filter(|s| s.end() <= *left),
        _ => None,
    };
    *left -= story.as_ref().map_or(0, |s| s.end());
    PropertyView {
        name: result.name.clone(),
        promise: match invariant {
            Some(invariant) => invariant.text.clone(),
            None => promise(&result.name).unwrap_or_default().to_string(),
        },
        verdict: result.verdict.name(),
        run: story.as_ref().map(run::view),
    }
}

fn order(scenario: &Scenario) -> OrderView {
    let p = &scenario.protocol;
    let order = Order::of(p);
    let link = |link: &shootdown_ir::order::Link| LinkView {
        line: link.at.line,
        text: format!(
            "{} waits for {} in `{}`: {}",
            link.at.who, link.waits_for, link.at.statement, link.because
        ),
    };
    OrderView {
        proof: order.proof().name(),
        cycles: order
            .cycles
            .iter()
            .map(|cycle| cycle.iter().map(link).collect())
            .collect(),
        doubts: order
            .doubts
            .iter()
            .map(|doubt| LinkView {
                line: p.source(doubt.source).program[doubt.pc].span.line,
                text: doubt.says.clone(),
            })
            .collect(),
    }
}

/// The run that the comparison is about, on its own side as a whole and on the other as far as it goes along.
fn runs(
    old: &Checked<'_>,
    new: &Checked<'_>,
    comparison: &Comparison,
) -> Vec<Option<ScenarioRunView>> {
    let Some(parting) = &comparison.parting else {
        return Vec::new();
    };
    // Both may have the same name: whoever has a counterexample at all is the one it is of, the old one first.
    let of_old = old.first().is_some();
    let (of, on) = if of_old { (old, new) } else { (new, old) };
    let whole = of.outcome.result(&parting.property);
    let whole = whole
        .and_then(|r| of.story(r))
        .filter(|s| s.end() <= MOST_STEPS);
    let along = whole.as_ref().and_then(|story| {
        let words = story.words();
        let shared = parting.step.map_or(words.len(), |step| step - 1);
        let scenario = on.scenario;
        let (mut story, _) =
            Story::replay(&scenario.protocol, on.machine, &words[..shared].join(" ")).ok()?;
        story.judge(&on.outcome);
        Some(run::view(&story))
    });
    let whole = whole.as_ref().map(run::view);
    if of_old {
        vec![whole, along]
    } else {
        vec![along, whole]
    }
}
