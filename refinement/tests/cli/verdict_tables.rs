//! Every cell of the tables of verdicts, and every count of the decision table, against what `check` came to.
//!
//! `shootdown matrix` holds `expectations.toml` against `check`, cell by cell; here the pages are held against that file.

use crate::run;
use serde_json::Value;
use shootdown_refinement::review::word::{head, is_partial, word};
use shootdown_spec::verdict::Verdict;
use std::path::Path;

/// What is expected of a cell of the grid.
struct Cell {
    design: String,
    env: String,
    workload: String,
    states: u64,
    violated: Vec<String>,
    vacuous: Vec<String>,
}

fn grid() -> Vec<Cell> {
    let file: toml::Table = include_str!("../../expectations.toml").parse().unwrap();
    let text = |cell: &toml::Value, field: &str| cell[field].as_str().unwrap().to_string();
    let names = |cell: &toml::Value, field: &str| {
        let list = cell[field].as_array().unwrap();
        list.iter()
            .map(|n| n.as_str().unwrap().to_string())
            .collect()
    };
    let cells = file["grid"].as_array().unwrap().iter();
    cells
        .map(|cell| Cell {
            design: text(cell, "design"),
            env: text(cell, "env"),
            workload: text(cell, "workload"),
            states: cell["states"].as_integer().unwrap() as u64,
            violated: names(cell, "violated"),
            vacuous: names(cell, "vacuous"),
        })
        .collect()
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What the cell must read, without its number of states.
fn reads(cell: &Cell) -> String {
    let hangs = cell.violated.iter().any(|p| p == "no_deadlock");
    let told = cell.violated.iter().map(String::as_str);
    let told: Vec<&str> = told.filter(|p| !(hangs && *p == "progress")).collect();
    let vacuous = cell.vacuous.iter().any(|p| p == "no_deadlock");
    let deadlock = if vacuous {
        Verdict::Vacuous
    } else {
        Verdict::Holds
    };
    let word = word(&told, Some(deadlock), true, &cell.workload);
    word.text(&told, |_, short| short.to_string())
}

/// Links and numbers of states taken away.
fn bare(text: &str) -> String {
    let links = regex::Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    let states = regex::Regex::new(r" \([\d,]+\)$").unwrap();
    let text = links.replace_all(text.trim(), "$1").into_owned();
    states.replace(&text, "").into_owned()
}

#[test]
fn every_cell_of_every_page_reads_what_its_check_came_to() {
    let cells = grid();
    for name in ["README.md", "docs/verdicts.md", "docs/review.md"] {
        let text = page(name);
        let mut lines = text
            .lines()
            .skip_while(|l| !l.starts_with("| design | nosplit"));
        let heads: Vec<&str> = lines.next().unwrap().trim_matches('|').split('|').collect();
        let rows = lines.skip(1).take_while(|l| l.starts_with("| `"));
        let mut walked = 0;
        for row in rows {
            let entries: Vec<&str> = row.trim_matches('|').split('|').collect();
            let design = entries[0].trim().trim_matches('`');
            for (title, entry) in heads.iter().zip(&entries).skip(1) {
                let of =
                    |c: &&Cell| c.design == design && head(&c.env, &c.workload) == title.trim();
                let cell = cells.iter().find(of).expect("a column of the grid");
                assert_eq!(bare(entry), reads(cell), "{name}: {design} in {title}");
                walked += 1;
            }
        }
        assert_eq!(walked, cells.len(), "{name}");
    }
}

/// "n of m environments" and "never, in n environments" count those in which the property means something.
#[test]
fn every_count_of_the_decision_table_leaves_out_what_is_vacuous_or_partial() {
    let cells = grid();
    let review = page("docs/review.md");
    let rows: [(&str, &[&str]); 2] = [
        (
            "| A lock held while acknowledgements are awaited",
            &["no_lock_held_across_ipi_wait"],
        ),
        (
            "| A translation used after munmap returned",
            &["no_stale_tlb_after_return", "no_use_of_freed_frame"],
        ),
    ];
    for (begin, properties) in rows {
        let row = review.lines().find(|l| l.starts_with(begin)).unwrap();
        let entries: Vec<&str> = row.trim_matches('|').split('|').collect();
        for (design, entry) in ["v2.6.38", "tracked"].iter().zip(&entries[1..]) {
            let (mut broken, mut good, mut named) = (0, 0, Vec::new());
            for cell in cells.iter().filter(|c| c.design == *design) {
                let any = |list: &[String]| properties.iter().any(|p| list.iter().any(|l| l == p));
                match (
                    any(&cell.violated),
                    any(&cell.vacuous),
                    is_partial(&cell.workload),
                ) {
                    (true, ..) => broken += 1,
                    (_, false, false) => good += 1,
                    _ => named.push(format!("`{}`", cell.env)),
                }
            }
            let counted = match broken {
                0 => format!("never, in {good} environments"),
                _ => format!("in {broken} of {} environments", broken + good),
            };
            assert!(entry.contains(&counted), "{design}: {counted}: {entry}");
            for env in named {
                assert!(
                    entry.contains(&env),
                    "{design}: {env} is not named: {entry}"
                );
            }
        }
    }
}

#[test]
fn small_cells_are_what_check_says_with_their_flags() {
    for cell in grid().iter().filter(|c| c.states < 25_000) {
        let (design, env, workload) = (&cell.design, &cell.env, &cell.workload);
        let flags = format!("--design {design} --env {env} --workload {workload} --format json");
        let ran = run(&format!("check {flags}"));
        let json: Value = serde_json::from_str(&ran.out).expect("stdout is one JSON value");
        assert_eq!(json["states"]["unique"], cell.states, "{flags}");
        let properties = json["properties"].as_array().expect("a list");
        let violated = properties.iter().filter(|p| p["verdict"] == "violated");
        let names: Vec<&str> = violated.map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, cell.violated, "{flags}");
    }
}

/// The footnote's two commands: what the partial column does not show.
#[test]
fn what_a_partial_column_leaves_out_is_violated_as_its_note_says() {
    for flags in [
        "--design woodman --env 3-cpus --workload unmapping",
        "--design deferred --env 3-cpus --workload reclaim-vs-munmap",
    ] {
        assert!(page("README.md").contains(&format!("shootdown check {flags}")));
        let ran = run(&format!("check {flags}"));
        assert_eq!(ran.code, Some(1), "{flags}: {}", ran.out);
        assert!(ran.out.contains("VIOLATED"), "{flags}: {}", ran.out);
    }
}

#[test]
fn a_workload_of_roles_is_told_role_by_role() {
    let roles = "mm0=page_referenced_one_pte@mm0,try_to_unmap_one/none=idle";
    let ran = run(&format!(
        "check --env split --workload {roles} --format json"
    ));
    let json: Value = serde_json::from_str(&ran.out).expect("stdout is one JSON value");
    let told = &json["workload"];
    assert_eq!(told["text"], roles);
    assert_eq!(told["shared"], false);
    let first = &told["roles"][0];
    assert_eq!(first["starts"], "mm0");
    assert_eq!(first["programs"][0]["program"], "page_referenced_one_pte");
    assert_eq!(first["programs"][0]["mm"], 0);
    assert_eq!(first["programs"][1]["program"], "try_to_unmap_one");
    assert!(first["programs"][1]["mm"].is_null());
    assert_eq!(told["roles"][1]["starts"], "none");
    assert_eq!(
        told["roles"][1]["programs"].as_array().map(Vec::len),
        Some(0)
    );
}
