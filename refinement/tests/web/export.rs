//! A run to take away.

use super::server::{DEADLOCK, Server, address};

#[test]
fn a_run_can_be_taken_away_in_every_form() {
    let server = Server::start(&[]);
    let export = |format: &str, subject: &str| {
        let params = [
            ("schedule", DEADLOCK),
            ("format", format),
            ("subject", subject),
        ];
        let answer = server.get(&address("/api/export", &params));
        assert_eq!(answer.code, 200, "{format}: {}", answer.body);
        answer
    };
    assert_eq!(export("schedule", "spec").body.trim(), DEADLOCK);
    assert!(export("schedule", "impl").body.starts_with("code:v2.6.37;"));
    let svg = export("svg", "spec");
    assert!(svg.body.starts_with("<svg") && svg.head.contains("image/svg+xml"));
    assert!(export("splat", "spec").body.contains("pgd_lock"));
    let html = export("html", "spec");
    // It is for a file: in this server's name it must not run.
    assert!(
        html.head.contains("content-disposition: attachment"),
        "{}",
        html.head
    );
    for outside in ["src=\"/", "href=\"/", "import {"] {
        assert!(!html.body.contains(outside), "{outside}");
    }
    assert!(html.body.contains("\"shootdown/run/1\""));
    assert!(html.body.contains("default-src 'none'"));
    let odd = server.get(&address(
        "/api/export",
        &[("schedule", DEADLOCK), ("format", "pdf")],
    ));
    assert_eq!(odd.code, 400);
    server.stop();
}
