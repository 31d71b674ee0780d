//! The page's files: compiled into a release build, read from the source tree by a development build.

use super::error::ApiError;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

/// `refinement/ui`.
#[derive(RustEmbed)]
#[folder = "ui/"]
struct Ui;

/// Kinds of files that are served, by ending.
const KINDS: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("txt", "text/plain; charset=utf-8"),
];

/// A file's text, if there is such a file and it is text.
pub fn text(path: &str) -> Option<String> {
    String::from_utf8(Ui::get(path)?.data.into_owned()).ok()
}

/// `GET /`.
pub async fn index() -> Response {
    file("index.html")
}

/// `GET /ui/…`.
pub async fn asset(Path(path): Path<String>) -> Response {
    file(&path)
}

fn file(path: &str) -> Response {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    let kind = KINDS.iter().find(|(e, _)| *e == ending).map(|k| k.1);
    match (kind, Ui::get(path)) {
        (Some(kind), Some(EmbeddedFile { data, .. })) => {
            ([(CONTENT_TYPE, kind)], data).into_response()
        }
        _ => ApiError::not_found("no such file").into_response(),
    }
}
