//! `GET /api/run?subject=spec|impl&schedule=…&at=…&hashes=…`: the run document.

use super::{Json, Params, Which, played, work};
use crate::web::error::ApiError;
use crate::web::server::Server;
use crate::web::told::Wanted;
use crate::web::view::config::bare_schedule;
use crate::web::view::run::{RunView, SubjectName};
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;

/// What stands behind the `?`.
#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(default)]
    subject: SubjectName,
    #[serde(flatten)]
    which: Which,
    at: Option<String>,
    /// The beginnings of the checks of all states, with dots between them.
    hashes: Option<String>,
}

/// The run document.
pub async fn run(
    State(server): State<Arc<Server>>,
    Params(asked): Params<Asked>,
) -> Result<Json<RunView>, ApiError> {
    let shared = server.clone();
    work(&server, move || document(&shared, &asked).map(Json)).await
}

fn document(server: &Server, asked: &Asked) -> Result<RunView, ApiError> {
    let (subject, schedule) = asked.which.schedule(asked.subject)?;
    let wanted = Wanted {
        at: asked.at.as_deref().map(number).transpose()?,
        hashes: asked.hashes.as_deref().map_or(Ok(Vec::new()), hashes)?,
    };
    let played = played(subject, &schedule)?;
    let fates = server.fates_of(&(subject, bare_schedule(&schedule.config)));
    Ok(played.view(&wanted, fates.as_deref()))
}

/// Which state; one that does not exist is the last one.
fn number(text: &str) -> Result<usize, ApiError> {
    let hint = "at=N is the state after N steps";
    text.parse()
        .map_err(|_| ApiError::unreadable(format!("`{text}` is not the number of a state"), hint))
}

/// Beginnings of hashes, with dots between them. An empty one is no check and hides nothing: the others still count.
fn hashes(text: &str) -> Result<Vec<String>, ApiError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let all: Vec<String> = text.split('.').map(str::to_ascii_lowercase).collect();
    let bad = |hash: &&String| hash.len() > 8 || !hash.bytes().all(|b| b.is_ascii_hexdigit());
    match all.iter().find(bad) {
        Some(bad) => Err(ApiError::unreadable(
            format!("`{bad}` is not the check of a state"),
            "hashes=aaaa.bbbb…: up to 8 hexadecimal digits for each state, dots between them",
        )),
        None => Ok(all),
    }
}
