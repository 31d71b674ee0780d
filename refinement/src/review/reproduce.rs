//! How to have the same again.

use super::document::{Block, Part, Table};
use super::findings::Findings;

pub fn part(findings: &Findings) -> Part {
    let made = &findings.made;
    let mut table = Table::new(["what", "which"]);
    let mut row = |what: &str, which: String| table.row([what.to_string(), which]);
    row("command", format!("`{}`", made.command.replace('`', "'")));
    row(
        "shootdown",
        format!("{}, {} build", made.version, made.profile),
    );
    row("commit", format!("`{}`", made.commit));
    row("compiler", made.rustc.to_string());
    row("matrix", made.matrix.clone());
    row("threads", made.threads.to_string());
    row("time", format!("{:.1} s", made.elapsed.as_secs_f64()));
    if let Some(bytes) = made.peak_memory {
        row("memory at most", indicatif::HumanBytes(bytes).to_string());
    }
    Part {
        title: "Reproduce it".into(),
        blocks: vec![
            Block::List(vec![
                "`cargo run --release -- report` writes this review as one HTML file, `report --markdown` as a page for a mail.".into(),
                "`cargo run --release -- report --check .` fails if `docs/review.md` is not what comes out.".into(),
                "`cargo run --release -- matrix` is the matrix alone; the command beside a cell is that cell alone; `replay` \
                 with the line under a counterexample goes through it step by step."
                    .into(),
            ]),
            Block::Text(
                "State numbers, counts and runs do not depend on threads or on hashing. The verdicts and counts that had to come out \
                 were written down before, and are part of the binary:"
                    .into(),
            ),
            Block::Listing(format!("sha256 {}  refinement/expectations.toml", findings.expectations)),
            Block::ThisRun(vec![Block::Table(table)]),
        ],
    }
}
