//! The design review: one document that somebody who has to choose a locking design can decide from.
//!
//! [`Findings`] holds what a run found, [`review`] says it as a [`Document`], [`html`] and [`markdown`] write that down.
//! Every number comes from the findings, every counterexample is executed again before it is quoted ([`run`]), and
//! a paragraph that rests on a claim says so if the claim did not come out (`lessons`).
//!
//! The Markdown page is a function of the sources: no times, no memory, nothing from real threads. Those are
//! [`document::Block::ThisRun`], which only the HTML file has.

mod believe;
mod beside;
pub mod candidates;
mod claims;
mod cost;
mod coverage;
mod decision;
mod designs;
pub mod document;
mod faults;
pub mod findings;
mod front;
pub mod html;
mod kernel;
mod ladder;
mod lessons;
pub mod markdown;
mod question;
mod recorded;
mod reproduce;
pub mod run;
mod runs;
mod short;
mod verdicts;
pub mod word;

use document::{Block, Document, Part};
use findings::{Findings, plural};
use runs::Runs;
pub use short::short;

/// The abstractions, as they are written down.
const ASSUMPTIONS: &str = include_str!("../../docs/assumptions.md");

/// Says what was found.
pub fn review(findings: &Findings) -> Document {
    let runs = Runs::of(findings);
    // In this order, so that the runs that the decision rests on are cited first.
    let front = front::blocks(findings, &runs);
    let decision = decision::part(findings, &runs);
    let lessons = lessons::part(findings, &runs);
    let open = runs.cited();
    let believe = believe::part(findings);
    let brief = vec![
        decision.clone(),
        claims::overview(findings),
        believe.clone(),
        reproduce::elsewhere(),
    ];
    let parts = [
        Some(question::part()),
        Some(decision),
        Some(beside::part(findings)),
        Some(cost::part(findings)),
        Some(designs::part()),
        Some(verdicts::part(findings, &runs)),
        Some(lessons),
        Some(claims::part(findings, &runs)),
        Some(ladder::part(findings)),
        recorded::part(findings, &runs),
        Some(runs.part(&open)),
        Some(coverage::part(findings)),
        Some(faults::part(findings)),
        Some(believe),
        Some(kernel::part()),
        Some(assumptions()),
        Some(reproduce::part(findings)),
    ];
    Document {
        title: "Design review: pgd_lock, page_table_lock and the TLB-flush IPI".into(),
        provenance: reproduce::provenance(findings),
        banner: banner(findings),
        front,
        parts: parts.into_iter().flatten().collect(),
        brief,
    }
}

fn banner(findings: &Findings) -> Vec<String> {
    let mut lines = Vec::new();
    match findings.incomplete() {
        0 => {}
        n => lines.push(format!(
            "**Incomplete.** {} not run, or not to the end. What is said of them is not a verdict.",
            if n == 1 {
                "1 cell was".to_string()
            } else {
                format!("{} were", plural(n, "cell"))
            }
        )),
    }
    let unexpected = findings.unexpected();
    if !unexpected.is_empty() {
        lines.push(format!("**Not as expected:** {}.", unexpected.join("; ")));
    }
    lines
}

fn assumptions() -> Part {
    Part {
        title: "Assumptions".into(),
        blocks: vec![
            Block::Text(
                "Everything above is about a model with these abstractions and bounds. *Hides* means that a real run \
                 may be missing, *adds* that one may be here which the hardware or the kernel excludes."
                    .into(),
            ),
            Block::Page {
                path: "assumptions.md",
                text: ASSUMPTIONS,
            },
        ],
    }
}
