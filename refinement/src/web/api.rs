//! The addresses below `/api`, one file each.

mod about;
mod body;
mod compare;
mod diagnose;
mod export;
mod fates;
mod find;
mod matrix;
mod run;
mod scenario;

pub use about::{about_view, deadlock_of_2011};
pub use body::UNITS;
pub use scenario::Answer;

use super::clients::{Client, Doing};
use super::error::ApiError;
use super::guard::guard;
use super::server::Server;
use super::subject::Subject;
use super::told::{Played, play};
use super::view::config::bare_schedule;
use super::view::run::SubjectName;
use super::{assets, server};
use crate::expectation::Cell;
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shootdown_spec::schedule::Schedule;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Addresses that take a text, and its most bytes. All others take none.
pub const BODIES: &[(&str, usize)] = &[
    ("/api/diagnose", diagnose::LONGEST),
    ("/api/scenario/look", scenario::LONGEST),
    ("/api/scenario/check", scenario::LONGEST),
    ("/api/scenario/compare", scenario::LONGEST),
];

/// Longest run that is told: what a page can still show. `shootdown replay` tells longer ones.
pub const LONGEST_RUN: usize = 4096;

/// Everything that is served.
pub fn router(server: Arc<Server>, address: SocketAddr) -> Router {
    Router::new()
        .route("/", get(assets::index))
        .route("/ui/{*path}", get(assets::asset))
        .route("/api/about", get(about::about))
        .route("/api/status", get(status))
        .route("/api/run", get(run::run))
        .route("/api/compare", get(compare::compare))
        .route("/api/export", get(export::export))
        .route("/api/find", get(find::find))
        .route("/api/fates", get(fates::fates))
        .route("/api/matrix", get(matrix::matrix))
        .route("/api/diagnose", post(diagnose::diagnose))
        .route("/api/recorded", get(diagnose::recorded))
        .route("/api/scenario/editor", get(scenario::editor))
        .route("/api/scenario/corpus", get(scenario::corpus))
        .route("/api/scenario/look", post(scenario::look))
        .route("/api/scenario/check", post(scenario::check))
        .route("/api/scenario/compare", post(scenario::compare))
        .fallback(nothing)
        .layer(from_fn_with_state(address, guard))
        .layer(from_fn_with_state(server.clone(), count))
        .with_state(server)
}

async fn count(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    server.counts.requests.fetch_add(1, Ordering::Relaxed);
    let client = request.extensions().get::<Arc<Client>>().cloned();
    let now = |doing| {
        if let Some(client) = &client {
            server.clients.now(client, doing);
        }
    };
    now(Doing::Asking);
    let response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE);
    now(match kind.is_some_and(|kind| kind == "text/event-stream") {
        true => Doing::Streaming,
        false => Doing::Nothing,
    });
    response
}

async fn nothing() -> ApiError {
    ApiError::not_found("no such page")
}

async fn status(State(server): State<Arc<Server>>) -> Json<server::StatusView> {
    Json(server.status())
}

/// An answer in JSON.
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => {
                // Nothing here has a map whose keys are no strings.
                tracing::error!(%error, "an answer cannot be written as JSON");
                (axum::http::StatusCode::INTERNAL_SERVER_ERROR, Body::empty()).into_response()
            }
        }
    }
}

/// What stands behind the `?`, with an answer of this API's kind where it cannot be read.
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Params(params)),
            Err(error) => Err(ApiError::unreadable(
                error,
                "docs/web.md lists every address with its parameters",
            )),
        }
    }
}

/// What a request is about: a schedule, or names that make one.
#[derive(Debug, Deserialize)]
pub struct Which {
    #[serde(alias = "config")]
    schedule: Option<String>,
    design: Option<String>,
    env: Option<String>,
    workload: Option<String>,
    /// Deviations from the protocol, with commas.
    variants: Option<String>,
}

impl Which {
    /// The schedule, or one without actions of the design, environment and workload that are named.
    pub fn schedule(&self, subject: SubjectName) -> Result<(SubjectName, Schedule), ApiError> {
        if let Some(text) = &self.schedule {
            return schedule(subject, text);
        }
        let Some(design) = &self.design else {
            return Err(ApiError::unreadable(
                "nothing is asked for",
                "schedule=…, or design=…&env=…&workload=…",
            ));
        };
        // A cell without expectations: the matrix reads its names in the same way.
        let cell = Cell {
            design: design.clone(),
            env: self.env.clone().unwrap_or_else(|| "split+thp".into()),
            workload: self.workload.clone().unwrap_or_else(|| "everything".into()),
            variants: self
                .variants
                .iter()
                .flat_map(|v| v.split(','))
                .filter(|v| !v.is_empty())
                .map(str::to_string)
                .collect(),
            ..Cell::default()
        };
        let config = cell.config().map_err(|e| {
            ApiError::unreadable(
                e,
                "`shootdown list` names designs, environments and workloads",
            )
        })?;
        schedule(subject, &bare_schedule(&config))
    }
}

/// Reads a schedule; one that begins with `code:` is of the code.
pub fn schedule(subject: SubjectName, text: &str) -> Result<(SubjectName, Schedule), ApiError> {
    let text = text.trim();
    let (subject, text) = match text.strip_prefix(crate::cli::refine::CODE) {
        Some(rest) => (SubjectName::Impl, rest),
        None => (subject, text),
    };
    let hint = "`shootdown check` prints schedules; `shootdown list` names designs, environments and programs";
    let schedule = Schedule::parse(text).map_err(|e| ApiError::unreadable(e, hint))?;
    let actions = schedule.trace.actions.len();
    if actions > LONGEST_RUN {
        return Err(ApiError::senseless(
            format!("this run has {actions} actions; a page shows at most {LONGEST_RUN}"),
            "`shootdown replay FILE` takes longer ones",
        ));
    }
    Ok((subject, schedule))
}

/// Plays a schedule, or says why its subject cannot be run.
pub fn played(subject: SubjectName, schedule: &Schedule) -> Result<Played, ApiError> {
    play(subject, schedule).map_err(|e| {
        ApiError::senseless(
            e,
            "take the specification (subject=spec), or leave the deviation out",
        )
    })
}

/// Is there such a subject at all?
pub fn possible(subject: SubjectName, schedule: &Schedule) -> Result<(), ApiError> {
    Subject::new(subject, schedule.config.clone())
        .map(|_| ())
        .map_err(|e| ApiError::senseless(e, "take the specification (subject=spec)"))
}

/// Works an answer out on a thread that may take its time. A panic is a bug and becomes an answer too.
pub async fn work<T: Send + 'static>(
    server: &Arc<Server>,
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            server.counts.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, "a handler failed");
            Err(ApiError::internal("the answer could not be worked out"))
        }
    }
}
