//! Server-sent events: `progress` while a search runs, then what it came to. `problem` ends a stream that failed.

use super::job::Phase;
use super::view::event::ProblemView;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;

/// One event with its data.
pub fn event(name: &str, data: &impl Serialize) -> Event {
    match serde_json::to_string(data) {
        Ok(json) => Event::default().event(name).data(json),
        // Only a map with keys that are no strings cannot be written, and none is.
        Err(error) => Event::default().event("problem").data(error.to_string()),
    }
}

/// An answer of events. A comment every few seconds keeps it open, and notices that nobody is there any more.
pub fn answer(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    use futures_util::StreamExt as _;
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(2));
    Sse::new(events.map(Ok::<_, Infallible>))
        .keep_alive(keep_alive)
        .into_response()
}

/// A search from now to its end; `done` names the last event and makes its data.
pub fn of_job<T, D>(
    mut phase: watch::Receiver<Phase<T>>,
    name: &'static str,
    done: impl Fn(T) -> D + Send + 'static,
) -> impl Stream<Item = Event> + Send + 'static
where
    T: Clone + Send + Sync + 'static,
    D: Serialize,
{
    phase.mark_changed();
    stream::unfold(Some((phase, done)), move |state| async move {
        let (mut phase, done) = state?;
        let now = match phase.changed().await {
            Ok(()) => phase.borrow_and_update().clone(),
            Err(_) => Phase::Failed("the search is gone".to_string()),
        };
        match now {
            Phase::Waiting => Some((event("waiting", &()), Some((phase, done)))),
            Phase::Running(progress) => Some((event("progress", &progress), Some((phase, done)))),
            Phase::Done(value) => Some((event(name, &done(value)), None)),
            Phase::Failed(message) => Some((problem(&message), None)),
        }
    })
}

/// What was known already.
pub fn at_once(event: Event) -> impl Stream<Item = Event> {
    stream::once(async move { event })
}

fn problem(message: &str) -> Event {
    let problem = ProblemView {
        message: message.to_string(),
        hint: "ask again; `shootdown check` gives more memory and time".to_string(),
    };
    event("problem", &problem)
}
