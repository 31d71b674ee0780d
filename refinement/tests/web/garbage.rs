//! Bytes that are no request.

use super::server::{Dice, Server};
use std::io::{Read, Write};

#[test]
fn bytes_that_are_no_request_do_no_harm() {
    let server = Server::start(&[]);
    let host = server.address;
    let mut dice = Dice::new();
    let mut garbage = |n: usize| -> Vec<u8> { (0..n).map(|_| dice.below(256) as u8).collect() };
    for n in [1, 10, 1000, 100_000] {
        server.send(&garbage(n));
        server.send(&[&garbage(n)[..], b"\r\n\r\n"].concat());
    }
    for request in [
        "GET\r\n\r\n",
        "\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /",
        " / \r\n\r\n",
    ] {
        server.send(request.as_bytes());
    }
    // Too long to be looked at.
    for path in [
        "a".repeat(1 << 20),
        "api/run?schedule=".to_string() + &"0%20".repeat(100_000),
    ] {
        let answer = server.send(
            format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        let refused = [" 414 ", " 431 ", " 400 "]
            .iter()
            .any(|code| answer.contains(code));
        assert!(refused || answer.is_empty(), "{answer:.100}");
    }
    let many = "X: y\r\n".repeat(1000);
    let answer = server.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{many}\r\n").as_bytes());
    assert!(!answer.contains(" 200 "), "{answer:.100}");
    // A length that would have to be allocated.
    for length in [
        "99999999999",
        "18446744073709551615",
        "99999999999999999999",
        "-1",
        "x",
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut answer = [0; 64];
        let n = stream.read(&mut answer).unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..n]);
        let refused = [" 413 ", " 400 ", " 431 "];
        assert!(
            refused.iter().any(|code| answer.contains(code)),
            "{length}: {answer}"
        );
    }
    server.stop();
}

#[test]
fn whoever_says_nothing_or_half_of_it_keeps_nobody_waiting() {
    let server = Server::start(&[]);
    let idle: Vec<_> = (0..100)
        .map(|i| {
            let mut stream = server.connect();
            if i % 2 == 0 {
                let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.");
            }
            stream
        })
        .collect();
    assert_eq!(server.get("/").code, 200);
    drop(idle);
    server.stop();
}
