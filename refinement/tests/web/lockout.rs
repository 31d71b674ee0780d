//! Nobody is kept out: neither by those who are silent, nor by those who do not read, nor by large searches.

use super::server::{DEADLOCK, Server, address};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// More than there is room for.
const MANY: usize = 300;

/// Sends a request and does not read the answer.
fn ask(server: &Server, path: &str, times: usize) -> TcpStream {
    let mut stream = server.connect();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    stream
        .set_write_timeout(Some(Duration::from_millis(100)))
        .expect("not zero");
    // A client that is put out to make room finds a closed connection.
    let _ = stream.write_all(request.repeat(times).as_bytes());
    stream
}

#[test]
fn many_silent_clients_are_put_out_by_one_that_asks() {
    let server = Server::start(&[]);
    let silent: Vec<_> = (0..MANY).map(|_| server.connect()).collect();
    assert_eq!(server.get("/api/status").code, 200);
    assert!(server.status()["connections"].as_u64() <= Some(256));
    drop(silent);
    server.stop();
}

#[test]
fn many_clients_that_do_not_read_are_put_out_by_one_that_does() {
    let server = Server::start(&[]);
    let run = address("/api/run", &[("schedule", DEADLOCK)]);
    let deaf: Vec<_> = (0..MANY).map(|_| ask(&server, &run, 4)).collect();
    assert_eq!(server.get("/api/status").code, 200);
    drop(deaf);
    let streams: Vec<_> = (0..MANY).map(|_| ask(&server, "/api/matrix", 1)).collect();
    assert_eq!(server.get("/api/status").code, 200);
    // A page gets its own stream.
    server.events("/api/matrix", &[]).wait_for("snapshot");
    drop(streams);
    server.stop();
}

#[test]
fn a_small_search_is_not_kept_waiting_by_large_ones() {
    let server = Server::start(&[]);
    let large = |design: &str| {
        let config =
            format!("{design};cpus=2,mms=2,pgd_free_in_irq=on;workload=everything;start=mm0,mm0;;");
        server.events(
            "/api/find",
            &[("config", &config), ("property", "no_deadlock")],
        )
    };
    let mut all: Vec<_> = ["tracked", "woodman", "rwlock", "deferred"]
        .map(large)
        .into();
    // Each has its turn.
    for events in &mut all {
        events.wait_for("progress");
    }
    let small = [("config", DEADLOCK), ("property", "no_deadlock")];
    let found = server.events("/api/find", &small).wait_for("found");
    assert_eq!(found["verdict"], "violated");
    assert_eq!(server.status()["searches"], 4, "none had to end for it");
    drop(all);
    server.idle();
    server.stop();
}

#[test]
fn who_leaves_a_search_and_comes_back_has_one() {
    let server = Server::start(&[]);
    let params = [
        ("config", super::server::LARGE),
        ("property", "no_deadlock"),
    ];
    for _ in 0..3 {
        server.events("/api/find", &params).wait_for("progress");
    }
    let mut last = server.events("/api/find", &params);
    last.wait_for("progress");
    // The searches that were left end by themselves, and do not take the new one off the list.
    for _ in 0..3 {
        last.wait_for("progress");
        assert_eq!(server.status()["searches"], 1);
    }
    drop(last);
    server.idle();
    server.stop();
}

#[test]
fn pages_of_others_are_refused() {
    let server = Server::start(&[]);
    let code = |header: &str| {
        let headers = format!("Host: {}\r\n{header}\r\n", server.address);
        server.request("GET", "/api/status", &headers).code
    };
    for foreign in [
        "Origin: http://evil.example",
        "Origin: http://localhost:9999",
        "Origin: null",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: cross-site",
    ] {
        assert_eq!(code(foreign), 403, "{foreign}");
    }
    let own = format!("Origin: http://{}", server.address);
    for own in [
        own.as_str(),
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Site: none",
    ] {
        assert_eq!(code(own), 200, "{own}");
    }
    server.stop();
}

#[test]
fn a_client_that_is_put_out_sees_its_connection_closed() {
    let server = Server::start(&[]);
    let mut first = server.connect();
    let others: Vec<_> = (0..MANY).map(|_| server.connect()).collect();
    assert_eq!(server.get("/").code, 200);
    let mut byte = [0];
    // The end, or a reset: not a time-out, which would be another error.
    match first.read(&mut byte) {
        Ok(n) => assert_eq!(n, 0),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    drop(others);
    server.stop();
}
