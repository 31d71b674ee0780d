//! What the documents say to type works, and prints what they say it prints.
//!
//! Every command in a fence is run; `docs/commands.rs` has the marks by which a document says what is too heavy for that,
//! how a command must exit and what it prints. Commands in running text are parsed in `src/cli/documented.rs`.

#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/layers.rs"]
mod layers;

use assert_cmd::cargo::CommandCargoExt;
use commands::{Command, Heavy, fenced, inline, matches};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::time::Duration;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every written page of the tree, with its name.
fn pages() -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = [
        "README.md",
        "spec/README.md",
        "impl/README.md",
        "refinement/README.md",
    ]
    .map(|p| root().join(p))
    .to_vec();
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(root().join(folder)).expect("it is there");
        let found = entries.map(|e| e.expect("it can be read").path());
        paths.extend(found.filter(|p| p.extension().is_some_and(|e| e == "md")));
    }
    paths.sort();
    let named = |path: PathBuf| {
        let name = path
            .strip_prefix(root())
            .expect("it is below")
            .display()
            .to_string();
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        (name, text)
    };
    paths.into_iter().map(named).collect()
}

/// Who runs it, if not this test. The first page says what is heavy by what it calls it.
fn heavy(page: &str, command: &Command) -> Option<Heavy> {
    let first = command.arguments.first().map(String::as_str);
    let readme = page == "README.md"
        && matches!(
            first,
            None | Some("matrix" | "stress" | "bare" | "second-opinion" | "report")
        );
    command.heavy.or(readme.then_some(Heavy::Ci))
}

/// A folder that has what the tree's root has, to be written into.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["docs", "refinement", "spec", "impl", "README.md"] {
        std::os::unix::fs::symlink(
            root().join(name).canonicalize().expect("it is there"),
            folder.path().join(name),
        )
        .expect("a link");
    }
    folder
}

/// Runs commands one after the other, as a reader would; what went wrong with each.
fn broken(page: &str, commands: &[Command]) -> Vec<String> {
    let folder = folder();
    let run = |command: &Command| {
        let mut child =
            process::Command::cargo_bin("shootdown").expect("cargo builds it for this test");
        child
            .current_dir(folder.path())
            .args(&command.arguments)
            .stdin(Stdio::null());
        for name in ["COLUMNS", "RUST_LOG", "NO_COLOR"] {
            child.env_remove(name);
        }
        let said = |what: String| {
            Some(format!(
                "{page}:{}: shootdown {}: {what}",
                command.line,
                command.arguments.join(" ")
            ))
        };
        if matches!(
            command.arguments.first().map(String::as_str),
            None | Some("explore")
        ) {
            return serves(child).err().and_then(said);
        }
        let output = child.output().expect("it runs");
        let (code, out) = (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout),
        );
        let good = match command.exits {
            Some(wanted) => code == Some(wanted),
            None => matches!(code, Some(0 | 1)),
        };
        if !good {
            let err = String::from_utf8_lossy(&output.stderr);
            return said(format!("exit code {code:?}\n{err}"));
        }
        match &command.output {
            Some(expected) if !matches(expected, &out) => {
                said(format!("does not print\n{expected}\nbut\n{out}"))
            }
            _ => None,
        }
    };
    commands.iter().filter_map(run).collect()
}

/// A server prints where it is; that is as far as a test goes.
fn serves(mut child: process::Command) -> Result<(), String> {
    use std::io::{BufRead, BufReader};
    let mut child = child
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = out.lines().map_while(Result::ok);
    let served = lines.any(|line| line.contains("http://"));
    std::thread::sleep(Duration::from_millis(100));
    let _ = child.kill();
    let _ = child.wait();
    served
        .then_some(())
        .ok_or_else(|| "never says where it serves".into())
}

#[test]
fn every_command_of_the_documents_works() {
    let mut all = Vec::new();
    let mut ran = 0;
    for (page, text) in pages() {
        let commands: Vec<_> = fenced(&text)
            .into_iter()
            .filter(|c| heavy(&page, c).is_none())
            .collect();
        ran += commands.len();
        all.extend(broken(&page, &commands));
    }
    assert!(ran > 20, "only {ran} commands were found");
    assert!(all.is_empty(), "{}", all.join("\n\n"));
}

/// The claims of `.ci/run`, as one text.
fn ci() -> String {
    let claims = fs::read_dir(root().join(".ci/claims")).expect("it is there");
    let texts = claims.map(|claim| fs::read_to_string(claim.expect("it can be read").path()));
    texts.map(|text| text.expect("it is text")).collect()
}

/// A heavy command is in `.ci/run`: the same subcommand, with every flag that the document gives it.
fn in_ci(ci: &str, command: &Command) -> bool {
    let joined = ci.replace("\\\n", " ");
    joined.lines().any(|line| {
        let Some((_, rest)) = line.split_once("/shootdown ") else {
            return command.arguments.is_empty()
                && line.trim_start().starts_with("cargo run --release >");
        };
        let there: Vec<_> = rest
            .split_whitespace()
            .map(|w| w.trim_matches(['"', ')', ';']))
            .collect();
        let given =
            |a: &String| there.contains(&a.as_str()) || (a != "stress" && a.parse::<f64>().is_ok());
        command
            .arguments
            .first()
            .is_some_and(|s| there.first() == Some(&s.as_str()))
            && command
                .arguments
                .iter()
                .filter(|a| a.starts_with("--") || !a.contains('.'))
                .all(given)
    })
}

#[test]
fn what_is_too_heavy_for_a_test_is_run_by_somebody() {
    let ci = ci();
    let claims = fs::read_to_string(root().join("docs/claims.md")).expect("it is there");
    for (page, text) in pages() {
        for command in &fenced(&text) {
            let words = command.arguments.join(" ");
            let (by, found) = match heavy(&page, command) {
                None => continue,
                Some(Heavy::Ci) => (".ci/run", in_ci(&ci, command)),
                Some(Heavy::Cell) => ("docs/claims.md", is_cell(&claims, &words)),
            };
            assert!(
                found,
                "{page}:{}: {by} does not have `shootdown {words}`",
                command.line
            );
        }
    }
}

/// Whose counterexample is shown makes no other cell.
fn is_cell(claims: &str, words: &str) -> bool {
    let cell = words.split(" --property").next().unwrap_or(words);
    claims.contains(&format!("| `shootdown {cell}`"))
}

/// A command in a fence that is not marked as shell would be run by nobody.
#[test]
fn commands_stand_in_fences_that_are_read() {
    for (page, text) in pages() {
        let mut fence: Option<String> = None;
        for (n, line) in text.lines().enumerate() {
            match (&fence, line.strip_prefix("```")) {
                (None, Some(kind)) => fence = Some(kind.to_string()),
                (Some(_), Some(_)) => fence = None,
                (Some(kind), None) if !matches!(kind.as_str(), "sh" | "console" | "text") => {
                    assert!(
                        !line.starts_with("shootdown ") && !line.starts_with("cargo run"),
                        "{page}:{}: a command in a fence marked `{kind}`, not `sh`",
                        n + 1
                    );
                }
                _ => {}
            }
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for (page, text) in pages() {
        let folder = root().join(&page);
        let folder = folder.parent().expect("a page has a folder");
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if target.contains("://") || target.contains([' ', '\n', '`']) {
                continue;
            }
            let file = if path.is_empty() {
                root().join(&page)
            } else {
                folder.join(path)
            };
            assert!(file.exists(), "{page}: {target} leads nowhere");
            if !anchor.is_empty() && file.extension().is_some_and(|e| e == "md") {
                let there = fs::read_to_string(&file).expect("it can be read");
                let headings = there.lines().filter(|l| l.starts_with('#'));
                let slug = shootdown_refinement::review::document::slug;
                let found = headings
                    .map(|h| slug(h.trim_start_matches('#').trim()))
                    .any(|s| s == anchor);
                assert!(found, "{page}: {target}: no such heading");
            }
        }
    }
}

mod marks {
    use super::*;

    const PAGE: &str = "\
Text with `shootdown list designs` in it, and `shootdown check
--env split`, broken.

```sh
shootdown list designs
cargo run --release -- check 'a b' --env split   # exits 1, and says why
cargo test --workspace
```

<!-- output -->
```text
…
  holds   … s
end
```

<!-- heavy: ran by .ci/run: matrix -->
```sh
shootdown matrix
shootdown list axes
```

```text
shootdown not this
```
";

    #[test]
    fn commands_are_found_with_their_marks() {
        let found = fenced(PAGE);
        let arguments: Vec<_> = found.iter().map(|c| c.arguments.join("|")).collect();
        assert_eq!(
            arguments,
            [
                "list|designs",
                "check|a b|--env|split",
                "matrix",
                "list|axes"
            ]
        );
        assert_eq!(found[1].exits, Some(1));
        assert_eq!(found[1].output.as_deref(), Some("…\n  holds   … s\nend\n"));
        assert_eq!(
            found.iter().map(|c| c.heavy.is_some()).collect::<Vec<_>>(),
            [false, false, true, false]
        );
        assert_eq!(found[3].line, 20);
        let running: Vec<_> = inline(PAGE)
            .into_iter()
            .map(|(n, words)| (n, words.join(" ")))
            .collect();
        assert_eq!(
            running,
            [(1, "list designs".into()), (1, "check --env split".into())]
        );
    }

    #[test]
    fn an_ellipsis_is_anything_and_nothing_else_is() {
        assert!(matches("…\nb\n…\n", "a\nb\nc\n"));
        assert!(matches("a …c\n", "a b c\n"));
        assert!(!matches("b\n", "a\nb\n"));
        assert!(!matches("…\nb\n", "a\nb\nc\n"));
        assert!(!matches("a …d\n", "a b c\n"));
    }

    #[test]
    fn a_broken_command_is_noticed() {
        let page = |command: &str, output: &str| {
            let mut text = format!("```sh\n{command}\n```\n");
            if !output.is_empty() {
                text += &format!("\n<!-- output -->\n```text\n{output}\n```\n");
            }
            broken("page.md", &fenced(&text))
        };
        assert_eq!(
            page("shootdown list designs", "…\n v2.6.36 …\n…"),
            Vec::<String>::new()
        );
        assert!(page("shootdown list desings", "")[0].contains("page.md:2"));
        assert!(page("shootdown list designs   # exits 1", "")[0].contains("exit code Some(0)"));
        assert!(page("shootdown list designs", "…\n  v2.6.99 …\n…")[0].contains("does not print"));
    }

    #[test]
    fn a_heavy_command_that_ci_does_not_have_is_noticed() {
        let ci = "target/release/shootdown matrix --check-docs .\nfoo >\"$log\" || target/release/shootdown stress --design v2.6.37 --seconds 60 \\\n  --seed 1\n";
        let heavy = |line: &str| {
            let text = format!("<!-- heavy: ran by .ci/run -->\n```sh\n{line}\n```\n");
            in_ci(ci, &fenced(&text)[0])
        };
        assert!(heavy("shootdown matrix"));
        assert!(heavy("shootdown stress --design v2.6.37"));
        assert!(!heavy("shootdown matrix --claims"));
        assert!(!heavy("shootdown refine --matrix"));
        let claims = "| `shootdown check --env split` | holds |";
        assert!(is_cell(claims, "check --env split --property no_deadlock"));
        assert!(!is_cell(claims, "check --env spl"));
    }
}
