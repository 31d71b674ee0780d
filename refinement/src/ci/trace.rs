//! A rule that a kernel's trace violates, as findings: each with the line to look at first, and the
//! lines that belong to it. What they say is what the report for people says.

use super::{Finding, Severity};
use shootdown_trace::ftrace::hang::Hang;
use shootdown_trace::ftrace::order::{Cycle, Line};
use shootdown_trace::ftrace::place::Place;
use shootdown_trace::ftrace::report::{Report, Rule};
use shootdown_trace::ftrace::strict::{Chain, ClassUnder};
use shootdown_trace::ftrace::text;
use shootdown_trace::ftrace::upstream::Waits;

/// Everything in the trace against a rule; `file` is the name that the trace was given by. Empty exactly if
/// [`Report::violated`] says no.
pub fn findings(report: &Report, rule: Rule, file: &str) -> Vec<Finding> {
    let at = |line: u64| super::Place {
        file: file.to_string(),
        line: Some(line),
    };
    let finding = |level, message, lines: Vec<(u64, String)>| Finding {
        rule: format!("ftrace-{}", rule.name()),
        promise: rule.promise().to_string(),
        level,
        message,
        place: lines.first().map(|(line, _)| at(*line)),
        related: lines.into_iter().map(|(l, text)| (at(l), text)).collect(),
    };
    match rule {
        Rule::Hang => {
            let hang = report.end.hang.iter();
            hang.map(|h| finding(Severity::Error, h.sentence.clone(), rows(h)))
                .collect()
        }
        Rule::Upstream => {
            let waits = report.upstream.waits.iter().filter(|w| w.violated);
            waits
                .map(|w| finding(Severity::Error, text::waited(w), waiting(w)))
                .collect()
        }
        Rule::Order => {
            let cycles = report.order.judged();
            cycles
                .map(|c| finding(Severity::Warning, possible(c), edges(c)))
                .collect()
        }
        Rule::Strict => {
            let under = report.strict.iter().filter(|u| u.watched);
            under
                .map(|u| finding(Severity::Error, text::held_across(u), chains(u)))
                .collect()
        }
    }
}

fn told(place: &Place, text: &str) -> (u64, String) {
    (
        place.line,
        format!("CPU{} ({}) {text}", place.cpu, place.task),
    )
}

/// The last row comes first: there it closes.
fn rows(hang: &Hang) -> Vec<(u64, String)> {
    let rows = hang.rows.iter().rev();
    rows.map(|r| (r.line, format!("CPU{}: {}", r.cpu, r.text)))
        .collect()
}

fn waiting(waits: &Waits) -> Vec<(u64, String)> {
    let shown = waits.shown.iter();
    shown
        .map(|w| {
            told(
                &w.place,
                &format!("waits for {} with interrupts off", w.lock),
            )
        })
        .collect()
}

fn possible(cycle: &Cycle) -> String {
    let closed = cycle.nodes.iter().chain(cycle.nodes.first());
    let closed: Vec<&str> = closed.map(String::as_str).collect();
    format!(
        "another schedule of this run may deadlock: {}",
        closed.join(" -> ")
    )
}

fn edges(cycle: &Cycle) -> Vec<(u64, String)> {
    let lines = cycle
        .edges
        .iter()
        .flat_map(|e| e.withholds.iter().chain([&e.waits]));
    lines
        .map(|Line { place, what }| told(place, what))
        .collect()
}

/// The request comes first: there the lock is held and must not be.
fn chains(under: &ClassUnder) -> Vec<(u64, String)> {
    let lines = |c: &Chain| {
        [
            told(
                &c.queued,
                &format!("asks CPU{} while it holds {}", c.answered.cpu, c.lock),
            ),
            told(&c.taken, &format!("takes {}", c.lock)),
            told(&c.answered, "answers"),
            told(&c.released, &format!("releases {}", c.lock)),
        ]
    };
    under.examples.iter().flat_map(lines).collect()
}
