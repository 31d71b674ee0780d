//! One schedule on two sides.

use super::server::{DEADLOCK, Server, address};
use serde_json::Value;

#[test]
fn a_fix_parts_from_the_kernel_that_hung() {
    let server = Server::start(&[]);
    let compare = server.api(
        "/api/compare",
        &[("schedule", DEADLOCK), ("with", "tracked")],
    );
    assert_eq!(compare["schema"], "shootdown/compare/1");
    assert_eq!(compare["left"]["config"]["design"], "v2.6.37");
    assert_eq!(compare["right"]["config"]["design"], "tracked");
    let diverges = &compare["diverges"];
    let step = diverges["step"].as_u64().expect("they part") as usize;
    // Up to there both do the same.
    for i in 0..step - 1 {
        assert_eq!(
            compare["left"]["steps"][i]["source"],
            compare["right"]["steps"][i]["source"]
        );
    }
    assert!(diverges["sentence"].as_str().is_some_and(|s| !s.is_empty()));
    // And the fix does not deadlock on the way.
    for state in compare["right"]["states"].as_array().expect("a list") {
        assert!(state["wait_for"]["sentence"].is_null());
    }
    server.stop();
}

#[test]
fn a_design_does_not_part_from_itself() {
    let server = Server::start(&[]);
    for with in ["v2.6.37", "spec"] {
        let compare = server.api("/api/compare", &[("schedule", DEADLOCK), ("with", with)]);
        assert_eq!(compare["diverges"], Value::Null);
        assert_eq!(compare["left"]["states"], compare["right"]["states"]);
    }
    server.stop();
}

/// The protocol's run is done by the code, and the code's run told by the protocol ends where it does.
#[test]
fn specification_and_code_go_side_by_side() {
    let server = Server::start(&[]);
    let there = server.api("/api/compare", &[("schedule", DEADLOCK), ("with", "impl")]);
    assert_eq!(there["diverges"], Value::Null, "{}", there["diverges"]);
    assert_eq!(there["right"]["subject"], "impl");
    let last = |run: &Value| {
        run["states"]
            .as_array()
            .expect("a list")
            .last()
            .expect("one")
            .clone()
    };
    let same = |a: &Value, b: &Value| {
        let (a, b) = (last(a), last(b));
        for key in ["cpus", "locks", "mms", "wait_for"] {
            if key == "cpus" {
                for (a, b) in a[key]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .zip(b[key].as_array().into_iter().flatten())
                {
                    assert_eq!(a["irqs_on"], b["irqs_on"]);
                    assert_eq!(a["doing"], b["doing"]);
                    assert_eq!(a["contexts"][0]["waits"], b["contexts"][0]["waits"]);
                }
            } else {
                assert_eq!(a[key], b[key], "{key}");
            }
        }
    };
    same(&there["left"], &there["right"]);
    let schedule = there["right"]["schedule"].as_str().expect("text");
    let params = [
        ("schedule", schedule),
        ("subject", "impl"),
        ("with", "spec"),
    ];
    let back = server.api("/api/compare", &params);
    assert_eq!(back["diverges"], Value::Null, "{}", back["diverges"]);
    same(&back["left"], &back["right"]);
    assert_eq!(back["right"]["schedule"], DEADLOCK);
    server.stop();
}

#[test]
fn there_must_be_something_to_compare_with() {
    let server = Server::start(&[]);
    let answer = server.get(&address(
        "/api/compare",
        &[("schedule", DEADLOCK), ("with", "trackd")],
    ));
    assert_eq!(answer.code, 400);
    assert!(answer.body.contains("tracked"), "{}", answer.body);
    server.stop();
}
