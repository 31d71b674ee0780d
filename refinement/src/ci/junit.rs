//! JUnit XML, as test collectors of CI servers read it.

use super::{Case, Outcome, Report};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// The report; cases of one suite stay together, in the order in which suites first came.
///
/// # Panics
/// Never: it is written to memory.
pub fn junit(report: &Report) -> String {
    let mut out = quick_junit::Report::new(&report.command);
    let mut suites: Vec<&str> = Vec::new();
    for case in &report.cases {
        if !suites.contains(&case.suite.as_str()) {
            suites.push(&case.suite);
        }
    }
    let mut total = Duration::ZERO;
    for name in suites {
        let mut suite = TestSuite::new(name);
        let mut time = Duration::ZERO;
        for case in report.cases.iter().filter(|c| c.suite == name) {
            suite.add_test_case(test_case(case));
            time += case.time.unwrap_or_default();
        }
        suite.set_time(time);
        total += time;
        out.add_test_suite(suite);
    }
    out.set_time(total);
    out.to_string().expect("memory takes everything")
}

fn test_case(case: &Case) -> TestCase {
    let status = match &case.outcome {
        Outcome::Passed | Outcome::Warned(_) => TestCaseStatus::success(),
        Outcome::Skipped(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why.as_str());
            status
        }
        Outcome::Undecided(why) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(why.as_str()).set_type("undecided");
            status
        }
        Outcome::Failed(findings) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let rules: Vec<&str> = findings.iter().map(|f| f.rule.as_str()).collect();
            let told: Vec<String> = findings
                .iter()
                .map(|f| {
                    let place = f.place.as_ref().map_or(String::new(), |p| match p.line {
                        Some(line) => format!("{}:{line}: ", p.file),
                        None => format!("{}: ", p.file),
                    });
                    format!("{place}{}", f.message)
                })
                .collect();
            status
                .set_message(rules.join(", "))
                .set_type(rules.first().copied().unwrap_or_default())
                .set_description(told.join("\n"));
            status
        }
    };
    let mut out = TestCase::new(case.name.as_str(), status);
    out.set_classname(case.suite.as_str());
    out.set_time(case.time.unwrap_or_default());
    out
}
