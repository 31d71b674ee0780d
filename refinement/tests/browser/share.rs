//! Handing a run on.

use super::chromium::Chromium;
use super::server::{DEADLOCK, Server};

#[test]
#[ignore = "needs chromium"]
fn a_copied_link_shows_the_same_state_in_a_fresh_browser() {
    let server = Server::start();
    let link = {
        let browser = Chromium::start();
        let mut page = browser.open(&server.run(DEADLOCK, "8"));
        page.wait_for(".lane-heads", "CPU0");
        page.press(&["s"]);
        page.click("dialog button", "Copy link");
        page.wait_for("dialog .told", "Link");
        let copied = page.eval("navigator.clipboard.readText()");
        page.close();
        copied.as_str().expect("text").to_string()
    };
    assert!(
        link.contains("schedule=") && link.contains("at=8") && link.contains("h="),
        "{link}"
    );
    let browser = Chromium::start();
    let mut page = browser.open(&link);
    page.wait_for(".scrub-label", "step 8 of 11");
    page.wait_for(".lane-heads", "IF=0");
    assert_eq!(page.text("#banner"), "");
    page.close();

    // The same link, with another check of one state.
    let (head, hashes) = link.split_once("h=").expect("checks");
    let first: String = hashes.chars().take(4).collect();
    let other = if first == "0000" { "1111" } else { "0000" };
    let mut page = browser.open(&format!("{head}h={other}{}", &hashes[4..]));
    page.wait_for("#banner", "means something else now");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn splat_schedule_and_picture_are_copied_as_text() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.run(DEADLOCK, "11"));
    page.wait_for(".lane-heads", "CPU0");
    page.press(&["s"]);
    for (button, told, has) in [
        (
            "Copy schedule",
            "Schedule",
            "1:page_referenced_one_huge@mm0",
        ),
        ("Copy splat", "Splat", "page_table_lock"),
        ("Copy SVG", "SVG", "<svg"),
    ] {
        page.click("dialog button", button);
        page.wait_for("dialog .told", &format!("{told} copied"));
        let copied = page.eval("navigator.clipboard.readText()");
        let copied = copied.as_str().expect("text");
        assert!(copied.contains(has), "{button}: {copied}");
    }
    page.close();
}
