//! Every cell of the tables of verdicts, and every count of the decision table, against what `check` came to.
//!
//! `shootdown matrix` holds `expectations.toml` against `check`, cell by cell; here the pages are held against that file.

use super::expected::{Cell, grid};
use crate::{run, shootdown};
use serde_json::Value;
use shootdown_refinement::review::word::{head, is_partial};
use std::path::Path;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What the cell must read in a table, without its number of states.
fn reads(cell: &Cell) -> String {
    cell.word().text(&cell.told(), |_, short| short.to_string())
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
    for name in ["README.md", "docs/verdicts.md"] {
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

/// Two cells that read "holds" as long as their column ran less than `everything`: whatever is violated with fewer programs
/// is violated in the cell.
#[test]
fn what_a_smaller_workload_violates_is_violated_in_the_cell() {
    for (design, workload, violated) in [
        ("woodman", "unmapping", "no_deadlock"),
        ("deferred", "reclaim-vs-munmap", "no_stale_tlb_after_return"),
    ] {
        let flags = format!("--design {design} --env 3-cpus --workload {workload}");
        let ran = run(&format!("check {flags}"));
        assert_eq!(ran.code, Some(1), "{flags}: {}", ran.out);
        assert!(ran.out.contains("VIOLATED"), "{flags}: {}", ran.out);
        let cells = grid();
        let of = |c: &&Cell| c.design == design && c.env == "3-cpus";
        let cell = cells.iter().find(of).expect("a cell of the grid");
        assert!(cell.violated.iter().any(|p| p == violated), "{flags}");
    }
}

/// No column runs less than everything, so that "holds" means what a reader takes it for.
#[test]
fn no_column_is_partial() {
    assert!(grid().iter().all(|c| !is_partial(&c.workload)));
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

/// A table of the terminal: its rows, each with its lines, each with its entries.
fn terminal_table(out: &str) -> Vec<Vec<Vec<String>>> {
    let is_rule = |l: &&str| l.trim_start().starts_with(['─', '═']);
    let lines: Vec<&str> = out
        .lines()
        .skip_while(|l| !is_rule(l))
        .take_while(|l| !l.trim().is_empty())
        .collect();
    let apart = regex::Regex::new(r"\s{2,}").unwrap();
    lines
        .split(|l| is_rule(l))
        .filter(|row| !row.is_empty())
        .map(|row| {
            row.iter()
                .map(|l| apart.split(l.trim()).map(str::to_string).collect())
                .collect()
        })
        .collect()
}

fn wide(arguments: &str) -> crate::Ran {
    let mut command = shootdown();
    command
        .args(arguments.split_whitespace())
        .env("COLUMNS", "240");
    command.output().expect("it runs").into()
}

/// On a terminal: what a cell reads, its states, and what the order proves. Cut off at a bound, no cell reads as good.
#[test]
fn every_cell_of_the_terminal_reads_what_its_check_came_to() {
    const BOUND: u64 = 25_000;
    let cells = grid();
    let out = wide(&format!("matrix --grid --max-states {BOUND}")).out;
    let table = terminal_table(&out);
    let heads = &table[0][0][1..];
    let (mut whole, mut walked) = (0, 0);
    for row in &table[1..] {
        let [words, states, orders] = &row[..] else {
            panic!("three lines: {row:?}");
        };
        for (i, title) in heads.iter().enumerate() {
            let of = |c: &&Cell| c.design == words[0] && head(&c.env, &c.workload) == *title;
            let cell = cells.iter().find(of).expect("a column of the grid");
            let told = format!("{} in {title}: {}", cell.design, words[i + 1]);
            let seen: u64 = states[i].replace(',', "").parse().expect("a number");
            assert_eq!(seen, cell.states.min(BOUND), "{told}");
            if cell.states < BOUND {
                assert_eq!(words[i + 1], reads(cell), "{told}");
                whole += 1;
            } else {
                assert!(words[i + 1].contains("incomplete"), "{told}");
            }
            let hangs = cell.violated.iter().any(|p| p == "no_deadlock");
            if hangs && cell.states < BOUND {
                assert_eq!(orders[i], "cyclic, realised", "{told}");
            }
            walked += 1;
        }
    }
    assert_eq!(walked, cells.len());
    assert!(whole >= 5, "the bound leaves nothing to compare");
}

/// What `prove --grid` says of a design in an environment is what `matrix` writes beside it and the pages have.
#[test]
fn every_cell_of_the_order_is_what_is_proven_of_it() {
    let proven = wide("prove --grid").exits(0).out.clone();
    let mut lines = proven.lines();
    let designs: Vec<&str> = lines.next().unwrap().split_whitespace().skip(1).collect();
    let proven: Vec<(&str, &str, &str)> = lines
        .take_while(|l| !l.is_empty())
        .flat_map(|l| {
            let (env, proofs) = l.split_once(char::is_whitespace).unwrap();
            let all = designs.iter().zip(proofs.split_whitespace());
            all.map(move |(d, p)| (*d, env, p)).collect::<Vec<_>>()
        })
        .collect();
    let (cells, order) = (grid(), page("docs/order.md"));
    let mut lines = order
        .lines()
        .skip_while(|l| !l.starts_with("| design | nosplit"));
    let heads: Vec<&str> = lines.next().unwrap().trim_matches('|').split('|').collect();
    let mut walked = 0;
    for row in lines.skip(1).take_while(|l| l.starts_with("| `")) {
        let entries: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        for (title, entry) in heads.iter().zip(&entries).skip(1) {
            let design = entries[0].trim_matches('`');
            let of = |c: &&Cell| c.design == design && head(&c.env, &c.workload) == title.trim();
            let cell = cells.iter().find(of).expect("a column of the grid");
            let proof = proven.iter().find(|p| (p.0, p.1) == (design, &*cell.env));
            let (_, _, proof) = proof.expect("`prove --grid` has every environment");
            assert!(
                entry.starts_with(proof),
                "{design} in {title}: {entry}, {proof}"
            );
            // Proven for any number of CPUs: then no search may have found otherwise.
            let hangs = cell.violated.iter().any(|p| p == "no_deadlock");
            assert!(!(hangs && entry == &"acyclic"), "{design} in {title}");
            assert_eq!(
                hangs,
                *entry == "cyclic, realised",
                "{design} in {title}: {entry}"
            );
            walked += 1;
        }
    }
    assert_eq!(walked, cells.len());
}

/// "holds in n of m environments": those whose flushes are IPIs, neither the vacuous nor the partial counted.
#[test]
fn the_first_question_counts_environments_that_answer_it() {
    let (cells, review) = (grid(), page("docs/review.md"));
    let row = review.lines().find(|l| l.starts_with("| Can it deadlock"));
    let entries: Vec<&str> = row.unwrap().trim_matches('|').split('|').collect();
    for (design, entry) in ["v2.6.38", "tracked"].iter().zip(&entries[1..]) {
        let (mut counted, mut named) = (0, Vec::new());
        for cell in cells.iter().filter(|c| c.design == *design) {
            if cell.env.contains("irq-free") || ["hypercall", "xen"].contains(&&*cell.env) {
                continue;
            }
            let deadlock = |list: &[String]| list.iter().any(|p| p == "no_deadlock");
            assert!(!deadlock(&cell.violated), "{design} in {}", cell.env);
            match deadlock(&cell.vacuous) || is_partial(&cell.workload) {
                true => named.push(format!("`{}`", cell.env)),
                false => counted += 1,
            }
        }
        let says = format!("No: holds in {counted} of {counted} environments");
        assert!(entry.contains(&says), "{design}: {says}: {entry}");
        for env in named {
            assert!(
                entry.contains(&env),
                "{design}: {env} is not named: {entry}"
            );
        }
    }
}

/// "n of m" cells of a claim: as many as are written down for it.
#[test]
fn every_count_of_the_claims_is_that_of_its_cells() {
    let file: toml::Table = include_str!("../../expectations.toml").parse().unwrap();
    let review = page("docs/review.md");
    for claim in file["claim"].as_array().unwrap() {
        let (id, cells) = (
            claim["id"].as_str().unwrap(),
            claim["cell"].as_array().unwrap().len(),
        );
        let row = review.lines().find(|l| l.starts_with(&format!("| {id} |")));
        let row = row.unwrap_or_else(|| panic!("{id} is not in the review"));
        assert!(
            row.ends_with(&format!("| {cells} of {cells} |")),
            "{id}: {row}"
        );
    }
}
