//! `POST /api/diagnose?name=…`: the console log of a hung machine, as the body; who waits for whom.

use super::{Json, Params, body, work};
use crate::web::diagnosis::diagnosis;
use crate::web::error::ApiError;
use crate::web::server::Server;
use crate::web::view::diagnosis::DiagnosisView;
use axum::extract::{Request, State};
use serde::Deserialize;
use std::sync::Arc;

/// Longest log. `shootdown diagnose` reads longer ones.
pub const LONGEST: usize = 16 << 20;

/// What stands behind the `?`.
#[derive(Debug, Deserialize)]
pub struct Asked {
    name: Option<String>,
}

/// The diagnosis.
pub async fn diagnose(
    State(server): State<Arc<Server>>,
    Params(asked): Params<Asked>,
    request: Request,
) -> Result<Json<DiagnosisView>, ApiError> {
    let bytes = body::read(&server, request, LONGEST).await?;
    let name = super::scenario::called(asked.name.as_deref(), "console.log");
    work(&server, move || {
        diagnosis(&bytes, &name).map(Json).map_err(|error| {
            ApiError::senseless(
                error,
                "a console log: dmesg, a serial console, journald, a mail",
            )
        })
    })
    .await
}

/// Recording 16 of the trace crate's tests, gzipped.
const HUNG: &[u8] =
    include_bytes!("../../../trace/tests/ftrace/16_hang_console_dump_kswapd.txt.gz");

/// The recording that comes along, of a Linux 6.12 until it hung, told as one that was dropped.
pub async fn recorded(State(server): State<Arc<Server>>) -> Result<Json<DiagnosisView>, ApiError> {
    work(&server, move || {
        let told = diagnosis(HUNG, "recorded");
        told.map(Json)
            .map_err(|error| ApiError::senseless(error, "the recording is part of the program"))
    })
    .await
}
