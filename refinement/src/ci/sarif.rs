//! SARIF 2.1.0, as code-scanning services read it.
//!
//! Written as JSON by hand: the crates that know the format generate builders for all of its hundreds of types, and a
//! dozen fields are needed. CI holds what comes out against the published schema.

use super::{Outcome, Place, Report};
use serde_json::{Value, json};

/// The schema that the text follows.
pub const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The report.
///
/// # Panics
/// Never: JSON serializes.
pub fn sarif(report: &Report) -> String {
    let mut rules: Vec<(&str, &str)> = Vec::new();
    for (_, finding) in report.findings() {
        if !rules.iter().any(|(id, _)| *id == finding.rule) {
            rules.push((&finding.rule, &finding.promise));
        }
    }
    let index = |rule: &str| rules.iter().position(|(id, _)| *id == rule);
    let mut results: Vec<Value> = Vec::new();
    for (case, finding) in report.findings() {
        let mut result = json!({
            "ruleId": finding.rule,
            "ruleIndex": index(&finding.rule),
            "level": finding.level.name(),
            "message": { "text": finding.message },
            "locations": finding.place.iter().map(location).collect::<Vec<_>>(),
            "properties": { "suite": case.suite, "case": case.name },
        });
        if !finding.related.is_empty() {
            let related = finding
                .related
                .iter()
                .enumerate()
                .map(|(id, (place, text))| {
                    let mut related = location(place);
                    related["id"] = json!(id);
                    related["message"] = json!({ "text": text });
                    related
                });
            result["relatedLocations"] = related.collect();
        }
        // What makes it the same finding in the next run: the rule and what it was found in, not the words.
        let fingerprint = format!("{}/{}/{}", finding.rule, case.suite, case.name);
        result["partialFingerprints"] = json!({ "shootdown/1": fingerprint });
        results.push(result);
    }
    for case in &report.cases {
        if let Outcome::Undecided(why) = &case.outcome {
            results.push(json!({
                "kind": "open",
                "level": "none",
                "message": { "text": format!("{}: {}: {why}", case.suite, case.name) },
            }));
        }
    }
    let rules: Vec<Value> = rules
        .iter()
        .map(|(id, promise)| json!({ "id": id, "shortDescription": { "text": promise } }))
        .collect();
    let sarif = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "shootdown",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "automationDetails": { "id": format!("{}/", report.command.replace(' ', "/")) },
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&sarif).expect("JSON serializes") + "\n"
}

fn location(place: &Place) -> Value {
    let mut physical = json!({ "artifactLocation": { "uri": uri(&place.file) } });
    if let Some(line) = place.line {
        physical["region"] = json!({ "startLine": line });
    }
    json!({ "physicalLocation": physical })
}

/// A path as a relative reference: what is not allowed there is written as `%XX`.
fn uri(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&b);
    path.bytes().fold(String::new(), |text, b| match plain(b) {
        true => text + &char::from(b).to_string(),
        false => text + &format!("%{b:02X}"),
    })
}
