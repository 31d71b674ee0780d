//! The design review as a browser shows and prints it.

use super::chromium::{Chromium, Page};
use assert_cmd::Command;
use std::path::Path;

/// A4 without the margins of the style sheet, in pixels of 1/96 inch: 182 mm by 265 mm.
const PAPER: (u32, u32) = (688, 1001);

/// A report of one claim; everything else is said to be missing, which takes more room, not less.
fn report(folder: &Path) -> String {
    let run = |arguments: &[&str], code: i32| {
        let mut command = Command::cargo_bin("shootdown").expect("cargo builds it for this test");
        command.args(arguments).assert().code(code);
    };
    let matrix = folder.join("matrix.json").display().to_string();
    let html = folder.join("review.html").display().to_string();
    run(&["matrix", "--claim", "C2", "--json", &matrix], 0);
    run(
        &[
            "report",
            "--matrix-json",
            &matrix,
            "--max-states",
            "300",
            "--stress-seconds",
            "0",
            "-o",
            &html,
        ],
        3,
    );
    format!("file://{html}")
}

/// Bottom edge of the first screen, and of the last row of its table.
fn bottoms(page: &mut Page) -> (f64, f64) {
    let bottom = |page: &mut Page, selector: &str| {
        let edge = page.eval(&format!(
            "[...document.querySelectorAll('{selector}')].at(-1).getBoundingClientRect().bottom + scrollY"
        ));
        edge.as_f64().expect("pixels")
    };
    (bottom(page, "header"), bottom(page, "header tr"))
}

#[test]
#[ignore = "needs chromium"]
fn the_first_page_has_the_recommendation_and_all_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let browser = Chromium::start();
    let mut page = browser.open(&report(folder.path()));
    page.size(1440, 900);
    page.wait_for("header .lead", "No recommendation");
    assert_eq!(
        page.eval("document.querySelectorAll('header tbody tr').length"),
        4
    );
    let (_, rows) = bottoms(&mut page);
    assert!(rows <= 900.0, "on the screen the rows end at {rows}");
    page.tools.call(
        "Emulation.setEmulatedMedia",
        serde_json::json!({"media": "print"}),
    );
    page.size(PAPER.0, PAPER.1);
    let (all, rows) = bottoms(&mut page);
    let paper = f64::from(PAPER.1);
    assert!(rows <= paper, "on paper the rows end at {rows} of {paper}");
    assert!(
        all <= paper,
        "on paper the first screen ends at {all} of {paper}"
    );
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn a_link_into_what_is_folded_unfolds_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let browser = Chromium::start();
    let mut page = browser.open(&report(folder.path()));
    page.wait("document.querySelector('nav a[href^=\"#c2-\"]')");
    page.eval("document.querySelector('nav a[href^=\"#c2-\"]').click()");
    page.wait("document.querySelector(location.hash).closest('details')");
    assert_eq!(
        page.eval("document.querySelectorAll('details[open] > summary[id^=\"r\"]').length <= 15"),
        true
    );
    page.close();
}
