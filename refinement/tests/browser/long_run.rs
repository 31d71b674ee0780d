//! Thousands of steps.

use super::chromium::Chromium;
use super::one_file::exported;
use super::server::Server;

/// Copies of the run, one after the other: as a run it makes no sense, as a picture it is long.
const TIMES: usize = 200;

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
    // Fifty steps back and forth, and a jump: each within what a key repeat leaves. The best ten
    // count, because others use the processors too.
    let took = page.eval(
        "(() => {
            const key = (k) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: k, bubbles: true }));
            const ten = (k) => {
                const begun = performance.now();
                for (let i = 0; i < 10; i++) key(k);
                return (performance.now() - begun) / 10;
            };
            const back = [ten('ArrowLeft'), ten('ArrowLeft')];
            key('Home');
            return Math.min(...back, ten('ArrowRight'), ten('ArrowRight'), ten('ArrowRight'));
        })()",
    );
    println!("{took} ms a step");
    assert!(took.as_f64().is_some_and(|ms| ms < 100.0), "{took} ms");
    assert_eq!(page.text(".scrub-label"), "step 30 of 2200");
    assert!(page.eval(drawn).as_u64().is_some_and(|n| n < 120));
    page.eval("document.querySelector('.lane-scroll').scrollTop = 60000");
    page.wait_for(".lane-sheet .row-number", "1770");
    page.close();
}
