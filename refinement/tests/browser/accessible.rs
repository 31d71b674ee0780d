//! What axe-core finds, on every view, in light and dark.

use super::chromium::{Chromium, Page};
use super::server::{DEADLOCK, Server};

/// Deque's checker, as its npm package has it (Mozilla Public License 2.0, beside it).
const AXE: &str = include_str!("axe.min.js");

/// Findings that keep somebody from using the page.
pub fn serious(page: &mut Page, view: &str) -> Vec<String> {
    page.eval(AXE);
    let found = page.eval(
        "axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations
            .filter((v) => ['serious', 'critical'].includes(v.impact))
            .flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target} ${n.failureSummary}`)))",
    );
    let found = found.as_array().expect("a list").clone();
    found
        .iter()
        .map(|f| format!("{view}: {}", f.as_str().unwrap_or_default()))
        .collect()
}

#[test]
#[ignore = "needs chromium"]
fn axe_has_no_serious_finding_on_any_view() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut found = Vec::new();
    let mut page = browser.open(&format!("http://{}/", server.address));
    page.wait("document.querySelectorAll('.matrix td.violated').length >= 1");
    for scheme in ["light", "dark"] {
        page.prefers(scheme);
        found.extend(serious(&mut page, &format!("start, {scheme}")));
    }
    page.go(&server.run(DEADLOCK, "11"));
    page.wait_for(".lane-sheet .doom", "unavoidable");
    for scheme in ["light", "dark"] {
        page.prefers(scheme);
        for tab in ["1", "2", "3", "4", "5"] {
            page.press(&[tab]);
            found.extend(serious(&mut page, &format!("tab {tab}, {scheme}")));
        }
    }
    page.press(&["?"]);
    found.extend(serious(&mut page, "keys"));
    page.press(&["Escape", "s"]);
    page.wait_for("dialog[open]", "Share");
    found.extend(serious(&mut page, "share"));
    let params = [
        ("subject", "spec"),
        ("schedule", DEADLOCK),
        ("with", "tracked"),
    ];
    page.go(&server.view("compare", &params));
    page.wait_for(".divergence-line", "part at step");
    for scheme in ["light", "dark"] {
        page.prefers(scheme);
        found.extend(serious(&mut page, &format!("compare, {scheme}")));
    }
    assert!(found.is_empty(), "{found:#?}");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn axe_is_awake() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&format!("http://{}/", server.address));
    page.wait_for("h1", "2011");
    page.eval("document.body.append(document.createElement('button'))");
    let found = serious(&mut page, "start");
    assert!(
        found.iter().any(|f| f.contains("button-name")),
        "{found:#?}"
    );
    page.close();
}
