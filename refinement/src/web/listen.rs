//! The socket: loopback only, time limits, an orderly end.

use super::api;
use super::server::{Server, Settings};
use crate::cli::error::CliError;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;

/// How long the head of a request may take; also how long a connection may say nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take nothing of what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How large the head of a request may be: an address of 64 KiB and what browsers send along.
const LARGEST_HEAD: usize = 96 << 10;

/// Most headers of a request.
const MOST_HEADERS: usize = 100;

/// How long answers that are under way may take when the server ends.
const GRACE: Duration = Duration::from_secs(1);

/// Serves on the first of the addresses that is free, until `stop` is raised. `announce` is told the address that was bound.
///
/// # Errors
/// If the address cannot be bound, or there are no threads.
pub fn serve(
    settings: Settings,
    bind: &[SocketAddr],
    stop: &AtomicBool,
    announce: impl FnOnce(SocketAddr),
) -> Result<(), CliError> {
    let failed = |error| CliError::Bind {
        address: bind[0],
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
        let listener = bound(bind).await.map_err(failed)?;
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

/// The first of the addresses that is free.
///
/// # Errors
/// That of the first one, if none is.
pub(super) async fn bound(addresses: &[SocketAddr]) -> std::io::Result<TcpListener> {
    let mut first = None;
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into()))
}

async fn listen(
    server: Arc<Server>,
    listener: TcpListener,
    address: SocketAddr,
    stop: &AtomicBool,
) {
    let service = TowerToHyperService::new(api::router(server.clone(), address));
    let graceful = GracefulShutdown::new();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    while !stop.load(Ordering::Relaxed) {
        let accepted = tokio::select! {
            accepted = accept(&listener, &server) => accepted,
            _ = tick.tick() => continue,
        };
        let Some((stream, peer)) = accepted else {
            continue;
        };
        let client = server.clients.join(peer.ip());
        let (router, asking) = (service.clone(), client.clone());
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(asking.clone());
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(LARGEST_HEAD)
            .max_headers(MOST_HEADERS)
            // Whoever has said all it has to say still wants the answer.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        let counted = server.clone();
        tokio::spawn(async move {
            tokio::select! {
                // A connection that broke is the browser's business.
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "connection lost");
                },
                () = client.closed() => tracing::debug!(%peer, "closed to make room"),
            }
            counted.clients.leave(&client);
        });
    }
    // Streams end with what they tell of.
    server.cancel();
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

/// The next connection.
async fn accept(
    listener: &TcpListener,
    server: &Server,
) -> Option<(Pin<Box<TimeoutStream<TcpStream>>>, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            let _ = stream.set_nodelay(true);
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(WRITE_TIMEOUT));
            Some((Box::pin(stream), peer))
        }
        Err(error) => {
            // Out of descriptors, or gone before it was accepted: neither is cured by hurry.
            tracing::debug!(%error, "not accepted");
            server.clients.make_room();
            tokio::time::sleep(Duration::from_millis(20)).await;
            None
        }
    }
}
