//! `GET /api/export?format=schedule|svg|splat|html&subject=…&schedule=…`: a run to take away.

use super::{Params, about_view, played, schedule, work};
use crate::web::bundle;
use crate::web::error::ApiError;
use crate::web::server::Server;
use crate::web::told::{Played, Wanted};
use crate::web::view::config::bare_schedule;
use crate::web::view::run::SubjectName;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shootdown_refinement::export::run::Run;
use shootdown_refinement::export::splat::{self, Flavour};
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::report::{self, TextOptions};
use std::sync::Arc;

/// What stands behind the `?`.
#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(default)]
    subject: SubjectName,
    schedule: String,
    format: Format,
    /// As a file to be saved instead of something to be shown.
    #[serde(default)]
    download: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// The line that replays it.
    Schedule,
    /// A picture.
    Svg,
    /// lockdep's report, headed as a counterexample.
    Splat,
    /// One HTML file that opens without a server.
    Html,
}

impl Format {
    /// The kind of answer, and the ending of a file of it.
    fn kind(self) -> (&'static str, &'static str) {
        match self {
            Format::Schedule => ("text/plain; charset=utf-8", "schedule"),
            Format::Svg => ("image/svg+xml", "svg"),
            Format::Splat => ("text/plain; charset=utf-8", "txt"),
            Format::Html => ("text/html; charset=utf-8", "html"),
        }
    }
}

/// A run to take away.
pub async fn export(
    State(server): State<Arc<Server>>,
    Params(asked): Params<Asked>,
) -> Result<Response, ApiError> {
    let (shared, format, download) = (server.clone(), asked.format, asked.download);
    let text = work(&server, move || text(&shared, &asked)).await?;
    let (kind, ending) = format.kind();
    // The file is the reader's to open; in this server's name it is shown as text only.
    let shown = download || format != Format::Html;
    let place = format!(
        "{}; filename=\"shootdown-run.{ending}\"",
        if shown && !download {
            "inline"
        } else {
            "attachment"
        }
    );
    Ok((
        [
            (CONTENT_TYPE, kind.to_string()),
            (CONTENT_DISPOSITION, place),
        ],
        text,
    )
        .into_response())
}

fn text(server: &Server, asked: &Asked) -> Result<String, ApiError> {
    let (subject, schedule) = schedule(asked.subject, &asked.schedule)?;
    let played = played(subject, &schedule)?;
    match asked.format {
        Format::Schedule => {
            let text = shootdown_spec::schedule::schedule(played.config(), &played.trace());
            let prefix = match subject {
                SubjectName::Spec => "",
                SubjectName::Impl => crate::cli::refine::CODE,
            };
            Ok(format!("{prefix}{text}\n"))
        }
        Format::Svg => Ok(report::svg(played.subject.protocol(), &played.told)),
        Format::Splat => Ok(splat(&played)),
        Format::Html => {
            let key = (subject, bare_schedule(&schedule.config));
            let fates = server.fates_of(&key);
            let view = played.view(&Wanted::default(), fates.as_deref());
            bundle::page(&about_view(server), &view).map_err(ApiError::internal)
        }
    }
}

/// The run as lockdep would report it; where it would report nothing, in columns.
fn splat(played: &Played) -> String {
    let protocol = played.subject.protocol();
    let last = played.last().state();
    let violated = PROPERTIES
        .iter()
        .find(|p| p.is_violated(played.config(), last))
        .map(|p| p.name);
    let reported = Run::new(protocol.clone(), played.told.clone(), violated)
        .ok()
        .and_then(|run| splat::splat(&run, Flavour::Modern));
    reported.unwrap_or_else(|| {
        let options = TextOptions {
            width: 100,
            ..TextOptions::default()
        };
        report::text(protocol, &played.told, violated, &options)
    })
}
