//! `/api/scenario/…`: what the editor asks for. Texts come as the body of a `POST`; nothing is kept of them.

use super::{Json, Params, body, work};
use crate::web::corpus;
use crate::web::error::ApiError;
use crate::web::scenario::{self, Text};
use crate::web::server::Server;
use crate::web::stream;
use crate::web::view::scenario::{BesideView, CallView, CheckedView, EditorView, TextView};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shootdown_lang::{LARGEST, calls, keywords};
use std::sync::Arc;

/// Longest body: two texts as JSON, in which a character may take two.
pub const LONGEST: usize = 4 * LARGEST;

/// Longest name of a file.
const LONGEST_NAME: usize = 80;

/// What stands behind the `?`.
#[derive(Debug, Deserialize)]
pub struct Asked {
    name: Option<String>,
}

/// Two texts.
#[derive(Debug, Deserialize)]
pub struct Two {
    before: Side,
    after: Side,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub struct Side {
    name: Option<String>,
    text: String,
}

/// What messages call the text: the name of a file, without what would break a line of a message.
pub fn called(name: Option<&str>, otherwise: &str) -> String {
    let name: String = name
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_NAME)
        .collect();
    match name.trim() {
        "" => otherwise.to_string(),
        name => name.to_string(),
    }
}

/// What an editor needs to know.
pub async fn editor(State(server): State<Arc<Server>>) -> Result<Json<EditorView>, ApiError> {
    let groups = || {
        calls()
            .iter()
            .flat_map(|(g, all)| all.iter().map(move |c| (*g, c)))
    };
    work(&server, move || {
        Ok(Json(EditorView {
            schema: "shootdown/scenario-editor/1",
            keywords: keywords(),
            calls: groups()
                .map(|(group, call)| CallView {
                    name: call.name,
                    written: call.written(),
                    doc: call.doc,
                    group,
                })
                .collect(),
            template: shootdown_lang::new_template("my lock"),
            largest: LARGEST,
            corpus: corpus::all(),
        }))
    })
    .await
}

/// The text of a scenario that comes along.
pub async fn corpus(Params(asked): Params<Asked>) -> Result<Response, ApiError> {
    let name = asked.name.unwrap_or_default();
    match corpus::text(&name) {
        Some(text) => Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()),
        None => Err(ApiError::unreadable(
            format!("no scenario of the corpus is called `{name}`"),
            "/api/scenario/editor lists them",
        )),
    }
}

/// What a text alone shows.
pub async fn look(
    State(server): State<Arc<Server>>,
    Params(asked): Params<Asked>,
    request: Request,
) -> Result<Json<TextView>, ApiError> {
    let text = text(&server, asked, request).await?;
    work(&server, move || Ok(Json(scenario::look(&text)))).await
}

/// Checks a text: events `waiting`, then `checked`. Whoever leaves ends the search.
pub async fn check(
    State(server): State<Arc<Server>>,
    Params(asked): Params<Asked>,
    request: Request,
) -> Result<Response, ApiError> {
    let text = text(&server, asked, request).await?;
    let (key, what) = (vec![text.clone()], text.name.clone());
    let phase = server.scenarios.watch(key, what, move |beside| {
        Ok(Answer::Checked(Arc::new(scenario::checked(&text, beside)?)))
    });
    Ok(stream::answer(stream::of_job(phase, "checked", |a| a)))
}

/// Compares two texts: events `waiting`, then `compared`.
pub async fn compare(
    State(server): State<Arc<Server>>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(&server, request, LONGEST).await?;
    let two: Two = serde_json::from_slice(&bytes).map_err(|error| {
        ApiError::unreadable(
            format!("this is not two scenarios: {error}"),
            r#"{"before":{"name":…,"text":…},"after":{"name":…,"text":…}}"#,
        )
    })?;
    let side = |side: Side| Text {
        name: called(side.name.as_deref(), "scenario.sd"),
        bytes: side.text.into_bytes(),
    };
    let (before, after) = (side(two.before), side(two.after));
    let what = format!("{} and {}", before.name, after.name);
    let key = vec![before.clone(), after.clone()];
    let phase = server.scenarios.watch(key, what, move |beside| {
        let compared = scenario::compared(&before, &after, beside)?;
        Ok(Answer::Compared(Arc::new(compared)))
    });
    Ok(stream::answer(stream::of_job(phase, "compared", |a| a)))
}

async fn text(server: &Server, asked: Asked, request: Request) -> Result<Text, ApiError> {
    // A byte more than the language allows is enough for it to say so.
    let bytes = body::read(server, request, LONGEST).await?;
    Ok(Text {
        name: called(asked.name.as_deref(), "scenario.sd"),
        bytes,
    })
}

/// What a search came to.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Of one text.
    Checked(Arc<CheckedView>),
    /// Of two.
    Compared(Arc<BesideView>),
}

impl serde::Serialize for Answer {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Answer::Checked(view) => view.serialize(serializer),
            Answer::Compared(view) => view.serialize(serializer),
        }
    }
}
