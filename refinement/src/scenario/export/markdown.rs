//! A run as Markdown for a mailing list: what is promised, what happens instead, how to see it again, and the text of the
//! scenario, so that nothing else is needed.

use shootdown_ir::report::{Story, TextOptions, promise};
use std::fmt::Write as _;

/// Columns of a mail.
const WIDTH: usize = 80;

/// The run, in eighty columns; `source` is the text of the scenario.
pub fn markdown(story: &Story<'_>, source: &str) -> String {
    let p = story.protocol();
    let title = match story.property() {
        Some(property) => format!("`{property}` is violated by `{}`", p.name),
        None => format!("A run of `{}`", p.name),
    };
    let mut text = format!("# {title}\n\n");
    if let Some(promised) = story.property().and_then(promise) {
        let _ = writeln!(text, "**Promised:** {promised}\n");
    }
    if let Some((_, sentence)) = story.explain() {
        let _ = writeln!(text, "**Instead:** {}\n", sentence.replace('\n', " "));
    }
    let options = TextOptions {
        width: WIDTH,
        ..TextOptions::default()
    };
    let _ = write!(
        text,
        "This is a counterexample of a model checker, not a recording of a kernel; the model is the scenario below and no \
         more.\n\n```text\n{}```\n\nThe scenario:\n\n```c\n{}\n```\n",
        story.text(&options),
        source.trim_end()
    );
    text
}
