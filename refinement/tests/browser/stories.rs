//! What the start page leads to in a few clicks.

use super::chromium::Chromium;
use super::server::Server;

#[test]
#[ignore = "needs chromium"]
fn one_click_leads_to_the_hang_of_three_cpus_and_to_why_tracked_holds() {
    let (server, browser) = (Server::start(), Chromium::start());
    let start = format!("http://{}/", server.address);
    let mut page = browser.open(&start);
    page.click(".stories a", "Three CPUs");
    page.wait_for(".verdict-line", "DEADLOCK");
    page.wait("document.querySelectorAll('.head').length >= 3");
    page.go(&start);
    page.click(".stories a", "Why tracked holds");
    page.wait_for(".find", "no_deadlock holds");
    page.go(&start);
    page.click(".words summary", "short words");
    page.wait_for(".glossary", "no_lock_held_across_ipi_wait");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn every_story_has_the_verdict_that_it_tells_of() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&format!("http://{}/", server.address));
    page.wait("document.querySelectorAll('.stories a').length === 7");
    let links = page.eval("[...document.querySelectorAll('.stories a')].map((a) => a.href)");
    for (n, link) in links.as_array().expect("a list").iter().enumerate() {
        page.go(link.as_str().expect("an address"));
        match n {
            6 => page.wait_for(".find", "no_deadlock holds"),
            5 => page.wait_for(".result-word", "A cycle"),
            3 => page.wait_for(".verdict-line", "STALE TRANSLATION"),
            _ => page.wait_for(".verdict-line", "DEADLOCK"),
        }
    }
    page.close();
}

/// Three clicks at most from the start page: a cell that holds opens its case, with the other designs' runs ended on it.
#[test]
#[ignore = "needs chromium"]
fn a_cell_that_holds_opens_its_case() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&format!("http://{}/", server.address));
    page.wait("document.querySelector('#cell-tracked-nosplit.holds') && document.querySelector('[id=\"cell-v2.6.37-nosplit\"].violated')");
    assert_eq!(
        page.eval("document.querySelector('#cell-tracked-nosplit .cell-marks').children.length"),
        4
    );
    // The whole cell is the link.
    page.eval("document.elementFromPoint(...(() => { const c = document.querySelector('#cell-tracked-nosplit'); c.scrollIntoView({ block: 'center' }); const r = c.getBoundingClientRect(); return [r.right - 12, r.top + 12]; })()).click()");
    page.wait_for(".case", "Nothing is violated");
    page.wait_for(".case-proof", "Proven for any number of CPUs");
    page.wait_for(".nearest", "v2.6.37: deadlock after");
    page.wait_for(".nearest", "tracked finishes");
    page.wait_for(".breaks", "flag-for-counter");
    page.click(".nearest a", "v2.6.37");
    page.wait_for(".endings", "tracked finishes");
    page.close();
}
