//! Commands in the running text of the documents are commands: they parse.

#[path = "../../tests/docs/commands.rs"]
#[expect(dead_code, reason = "what stands in fences is run by tests/docs.rs")]
mod commands;

use super::Cli;
use clap::Parser;
use std::fs;
use std::path::Path;

/// Words that stand for what a reader puts there, or for the rest of a command.
fn is_placeholder(words: &[String]) -> bool {
    words.iter().any(|w| w.contains('…') || w == "...")
}

#[test]
fn every_command_in_running_text_parses() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![root.join("README.md")];
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(root.join(folder)).expect("it is there");
        pages.extend(entries.map(|e| e.expect("it can be read").path()));
    }
    let (mut parsed, mut broken) = (0, Vec::new());
    for page in pages
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "md"))
    {
        let text = fs::read_to_string(page).expect("it can be read");
        for (line, words) in commands::inline(&text) {
            if is_placeholder(&words) || words.iter().all(String::is_empty) {
                continue;
            }
            // NAME, FILE and the like stand for names and files that exist.
            let words = words.iter().map(|w| match w.as_str() {
                "NAME" if words[0] == "mutants" => "lost-ipi",
                "NAME" if words.iter().any(|w| w == "--env" || w == "--design") => "tracked",
                word => word,
            });
            parsed += 1;
            let line_of_shell = std::iter::once("shootdown").chain(words);
            if let Err(error) = Cli::try_parse_from(line_of_shell) {
                let message = error.to_string();
                let first = message.lines().next().unwrap_or_default();
                broken.push(format!("{}:{line}: {first}", page.display()));
            }
        }
    }
    assert!(parsed > 50, "only {parsed} commands were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
