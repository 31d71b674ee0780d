//! `GET /api/compare?subject=…&schedule=…&with=DESIGN|spec|impl`: both run documents and where they part.

use super::{Json, Params, schedule, work};
use crate::web::compare;
use crate::web::error::ApiError;
use crate::web::server::Server;
use crate::web::view::compare::CompareView;
use crate::web::view::run::SubjectName;
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;

/// What stands behind the `?`.
#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(default)]
    subject: SubjectName,
    schedule: String,
    with: String,
}

/// Both run documents.
pub async fn compare(
    State(server): State<Arc<Server>>,
    Params(asked): Params<Asked>,
) -> Result<Json<CompareView>, ApiError> {
    let shared = server.clone();
    work(&server, move || {
        let (subject, schedule) = schedule(asked.subject, &asked.schedule)?;
        compare::compare(&shared, subject, &schedule, &asked.with).map(Json)
    })
    .await
}
