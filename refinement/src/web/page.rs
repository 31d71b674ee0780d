//! One page that is made anew whenever it is asked for, behind the same guard as everything else.

use super::guard::guard;
use crate::cli::error::CliError;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::middleware;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use shootdown_refinement::scenario::page::{STYLE, linked_style};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Serves the page on the first of the addresses that is free, until `stop` is raised. `announce` is told the address that was bound.
///
/// # Errors
/// If the address cannot be bound, or there are no threads.
pub fn serve_page(
    render: impl Fn() -> String + Send + Sync + 'static,
    bind: &[SocketAddr],
    stop: &AtomicBool,
    announce: impl FnOnce(SocketAddr),
) -> Result<(), CliError> {
    let failed = |error| CliError::Bind {
        address: bind[0],
        error,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(2)
        .thread_name("web")
        .enable_all()
        .build()
        .map_err(failed)?;
    let render: Render = Arc::new(render);
    let result = runtime.block_on(async {
        let listener = super::listen::bound(bind).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let router = Router::new()
            .route("/", get(page))
            .route("/style.css", get(style))
            .with_state(render)
            .layer(middleware::from_fn_with_state(address, guard));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        announce(address);
        while !stop.load(Ordering::Relaxed) && !server.is_finished() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.abort();
        Ok(())
    });
    runtime.shutdown_background();
    result
}

async fn page(State(render): State<Render>) -> impl IntoResponse {
    let html = tokio::task::spawn_blocking(move || render()).await;
    Html(linked_style(&html.unwrap_or_else(|_| {
        "this page could not be made; the terminal says why".to_string()
    })))
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}
