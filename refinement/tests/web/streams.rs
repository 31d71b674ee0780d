//! Searches beside the server: found, shared, ended when nobody wants them; the page is not kept waiting.

use super::server::{DEADLOCK, LARGE, Server};
use serde_json::Value;
use std::thread;

#[test]
fn the_shortest_counterexample_is_found() {
    let server = Server::start(&[]);
    let ask = |property| {
        let params = [("config", DEADLOCK), ("property", property)];
        server.events("/api/find", &params).wait_for("found")
    };
    let deadlock = ask("no_deadlock");
    assert_eq!(deadlock["verdict"], "violated");
    assert_eq!(deadlock["steps"], 11);
    assert_eq!(deadlock["schedule"], DEADLOCK);
    assert_eq!(ask("mutual_exclusion")["verdict"], "holds");
    // Nothing unmaps here, so nothing is shown about frames.
    let frame = ask("no_use_of_freed_frame");
    assert_eq!(frame["verdict"], "vacuous");
    assert!(!frame["unreached"].as_array().expect("a list").is_empty());
    let odd = server.get("/api/find?config=x&property=y");
    assert_eq!(odd.code, 400);
    let near = super::server::address(
        "/api/find",
        &[("config", DEADLOCK), ("property", "no_deadlok")],
    );
    assert!(server.get(&near).body.contains("no_deadlock"));
    server.stop();
}

/// By hand: CPU1 holds the page-table lock and has sent its IPI after step 5. CPU0 could still take it; once
/// `vmalloc_sync_all` has turned interrupts off (step 8) it cannot any more, and has yet to ask for that lock.
#[test]
fn the_step_from_which_the_deadlock_cannot_be_avoided_is_marked() {
    let server = Server::start(&[]);
    for subject in ["spec", "impl"] {
        let params = [("config", DEADLOCK), ("subject", subject)];
        let found = server
            .events(
                "/api/find",
                &[
                    ("config", DEADLOCK),
                    ("subject", subject),
                    ("property", "no_deadlock"),
                ],
            )
            .wait_for("found");
        let schedule = found["schedule"].as_str().expect("a run").to_string();
        let ask = || server.api("/api/run", &[("schedule", &schedule), ("subject", subject)]);
        let before = ask();
        assert_eq!(
            (&before["fates_known"], &before["doom"]),
            (&Value::Bool(false), &Value::Null)
        );
        assert_eq!(before["states"][0]["fate"], "unknown");

        let done = server.events("/api/fates", &params).wait_for("done");
        assert_eq!(done["complete"], true);
        let run = ask();
        let states = run["states"].as_array().expect("a list");
        let doom = run["doom"].as_u64().expect("it deadlocks") as usize;
        for (i, state) in states.iter().enumerate() {
            let expected = if i < doom { "maybe" } else { "always" };
            assert_eq!(state["fate"], expected, "{subject}: state {i}, doom {doom}");
        }
        // The step into it is the one that turns interrupts off.
        let step = &run["steps"][doom - 1];
        assert_eq!(step["cpu"], 0, "{step}");
        assert_eq!(states[doom - 1]["cpus"][0]["irqs_on"], true);
        assert_eq!(states[doom]["cpus"][0]["irqs_on"], false);
        // A choice has the fate of the state it leads to; before the point of no return there is a way out.
        let choices = states[doom - 1]["choices"].as_array().expect("a list");
        let fates: Vec<_> = choices
            .iter()
            .filter(|c| c["enabled"] == true)
            .map(|c| &c["fate"])
            .collect();
        assert!(fates.contains(&&"always".into()), "{fates:?}");
        assert!(
            fates.iter().any(|f| *f == "never" || *f == "maybe"),
            "{fates:?}"
        );
    }
    server.stop();
}

/// The first cells are small: it is enough to see some of them come in, smallest first, for two browsers at once.
#[test]
fn the_matrix_fills_for_two_browsers_at_once() {
    let server = Server::start(&[]);
    let watch = || {
        let mut events = server.events("/api/matrix", &[]);
        let snapshot = events.wait_for("snapshot");
        let cells = snapshot["cells"].as_array().expect("a list").clone();
        assert_eq!(cells.len(), 64);
        let mut done: Vec<Value> = cells.into_iter().filter(|c| c["state"] == "done").collect();
        while done.len() < 8 {
            let cell = events.wait_for("cell");
            if cell["state"] == "done" {
                done.push(cell);
            }
        }
        done
    };
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(watch);
        (watch(), other.join().expect("it sees them too"))
    });
    for cell in one.iter().chain(&other) {
        assert_eq!(cell["as_expected"], true, "{cell}");
        assert_eq!(cell["states"], cell["expected"]["states"]);
        assert_eq!(cell["properties"].as_array().map(Vec::len), Some(15));
    }
    // A red cell opens its counterexample.
    let red = one
        .iter()
        .flat_map(|c| c["properties"].as_array().expect("a list"));
    let red: Vec<&Value> = red.filter(|p| p["verdict"] == "violated").collect();
    assert!(!red.is_empty());
    for property in red {
        let schedule = property["schedule"].as_str().expect("a run");
        let run = server.api("/api/run", &[("schedule", schedule)]);
        assert_eq!(run["refused"], Value::Null);
        let last = run["states"]
            .as_array()
            .expect("a list")
            .last()
            .expect("a state");
        let name = property["name"].as_str().expect("text");
        let shown = last["violated"]
            .as_array()
            .expect("a list")
            .contains(&name.into());
        assert!(shown || name == "progress", "{name}: {schedule}");
    }
    server.stop();
}

#[test]
fn a_long_check_does_not_block_the_page_and_ends_with_its_watchers() {
    let server = Server::start(&[]);
    let params = [("config", LARGE), ("property", "no_deadlock")];
    let mut one = server.events("/api/find", &params);
    let mut two = server.events("/api/find", &params);
    one.wait_for("progress");
    two.wait_for("progress");
    // Both watch the same search.
    assert_eq!(server.status()["searches"], 1);
    for _ in 0..20 {
        assert_eq!(server.get("/").code, 200);
        let run = server.api("/api/run", &[("schedule", DEADLOCK)]);
        assert_eq!(run["steps"].as_array().map(Vec::len), Some(11));
    }
    // All that was answered while it ran, and it still does.
    drop(one);
    two.wait_for("progress");
    assert_eq!(server.status()["searches"], 1);
    drop(two);
    server.idle();
    // The next search gets its turn.
    let params = [("config", DEADLOCK), ("property", "no_deadlock")];
    server.events("/api/find", &params).wait_for("found");
    server.stop();
}

#[test]
fn the_server_ends_at_once_though_it_searches() {
    let server = Server::start(&[]);
    let mut find = server.events(
        "/api/find",
        &[("config", LARGE), ("property", "no_deadlock")],
    );
    find.wait_for("progress");
    let mut matrix = server.events("/api/matrix", &[]);
    matrix.wait_for("snapshot");
    // It waits for the process, which must end by itself.
    server.stop();
}
