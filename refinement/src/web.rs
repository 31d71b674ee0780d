//! The web server: everything HTTP is behind [`serve`].
//!
//! For now it is a guard in front of Stateright's own Explorer, which a purpose-built page will
//! replace. The guard binds loopback, checks `Host`, lets only the Explorer's own paths through,
//! adds a content-security policy, and answers `/.status` from this project's search, so that a
//! property's link leads to the *shortest* counterexample. The Explorer itself listens on a
//! loopback port of its own that is not announced.

mod stateright_explorer;
mod status;

use crate::cli::error::CliError;
use shootdown_spec::model::Protocol;
use status::Status;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tiny_http::{Header, Method, Request, Response, Server, StatusCode};

/// The Explorer's page needs inline handlers, and its Knockout library compiles bindings.
const POLICY: &str = "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; \
                      style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";

/// The Explorer's static files.
const FILES: &[(&str, &str)] = &[
    ("/", "text/html; charset=utf-8"),
    ("/app.css", "text/css"),
    ("/app.js", "text/javascript"),
    ("/knockout-3.5.0.js", "text/javascript"),
];

/// Longest path of action indices that is looked at: deeper than any state space here.
const LONGEST_URL: usize = 4096;

/// Longest body that is looked away from: nothing here takes one.
const LONGEST_BODY: usize = 1 << 20;

/// What the Explorer's style sheet lacks: the run's picture has its own size and would push the
/// state below the fold.
const STYLE: &str = "
@media (min-width: 1000px) {
  .main-flex { flex-wrap: nowrap }
  .main-flex-left { flex: 0 1 34% }
  .main-flex-right { flex: 1 1 66%; min-width: 0 }
}
.main-flex-right svg { display: block; max-width: 100%; height: auto }
";

/// Serves until `stop` is raised. `announce` is told the address that was bound.
///
/// # Errors
/// If the address cannot be bound.
pub fn serve(
    protocol: Protocol,
    bind: SocketAddr,
    stop: Arc<AtomicBool>,
    announce: impl FnOnce(SocketAddr),
) -> Result<(), CliError> {
    let failed = |error| CliError::Bind {
        address: bind,
        error,
    };
    let server = Server::http(bind).map_err(|e| failed(std::io::Error::other(e.to_string())))?;
    let address = server.server_addr().to_ip().unwrap_or(bind);
    let status = Status::start(protocol.clone(), stop.clone());
    let explorer = stateright_explorer::start(protocol).map_err(failed)?;
    announce(address);
    while !stop.load(Ordering::Relaxed) {
        match server.recv_timeout(Duration::from_millis(200)) {
            Ok(Some(request)) => answer(request, address, &status, &explorer),
            Ok(None) => {}
            // A connection that broke before its request was read is the browser's business.
            Err(error) => tracing::debug!(%error, "connection lost"),
        }
    }
    Ok(())
}

fn answer(
    request: Request,
    address: SocketAddr,
    status: &Status,
    explorer: &stateright_explorer::Explorer,
) {
    if request.body_length().is_some_and(|n| n > LONGEST_BODY) {
        // tiny_http skips an unread body by allocating as much as the header claims, and a claim
        // that is absurd would abort the process: answer, and leave the connection for lost.
        let refusal = Response::from_string("no bodies\n").with_status_code(StatusCode(413));
        std::mem::forget(request.upgrade("close", refusal));
        return;
    }
    let (code, kind, body) = route(&request, address, status, explorer);
    let mut response = Response::from_data(body).with_status_code(StatusCode(code));
    for (name, value) in [
        ("Content-Type", kind),
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
    ] {
        let header = Header::from_bytes(name, value).expect("constants are valid headers");
        response.add_header(header);
    }
    if let Err(error) = request.respond(response) {
        tracing::debug!(%error, "the browser went away");
    }
}

type Answer = (u16, &'static str, Vec<u8>);

fn plain(code: u16, text: &str) -> Answer {
    (code, "text/plain; charset=utf-8", text.as_bytes().to_vec())
}

fn route(
    request: &Request,
    address: SocketAddr,
    status: &Status,
    explorer: &stateright_explorer::Explorer,
) -> Answer {
    if !host_is_ours(request, address) {
        return plain(
            403,
            "this server answers only to its own loopback address\n",
        );
    }
    let url = request.url();
    match request.method() {
        // The search runs by itself.
        Method::Post if url == "/.runtocompletion" => plain(200, ""),
        Method::Get if url == "/.status" => (200, "application/json", status.json()),
        Method::Get if is_state_path(url) => match explorer.get(url) {
            Ok((200, body)) => (200, "application/json", status.annotate(&body)),
            Ok((code, body)) => (code, "text/plain; charset=utf-8", body),
            Err(error) => plain(502, &format!("the explorer did not answer: {error}\n")),
        },
        Method::Get => match FILES.iter().find(|(path, _)| *path == url) {
            Some((path, kind)) => match explorer.get(path) {
                Ok((_, mut body)) => {
                    if *path == "/app.css" {
                        body.extend_from_slice(STYLE.as_bytes());
                    }
                    (200, kind, body)
                }
                Err(error) => plain(502, &format!("the explorer did not answer: {error}\n")),
            },
            None => plain(404, "no such page\n"),
        },
        _ => plain(405, "only GET\n"),
    }
}

/// `/.states` and `/.states/0/1/2`, indices only.
fn is_state_path(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("/.states") else {
        return false;
    };
    let index = |part: &str| part.parse::<u32>().is_ok();
    url.len() <= LONGEST_URL
        && (rest.is_empty()
            || rest
                .strip_prefix('/')
                .is_some_and(|r| r.split('/').all(index)))
}

/// Guards against DNS rebinding: the browser must have been pointed here by a loopback name.
fn host_is_ours(request: &Request, address: SocketAddr) -> bool {
    let host = request.headers().iter().find(|h| h.field.equiv("Host"));
    let Some(host) = host.map(|h| h.value.as_str()) else {
        return false;
    };
    let port = address.port();
    let names = ["127.0.0.1", "localhost", "[::1]"];
    host == address.to_string() || names.iter().any(|name| host == format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::is_state_path;

    #[test]
    fn only_paths_of_indices_reach_the_explorer() {
        for good in ["/.states", "/.states/0", "/.states/0/1/22"] {
            assert!(is_state_path(good), "{good}");
        }
        for bad in [
            "/.states/",
            "/.statesx",
            "/.states/0/",
            "/.states/-1",
            "/.states/../etc",
            "/.states/0?x=1",
            "/.states/99999999999",
        ] {
            assert!(!is_state_path(bad), "{bad}");
        }
    }
}
