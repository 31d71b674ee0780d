//! Pages that quote what a command prints: every command in a `console` block is run, and what stands below it must
//! be what it prints.
//!
//! ````text
//! ```console lines=12 exit=1
//! $ shootdown ...
//! ```
//! ````
//!
//! `lines` keeps the first so many lines, with `...` where more follow; `exit` is the exit code, 0 if it is not given.
//! With `SHOOTDOWN_WRITE_PAGES=1` in the environment the pages are regenerated.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The pages with such blocks.
const PAGES: [&str; 2] = ["docs/export.md", "docs/ci.md"];

fn option(info: &str, name: &str) -> Option<usize> {
    let value = info
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.map(|n| n.parse().unwrap_or_else(|_| panic!("`{n}` is no number")))
}

/// What the block must say, its command first.
fn made_anew(command: &str, info: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_shootdown"));
    let directory = tempfile::tempdir().expect("there is room");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!(
        "{}:{path}",
        binary.parent().expect("it is in a directory").display()
    );
    let ran = Command::new("sh")
        .args(["-c", command])
        .current_dir(directory.path())
        .env("PATH", path)
        .env_remove("COLUMNS")
        .env_remove("RUST_LOG")
        .output()
        .expect("there is a shell");
    let wanted = option(info, "exit").unwrap_or(0);
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert_eq!(
        ran.status.code(),
        Some(wanted as i32),
        "$ {command}\n{out}{err}"
    );
    let lines: Vec<&str> = out.lines().collect();
    let shown = option(info, "lines").unwrap_or(lines.len());
    let mut text = format!("$ {command}\n");
    for line in lines.iter().take(shown) {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if lines.len() > shown {
        text += "...\n";
    }
    text
}

/// The page with every block regenerated, and how many there are.
fn page_made_anew(page: &str) -> (String, usize) {
    let (mut anew, mut blocks) = (String::new(), 0);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(anew, "{line}");
        let Some(info) = line.strip_prefix("```console") else {
            continue;
        };
        let command = lines
            .next()
            .and_then(|l| l.strip_prefix("$ "))
            .expect("a block begins with its command");
        anew += &made_anew(command, info);
        anew += "```\n";
        blocks += 1;
        assert!(lines.any(|l| l == "```"), "a block ends");
    }
    (anew, blocks)
}

#[test]
fn pages_quote_what_the_commands_print() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("it is in the tree");
    for name in PAGES {
        let path = root.join(name);
        let page = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (anew, blocks) = page_made_anew(&page);
        assert!(blocks > 0, "{name} has no console block");
        if std::env::var_os("SHOOTDOWN_WRITE_PAGES").is_some() {
            std::fs::write(&path, &anew).unwrap_or_else(|e| panic!("{name}: {e}"));
        } else {
            assert_eq!(
                page, anew,
                "{name} is stale: SHOOTDOWN_WRITE_PAGES=1 cargo test pages regenerates it"
            );
        }
    }
}

#[test]
fn a_page_that_quotes_something_else_is_noticed() {
    let page = "```console lines=1\n$ shootdown export rv no_spin_irqs_off\ndigraph something_else {\n...\n```\n";
    let (anew, blocks) = page_made_anew(page);
    assert_eq!(blocks, 1);
    assert_eq!(anew, page.replace("something_else", "state_automaton"));
}
