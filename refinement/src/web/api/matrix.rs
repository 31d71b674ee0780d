//! `GET /api/matrix`: events `snapshot`, then `cell` and `progress` as they come, then `done`.

use crate::web::matrix::News;
use crate::web::server::Server;
use crate::web::stream::{self, event};
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream::{StreamExt as _, iter, once, unfold};
use std::sync::Arc;

/// The matrix, live.
pub async fn matrix(State(server): State<Arc<Server>>) -> Response {
    let (snapshot, watcher) = server.matrix.watch();
    let first = event("snapshot", &snapshot);
    let news = unfold(Some(watcher), |watcher| async move {
        let mut watcher = watcher?;
        let news = watcher.next().await?;
        let last = matches!(news, News::Done);
        Some((events(news), (!last).then_some(watcher)))
    });
    stream::answer(once(async move { first }).chain(news.flat_map(iter)))
}

fn events(news: News) -> Vec<Event> {
    match news {
        News::Cells(cells) => cells.iter().map(|cell| event("cell", cell)).collect(),
        News::Progress(progress) => vec![event("progress", &progress)],
        News::Done => vec![event("done", &())],
    }
}
