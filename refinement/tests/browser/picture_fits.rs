//! The explorer's picture can be read, fits its window, and is right at every step.

use super::chromium::Chromium;
use super::server::{DEADLOCK, Server};

#[test]
#[ignore = "needs chromium"]
fn no_text_of_the_picture_is_under_twelve_pixels() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.run(DEADLOCK, "11"));
    page.size(1440, 900);
    page.wait_for(".lane-sheet .doom", "unavoidable");
    let small = page.eval(
        "[...document.querySelectorAll('.lanes *, .graph text, .scrub-marks text')]
            .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
            .filter((e) => e.namespaceURI.endsWith('html') || e.tagName === 'text')
            .filter((e) => parseFloat(getComputedStyle(e).fontSize) < 12)
            .map((e) => `${e.className.baseVal ?? e.className}: ${e.textContent}`)",
    );
    assert_eq!(small, serde_json::json!([]));
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn the_deadlock_is_inside_the_window_at_1366_by_768() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.run(DEADLOCK, "11"));
    page.size(1366, 768);
    page.wait_for(".lane-sheet", "never moves again");
    page.wait(
        "(() => {
            const view = document.querySelector('.lane-scroll').getBoundingClientRect();
            const boxes = [...document.querySelectorAll('.standing.stuck rect')].map((r) => r.getBoundingClientRect());
            return boxes.length === 2 && boxes.every((b) => b.top >= view.top && b.bottom <= view.bottom && b.bottom <= innerHeight);
        })()",
    );
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn the_wait_graph_has_a_wait_at_every_step_at_which_a_cpu_waits() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.run(DEADLOCK, "0"));
    page.wait_for(".scrub-label", "step 0 of 11");
    let mut waits = 0;
    for n in 0..=11 {
        page.wait_for(".scrub-label", &format!("step {n} of 11"));
        let waiting = page.eval("[...document.querySelectorAll('.standing-list dd div')].some((d) => /^(awaits|spins)/.test(d.textContent))");
        if waiting == true {
            waits += 1;
            assert_eq!(
                page.eval("Boolean(document.querySelector('.graph .edge'))"),
                true,
                "step {n}"
            );
        }
        page.press(&["ArrowRight"]);
    }
    assert!(waits >= 6, "{waits}");
    // A wait that still ends is dashed, one that never does is not.
    page.press(&["Home"]);
    for _ in 0..6 {
        page.press(&["ArrowRight"]);
    }
    page.wait("document.querySelector('.graph .edge.later')");
    page.press(&["End"]);
    page.wait("document.querySelector('.graph .edge.cycle') && !document.querySelector('.graph .edge.later')");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn a_normal_end_is_no_failure_and_a_deadlock_offers_no_statement() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.run(DEADLOCK, "11"));
    page.wait_for(".choices", "only the page walker can move");
    // The same start, to its end: the IPI is taken in time.
    let whole =
        "tracked;cpus=2,mms=1;workload=page_referenced_one,vmalloc_sync_all;start=mm0,mm0;;";
    page.go(&server.run(whole, "0"));
    page.wait_for(".choice", "page_referenced_one");
    for _ in 0..200 {
        let done = page.eval(
            "document.querySelector('.choices').textContent.includes('All operations are done')",
        );
        if done == true {
            break;
        }
        let steps = page.text(".scrub-label");
        page.eval("document.querySelector('.choice').click()");
        page.wait(&format!(
            "document.querySelector('.scrub-label').textContent !== {steps:?}"
        ));
    }
    page.wait_for(".choices .good-text", "All operations are done");
    assert!(!page.text(".choices").contains("Nothing can happen"));
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn a_changed_link_is_noticed_in_the_open_page_and_a_broken_one_leaves_no_picture() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.run(DEADLOCK, "8"));
    page.wait("location.hash.includes('h=')");
    page.eval("location.hash = location.hash.replace(/h=..../, 'h=0000')");
    page.wait_for("#banner", "means something else now");
    page.eval("location.hash = '#/run?schedule=nonsense'");
    page.wait_for(".problem", "nonsense");
    page.wait("getComputedStyle(document.querySelector('.lanes-place')).visibility === 'hidden'");
    page.tools.complaints.retain(|c| !c.contains("400"));
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn step_by_step_opens_at_the_first_step_and_the_buttons_go_on() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&format!("http://{}/", server.address));
    page.click("#open-deadlock", "");
    page.wait_for(".scrub-label", "step 1 of");
    page.click(".transport[aria-label='Play']", "");
    page.wait_for(".scrub-label", "step 3 of");
    page.click(".transport[aria-label='Play']", "");
    page.click(".transport[aria-label='Last step']", "");
    page.wait_for(".verdict-line", "DEADLOCK");
    page.close();
}

/// In every state of every run that the documents quote: who waits has an edge in the graph, drawn by the page's own code.
#[test]
#[ignore = "needs chromium"]
fn no_graph_of_any_quoted_run_leaves_a_waiting_cpu_out() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.run(DEADLOCK, "11"));
    page.wait_for(".verdict-line", "DEADLOCK");
    let quoted = regex::Regex::new("replay '([^']+)'").expect("it is one");
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut runs: Vec<String> = Vec::new();
    for file in std::fs::read_dir(docs).expect("it is there") {
        let path = file.expect("it can be read").path();
        if path.extension().is_some_and(|e| e == "md") {
            let text = std::fs::read_to_string(&path).expect("it is text");
            runs.extend(quoted.captures_iter(&text).map(|c| c[1].to_string()));
        }
    }
    runs.retain(|run| run.contains(';') && !run.contains('…') && !run.starts_with("code:"));
    assert!(runs.len() > 10, "the documents have runs: {}", runs.len());
    page.eval(&format!(
        "(async () => {{
            const [{{ drawWaits }}, {{ prepare }}] = [await import('/ui/waits.js'), await import('/ui/document.js')];
            const wrong = [];
            let states = 0, waiting = 0;
            for (const schedule of {}) {{
                const answer = await fetch(`/api/run?${{new URLSearchParams({{ schedule }})}}`);
                if (!answer.ok) continue;
                const run = prepare(await answer.json());
                run.states.forEach((state, n) => {{
                    states++;
                    const drawn = drawWaits(state.wait_for, state.cpus);
                    const waits = state.cpus.filter((cpu) => cpu.waits);
                    waiting += waits.length;
                    if (!waits.length) return;
                    if (/nobody waits/i.test(drawn.textContent) || drawn.querySelectorAll('.edge').length < waits.length) wrong.push(`${{schedule}} at ${{n}}`);
                }});
            }}
            window.waitsSeen = {{ wrong, states, waiting }};
        }})(); true",
        serde_json::to_string(&runs).expect("text")
    ));
    page.wait("window.waitsSeen");
    let seen = page.eval("window.waitsSeen");
    assert_eq!(seen["wrong"], serde_json::json!([]));
    assert!(seen["waiting"].as_u64() > Some(50), "{seen}");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn a_wait_leads_to_its_steps_and_a_random_run_goes_to_an_end() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.run(DEADLOCK, "11"));
    page.click(".since button", "CPU0 turned interrupts off in step");
    page.wait("!document.querySelector('.scrub-label').textContent.startsWith('step 11')");
    page.press(&["Home"]);
    page.click(".transport[aria-label='Random run']", "");
    page.wait("!document.querySelector('.scrub-label').textContent.startsWith('step 0')");
    // Either everything is done, or no CPU can execute another statement.
    page.wait("document.querySelector('.choices .sentence')");
    page.close();
}

#[test]
#[ignore = "needs chromium"]
fn the_header_asks_the_same_question_of_another_design() {
    let (server, browser) = (Server::start(), Chromium::start());
    let mut page = browser.open(&server.run(DEADLOCK, "11"));
    page.wait_for(".where", "v2.6.37");
    page.eval("(() => { const s = document.querySelector('.where-pick[aria-label=Environment]'); s.value = 'nosplit+thp'; s.dispatchEvent(new Event('change')); })()");
    page.wait(
        "document.querySelector('.where-pick[aria-label=Environment]')?.value === 'nosplit+thp'",
    );
    page.wait_for(".verdict-line", "DEADLOCK");
    page.eval("(() => { const s = document.querySelector('.where-pick[aria-label=Design]'); s.value = 'v2.6.38'; s.dispatchEvent(new Event('change')); })()");
    page.wait_for(".find", "no_deadlock holds");
    page.close();
}
