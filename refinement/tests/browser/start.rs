//! The start page.

use super::chromium::Chromium;
use super::picture;
use super::server::Server;

#[test]
#[ignore = "needs chromium"]
fn the_matrix_fills_and_a_red_cell_opens_its_counterexample() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&format!("http://{}/", server.address));
    page.wait_for("h1", "2011");
    assert_eq!(
        page.eval("document.querySelectorAll('.story li').length"),
        5
    );
    // Every cell is there before anything is checked, so that nothing jumps later.
    page.wait("document.querySelectorAll('.matrix td.cell').length >= 64");
    let before = page.eval("document.querySelector('.matrix').offsetHeight");
    page.wait("document.querySelectorAll('.matrix td.violated, .matrix td.rule').length >= 2");
    page.wait("document.querySelectorAll('.matrix td.violated a.first').length >= 1");
    assert_eq!(
        before,
        page.eval("document.querySelector('.matrix').offsetHeight")
    );
    // Colour is never alone.
    assert_eq!(page.eval("[...document.querySelectorAll('.matrix td.cell')].every((td) => td.textContent.trim().length > 1)"), true);

    page.click(".matrix td.violated a.first", "deadlock");
    page.wait_for(".verdict-line", "DEADLOCK");
    page.wait_for(".graph .node-label", "CPU0");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn a_cell_without_violation_opens_the_explorer() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.view(
        "open",
        &[
            ("design", "tracked"),
            ("env", "split+thp"),
            ("workload", "aging"),
        ],
    ));
    page.wait_for(".where", "tracked");
    page.wait_for(".choice", "vmalloc_sync_all");
    assert_eq!(page.text(".scrub-label"), "step 0 of 0");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn a_search_without_counterexample_says_what_it_came_to() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.view(
        "find",
        &[
            ("design", "tracked"),
            ("env", "split+thp"),
            ("workload", "aging"),
            ("property", "no_deadlock"),
        ],
    ));
    page.wait_for(".find", "no_deadlock holds");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn light_and_dark_follow_the_system_until_the_reader_chooses() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&format!("http://{}/", server.address));
    page.wait_for("h1", "2011");
    page.wait("document.querySelectorAll('.matrix td.cell').length >= 64");
    let ground = "getComputedStyle(document.documentElement).backgroundColor";
    page.prefers("light");
    let light = page.eval(ground);
    page.prefers("dark");
    let dark = page.eval(ground);
    assert_ne!(light, dark);
    page.press(&["d"]);
    assert_eq!(page.eval(ground), light);
    page.press(&["d"]);
    assert_eq!(page.eval(ground), dark);
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn the_page_comes_back_when_the_server_does() {
    let (server, browser) = (Server::start(), Chromium::start());
    let address = server.address.clone();
    let mut page = browser.open(&format!("http://{address}/"));
    page.wait("document.querySelectorAll('.matrix td.cell').length >= 64");
    drop(server);
    page.wait_for("#banner", "does not answer");
    let again = Server::at(&address);
    page.wait("document.getElementById('banner').textContent === ''");
    page.click("#open-deadlock", "");
    page.wait_for(".lane-heads", "CPU0");
    // That requests failed meanwhile is what this is about.
    page.tools
        .complaints
        .retain(|c| !c.contains("ERR_") && !c.contains("Failed to load"));
    page.close();
    drop(again);
}

#[test]
#[ignore = "needs chromium"]
fn pictures_of_the_start_page() {
    if !picture::wanted() {
        return;
    }
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&format!("http://{}/", server.address));
    // The whole matrix, or as much of it as five minutes allow.
    page.wait("document.querySelectorAll('.matrix td.violated').length >= 5");
    for (scheme, file) in [("light", "start.png"), ("dark", "start-dark.png")] {
        page.prefers(scheme);
        picture::keep(file, &page.screenshot());
    }
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn an_error_on_the_console_and_a_violation_of_the_policy_are_heard() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&format!("http://{}/", server.address));
    page.wait_for("h1", "2011");
    page.eval("console.error('on purpose')");
    page.eval(
        "(() => {
            const inline = document.createElement('script');
            inline.textContent = 'window.escaped = true';
            document.body.append(inline);
        })()",
    );
    assert_eq!(page.eval("window.escaped === true"), false);
    let complaints = page.tools.complaints.join("\n");
    assert!(complaints.contains("on purpose"), "{complaints}");
    assert!(
        complaints.contains("Content Security Policy"),
        "{complaints}"
    );
}
