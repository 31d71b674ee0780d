//! `report`: what is written, and what is refused. The cells are few and cut short here; `.ci/run` has the whole.

use crate::{Ran, run_with};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A matrix of one claim, as `matrix --json` writes it.
fn matrix(folder: &Path) -> String {
    let file = folder.join("matrix.json").display().to_string();
    run_with(&["matrix", "--claim", "C2", "--json", &file]).exits(0);
    file
}

/// A report from that file; all but the claim's cell is missing or cut short.
fn report(matrix: &str, more: &[&str]) -> Ran {
    let mut arguments = vec!["report", "--matrix-json", matrix, "--max-states", "300"];
    arguments.extend(more);
    run_with(&arguments)
}

#[test]
fn one_file_that_needs_nothing_and_a_page_that_is_always_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let matrix = matrix(folder.path());
    let html = folder.path().join("review.html").display().to_string();
    let page = folder.path().join("review.md").display().to_string();
    report(
        &matrix,
        &["-o", &html, "--markdown", &page, "--stress-seconds", "0"],
    )
    .exits(3)
    .prints(&["1 of 22 claims", "INCOMPLETE", "review.html"]);
    let html = fs::read_to_string(html).expect("it was written");
    for inside in [
        "<!DOCTYPE html>",
        "<svg",
        "<style>",
        "prefers-color-scheme",
        "DEADLOCK",
        "<strong>Incomplete.",
    ] {
        assert!(html.contains(inside), "no {inside}");
    }
    // Title, provenance, what to do, four rows, what neither covers, three links; then the contents.
    let front = html.split("<nav").next().expect("text before it");
    for inside in [
        "class=\"provenance\"",
        "expectations sha256",
        "class=\"lead\"",
        "No recommendation",
        "Deadlock today",
        "Deadlock if one does",
        "The rule to keep, and who enforces it",
        "Cost",
        "Neither covers:",
        "the evidence",
        "the assumptions",
    ] {
        assert!(front.contains(inside), "no {inside}");
    }
    // The contents have the claims and the runs, by name.
    let contents = html
        .split("<nav")
        .nth(1)
        .and_then(|t| t.split("</nav>").next());
    let contents = contents.expect("there are contents");
    for entry in ["C2: with huge pages", "R1: deadlock by "] {
        assert!(contents.contains(entry), "no {entry}: {contents}");
    }
    for outside in [
        "<script",
        "src=\"",
        " href=\"http:",
        "<link rel=\"stylesheet\"",
    ] {
        assert!(!html.contains(outside), "{outside}");
    }
    let page = fs::read_to_string(page).expect("it was written");
    let again = report(&matrix, &["--markdown"]).exits(3);
    assert_eq!(page, again.out, "the page differs from run to run");
    assert!(
        page.contains("**Incomplete.**") && page.contains("**Confirmed: the huge branch"),
        "{page}"
    );
    // Nothing of what differs from run to run, and no pictures.
    for other in ["<svg", "This run", "--matrix-json"] {
        assert!(!page.contains(other), "{other}");
    }
    links_lead_to_headings(&page);
}

#[test]
fn other_candidates_get_columns_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let matrix = matrix(folder.path());
    let page = report(&matrix, &["--markdown", "--candidates", "rwlock,deferred"]).exits(3);
    for inside in [
        "| | `rwlock` | `deferred` |".replace("| |", "|  |"),
        "In short: rwlock or deferred?".to_string(),
        "What deferred changes against rwlock".to_string(),
        "- write_lock(&pgd_lock)".to_string(),
    ] {
        assert!(page.out.contains(&inside), "no {inside}: {}", page.out);
    }
    for (candidates, why) in [
        ("rwlock", "two designs"),
        ("rwlock,rwlock", "itself"),
        ("rwlock,trakced", "no design is called `trakced`"),
    ] {
        run_with(&["report", "--candidates", candidates])
            .exits(2)
            .complains(&[why]);
    }
}

fn links_lead_to_headings(page: &str) {
    let slug = shootdown_refinement::review::document::slug;
    let headings = page.lines().filter(|l| l.starts_with('#'));
    let headings: Vec<_> = headings
        .map(|h| slug(h.trim_start_matches('#').trim()))
        .collect();
    let links: Vec<_> = page
        .split("](#")
        .skip(1)
        .filter_map(|l| l.split(')').next())
        .collect();
    assert!(links.len() > 20, "{}", links.len());
    for link in links {
        assert!(headings.iter().any(|h| h == link), "#{link} leads nowhere");
    }
}

/// Writes a changed matrix and returns what `report` says to it.
fn changed(change: impl FnOnce(&mut Value)) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    let file = matrix(folder.path());
    let mut value = serde_json::from_str(&fs::read_to_string(&file).expect("it was written"))
        .expect("it is JSON");
    change(&mut value);
    fs::write(&file, value.to_string()).expect("it can be written");
    report(&file, &["--markdown"])
}

#[test]
fn a_matrix_that_is_not_this_binarys_is_refused() {
    let refused = |change: fn(&mut Value), why: &[&str]| {
        changed(change).exits(2).complains(why);
    };
    refused(
        |v| *v = 1.into(),
        &["matrix.json: not the list of cells", "matrix --json FILE"],
    );
    refused(
        |v| v[0]["schema"] = "shootdown/check/9".into(),
        &["cell 1: schema `shootdown/check/9`"],
    );
    refused(
        |v| v[0]["command"] = "shootdown check".into(),
        &["cell 1: `shootdown check` is none of the matrix"],
    );
    refused(
        |v| v[0]["expected"]["states"] = 7.into(),
        &["cell 1:", "other expectations"],
    );
    refused(
        |v| v[0]["states"]["unique"] = 7.into(),
        &["cell 1:", "states: 7"],
    );
    refused(
        |v| v[0]["properties"][0]["verdict"] = "holds".into(),
        &["cell 1:", "no_deadlock: holds"],
    );
    refused(
        |v| {
            let twice = v[0].clone();
            v.as_array_mut().expect("a list").push(twice);
        },
        &["cell 3:", "there twice"],
    );
}

/// A counterexample is executed again before it is quoted.
#[test]
fn a_counterexample_that_shows_nothing_is_refused() {
    let schedule = |v: &mut Value, change: fn(&str) -> String| {
        let schedule = &mut v[0]["properties"][0]["counterexample"]["schedule"];
        *schedule = change(schedule.as_str().expect("it is text")).into();
    };
    changed(|v| schedule(v, |s| s.replace("0*5;", "0*3;")))
        .exits(2)
        .complains(&["cell 1:", "does not violate no_deadlock"]);
    changed(|v| schedule(v, |s| s.replace("v2.6.37;", "tracked;")))
        .exits(2)
        .complains(&["cell 1:", "does not"]);
    changed(|v| schedule(v, |_| "nonsense".into()))
        .exits(2)
        .complains(&["cell 1:", "nonsense"]);
}

#[test]
fn input_that_is_no_json_is_refused_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("broken.json").display().to_string();
    fs::write(&file, "[\n  {\"schema\": }\n]").expect("it can be written");
    report(&file, &["--markdown"])
        .exits(2)
        .complains(&["broken.json: expected value at line 2 column 14"]);
    report("/nowhere/matrix.json", &["--markdown"])
        .exits(2)
        .complains(&["/nowhere/matrix.json"]);
}

#[test]
fn a_part_of_a_run_never_becomes_the_page_of_the_tree() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("docs")).expect("a folder");
    let page = folder.path().join("docs/review.md");
    fs::write(&page, "as it was\n").expect("it can be written");
    let (matrix, root) = (matrix(folder.path()), folder.path().display().to_string());
    let ran = report(&matrix, &["--docs", &root]).exits(3);
    assert!(ran.err.contains("left alone"), "{}", ran.err);
    assert_eq!(
        fs::read_to_string(&page).expect("it is there"),
        "as it was\n"
    );
    run_with(&["report", "--check", "/nowhere"])
        .exits(2)
        .complains(&["/nowhere/docs/review.md"]);
}

/// Two scenarios to choose between: both verdicts, what differs, where the runs part.
#[test]
fn two_scenarios_are_put_beside_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("both.html").display().to_string();
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/corpus/pgd-lock-2011");
    let (before, after) = (format!("{corpus}.before.sd"), format!("{corpus}.after.sd"));
    let page = run_with(&["report", &before, &after, "-o", &to]).prints(&["both.html"]);
    assert!(
        page.code == Some(0) || page.code == Some(1),
        "{:?}",
        page.code
    );
    let html = fs::read_to_string(to).expect("it was written");
    for inside in [
        "Where the runs part",
        "What differs in the text",
        "violated",
        "holds",
    ] {
        assert!(html.contains(inside), "no {inside}");
    }
    assert!(!html.contains("<script"));
}
