//! GitHub's workflow commands: lines that become annotations of a pull request.

use super::{Case, Outcome, Place, Report};
use std::fmt::Write as _;

/// A line for each finding, each undecided and each skipped case.
pub fn github(report: &Report) -> String {
    let mut text = String::new();
    for case in &report.cases {
        let own = |kind: &str, why: &str| {
            command(kind, None, &title(case), &format!("{}: {why}", case.name))
        };
        match &case.outcome {
            Outcome::Passed => {}
            Outcome::Undecided(why) => text += &own("warning", why),
            Outcome::Skipped(why) => text += &own("notice", why),
            Outcome::Failed(findings) | Outcome::Warned(findings) => {
                for finding in findings {
                    let title = format!("{}: {}", finding.rule, title(case));
                    text += &command(
                        finding.level.name(),
                        finding.place.as_ref(),
                        &title,
                        &finding.message,
                    );
                }
            }
        }
    }
    text
}

fn title(case: &Case) -> String {
    case.suite.clone()
}

fn command(kind: &str, place: Option<&Place>, title: &str, message: &str) -> String {
    let mut line = format!("::{kind} ");
    if let Some(place) = place {
        let _ = write!(line, "file={},", property(&place.file));
        if let Some(n) = place.line {
            let _ = write!(line, "line={n},");
        }
    }
    let _ = writeln!(line, "title={}::{}", property(title), data(message));
    line
}

/// A message may have line breaks, if they are written so.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property must not have what ends it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
