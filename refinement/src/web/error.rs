//! What the API answers when it cannot answer: a message, what to do, a status that fits.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer that is none.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    message: &'a str,
    hint: &'a str,
}

/// Quoted input longer than this is cut: nobody reads it, and it would only be sent back.
const LONGEST: usize = 600;

fn shortened(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl ApiError {
    /// With a status, a message and what to do.
    pub fn new(status: StatusCode, message: impl ToString, hint: impl ToString) -> ApiError {
        ApiError {
            status,
            message: shortened(message.to_string()),
            hint: hint.to_string(),
        }
    }

    /// 400: the request cannot be read.
    pub fn unreadable(message: impl ToString, hint: impl ToString) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, message, hint)
    }

    /// 422: it can be read and makes no sense.
    pub fn senseless(message: impl ToString, hint: impl ToString) -> ApiError {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message, hint)
    }

    /// 404.
    pub fn not_found(message: impl ToString) -> ApiError {
        let hint = "the page is at /, and everything it asks for below /api";
        ApiError::new(StatusCode::NOT_FOUND, message, hint)
    }

    /// 500: a bug.
    pub fn internal(message: impl ToString) -> ApiError {
        let hint = "this is a bug: please report it with the address of the page";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message, hint)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Body {
            error: Inner {
                message: &self.message,
                hint: &self.hint,
            },
        };
        (self.status, super::api::Json(body)).into_response()
    }
}
