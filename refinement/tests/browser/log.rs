//! The console log of a hung machine, dropped on the page.

use super::accessible::serious;
use super::chromium::{Chromium, Page};
use super::server::Server;

const TWO_SIDED: &str = include_str!("../../trace/tests/cases/two-sided-6.12.txt");

/// Drops a file on the page, as a mouse does.
fn drop_file(page: &mut Page, name: &str, bytes: &[u8]) {
    page.eval(&format!(
        "(() => {{
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array({bytes:?})], {name:?}));
            document.getElementById('main').dispatchEvent(new DragEvent('drop', {{ dataTransfer: carried, bubbles: true, cancelable: true }}));
        }})()"
    ));
}

#[test]
#[ignore = "needs chromium"]
fn a_log_dropped_on_the_start_page_shows_its_cycle_and_the_lines_that_say_so() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&format!("http://{}/", server.address));
    page.size(1366, 768);
    page.wait_for("#own-lock", "editor");
    drop_file(&mut page, "hang.txt", TWO_SIDED.as_bytes());
    page.wait_for(".result-word", "A cycle, if one fact holds");
    page.wait_for(".log-graph .graph", "CPU2");
    page.wait("document.querySelectorAll('.log-lane.stuck').length === 2");
    page.click(".log-lane .cite", "line 28");
    page.wait_for(".cited-line", "queued_spin_lock_slowpath");
    let mut found = Vec::new();
    for scheme in ["light", "dark"] {
        page.prefers(scheme);
        found.extend(serious(&mut page, &format!("log, {scheme}")));
    }
    page.size(390, 844);
    page.wait("innerWidth === 390 && document.documentElement.scrollWidth === 390");
    assert!(found.is_empty(), "{found:#?}");
    // The hang goes on as a scenario, which has the verdict that the log suggests.
    page.click("#as-scenario", "scenario");
    page.wait_for(".result-word", "no_deadlock is violated");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn a_scenario_dropped_on_the_start_page_opens_in_the_editor_and_rubbish_is_refused() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&format!("http://{}/", server.address));
    page.wait_for("#own-lock", "editor");
    let scenario = include_str!("../../../spec/corpus/pgd-lock-2011.after.sd");
    drop_file(&mut page, "mine.sd", scenario.as_bytes());
    page.wait_for(".result-word", "as expected: nothing is violated");
    assert_eq!(
        page.eval("document.getElementById('scenario-name').value"),
        "mine.sd"
    );
    page.go(&format!("http://{}/#/log", server.address));
    page.wait_for("h1", "log");
    let program = std::fs::read(env!("CARGO_BIN_EXE_shootdown")).expect("it is there");
    drop_file(&mut page, "a.out", &program[..4096]);
    page.wait_for(".problem", "console log");
    // The refusal is an HTTP error, which the browser logs.
    page.tools.complaints.retain(|c| !c.contains("422"));
    page.close();
}

/// A Linux 6.12 that was recorded until it stopped: who waits for whom is drawn in less than two seconds.
#[test]
#[ignore = "needs chromium"]
fn a_recording_of_a_kernel_that_hung_shows_its_cycle() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("trace/tests/ftrace/16_hang_console_dump_kswapd.txt.gz");
    let bytes = std::fs::read(path).expect("it is part of the tree");
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.view("log", &[]));
    page.wait_for(".log h1", "A machine hangs");
    let begun = std::time::Instant::now();
    drop_file(&mut page, "16_hang.txt.gz", &bytes);
    page.wait_for(".result-word", "A cycle");
    page.wait("document.querySelectorAll('.log-graph .edge.cycle').length >= 2");
    println!(
        "drawn {} ms after it was dropped",
        begun.elapsed().as_millis()
    );
    assert_eq!(
        page.eval("document.querySelectorAll('.log-lane.stuck').length"),
        2
    );
    page.close();
}
