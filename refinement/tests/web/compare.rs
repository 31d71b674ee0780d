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
    // The lock is released before the flush: that is the fix.
    let diverges = &compare["diverges"];
    assert_eq!(diverges["kind"], "locks", "{diverges}");
    assert_eq!(diverges["step"], 4, "{diverges}");
    let sentence = diverges["sentence"].as_str().expect("text");
    assert!(
        sentence.contains("CPU1 holds mm0.page_table_lock on the left"),
        "{sentence}"
    );
    assert!(
        sentence.contains("On the right it holds no lock"),
        "{sentence}"
    );
    assert!(sentence.contains("unlock"), "{sentence}");
    // What is paired is the same step.
    let pairs = compare["pairs"].as_array().expect("a list");
    for (i, pair) in pairs.iter().enumerate() {
        let other = pair
            .as_u64()
            .expect("tracked has every statement of this run");
        let one = &compare["left"]["steps"][i];
        let other = &compare["right"]["steps"][other as usize];
        assert_eq!((&one["op"], &one["cpu"]), (&other["op"], &other["cpu"]));
    }
    // And the fix does not deadlock on the way.
    for state in compare["right"]["states"].as_array().expect("a list") {
        assert!(state["wait_for"]["sentence"].is_null());
    }
    server.stop();
}

/// a79e53d85683: interrupts stay on under `pgd_lock`, so the IPI is taken.
#[test]
fn the_fix_that_was_merged_parts_where_interrupts_were_turned_off() {
    let server = Server::start(&[]);
    let params = [("schedule", DEADLOCK), ("with", "v2.6.38")];
    let compare = server.api("/api/compare", &params);
    let diverges = &compare["diverges"];
    assert_eq!(diverges["kind"], "interrupts", "{diverges}");
    let sentence = diverges["sentence"].as_str().expect("text");
    let expected = "CPU0 has interrupts off on the left and on on the right";
    assert!(sentence.contains(expected), "{sentence}");
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
