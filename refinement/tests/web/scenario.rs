//! Scenarios that come as text.

use super::server::{Answer, Server};
use serde_json::{Value, json};

const BEFORE: &str = include_str!("../../../spec/corpus/pgd-lock-2011.before.sd");
const AFTER: &str = include_str!("../../../spec/corpus/pgd-lock-2011.after.sd");

/// The data of an event among those of an answer.
#[track_caller]
fn event(answer: &Answer, name: &str) -> Value {
    assert_eq!(answer.code, 200, "{}", answer.body);
    let mut lines = answer.body.lines();
    lines
        .find(|l| *l == format!("event: {name}"))
        .unwrap_or_else(|| panic!("no `{name}` in {}", answer.body));
    let data = lines.find_map(|l| l.strip_prefix("data: "));
    serde_json::from_str(data.expect("data")).expect("JSON")
}

#[track_caller]
fn check(server: &Server, text: &[u8]) -> Value {
    event(
        &server.post("/api/scenario/check?name=a.sd", "", text),
        "checked",
    )
}

#[test]
fn a_text_is_checked_and_its_run_is_told_state_by_state_beside_its_lines() {
    let server = Server::start(&[]);
    let checked = check(&server, BEFORE.as_bytes());
    let result = &checked["result"];
    assert_eq!(result["word"], "as_expected");
    assert_eq!(result["first"], "no_deadlock");
    assert_eq!(result["order"]["proof"], "cyclic");
    let run = &result["properties"][0]["run"];
    let (steps, states) = (run["steps"].as_array(), run["states"].as_array());
    let (steps, states) = (steps.expect("a list"), states.expect("a list"));
    assert_eq!((steps.len(), states.len()), (8, 9));
    let line = |n: &Value| BEFORE.lines().nth(n.as_u64().expect("a line") as usize - 1);
    let last = line(&steps[7]["line"]).expect("a line of the text");
    assert!(last.contains("spin_lock(&page_table_lock)"), "{last}");

    // Who waits is told in every state in which somebody waits, the cycle where it is closed.
    for (n, state) in states.iter().enumerate() {
        let contexts = state["cpus"].as_array().expect("a list").iter();
        let waits = contexts
            .flat_map(|c| c["contexts"].as_array().expect("a list"))
            .any(|c| !c["waits"].is_null());
        let edges = state["wait_for"]["edges"].as_array().expect("a list");
        assert!(!waits || !edges.is_empty(), "state {n}");
        let closed = !state["wait_for"]["cycle"]
            .as_array()
            .expect("a list")
            .is_empty();
        assert_eq!(closed, n == 8, "state {n}");
    }
    let sentence = states[8]["wait_for"]["sentence"].as_str().expect("text");
    assert!(
        sentence.contains("CPU0 holds page_table_lock"),
        "{sentence}"
    );
    server.stop();
}

#[test]
fn what_is_wrong_with_a_text_is_an_answer_and_no_error() {
    let server = Server::start(&[]);
    let look = |text: &[u8]| {
        let answer = server.post("/api/scenario/look", "", text);
        assert_eq!(answer.code, 200, "{}", answer.body);
        answer.json()
    };
    // In UTF-16 units, as the page counts: the first line has a character of two of them.
    let text = "// 🔒\nscenario \"x\"; cpus 2;\ntask t on CPU0 { spin_lok(&l); }\n";
    let found = look(text.as_bytes());
    assert_eq!(found["readable"], false);
    let unknown = &found["diagnostics"][0];
    assert_eq!(unknown["code"], "unknown-call");
    assert_eq!(
        (&unknown["at"]["line"], &unknown["at"]["column"]),
        (&json!(3), &json!(18))
    );
    let units: Vec<u16> = text.encode_utf16().collect();
    let (start, end) = (&unknown["at"]["start"], &unknown["at"]["end"]);
    let part = &units
        [start.as_u64().expect("a number") as usize..end.as_u64().expect("a number") as usize];
    assert!(String::from_utf16_lossy(part).starts_with("spin_lok"));
    assert!(
        unknown["help"][0]
            .as_str()
            .expect("text")
            .contains("spin_lock")
    );

    for bad in [
        &b""[..],
        b"\0\0\0",
        &[0xff, 0xfe, 0x00],
        b"{{{{{{{{{{",
        &b"(".repeat(100_000),
        &b"a".repeat(2 << 20),
        b"scenario \"x\"; cpus 60; task t on any { int a = 0; a = a / 0; }",
    ] {
        let found = look(bad);
        assert!(!found["diagnostics"].as_array().expect("a list").is_empty());
        let checked = check(&server, bad);
        assert!(checked["text"]["diagnostics"].as_array().is_some());
    }
    server.stop();
}

#[test]
fn two_texts_are_compared() {
    let server = Server::start(&[]);
    let two = json!({"before": {"name": "b.sd", "text": BEFORE}, "after": {"name": "a.sd", "text": AFTER}});
    let answer = server.post("/api/scenario/compare", "", two.to_string().as_bytes());
    let compared = event(&answer, "compared");
    let comparison = &compared["comparison"];
    assert_eq!(comparison["parting"]["step"], 6);
    assert_eq!(comparison["parting"]["of"], "b.sd");
    let steps = |n: usize| compared["runs"][n]["steps"].as_array().map(Vec::len);
    assert_eq!((steps(0), steps(1)), (Some(8), Some(5)));
    let bad = server.post("/api/scenario/compare", "", b"{\"before\":1}");
    assert_eq!(bad.code, 400);
    server.stop();
}

#[test]
fn texts_are_taken_from_this_page_only_and_up_to_a_size() {
    let server = Server::start(&[]);
    let post = |headers: &str| server.post("/api/scenario/check", headers, BEFORE.as_bytes());
    let own = format!(
        "Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n",
        server.address
    );
    assert_eq!(post(&own).code, 200);
    assert_eq!(post("Origin: http://evil.example\r\n").code, 403);
    assert_eq!(post("Sec-Fetch-Site: cross-site\r\n").code, 403);
    assert_eq!(server.get("/api/scenario/check").code, 405);
    let refused = server.request(
        "POST",
        "/api/about",
        &format!("Host: {}\r\n", server.address),
    );
    assert_eq!(refused.code, 405);
    assert!(
        refused.head.contains("allow: get, head"),
        "{}",
        refused.head
    );
    let long = server.post("/api/scenario/check", "Content-Length: 99999999\r\n", b"");
    assert!([400, 413].contains(&long.code), "{}", long.code);
    let head = format!("Host: {}\r\nContent-Length: 99999999\r\n", server.address);
    assert_eq!(
        server.request("POST", "/api/scenario/look", &head).code,
        413
    );
    server.stop();
}

#[test]
fn a_long_search_does_not_keep_a_short_one_waiting_and_ends_with_its_reader() {
    let server = Server::start(&[]);
    // Eight tasks that each count to ten: a hundred million states and more.
    let tasks: String = (0..8)
        .map(|n| {
            format!("int c{n} in 0..10; task t{n} on CPU{n} {{ while (c{n} < 10) c{n}++; }}\n")
        })
        .collect();
    let text = format!("scenario \"large\"; cpus 8;\n{tasks}");
    let mut long = server.connect();
    let head = format!(
        "POST /api/scenario/check HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{text}",
        server.address,
        text.len()
    );
    std::io::Write::write_all(&mut long, head.as_bytes()).expect("sent");
    while server.status()["searches"] == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(
        check(&server, BEFORE.as_bytes())["result"]["word"],
        "as_expected"
    );
    assert_eq!(server.status()["searches"], 1, "the long one still runs");
    drop(long);
    server.idle();
    server.stop();
}

#[test]
fn the_corpus_comes_along() {
    let server = Server::start(&[]);
    let editor = server.api("/api/scenario/editor", &[]);
    let corpus = editor["corpus"].as_array().expect("a list");
    assert!(
        corpus
            .iter()
            .any(|s| s["name"] == "pgd-lock-2011.before.sd")
    );
    let text = server.get("/api/scenario/corpus?name=pgd-lock-2011.before.sd");
    assert_eq!((text.code, text.body.as_str()), (200, BEFORE));
    for bad in ["..%2F..%2FCargo.toml", "nothing.sd", ""] {
        let answer = server.get(&format!("/api/scenario/corpus?name={bad}"));
        assert_eq!(answer.code, 400, "{bad}");
    }
    server.stop();
}
