//! `validate` for machines: one case, with a finding at the line that does not fit, where it hangs, and for each
//! predicted cycle.

use shootdown_refinement::ci::{self, Case, Finding, Outcome, Place, Severity};
use shootdown_refinement::validate::{Report, Verdict};
use std::time::Duration;

/// The trace as a case.
pub fn report(name: &str, report: &Report, elapsed: Duration) -> ci::Report {
    let at = |line: u64| Place {
        file: name.to_string(),
        line: Some(line),
    };
    let mut findings = Vec::new();
    if let Some(r) = &report.rejection {
        let reasons = r
            .reasons
            .iter()
            .map(|reason| format!("{}: {}", reason.wanted, reason.reason));
        let who = r.cpu.map_or(String::new(), |cpu| format!("CPU{cpu}: "));
        findings.push(Finding {
            rule: "trace-rejected".to_string(),
            promise: "there is an order of the events in which the protocol follows every one"
                .to_string(),
            level: Severity::Error,
            message: format!(
                "{who}{}: {}",
                r.event,
                reasons.collect::<Vec<_>>().join("; ")
            ),
            place: Some(at(r.line)),
            related: r
                .last
                .iter()
                .map(|e| (at(e.line), format!("CPU{}: {}", e.cpu, e.event)))
                .collect(),
        });
    }
    for cycle in report.predicted.iter().flat_map(|p| &p.cycles) {
        let lines = cycle.edges.iter().flat_map(|e| {
            let told = e.lines.withholds.iter().chain([&e.lines.waits]);
            told.map(|t| (at(t.line), super::line(t)))
        });
        let lines: Vec<(Place, String)> = lines.collect();
        findings.push(Finding {
            rule: "deadlock-predicted".to_string(),
            promise: "what the run waited for while it withheld something has no cycle".to_string(),
            level: Severity::Warning,
            message: format!(
                "another schedule of this run may deadlock: {}",
                cycle.nodes.join(" -> ")
            ),
            place: lines.first().map(|(place, _)| place.clone()),
            related: lines,
        });
    }
    let incomplete = || {
        report
            .incomplete
            .clone()
            .unwrap_or_else(|| "a bound was hit".to_string())
    };
    let outcome = match report.verdict {
        _ if !findings.is_empty() => Outcome::Failed(findings),
        Verdict::Incomplete => Outcome::Undecided(incomplete()),
        Verdict::Accepted | Verdict::Rejected => Outcome::Passed,
    };
    ci::Report {
        command: "shootdown validate".to_string(),
        cases: vec![Case {
            suite: "validate".to_string(),
            name: name.to_string(),
            outcome,
            time: Some(elapsed),
        }],
    }
}
