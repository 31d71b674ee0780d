//! `GET /api/find?subject=…&config=…&property=…`: events `waiting`, `progress`, then `found`.

use super::{Params, Which, possible};
use crate::web::error::ApiError;
use crate::web::job::Beside;
use crate::web::server::{Found, Key, Server, lock};
use crate::web::stream::{self, event};
use crate::web::view::config::bare_schedule;
use crate::web::view::event::FoundView;
use crate::web::view::run::SubjectName;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use shootdown_refinement::map;
use shootdown_refinement::relation::joint::Refinement;
use shootdown_refinement::relation::outcome::{RELATION, refine};
use shootdown_spec::check::{CheckResult, check};
use shootdown_spec::config::Config;
use shootdown_spec::model::Protocol;
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::verdict::{Counterexample, Verdict};
use shootdown_spec::workload::nearest;
use std::sync::Arc;

/// What stands behind the `?`.
#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(default)]
    subject: SubjectName,
    #[serde(flatten)]
    which: Which,
    property: String,
}

/// The search for one property's counterexample. All properties are decided at once, so the next question about the
/// same configuration is answered at once too.
pub async fn find(
    State(server): State<Arc<Server>>,
    Params(asked): Params<Asked>,
) -> Result<Response, ApiError> {
    let (subject, schedule) = asked.which.schedule(asked.subject)?;
    let index = property(subject, &asked.property)?;
    possible(subject, &schedule)?;
    let config = schedule.config;
    let key: Key = (subject, bare_schedule(&config));
    if let Some(found) = lock(&server.found).get(&key) {
        return Ok(stream::answer(stream::at_once(event(
            "found",
            &found[index],
        ))));
    }
    let what = format!("{} in {}", config.design, config.environment);
    let (shared, mine) = (server.clone(), key.clone());
    let phase = server.finds.watch(key, what, move |beside| {
        Ok(keep(&shared, mine, search(subject, config, beside)))
    });
    Ok(stream::answer(stream::of_job(
        phase,
        "found",
        move |found: Found| found[index].clone(),
    )))
}

/// Position of a property among the results: the protocol's, then what only the code can show.
fn property(subject: SubjectName, name: &str) -> Result<usize, ApiError> {
    let of_code = RELATION.iter().map(|r| r.1);
    let of_code = of_code.take(match subject {
        SubjectName::Spec => 0,
        SubjectName::Impl => RELATION.len(),
    });
    let names: Vec<&str> = PROPERTIES.iter().map(|p| p.name).chain(of_code).collect();
    names.iter().position(|n| *n == name).ok_or_else(|| {
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", names.join(", ")),
        };
        ApiError::unreadable(format!("no property is called `{name}`"), hint)
    })
}

/// Keeps what was found, unless it was cut off: another time it may not be.
fn keep(server: &Server, key: Key, found: Found) -> Found {
    if found.iter().all(|f| f.stopped.is_none()) {
        let bytes = serde_json::to_vec(&*found).map_or(0, |json| json.len() as u64);
        lock(&server.found).insert(key, found.clone(), bytes);
    }
    found
}

fn search(subject: SubjectName, config: Config, beside: &Beside) -> Found {
    let options = beside.options();
    match subject {
        SubjectName::Spec => {
            let mut result = check(&Protocol::new(config.clone()), &options);
            result.stopped = result.stopped.map(|stop| beside.why(stop));
            Arc::new(of_properties(subject, &config, &result))
        }
        SubjectName::Impl => {
            let code = Arc::new(map::config::axes(&config.design));
            let mut refinement = Refinement::new(config.clone(), code);
            let mut result = refine(&mut refinement, &options);
            result.check.stopped = result.check.stopped.map(|stop| beside.why(stop));
            let mut found = of_properties(subject, &config, &result.check);
            let relation = result.relation.iter().map(|r| FoundView {
                property: r.name,
                verdict: match result.nondeterminism {
                    // Nothing that was explored means anything then.
                    Some(_) => Verdict::Incomplete,
                    None => r.verdict,
                },
                unreached: Vec::new(),
                ..view(subject, &config, &result.check, r.counterexample.as_ref())
            });
            found.extend(relation);
            Arc::new(found)
        }
    }
}

fn of_properties(subject: SubjectName, config: &Config, result: &CheckResult) -> Vec<FoundView> {
    let one = |p: &shootdown_spec::verdict::PropertyResult| FoundView {
        property: p.name,
        verdict: p.verdict,
        unreached: p
            .witnesses
            .iter()
            .filter(|(_, reached)| !reached)
            .map(|(name, _)| *name)
            .collect(),
        ..view(subject, config, result, p.counterexample.as_ref())
    };
    result.properties.iter().map(one).collect()
}

/// What is the same for every property.
fn view(
    subject: SubjectName,
    config: &Config,
    result: &CheckResult,
    counterexample: Option<&Counterexample>,
) -> FoundView {
    FoundView {
        schema: "shootdown/found/1",
        subject,
        property: "",
        verdict: Verdict::Incomplete,
        schedule: counterexample.map(|c| shootdown_spec::schedule::schedule(config, &c.trace)),
        steps: counterexample.map(|c| c.trace.actions.len()),
        unreached: Vec::new(),
        states: result.states.unique,
        stopped: result.stopped.map(|s| s.to_string()),
    }
}
