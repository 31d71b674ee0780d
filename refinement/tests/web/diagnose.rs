//! Console logs that come as text.

use super::server::Server;

const TWO_SIDED: &str = include_str!("../../trace/tests/cases/two-sided-6.12.txt");
const ONE_STACK: &str = include_str!("../../trace/tests/cases/09-rhel7-one-stack.txt");

#[test]
fn a_log_is_answered_with_its_conclusion_its_waits_and_the_lines_that_say_so() {
    let server = Server::start(&[]);
    let answer = server.post("/api/diagnose?name=hang.txt", "", TWO_SIDED.as_bytes());
    assert_eq!(answer.code, 200, "{}", answer.body);
    let d = answer.json();
    assert_eq!(d["word"], "cycle if");
    assert_eq!(d["wait_for"]["cycle"].as_array().map(Vec::len), Some(2));
    let waits = d["situations"].as_array().expect("a list");
    assert_eq!(
        (&waits[0]["name"], &waits[1]["name"]),
        (&"CPU1".into(), &"CPU2".into())
    );
    assert_eq!(
        (&waits[0]["irqs_on"], &waits[1]["irqs_on"]),
        (&false.into(), &true.into())
    );
    // The innermost frame stands in the line that is cited.
    let frame = &waits[0]["frames"][0];
    let line = frame["line"].as_u64().expect("a line") as usize;
    let name = frame["text"].as_str().expect("a name");
    assert!(
        TWO_SIDED
            .lines()
            .nth(line - 1)
            .expect("there")
            .contains(name)
    );

    // The hang as a scenario reads, and is checked like any other.
    let scenario = d["scenario"].as_str().expect("one can be written");
    let look = server.post("/api/scenario/look", "", scenario.as_bytes());
    assert_eq!(look.json()["readable"], true, "{}", look.body);
    server.stop();
}

#[test]
fn what_a_log_does_not_say_is_not_concluded_and_what_is_no_log_is_refused() {
    let server = Server::start(&[]);
    let d = server
        .post("/api/diagnose", "", ONE_STACK.as_bytes())
        .json();
    assert_eq!(d["word"], "not decidable");
    assert_eq!(d["wait_for"]["cycle"].as_array().map(Vec::len), Some(0));
    assert!(!d["get"].as_array().expect("a list").is_empty());
    assert!(d["scenario"].is_null());
    let program = std::fs::read(env!("CARGO_BIN_EXE_shootdown")).expect("it is there");
    for bad in [&program[..4096], b""] {
        let answer = server.post("/api/diagnose", "", bad);
        assert_eq!(answer.code, 422, "{}", answer.body);
    }
    let long = format!("Host: {}\r\nContent-Length: 99999999\r\n", server.address);
    assert_eq!(server.request("POST", "/api/diagnose", &long).code, 413);
    server.stop();
}
