//! A scenario as one HTML page for a design review: question, text, verdicts, counterexamples, assumptions.

use super::check::{Checked, Verdict};
use super::compare::Comparison;
use super::text;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use shootdown_ir::check::Verdict as Word;
use shootdown_ir::compile::STORE_BUFFER_ENTRIES;
use shootdown_ir::order::Order;
use shootdown_ir::report::{TextOptions, promise};
use shootdown_ir::{Expect, Memory, Preempt};

/// Columns of a counterexample: what fits on a printed page.
const WIDTH: usize = 108;

/// The style of the page.
pub const STYLE: &str = include_str!("../review/style.css");

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The page; with the order of waits if it is given.
pub fn page(checked: &Checked<'_>, order: Option<&Order>) -> String {
    let scenario = checked.scenario;
    let p = &scenario.protocol;
    let comment = leading_comment(&scenario.text);
    let good = checked.verdict() == Verdict::AsExpected;
    let closing = text::closing(checked).unwrap_or_else(|| text::outcome(checked));
    let body = html! {
        h1 { (p.name) }
        p { code { (scenario.file) } ", " (scenario.size()) "." }
        p.banner { (closing) "." }
        section {
            h2 id="question" { "Question" }
            @for line in &comment { p { (line) } }
            @match &p.expect {
                Some(Expect::Ok) => p { "The file expects that nothing is violated." },
                Some(Expect::Violated(name)) => p { "The file expects that " code { (name) } " is violated." },
                None => p { "The file expects nothing in particular." },
            }
        }
        section {
            h2 id="text" { "Text" }
            pre tabindex="0" { (numbered(&scenario.text)) }
            @let warnings = scenario.warnings.render(false);
            @if !warnings.trim().is_empty() {
                p { "What the text alone shows already:" }
                pre tabindex="0" { (warnings.trim_end()) }
            }
        }
        section {
            h2 id="verdicts" { "Verdicts" }
            p {
                @if checked.outcome.cut().is_none() { "Every reachable state was seen: " } @else { "The search was cut off: " }
                (text::plural(checked.outcome.graph.len(), "state")) ", "
                (text::plural(checked.outcome.graph.transitions(), "transition")) "."
                @if let Some(cut) = checked.cut() { " " (cut) "." }
            }
            (verdicts(checked))
            @if !checked.outcome.unreached.is_empty() {
                p { "Never happened, so that nothing is said about it:" }
                ul { @for what in &checked.outcome.unreached { li { (what) } } }
            }
            p { "Everything came out as it should: " (if good { "yes" } else { "no" }) "." }
        }
        @for result in checked.outcome.violated() {
            @if let Some(story) = checked.story(result) {
                section {
                    h2 id={ "run-" (result.name) } { (result.name) ": the shortest run that violates it" }
                    @if let Some((_, sentence)) = story.explain() {
                        @for line in sentence.lines() { p { strong { (line) } } }
                    }
                    pre tabindex="0" {
                        (story.text(&TextOptions { width: WIDTH, ..TextOptions::default() }).trim_end())
                    }
                }
            }
        }
        @if let Some(order) = order {
            section {
                h2 id="order" { "Order, for any number of CPUs" }
                p { (super::order::verdict(order)) }
                @for paragraph in super::order::paragraphs(&scenario.file, p, order) {
                    pre tabindex="0" { (paragraph.trim_end()) }
                }
            }
        }
        section {
            h2 id="assumptions" { "Assumptions" }
            ul { @for line in assumptions(checked) { li { (line) } } }
        }
    };
    document(&p.name, body)
}

/// Two scenarios to choose between: both outcomes, the verdicts side by side, what differs in the text and in the run.
pub fn compared(before: &Checked<'_>, after: &Checked<'_>, comparison: &Comparison) -> String {
    let title = format!("{} or {}?", comparison.before, comparison.after);
    let outcome =
        |checked: &Checked<'_>| text::closing(checked).unwrap_or_else(|| text::outcome(checked));
    let tone = |word: Option<&str>| match word {
        Some("holds") => "good",
        Some("violated") => "bad",
        _ => "open",
    };
    let body = html! {
        h1 { (title) }
        p.banner { code { (comparison.before) } ": " (outcome(before)) "." }
        p.banner { code { (comparison.after) } ": " (outcome(after)) "." }
        section {
            h2 id="verdicts" { "Verdicts" }
            div.table tabindex="0" {
                table {
                    thead { tr { th scope="col" { "property" } th scope="col" { (comparison.before) } th scope="col" { (comparison.after) } } }
                    tbody {
                        @for words in &comparison.verdicts {
                            tr {
                                td { code { (words.name) } }
                                td class=(tone(words.before)) { (words.before.unwrap_or("not checked")) }
                                td class=(tone(words.after)) { (words.after.unwrap_or("not checked")) }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(parting) = &comparison.parting {
            section {
                h2 id="parting" { "Where the runs part" }
                p {
                    "The run that violates " code { (parting.property) } " in " code { (parting.of) } ", walked on the other side: "
                    @match parting.step {
                        Some(step) => { "step " (step) " differs. " }
                        None => { "all of it is possible there too. " }
                    }
                    (parting.told)
                }
            }
        }
        section {
            h2 id="text" { "What differs in the text" }
            pre tabindex="0" {
                @for line in &comparison.changed { (line.sign) " " (format!("{:>4}", line.line)) "  " (line.text) "\n" }
            }
        }
        @for checked in [before, after] {
            @if let Some(story) = checked.outcome.violated().find_map(|r| checked.story(r)) {
                section {
                    h2 { (checked.scenario.file) ": the shortest run that goes wrong" }
                    @if let Some((_, sentence)) = story.explain() {
                        @for line in sentence.lines() { p { strong { (line) } } }
                    }
                    pre tabindex="0" {
                        (story.text(&TextOptions { width: WIDTH, ..TextOptions::default() }).trim_end())
                    }
                }
            }
        }
        @for checked in [before, after] {
            section {
                h2 { "Assumptions of " (checked.scenario.file) }
                ul { @for line in assumptions(checked) { li { (line) } } }
            }
        }
    };
    document(&title, body)
}

fn document(title: &str, body: Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    }
    .into_string()
}

/// The page with its style linked instead of inside, and without a policy of its own: for a server, which has both.
pub fn linked_style(page: &str) -> String {
    let inside = format!("<style>{STYLE}</style>");
    let page = page.replacen(&inside, "<link rel=\"stylesheet\" href=\"/style.css\">", 1);
    page.replacen(
        &format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">"),
        "",
        1,
    )
}

/// A page that says why there is none.
pub fn unread(file: &str, message: &str) -> String {
    let body = html! {
        h1 { (file) }
        p.banner { "This file cannot be checked." }
        pre tabindex="0" { (message.trim_end()) }
    };
    document(file, body)
}

fn verdicts(checked: &Checked<'_>) -> Markup {
    html! {
        div.table tabindex="0" {
            table {
                thead { tr { th scope="col" { "property" } th scope="col" { "verdict" } th scope="col" { "promise" } } }
                tbody {
                    @for result in &checked.outcome.results {
                        @let class = match result.verdict {
                            Word::Holds => "good",
                            Word::Violated => "bad",
                            Word::Vacuous | Word::Incomplete => "open",
                        };
                        tr {
                            td { code { (result.name) } }
                            td class=(class) {
                                @if result.verdict == Word::Violated {
                                    a href={ "#run-" (result.name) } { "violated" }
                                } @else { (result.verdict.name()) }
                            }
                            td { (promised(checked, &result.name)) }
                        }
                    }
                }
            }
        }
    }
}

fn promised(checked: &Checked<'_>, name: &str) -> String {
    let invariants = &checked.scenario.protocol.invariants;
    match invariants.iter().find(|i| i.name == name) {
        Some(invariant) => invariant.text.clone(),
        None => promise(name).unwrap_or_default().to_string(),
    }
}

/// What the verdicts rest on.
fn assumptions(checked: &Checked<'_>) -> Vec<String> {
    let p = &checked.scenario.protocol;
    let mut list = vec![
        format!(
            "{} and what the text says, nothing else: what it leaves out was not checked.",
            text::plural(p.cpus, "CPU")
        ),
        match p.memory {
            Memory::Sc => {
                "Each statement is one step; memory is sequentially consistent.".to_string()
            }
            Memory::Tso => format!(
                "Each statement is one step; each CPU has a store buffer of {STORE_BUFFER_ENTRIES} entries, as on x86."
            ),
        },
        "An IPI or interrupt is taken at some moment at which interrupts are on; it is never lost."
            .to_string(),
        match p.preempt {
            Preempt::Full => "A task can be preempted wherever nothing forbids it (preempt full).",
            Preempt::None => "A task runs until it sleeps or ends (preempt none).",
        }
        .to_string(),
    ];
    let atomic = checked
        .scenario
        .text
        .lines()
        .enumerate()
        .filter(|(_, l)| {
            let code = l.split("//").next().unwrap_or_default();
            let mut words = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            words.any(|w| w == "atomic")
        })
        .map(|(i, _)| (i + 1).to_string())
        .collect::<Vec<_>>();
    if !atomic.is_empty() {
        list.push(format!(
            "`atomic {{ }}` at line {}: taken for one step, which the kernel does not promise.",
            atomic.join(", ")
        ));
    }
    list
}

/// The comment that the file begins with, a line each.
fn leading_comment(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .take_while(|l| l.starts_with("//"))
        .map(|l| l.trim_start_matches('/').trim().to_string())
        .filter(|l| !l.is_empty())
        .collect()
}

fn numbered(text: &str) -> String {
    let lines = text.lines().enumerate();
    lines
        .map(|(i, line)| format!("{:>4}  {line}\n", i + 1))
        .collect()
}
