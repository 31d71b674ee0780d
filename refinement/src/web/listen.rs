//! The socket: loopback only, time limits, a limit on connections, an orderly end.

use super::api;
use super::server::{Server, Settings};
use crate::cli::error::CliError;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Most connections at a time. A browser opens six, and one for each stream.
const MOST_CONNECTIONS: usize = 256;

/// How long the head of a request may take; also how long a connection may say nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How large the head of a request may be: an address of 64 KiB and what browsers send along.
const LARGEST_HEAD: usize = 96 << 10;

/// Most headers of a request.
const MOST_HEADERS: usize = 100;

/// How long answers that are under way may take when the server ends.
const GRACE: Duration = Duration::from_secs(1);

/// Serves until `stop` is raised. `announce` is told the address that was bound.
///
/// # Errors
/// If the address cannot be bound, or there are no threads.
pub fn serve(
    settings: Settings,
    bind: SocketAddr,
    stop: &AtomicBool,
    announce: impl FnOnce(SocketAddr),
) -> Result<(), CliError> {
    let failed = |error| CliError::Bind {
        address: bind,
        error,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .thread_name("web")
        .enable_all()
        .build()
        .map_err(failed)?;
    let server = Arc::new(Server::new(settings));
    let result = runtime.block_on(async {
        let listener = TcpListener::bind(bind).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        announce(address);
        // The first page asks for it, and should not have to wait.
        tokio::task::spawn_blocking(api::deadlock_of_2011);
        listen(server.clone(), listener, address, stop).await;
        Ok(())
    });
    server.cancel();
    // What is being worked out for nobody is left behind.
    runtime.shutdown_background();
    result
}

async fn listen(
    server: Arc<Server>,
    listener: TcpListener,
    address: SocketAddr,
    stop: &AtomicBool,
) {
    let service = TowerToHyperService::new(api::router(server.clone(), address));
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    while !stop.load(Ordering::Relaxed) {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            _ = tick.tick() => continue,
        };
        let Some((stream, permit)) = accepted else {
            continue;
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(LARGEST_HEAD)
            .max_headers(MOST_HEADERS)
            // Whoever has said all it has to say still wants the answer.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service.clone());
        let connection = graceful.watch(connection);
        let counted = server.clone();
        counted.counts.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            // A connection that broke is the browser's business.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection lost");
            }
            counted.counts.connections.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        });
    }
    // Streams end with what they tell of.
    server.cancel();
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

/// The next connection there is room for.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, permit))
        }
        Err(error) => {
            // Out of descriptors, or gone before it was accepted: neither is cured by hurry.
            tracing::debug!(%error, "not accepted");
            tokio::time::sleep(Duration::from_millis(20)).await;
            None
        }
    }
}
