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
    page.wait("document.querySelectorAll('.stories a').length === 5");
    let links = page.eval("[...document.querySelectorAll('.stories a')].map((a) => a.href)");
    for (n, link) in links.as_array().expect("a list").iter().enumerate() {
        page.go(link.as_str().expect("an address"));
        match n {
            4 => page.wait_for(".find", "no_deadlock holds"),
            2 => page.wait_for(".verdict-line", "STALE TRANSLATION"),
            _ => page.wait_for(".verdict-line", "DEADLOCK"),
        }
    }
    page.close();
}
