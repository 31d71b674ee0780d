//! The copy of a run that opens without a server.

use super::chromium::Chromium;
use super::server::{DEADLOCK, Server};
use serde_json::Value;

/// The file that the server makes of a run.
pub fn exported(server: &Server, browser: &Chromium) -> String {
    let mut page = browser.open(&format!("http://{}/", server.address));
    let text = page.eval(&format!(
        "fetch('/api/export?' + new URLSearchParams({{ subject: 'spec', schedule: {DEADLOCK:?}, format: 'html' }})).then((r) => r.text())"
    ));
    match text {
        Value::String(text) => text,
        other => panic!("not a file: {other}"),
    }
}

#[test]
#[ignore = "needs chromium"]
fn one_file_opens_without_a_server_and_can_be_walked() {
    let browser = Chromium::start();
    let text = {
        let server = Server::start();
        exported(&server, &browser)
    };
    let dir = tempfile::tempdir().expect("a place");
    let file = dir.path().join("run.html");
    std::fs::write(&file, text).expect("written");
    let mut page = browser.open(&format!("file://{}", file.display()));
    page.wait_for(".verdict-line", "DEADLOCK");
    page.wait_for(".where", "one-file copy");
    page.press(&["Home", "ArrowRight", "ArrowRight"]);
    assert_eq!(page.text(".scrub-label"), "step 2 of 11");
    page.press(&["4"]);
    page.wait_for(".properties", "no_deadlock");
    page.close();
}
