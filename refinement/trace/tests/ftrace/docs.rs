//! `docs/ftrace.md` quotes what is printed about the kept recordings. After a change that is meant:
//! `SHOOTDOWN_WRITE_DOCS=1 cargo test -p shootdown-trace --test ftrace docs`.

use crate::recordings::{CONTROL, DEFAULT, HUNG, LOST, THP, UNMAP, bytes, chains};
use shootdown_trace::ftrace::{self, text};
use std::fmt::Write as _;
use std::path::Path;

fn printed(name: &str) -> String {
    let report = ftrace::read(&bytes(name)[..]).unwrap();
    format!("{name}: {}", text::report(&report, &DEFAULT, 100))
}

/// The lines from the one that starts with `from` up to the one that starts with `to`.
fn part(text: &str, from: &str, to: &str) -> String {
    let lines = text.lines().skip_while(|l| !l.starts_with(from));
    let lines: Vec<&str> = lines
        .take_while(|l| to.is_empty() || !l.starts_with(to))
        .collect();
    assert!(!lines.is_empty(), "nothing starts with {from}");
    format!("```text\n{}\n```\n", lines.join("\n").trim_end())
}

fn table() -> String {
    let mut table = "| recording | lines | flushes under a lock | waits, interrupts off | order | hang | exit code |\n|---|---|---|---|---|---|---|\n".to_string();
    for name in [THP, UNMAP, LOST, CONTROL, HUNG] {
        let report = ftrace::read(&bytes(name)[..]).unwrap();
        let order = if report.order.cyclic() {
            "cyclic"
        } else {
            "acyclic"
        };
        let hang = if report.end.hang.is_some() {
            "yes"
        } else {
            "no"
        };
        let code = match report.verdict(&DEFAULT) {
            ftrace::report::Verdict::Clean => 0,
            ftrace::report::Verdict::Violated => 1,
            ftrace::report::Verdict::Incomplete => 3,
        };
        writeln!(
            table,
            "| `{}` | {} | {} | {} | {order} | {hang} | {code} |",
            name.trim_end_matches(".txt.gz"),
            report.counts.lines,
            chains(&report),
            report.upstream.for_page_table_locks(),
        )
        .unwrap();
    }
    table
}

#[test]
fn the_page_quotes_what_is_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ftrace.md");
    let page = std::fs::read_to_string(&path).expect("docs/ftrace.md");
    let (hung, control) = (printed(HUNG), printed(CONTROL));
    let parts = [
        ("recordings", table()),
        ("summary", part(&hung, HUNG, "DEADLOCK:")),
        (
            "hang",
            part(&hung, "DEADLOCK:", "Waits with interrupts off:"),
        ),
        (
            "waits",
            part(&hung, "Waits with interrupts off:", "Order graph:"),
        ),
        ("order", part(&hung, "Order graph:", "Held while")),
        (
            "strict",
            part(&printed(THP), "Held while", "What this trace"),
        ),
        ("late", part(&control, "What this trace", "")),
        ("lost", part(&printed(LOST), LOST, "Order graph:")),
    ];
    let mut anew = page.clone();
    for (name, text) in parts {
        let (begin, end) = (
            format!("<!-- {name}:begin -->\n"),
            format!("<!-- {name}:end -->"),
        );
        let (head, rest) = anew
            .split_once(&begin)
            .unwrap_or_else(|| panic!("no markers for {name}"));
        let (_, tail) = rest
            .split_once(&end)
            .unwrap_or_else(|| panic!("no end of {name}"));
        anew = format!("{head}{begin}{text}{end}{tail}");
    }
    if std::env::var_os("SHOOTDOWN_WRITE_DOCS").is_some() {
        std::fs::write(&path, &anew).unwrap();
    } else {
        assert!(
            anew == page,
            "docs/ftrace.md is stale; the head of this file says how to regenerate it"
        );
    }
}
