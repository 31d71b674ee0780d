//! docs/language.md and docs/corpus.md have the tables that the code has. `SHOOTDOWN_WRITE_DOCS=1` writes them.

#[path = "pages/fresh.rs"]
mod page;

use page::{fresh, root};
use shootdown_ir::Expect;
use shootdown_ir::check::{Verdict, check};
use shootdown_ir::compile::compile;
use shootdown_ir::explore::Bounds;
use shootdown_ir::machine::Machine;
use shootdown_ir::order::Order;
use shootdown_ir::report::Story;
use shootdown_lang::{CODES, calls, parse, refused};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn the_reference_has_every_call_every_refusal_and_every_code() {
    let mut table = String::new();
    for (group, entries) in calls() {
        let _ = writeln!(table, "\n### {group}\n\n| call | what it does |\n|---|---|");
        for call in *entries {
            let mut forms: Vec<String> =
                call.all_written().map(|form| format!("`{form}`")).collect();
            forms.dedup();
            let also: Vec<String> = call.aliases().map(|name| format!("`{name}`")).collect();
            let also = match also.is_empty() {
                true => String::new(),
                false => format!(". Also {}", also.join(", ")),
            };
            let _ = writeln!(
                table,
                "| {} | {}{also} |",
                cell(&forms.join("<br>")),
                cell(call.doc)
            );
        }
    }
    table.push('\n');
    fresh("reference", "language.md", "calls", &table);

    let mut table = "| call | write instead |\n|---|---|\n".to_string();
    for (name, help) in refused() {
        let _ = writeln!(table, "| `{name}` | {} |", cell(help));
    }
    fresh("reference", "language.md", "refused", &table);

    let mut table = "| code | | what it says |\n|---|---|---|\n".to_string();
    for code in CODES {
        let first = code.explain.lines().next().unwrap_or_default();
        let _ = writeln!(
            table,
            "| `{}` | {} | {} |",
            code.name,
            code.severity.word(),
            cell(first)
        );
    }
    fresh("reference", "language.md", "codes", &table);
}

#[test]
fn the_page_of_the_corpus_has_what_comes_out() {
    let mut paths: Vec<PathBuf> = fs::read_dir(root().join("spec/corpus"))
        .expect("it is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "sd"))
        .collect();
    paths.sort();
    let mut table =
        "| file | source | verdict | steps | states | order |\n|---|---|---|--:|--:|---|\n"
            .to_string();
    for path in paths {
        let name = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&path).expect("it is a text");
        let checked = parse(&text, &name).unwrap_or_else(|d| panic!("{}", d.render(false)));
        let p = &checked.protocol;
        let system = compile(p).expect("it compiles");
        let machine = Machine::new(&system);
        let outcome = check(p, &machine, Bounds::default());
        assert!(outcome.cut().is_none(), "{name} is searched to its end");
        // What the file is about first.
        let wanted = match &p.expect {
            Some(Expect::Violated(name)) => outcome.result(name),
            _ => None,
        };
        let violated = |r: &&shootdown_ir::check::Result| r.verdict == Verdict::Violated;
        let first = wanted
            .filter(violated)
            .or_else(|| outcome.violated().next());
        let steps = first
            .and_then(|r| Story::counterexample(p, &machine, &outcome, r))
            .map(|story| story.len().to_string());
        let comment = text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches('/')
            .trim();
        let _ = writeln!(
            table,
            "| [`{name}`](../spec/corpus/{name}) | {} | {} | {} | {} | {} |",
            cell(comment),
            first.map_or_else(|| "holds".to_string(), |r| format!("`{}` violated", r.name)),
            steps.unwrap_or_default(),
            outcome.graph.len(),
            Order::of(p).proof().name(),
        );
    }
    fresh("reference", "corpus.md", "corpus", &table);
}
