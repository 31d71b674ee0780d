//! A run as Markdown for a mailing list: what is promised, what happens instead, how to see it again.

use super::run::Run;
use shootdown_spec::design::DESIGNS;
use shootdown_spec::report::{self, TextOptions};
use std::fmt::Write as _;

/// Columns of a mail.
const WIDTH: usize = 80;

/// The run, in eighty columns; a schedule that is longer is left in one line.
pub fn markdown(run: &Run) -> String {
    let config = &run.protocol.config;
    let steps = run.trace.actions.len();
    let title = match run.property {
        Some(p) => format!("`{}` is violated by `{}`", p.name, config.design),
        None => format!("A run of `{}`", config.design),
    };
    let mut text = format!("# {title}\n\n");
    if let Some(p) = run.property {
        let _ = writeln!(
            text,
            "**Promised:** {}\n\n**Relied on by:** {}\n",
            p.promise, p.relied_on_by
        );
    }
    let origin = DESIGNS.iter().find(|d| d.design == config.design);
    let origin = origin.map_or(String::new(), |d| format!(" ({})", d.origin));
    text += "| | |\n|---|---|\n";
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "| {name} | {} |", value.replace('|', "\\|"));
    };
    row("design", &format!("{}{origin}", config.design));
    row("environment", &config.environment.to_string());
    row("workload", &config.workload.text);
    if !config.variants.is_empty() {
        row("deviating", &config.variants.to_string());
    }
    row(
        "steps",
        &match run.trace.loops_to {
            Some(to) => format!("{steps}, then from step {} again, for ever", to + 1),
            None => steps.to_string(),
        },
    );
    let property = run.property.map(|p| p.name);
    let options = TextOptions {
        width: WIDTH,
        ..TextOptions::default()
    };
    let told = report::text(&run.protocol, &run.trace, property, &options);
    let _ = write!(
        text,
        "\nThis is a counterexample of a model checker, not a recording of a kernel; the model covers the bounds above \
         and no more (docs/assumptions.md).\n\n```text\n{told}```\n"
    );
    text
}
