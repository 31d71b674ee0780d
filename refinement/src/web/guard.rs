//! What a request must be like before anybody looks at what it asks for, and what every answer says about itself.

use super::api::BODIES;
use super::error::ApiError;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;

/// Nothing but the page's own files, no inline script, no inline style, no eval.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Headers of every answer.
static HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Longest body that is looked away from, where none is taken.
const LONGEST_BODY: u64 = 1 << 20;

/// The most bytes of a text that an address takes; `None` if it takes none.
fn takes(path: &str) -> Option<u64> {
    let found = BODIES.iter().find(|(address, _)| *address == path);
    found.map(|(_, most)| *most as u64)
}

/// Longest address: a schedule of some thousand actions with a check of every state.
const LONGEST_ADDRESS: usize = 1 << 16;

/// Lets requests of a browser that was pointed here through.
pub async fn guard(State(address): State<SocketAddr>, request: Request, next: Next) -> Response {
    let allowed = match takes(request.uri().path()) {
        Some(_) => "POST",
        None => "GET, HEAD",
    };
    let mut response = match refusal(&request, address) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in &HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = HeaderValue::from_static(allowed);
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

fn refusal(request: &Request, address: SocketAddr) -> Option<ApiError> {
    let headers = request.headers();
    if !host_is_ours(headers, address) {
        return Some(ApiError::new(
            StatusCode::FORBIDDEN,
            "this server answers only to its own loopback address",
            format!("open http://{address}/"),
        ));
    }
    // A page of somebody else must not make this machine search. Another port of this machine is the same site and
    // somebody else; a link to this page from anywhere is none of these.
    let site = headers.get("sec-fetch-site");
    let foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
    if foreign && request.uri().path().starts_with("/api") || !origin_is_ours(headers, address) {
        return Some(ApiError::new(
            StatusCode::FORBIDDEN,
            "this was asked for by a page of another site",
            format!("open http://{address}/"),
        ));
    }
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    let takes = takes(request.uri().path());
    if length.is_some_and(|n| n > takes.unwrap_or(LONGEST_BODY)) {
        let (message, hint) = match takes {
            Some(most) => (
                format!("the text is too long: at most {most} bytes"),
                "the commands take longer ones from a file",
            ),
            None => ("this address takes no body".to_string(), "use GET"),
        };
        return Some(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message, hint));
    }
    if request
        .uri()
        .path_and_query()
        .map_or(0, |p| p.as_str().len())
        > LONGEST_ADDRESS
    {
        return Some(ApiError::new(
            StatusCode::URI_TOO_LONG,
            "the address is too long",
            "`shootdown replay FILE` takes schedules of any length",
        ));
    }
    let (fits, message) = match takes {
        Some(_) => (*request.method() == Method::POST, "only POST"),
        None => (
            matches!(*request.method(), Method::GET | Method::HEAD),
            "only GET",
        ),
    };
    if !fits {
        return Some(ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            message,
            "nothing here changes anything; docs/web.md lists every address",
        ));
    }
    None
}

/// Guards against DNS rebinding: the browser must have been pointed here by a loopback name.
fn host_is_ours(headers: &HeaderMap, address: SocketAddr) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    host.to_str().is_ok_and(|host| is_ours(host, address))
}

/// Whoever says on behalf of which page it asks must name this one. Browsers say so of every request that a page of
/// another origin makes with a script, and none of plain links.
fn origin_is_ours(headers: &HeaderMap, address: SocketAddr) -> bool {
    let ours = |origin: &HeaderValue| {
        let host = origin.to_str().ok().and_then(|o| o.strip_prefix("http://"));
        host.is_some_and(|host| is_ours(host, address))
    };
    headers.get_all(header::ORIGIN).iter().all(ours)
}

/// A loopback name with the port.
fn is_ours(host: &str, address: SocketAddr) -> bool {
    let port = address.port();
    let names = ["127.0.0.1", "localhost", "[::1]"];
    host == address.to_string() || names.iter().any(|name| host == format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(hosts: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_static(host));
        }
        host_is_ours(&headers, "127.0.0.1:3000".parse().expect("an address"))
    }

    #[test]
    fn only_loopback_names_with_the_port_are_ours() {
        for good in ["127.0.0.1:3000", "localhost:3000", "[::1]:3000"] {
            assert!(ours(&[good]), "{good}");
        }
        for bad in [
            "127.0.0.1",
            "localhost:80",
            "evil.example:3000",
            "127.0.0.1:3000.evil.example",
        ] {
            assert!(!ours(&[bad]), "{bad}");
        }
    }

    #[test]
    fn only_this_page_may_be_named_as_the_origin() {
        let ours = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.append(header::ORIGIN, HeaderValue::from_static(origin));
            }
            origin_is_ours(&headers, "127.0.0.1:3000".parse().expect("an address"))
        };
        for good in [
            None,
            Some("http://127.0.0.1:3000"),
            Some("http://localhost:3000"),
        ] {
            assert!(ours(good), "{good:?}");
        }
        for bad in [
            "http://evil.example",
            "http://localhost:9999",
            "https://localhost:3000",
            "null",
            "",
        ] {
            assert!(!ours(Some(bad)), "{bad}");
        }
    }

    #[test]
    fn one_host_and_no_more() {
        assert!(!ours(&[]));
        assert!(!ours(&["127.0.0.1:3000", "evil.example"]));
    }
}
