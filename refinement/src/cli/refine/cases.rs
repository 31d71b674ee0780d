//! `refine` for machines: a case for each part of the relation, and for each property of the code's states.

use super::{TranslatedResult, code_schedule};
use crate::cli::{check, ci};
use shootdown_refinement::ci::{Case, Finding, Outcome, Report, Severity};
use shootdown_refinement::relation::joint::Refinement;
use shootdown_refinement::relation::outcome::{RefineResult, RelationResult};
use shootdown_spec::verdict::Verdict;

/// What was explored.
pub fn report(refinement: &Refinement, result: &RefineResult) -> Report {
    let suite = check::header(refinement.config()).trim().to_string();
    let relation = result.relation.iter().map(|r| Case {
        suite: format!("code and protocol: {suite}"),
        name: r.name.to_string(),
        outcome: outcome(refinement, r),
        time: None,
    });
    let mut translated = TranslatedResult::new(refinement, result);
    let properties = ci::properties(&refinement.spec, translated.check());
    let properties = properties.into_iter().map(|case| Case {
        suite: format!("the code's states: {}", case.suite),
        ..case
    });
    Report {
        command: "shootdown refine".to_string(),
        cases: relation.chain(properties).collect(),
    }
}

fn outcome(refinement: &Refinement, relation: &RelationResult) -> Outcome {
    match (relation.verdict, &relation.counterexample) {
        (Verdict::Holds, _) => Outcome::Passed,
        (Verdict::Vacuous, _) => Outcome::Skipped("vacuous".to_string()),
        (Verdict::Incomplete, _) => Outcome::Undecided("incomplete".to_string()),
        (Verdict::Violated, run) => {
            let replay = run.as_ref().map_or(String::new(), |c| {
                let schedule = code_schedule(refinement, &c.trace);
                format!(
                    " after {} steps. shootdown replay '{schedule}'",
                    c.trace.actions.len()
                )
            });
            Outcome::Failed(vec![Finding {
                rule: relation.name.to_string(),
                promise: relation.promise.to_string(),
                level: Severity::Error,
                message: format!("{} is violated{replay}", relation.name),
                place: None,
                related: Vec::new(),
            }])
        }
    }
}
