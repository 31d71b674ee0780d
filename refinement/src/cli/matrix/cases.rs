//! `matrix` for machines: a case for each cell. What is violated as expected is no finding.

use super::{Checked, Matrix};
use crate::cli::ci;
use crate::expectation::Difference;
use shootdown_refinement::ci::{Case, Finding, Outcome, Place, Report, Severity};
use shootdown_spec::property::Property;

/// Every cell that was checked, and one case for those that were not.
pub fn report(matrix: &Matrix) -> Report {
    let mut cases: Vec<Case> = matrix.checked.iter().map(case).collect();
    if matrix.not_run > 0 {
        cases.push(Case {
            suite: "matrix".to_string(),
            name: "cells that were not reached".to_string(),
            outcome: Outcome::Undecided(format!("{} cells: the run was cut off", matrix.not_run)),
            time: None,
        });
    }
    Report {
        command: "shootdown matrix".to_string(),
        cases,
    }
}

fn case(checked: &Checked) -> Case {
    let findings: Vec<Finding> = checked
        .differences
        .iter()
        .map(|d| finding(checked, d))
        .collect();
    let outcome = if !findings.is_empty() {
        Outcome::Failed(findings)
    } else if let Some(stopped) = checked.result.stopped {
        Outcome::Undecided(format!("incomplete: {stopped}"))
    } else {
        Outcome::Passed
    };
    Case {
        suite: match &checked.claim {
            Some(id) => format!("matrix {id}"),
            None => "matrix".to_string(),
        },
        name: checked.cell.command(),
        outcome,
        time: Some(checked.result.elapsed),
    }
}

/// A difference: an unexpected violation is shown where it happens, anything else where the expectation stands.
fn finding(checked: &Checked, difference: &Difference) -> Finding {
    let Difference {
        what,
        expected,
        observed,
    } = difference;
    let told = format!(
        "{}: {what}: expected {expected}, observed {observed}",
        checked.cell.command()
    );
    let found = checked
        .result
        .property(what)
        .and_then(|p| ci::finding(&checked.protocol, p));
    if let Some(found) = found {
        return Finding {
            message: format!("{told}. {}", found.message),
            ..found
        };
    }
    let promise = match Property::named(what) {
        Some((_, property)) => property.promise.to_string(),
        None => format!("{what} comes out as it is written down"),
    };
    Finding {
        rule: what.replace(' ', "-"),
        promise,
        level: Severity::Error,
        message: told,
        place: Some(Place {
            file: "refinement/expectations.toml".to_string(),
            line: None,
        }),
        related: Vec::new(),
    }
}
