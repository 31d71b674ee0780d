//! The editor: a scenario as text beside the result of checking it.

use super::accessible::serious;
use super::chromium::{Chromium, Page};
use super::picture;
use super::server::Server;

/// Opens a scenario of the corpus and waits until it is checked.
fn open(server: &Server, browser: &Chromium, name: &str) -> Page {
    let mut page = browser.open(&server.view("scenario", &[("corpus", name)]));
    page.size(1366, 768);
    page.wait_for(".result-word", "as expected");
    page
}

/// Types another text, as a paste does.
fn replace(page: &mut Page, from: &str, to: &str) {
    page.eval(&format!(
        "(() => {{
            const area = document.getElementById('scenario-area');
            area.value = area.value.replace({from:?}, {to:?});
            area.dispatchEvent(new Event('input'));
        }})()"
    ));
}

#[test]
#[ignore = "needs chromium"]
fn the_start_page_leads_to_a_check_with_the_keyboard_alone() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&format!("http://{}/", server.address));
    page.wait_for("#own-lock", "editor");
    page.eval("document.getElementById('own-lock').focus()");
    page.press(&["Enter"]);
    // The template of `shootdown new` is there, reads, and has the verdict that it expects.
    page.wait_for(".result-word", "as expected");
    page.press(&["e"]);
    assert_eq!(page.eval("document.activeElement.id"), "scenario-area");
    page.press(&["Escape", "g"]);
    page.wait_for("dialog[open]", "Gallery");
    page.press(&["r", "t", "n", "l"]);
    page.wait("document.querySelectorAll('.gallery-list > li').length < 8");
    page.eval("document.querySelector('.gallery-list .button').focus()");
    page.press(&["Enter"]);
    page.wait("location.hash.includes('corpus=')");
    page.wait_for(".verdict-chips", "no_deadlock violated");
    page.press(&["Home"]);
    page.wait_for(".scrub-label", "step 0 of");
    page.press(&["ArrowRight"]);
    page.wait_for(".scrub-label", "step 1 of");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn the_lines_at_which_the_cpus_stand_move_with_the_steps() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = open(&server, &browser, "pgd-lock-2011.before.sd");
    page.wait_for(".scrub-label", "step 8 of 8");
    let here = "document.querySelector('.code-line.here').textContent.trim()";
    assert_eq!(page.eval(here), "spin_lock(&page_table_lock);");
    // Both hang, each at its own line.
    assert_eq!(
        page.eval("document.querySelectorAll('.gutter-chip.stuck').length"),
        2
    );
    page.wait_for(
        ".now",
        "CPU1 has interrupts off and spins for page_table_lock, held by CPU0",
    );
    page.click(".transport[aria-label='First step']", "");
    page.wait_for(".scrub-label", "step 0 of 8");
    page.click(".transport[aria-label='One step on']", "");
    page.click(".transport[aria-label='One step on']", "");
    assert_eq!(page.eval(here), "if (young) {");
    page.click(".transport[aria-label='One step back']", "");
    assert_eq!(page.eval(here), "spin_lock(&page_table_lock);");
    page.click(".transport[aria-label='Last step']", "");
    page.wait_for(".scrub-label", "step 8 of 8");
    // What a wait waits for, before anything hangs.
    page.press(&["ArrowLeft", "ArrowLeft"]);
    page.wait_for(
        ".now-wait",
        "could be ended by smp_invalidate_interrupt on CPU1",
    );
    page.press(&["2"]);
    page.wait_for(".graph", "CPU0");
    page.press(&["3"]);
    page.wait_for(".values", "flush_cpumask");
    page.press(&["4"]);
    page.wait_for("#result-panel", "Cyclic");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn an_error_is_shown_at_its_place_while_one_types_and_the_old_verdict_is_marked_as_old() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = open(&server, &browser, "pgd-lock-2011.before.sd");
    replace(
        &mut page,
        "spin_unlock(&page_table_lock);",
        "spin_unlok(&page_table_lock);",
    );
    page.wait_for(".problems li.error", "did you mean spin_unlock?");
    assert_eq!(page.text(".wavy.error"), "spin_unlok");
    page.wait_for(".code-line .lens", "unknown-call");
    page.wait_for(".stale-note", "changed");
    page.wait("document.querySelectorAll('.code-line.here').length === 0");
    page.click("#check", "Check");
    page.wait_for(".result-word", "nothing was checked");
    replace(&mut page, "spin_unlok", "spin_unlock");
    page.wait_for(".problems-head", "it reads");
    page.click("#check", "Check");
    page.wait_for(".result-word", "as expected");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn a_link_carries_the_text_and_one_that_was_changed_is_found() {
    let server = Server::start();
    let link = {
        let browser = Chromium::start();
        let mut page = open(&server, &browser, "pgd-lock-2011.before.sd");
        replace(
            &mut page,
            "bool young = 1;",
            "bool young = 1;   // déjà vu 🔒",
        );
        page.click("#check", "Check");
        page.wait("!document.querySelector('.stale-note')");
        page.press(&["ArrowLeft", "s"]);
        page.wait_for(".told-line", "Link copied");
        let copied = page.eval("navigator.clipboard.readText()");
        page.close();
        copied.as_str().expect("text").to_string()
    };
    let browser = Chromium::start();
    let mut page = browser.open(&link);
    page.wait_for(".scrub-label", "step 7 of 8");
    assert!(
        page.eval("document.getElementById('scenario-area').value.includes('déjà vu 🔒')") == true
    );
    assert_eq!(page.text("#banner"), "");
    page.close();

    // A character of the text, its check, or what it came to: each is noticed, and nothing else stays on screen.
    let (head, rest) = link.split_once("z=").expect("a text");
    let middle = rest.len() / 4;
    let other = if &rest[middle..=middle] == "A" {
        "B"
    } else {
        "A"
    };
    let text = format!("{head}z={}{other}{}", &rest[..middle], &rest[middle + 1..]);
    let (before, check) = link.split_once("h=").expect("a check");
    let check = format!("{before}h=00000000{}", &check[8..]);
    let verdict = link.replace("in+8+steps", "in+9+steps");
    assert_ne!(verdict, link);
    let mut page = browser.open(&link);
    page.wait_for(".scrub-label", "step 7 of 8");
    for (bad, told) in [
        (text, "in this link"),
        (check, "not the one that was shared"),
        (verdict, "means something else now"),
    ] {
        // In the open page, not only in a fresh one.
        page.eval(&format!("location.href = {bad:?}"));
        page.wait_for("#banner", told);
    }
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn a_text_too_long_for_a_link_says_so_and_a_draft_survives_a_reload() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = open(&server, &browser, "pgd-lock-2011.after.sd");
    // What cannot be deflated.
    page.eval(
        "(() => {
            const area = document.getElementById('scenario-area');
            const noise = [...crypto.getRandomValues(new Uint8Array(50000))].map((n) => String.fromCharCode(97 + (n & 15))).join('');
            area.value += '\\n// ' + noise;
            area.dispatchEvent(new Event('input'));
        })()",
    );
    page.wait_for(".problems-head", "it reads");
    page.press(&["s"]);
    page.wait_for(".problem", "too long for a link");
    replace(&mut page, "cpus 2;", "cpus 2; // mine");
    page.go(&format!("http://{}/#/scenario", server.address));
    page.wait("document.getElementById('scenario-area')?.value.includes('cpus 2; // mine')");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn two_scenarios_are_compared_and_the_first_step_that_differs_is_marked() {
    let (server, browser) = (Server::start(), Chromium::start());
    let sides = [
        ("before", "pgd-lock-2011.before.sd"),
        ("after", "pgd-lock-2011.after.sd"),
    ];
    let mut page = browser.open(&server.view("beside", &sides));
    page.wait_for(".parting", "parts at step 6");
    page.wait_for(".verdict-changes", "no_deadlock: violated → holds");
    page.wait_for(".diff .went", "spin_lock_irqsave(&pgd_lock, flags);");
    page.wait("document.querySelectorAll('.beside-runs .divergence').length === 2");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn the_editor_fits_a_phone_and_has_no_serious_finding_in_light_and_dark() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = open(&server, &browser, "pgd-lock-2011.before.sd");
    let mut found = Vec::new();
    for scheme in ["light", "dark"] {
        page.prefers(scheme);
        for tab in ["1", "2", "3", "4"] {
            page.press(&[tab]);
            found.extend(serious(
                &mut page,
                &format!("scenario, tab {tab}, {scheme}"),
            ));
        }
    }
    page.press(&["1"]);
    page.size(390, 844);
    page.wait("innerWidth === 390 && document.documentElement.scrollWidth === 390");
    page.wait("document.querySelector('.standing.stuck')");
    found.extend(serious(&mut page, "scenario, 390"));
    page.press(&["g"]);
    page.wait_for("dialog[open]", "Gallery");
    found.extend(serious(&mut page, "gallery"));
    let sides = [
        ("before", "pgd-lock-2011.before.sd"),
        ("after", "pgd-lock-2011.after.sd"),
    ];
    page.go(&server.view("beside", &sides));
    page.wait_for(".parting", "parts at step 6");
    page.wait("document.documentElement.scrollWidth === 390");
    found.extend(serious(&mut page, "beside"));
    assert!(found.is_empty(), "{found:#?}");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn pictures_of_the_editor() {
    if !picture::wanted() {
        return;
    }
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = open(&server, &browser, "pgd-lock-2011.before.sd");
    for (scheme, file) in [("light", "scenario.png"), ("dark", "scenario-dark.png")] {
        page.prefers(scheme);
        page.wait_for(".lane-sheet", "never moves again");
        picture::keep(file, &page.screenshot());
    }
    page.close();
}
