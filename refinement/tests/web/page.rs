//! Who is answered, and what every answer says about itself.

use super::server::Server;

#[test]
fn the_page_is_served_and_nothing_but_the_page() {
    let server = Server::start(&[]);
    let page = server.get("/");
    assert_eq!(page.code, 200);
    assert!(page.body.contains("<html") && page.body.contains("/ui/main.js"));
    assert!(page.head.contains("content-type: text/html"));
    for (file, kind) in [
        ("/ui/main.js", "text/javascript"),
        ("/ui/style.css", "text/css"),
        ("/ui/icon.svg", "image/svg+xml"),
    ] {
        let answer = server.get(file);
        assert_eq!(answer.code, 200, "{file}");
        assert!(answer.head.contains(kind), "{file}: {}", answer.head);
    }
    for path in [
        "/nope",
        "/ui/nope.js",
        "/ui/",
        "/ui",
        "/ui/../Cargo.toml",
        "/ui/../src/main.rs",
        "/ui/%2e%2e/Cargo.toml",
        "/ui/..%2fCargo.toml",
        "/ui//etc/passwd",
        "/../../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/api",
        "/api/",
        "/api/nope",
        "//",
        "/index.html",
    ] {
        assert_eq!(server.get(path).code, 404, "{path}");
    }
    let host = format!("Host: {}\r\n", server.address);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = server.request(method, "/", &host);
        assert_eq!(answer.code, 405, "{method}");
        assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
    }
    assert_eq!(server.request("HEAD", "/", &host).code, 200);
    server.stop();
}

#[test]
fn every_answer_forbids_what_the_page_does_not_need() {
    let server = Server::start(&[]);
    for path in [
        "/",
        "/ui/main.js",
        "/api/about",
        "/api/nope",
        "/nope",
        "/api/run",
    ] {
        let head = server.get(path).head;
        let policy = head
            .lines()
            .find(|l| l.starts_with("content-security-policy:"))
            .expect("a policy");
        assert!(policy.contains("default-src 'self'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(
            head.contains("x-content-type-options: nosniff"),
            "{path}: {head}"
        );
        assert!(
            head.contains("cross-origin-resource-policy: same-origin"),
            "{path}"
        );
    }
    server.stop();
}

#[test]
fn only_a_browser_that_was_pointed_here_is_answered() {
    let server = Server::start(&[]);
    let port = server.address.port();
    for host in [
        "evil.example",
        "127.0.0.1",
        "",
        "127.0.0.1.evil.example",
        "192.0.2.1:80",
        &format!("evil.example:{port}"),
    ] {
        let answer = server.request("GET", "/api/about", &format!("Host: {host}\r\n"));
        assert_eq!(answer.code, 403, "{host}");
    }
    for name in ["127.0.0.1", "localhost", "[::1]"] {
        let answer = server.request("GET", "/", &format!("Host: {name}:{port}\r\n"));
        assert_eq!(answer.code, 200, "{name}");
    }
    assert_eq!(server.request("GET", "/", "").code, 403);
    let two = format!("Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n");
    assert_eq!(server.request("GET", "/", &two).code, 403);
    // A page of another site must not make this machine search.
    let cross = format!("Host: 127.0.0.1:{port}\r\nSec-Fetch-Site: cross-site\r\n");
    assert_eq!(server.request("GET", "/api/matrix", &cross).code, 403);
    assert_eq!(server.request("GET", "/", &cross).code, 200);
    server.stop();
}

#[test]
fn what_is_the_same_for_every_run_is_told_once() {
    let server = Server::start(&["--design", "woodman", "--subject", "impl"]);
    let about = server.api("/api/about", &[]);
    assert_eq!(about["schema"], "shootdown/about/1");
    assert_eq!(about["default"]["subject"], "impl");
    let schedule = about["default"]["schedule"].as_str().expect("text");
    assert!(
        schedule.starts_with("woodman;cpus=2,mms=1;workload=aging;"),
        "{schedule}"
    );
    assert_eq!(about["story"]["lines"].as_array().map(Vec::len), Some(5));
    assert_eq!(about["designs"].as_array().map(Vec::len), Some(8));
    assert_eq!(about["properties"].as_array().map(Vec::len), Some(15));
    assert_eq!(about["columns"].as_array().map(Vec::len), Some(8));
    // The story's run is the deadlock.
    let story = about["story"]["schedule"].as_str().expect("found");
    let run = server.api("/api/run", &[("schedule", story)]);
    assert_eq!(run["steps"].as_array().map(Vec::len), Some(11));
    let last = &run["states"][11];
    assert!(
        last["violated"]
            .as_array()
            .expect("a list")
            .contains(&"no_deadlock".into())
    );
    server.stop();
}
