//! How to have the same again.

use super::document::{Block, Part, Table};
use super::findings::Findings;

/// Under the title: when, from which sources, by which compiler, against which expectations.
pub fn provenance(findings: &Findings) -> Vec<String> {
    let made = &findings.made;
    vec![format!(
        "{} · commit `{}` · shootdown {}, {} build, {} · expectations sha256 `{}`",
        made.date,
        made.commit,
        made.version,
        made.profile,
        made.rustc,
        findings
            .expectations
            .get(..16)
            .unwrap_or(&findings.expectations),
    )]
}

/// Where the rest is, on the page of the tree.
pub fn elsewhere() -> Part {
    Part {
        title: "All of it".into(),
        blocks: vec![Block::Text(
            "`cargo run --release -- report` writes the whole review as one HTML file: the candidates side by side with the \
             difference of their programs, every verdict, each claim with the commands that decide it, every counterexample with \
             its picture, cost, coverage, faults put in on purpose, and provenance. `report --markdown` writes the same for a \
             mail. The verdicts alone are in [verdicts.md](verdicts.md), the claims in [claims.md](claims.md), what is \
             assumed in [assumptions.md](assumptions.md). This page is what `report --docs .` writes; `report --check .` fails \
             if it is stale."
                .into(),
        )],
    }
}

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
                "`cargo run --release -- report` writes this review as one HTML file, with `--full` unfolded so that paper has \
                 all of it; `report --markdown` writes it as a page for a mail. `--candidates rwlock,tracked` is about two other \
                 designs."
                    .into(),
                "`cargo run --release -- report --check .` fails if `docs/review.md`, which has the first screen, the \
                 decision and the claims, is not what comes out."
                    .into(),
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
