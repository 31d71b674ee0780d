//! The live page's table of verdicts, against what is written down for every cell and the result of `check`.

use super::server::{Server, address};
use crate::expected::{Cell, grid};
use serde_json::Value;

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list").iter();
    list.map(|n| n.as_str().expect("a name")).collect()
}

/// A cell before its check says nothing but what is expected of it.
fn waits(view: &Value, cell: &Cell) {
    for (field, wanted) in [
        ("design", &cell.design),
        ("environment", &cell.env),
        ("workload", &cell.workload),
    ] {
        assert_eq!(view[field], **wanted, "{view}");
    }
    assert_eq!(view["expected"]["states"], cell.states, "{view}");
    assert_eq!(
        names(&view["expected"]["violated"]),
        cell.violated,
        "{view}"
    );
    assert_eq!(names(&view["expected"]["vacuous"]), cell.vacuous, "{view}");
    if view["state"] != "done" {
        assert!(
            view["word"].is_null() && view["verdict"].is_null(),
            "{view}"
        );
    }
}

/// A cell after its check has the word that every other table has for it.
fn is_done(view: &Value, cell: &Cell) {
    let with = |verdict: &str| -> Vec<&str> {
        let all = view["properties"].as_array().expect("a list").iter();
        all.filter(|p| p["verdict"] == verdict)
            .map(|p| p["name"].as_str().expect("a name"))
            .collect()
    };
    let at = format!("{} in {}", cell.design, cell.env);
    assert_eq!(with("violated"), cell.violated, "{at}");
    assert_eq!(with("vacuous"), cell.vacuous, "{at}");
    assert_eq!(view["states"], cell.states, "{at}");
    assert_eq!(view["as_expected"], true, "{at}");
    let word = serde_json::to_value(cell.word()).expect("it is JSON");
    assert_eq!(view["word"], word, "{at}");
    for property in view["properties"].as_array().expect("a list") {
        // What is vacuous names what was never reached, what is violated shows the run.
        let unreached = !property["unreached"].as_array().expect("a list").is_empty();
        let verdict = &property["verdict"];
        assert!(
            unreached == (verdict == "vacuous") || verdict == "violated",
            "{at}: {property}"
        );
        let shown = property["schedule"].is_string();
        assert_eq!(shown, verdict == "violated", "{at}: {property}");
    }
}

#[test]
fn every_cell_of_the_live_page_is_that_of_the_other_tables() {
    // Those that take no time.
    const SMALL: u64 = 25_000;
    let cells = grid();
    let server = Server::start(&[]);
    let mut events = server.events("/api/matrix", &[]);
    let snapshot = events.wait_for("snapshot");
    let views = snapshot["cells"].as_array().expect("a list");
    assert_eq!(views.len(), cells.len());
    for (view, cell) in views.iter().zip(&cells) {
        waits(view, cell);
    }
    // The smallest come first.
    let small = cells.iter().filter(|c| c.states < SMALL).count();
    assert!(small >= 5);
    let mut done = views.iter().filter(|v| v["state"] == "done").count();
    while done < small {
        let view = events.wait_for("cell");
        let index = view["index"].as_u64().expect("a number") as usize;
        if view["state"] == "done" {
            is_done(&view, &cells[index]);
            done += 1;
        }
    }
    server.stop();
}

/// What a cell links to is the configuration that its head and row name.
#[test]
fn every_cell_of_the_live_page_opens_its_own_configuration() {
    let server = Server::start(&[]);
    let snapshot = server.events("/api/matrix", &[]).wait_for("snapshot");
    for (view, cell) in snapshot["cells"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(grid())
    {
        let config = view["config"].as_str().expect("a schedule");
        let opened = server.get(&address("/api/run", &[("schedule", config)]));
        assert_eq!(opened.code, 200, "{config}: {}", opened.body);
        assert!(config.starts_with(&format!("{};", cell.design)), "{config}");
        assert!(
            config.contains(&format!("workload={};", cell.workload)),
            "{config}"
        );
    }
    server.stop();
}
