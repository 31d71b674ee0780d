//! Thousands of steps.

use super::chromium::{Chromium, Page};
use super::one_file::exported;
use super::server::Server;

/// Copies of the run, one after the other: as a run it makes no sense, as a picture it is long.
const TIMES: usize = 200;

/// Milliseconds that a step back or on takes from the key to the end of drawing: the best of
/// several fives, because others use the processors too.
fn a_step(page: &mut Page) -> f64 {
    let took = page.eval(
        "(() => {
            const five = (key) => {
                const begun = performance.now();
                for (let i = 0; i < 5; i++) {
                    document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
                    document.body.offsetHeight;
                }
                return (performance.now() - begun) / 5;
            };
            return Math.min(...Array.from({ length: 10 }, (_, n) => five(n % 2 ? 'ArrowRight' : 'ArrowLeft')));
        })()",
    );
    took.as_f64().expect("milliseconds")
}

#[test]
#[ignore = "needs chromium"]
fn of_a_long_run_only_what_is_on_screen_is_drawn() {
    let (server, browser) = (Server::start(), Chromium::start());
    let text = exported(&server, &browser);
    let begin = text.find("id=\"embedded\">").expect("a document") + "id=\"embedded\">".len();
    let end = begin + text[begin..].find("</script>").expect("its end");
    let mut embedded: serde_json::Value =
        serde_json::from_str(&text[begin..end]).expect("the document is JSON");
    // As in a run of that length, choices are not worked out for every state.
    for state in embedded["run"]["states"].as_array_mut().expect("a list") {
        state["choices"] = serde_json::Value::Null;
    }
    for list in ["steps", "states"] {
        let once = embedded["run"][list].as_array().expect("a list").clone();
        let skip = usize::from(list == "states");
        let all = embedded["run"][list].as_array_mut().expect("a list");
        for _ in 1..TIMES {
            all.extend_from_slice(&once[skip..]);
        }
    }
    let long = embedded.to_string().replace("</", "<\\/");
    let dir = tempfile::tempdir().expect("a place");
    let file = dir.path().join("long.html");
    std::fs::write(&file, [&text[..begin], &long, &text[end..]].concat()).expect("written");

    let mut page = browser.open(&format!("file://{}", file.display()));
    page.wait_for(".scrub-label", "of 2200");
    let drawn = "document.querySelectorAll('.lane-sheet .row').length";
    assert!(page.eval(drawn).as_u64().is_some_and(|n| n < 120));
    // What a step costs is told, not judged: machines differ. What makes it cheap is counted above and below.
    let long = a_step(&mut page);
    page.press(&["Home", "ArrowRight"]);
    assert_eq!(page.text(".scrub-label"), "step 1 of 2200");
    assert!(page.eval(drawn).as_u64().is_some_and(|n| n < 120));
    // While it is the tab in front: one behind it is not told that it was scrolled.
    page.eval("document.querySelector('.lane-scroll').scrollTop = 60000");
    page.wait_for(".lane-sheet .row-number", "1670");
    let once = dir.path().join("once.html");
    std::fs::write(&once, &text).expect("written");
    let mut other = browser.open(&format!("file://{}", once.display()));
    other.wait_for(".scrub-label", "of 11");
    let short = a_step(&mut other);
    println!("a step takes {long} ms among 2200, {short} ms among 11");
    other.close();
    page.close();
}
