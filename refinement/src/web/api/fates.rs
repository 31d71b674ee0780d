//! `GET /api/fates?subject=…&config=…`: events `waiting`, `progress`, then `done`. From then on, for as long as the
//! graph is kept, run documents of the configuration say whether each state leads to a deadlock.

use super::{Params, Which, possible};
use crate::web::error::ApiError;
use crate::web::fates::Fates;
use crate::web::job::Beside;
use crate::web::server::{Key, Server, lock};
use crate::web::stream::{self, event};
use crate::web::view::config::bare_schedule;
use crate::web::view::event::FatesView;
use crate::web::view::run::SubjectName;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use shootdown_refinement::map;
use shootdown_refinement::relation::joint::{Joint, Refinement};
use shootdown_spec::config::Config;
use shootdown_spec::model::Protocol;
use shootdown_spec::property::{Property, observe};
use shootdown_spec::search::{Options, Outcome, Stop, search};
use std::sync::Arc;

/// What stands behind the `?`.
#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(default)]
    subject: SubjectName,
    #[serde(flatten)]
    which: Which,
}

/// The search for fates.
pub async fn fates(
    State(server): State<Arc<Server>>,
    Params(asked): Params<Asked>,
) -> Result<Response, ApiError> {
    let (subject, schedule) = asked.which.schedule(asked.subject)?;
    possible(subject, &schedule)?;
    let config = schedule.config;
    let key: Key = (subject, bare_schedule(&config));
    if let Some(fates) = server.fates_of(&key) {
        let view = view(&fates, None, fates.bytes());
        return Ok(stream::answer(stream::at_once(event("done", &view))));
    }
    let what = format!("{} in {}", config.design, config.environment);
    let (shared, mine) = (server.clone(), key.clone());
    let phase = server.graphs.watch(key, what, move |beside| {
        let mut outcome = graph(subject, config, beside);
        outcome.stopped = outcome.stopped.map(|stop| beside.why(stop));
        keep(&shared, mine, outcome)
    });
    Ok(stream::answer(stream::of_job(
        phase,
        "done",
        |view: FatesView| view,
    )))
}

fn view(fates: &Fates, stopped: Option<String>, bytes: u64) -> FatesView {
    FatesView {
        schema: "shootdown/fates/1",
        states: fates.states(),
        complete: fates.complete,
        stopped,
        bytes,
    }
}

/// Explores and keeps the graph.
fn graph(subject: SubjectName, config: Config, beside: &Beside) -> Outcome {
    let options = Options {
        keep_graph: true,
        ..beside.options()
    };
    match subject {
        SubjectName::Spec => {
            let observe = |p: &Protocol, s: &_| observe(&p.config, s);
            search(&Protocol::new(config), observe, &options)
        }
        SubjectName::Impl => {
            let code = Arc::new(map::config::axes(&config.design));
            let mut refinement = Refinement::new(config, code);
            let facts = |r: &Refinement, s: &Joint| r.facts(s);
            let explored = refinement.settled(|r| search(r, facts, &options));
            explored.0
        }
    }
}

fn keep(server: &Server, key: Key, outcome: Outcome) -> Result<FatesView, String> {
    if outcome.stopped == Some(Stop::Cancelled) {
        return Err("the search was ended: nobody watched it".to_string());
    }
    let stopped = outcome.stopped.map(|s| s.to_string());
    let (deadlock, _) = Property::named("no_deadlock").expect("it is in the table");
    let fates = Fates::new(outcome, deadlock).ok_or("the search kept no graph: a bug")?;
    let fates = Arc::new(fates);
    let bytes = fates.bytes();
    let kept = lock(&server.fates).insert(key, fates.clone(), bytes);
    if !kept {
        return Err(format!(
            "the graph of {} states takes {bytes} bytes, more than the {} there are for graphs",
            fates.states(),
            server.settings.graph_budget
        ));
    }
    Ok(view(&fates, stopped, bytes))
}
