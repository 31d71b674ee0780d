//! Bodies: texts that are sent to be looked at.

use crate::web::error::ApiError;
use crate::web::server::Server;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use std::time::Duration;

/// How long a body may take to arrive, room for it included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of all bodies that are being read.
pub const ROOM: usize = 64 << 20;

/// What bodies are counted in.
const UNIT: usize = 1 << 10;

/// How many such units there are.
pub const UNITS: usize = ROOM / UNIT;

/// The body of a request, of at most `most` bytes.
pub async fn read(server: &Server, request: Request, most: usize) -> Result<Vec<u8>, ApiError> {
    let too_long = || {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the text could not be read to its end: longer than {most} bytes, or cut off"),
            "the commands take longer ones from a file",
        )
    };
    let units = most.div_ceil(UNIT).min(UNITS) as u32;
    let reading = async {
        let room = server.bodies.acquire_many(units).await;
        let bytes = to_bytes(request.into_body(), most).await;
        drop(room);
        bytes
    };
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(_)) => Err(too_long()),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "the text did not arrive in time",
            "send it again",
        )),
    }
}
