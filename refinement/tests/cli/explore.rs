//! `explore`: how it starts and ends. What the server answers is in `tests/web.rs`.

use crate::run;
use std::net::TcpListener;

#[test]
fn it_serves_for_as_long_as_it_was_told() {
    run("explore --seconds 1 --bind 127.0.0.1:0")
        .exits(0)
        .prints(&[
            "exploring v2.6.37",
            "http://127.0.0.1:",
            "See the deadlock step by step",
        ]);
}

#[test]
fn a_busy_port_is_named_with_the_way_out() {
    let busy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = busy.local_addr().expect("bound").to_string();
    run(&format!("explore --bind {address}"))
        .exits(2)
        .complains(&[&address, "--bind 127.0.0.1:0"]);
}

/// Only a port that was asked for has to be that one.
#[test]
fn without_bind_a_busy_port_is_passed_over() {
    // Whoever has it, it is busy; if it is free, it is taken here.
    let _busy = TcpListener::bind("127.0.0.1:3000");
    let ran = run("explore --seconds 1").exits(0);
    let port = ran
        .out
        .split("http://127.0.0.1:")
        .nth(1)
        .and_then(|t| t.split('/').next());
    let port: u16 = port.expect("an address").parse().expect("a port");
    assert!(port > 3000 && port < 3020, "{port}");
}

#[test]
fn only_loopback_addresses_are_bound() {
    for bind in [
        "0.0.0.0:0",
        "192.0.2.1:3000",
        "[::]:0",
        "example.com:80",
        "3000",
        "127.0.0.1:99999",
    ] {
        run(&format!("explore --seconds 1 --bind {bind}"))
            .exits(2)
            .complains(&["127.0.0.1"]);
    }
}

#[test]
fn code_with_a_deviation_is_refused_before_the_page_is_served() {
    run("explore --subject impl --variant lost-ack --seconds 1 --bind 127.0.0.1:0")
        .exits(2)
        .complains(&["the code has no deviation lost-ack"]);
}
