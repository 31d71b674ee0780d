//! The same schedule on another design, and on the code.

use super::chromium::Chromium;
use super::picture;
use super::server::{DEADLOCK, Server};

#[test]
#[ignore = "needs chromium"]
fn the_deadlock_does_not_happen_on_tracked_and_the_page_says_where_they_part() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.run(DEADLOCK, "11"));
    page.wait_for(".lane-heads", "CPU0");
    page.press(&["c"]);
    page.wait_for(".divergence-line", "part at step");
    assert_eq!(
        page.eval("document.querySelectorAll('.compare .lanes').length"),
        2
    );
    page.wait_for(".side h2", "tracked");
    page.press(&["End"]);
    assert!(page.text(".side .verdict-line").contains("DEADLOCK"));
    let other = page.text(".side:nth-of-type(2) .verdict-line");
    assert!(!other.contains("DEADLOCK"), "{other}");
    page.press(&["x"]);
    page.wait_for(".divergence text", "part here");
    // Another design, and back to the run.
    page.eval("(() => { const s = document.getElementById('with'); s.value = 'v2.6.38'; s.dispatchEvent(new Event('change')); })()");
    page.wait_for(".side h2", "v2.6.38");
    page.press(&["c"]);
    page.wait_for(".zone.left", "What can happen next");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn the_code_is_put_beside_the_specification() {
    let (server, browser) = (Server::start(), Chromium::start());
    let params = [
        ("subject", "spec"),
        ("schedule", DEADLOCK),
        ("with", "impl"),
    ];
    let mut page = browser.open(&server.view("compare", &params));
    page.wait_for(".side h2", "implementation");
    page.wait("document.querySelectorAll('.compare .lane-sheet svg').length === 2");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn pictures_of_the_comparison() {
    if !picture::wanted() {
        return;
    }
    let (server, browser) = (Server::start(), Chromium::start());
    let params = [
        ("subject", "spec"),
        ("schedule", DEADLOCK),
        ("with", "tracked"),
    ];
    let mut page = browser.open(&server.view("compare", &params));
    page.wait_for(".divergence-line", "part at step");
    for (scheme, file) in [("light", "compare.png"), ("dark", "compare-dark.png")] {
        page.prefers(scheme);
        picture::keep(file, &page.screenshot());
    }
    page.close();
}

/// What became of both sides stands first, and what differs in their programs.
#[test]
#[ignore = "needs chromium"]
fn the_comparison_says_how_both_sides_end() {
    let (server, browser) = (Server::start(), Chromium::start());
    let params = [("schedule", DEADLOCK), ("with", "tracked")];
    let mut page = browser.open(&server.view("compare", &params));
    page.wait_for(".endings", "v2.6.37 hangs: after step 11");
    page.wait_for(".endings", "tracked finishes: after step");
    page.click(".endings button", "See its end");
    page.wait_for(".differences", "page_referenced_one_huge");
    page.close();
}
