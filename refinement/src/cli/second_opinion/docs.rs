//! The generated parts of docs/second-opinion.md, one per checker. Nothing that changes from run to run: no times.

use super::Compared;
use super::checker::{Checker, With};
use super::table::{cell_name, verdicts};
use crate::cli::error::CliError;
use crate::cli::{generated, output};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The page as it is.
pub(super) fn page(root: &Path) -> Result<(PathBuf, String), CliError> {
    let path = root.join("docs/second-opinion.md");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) => Err(CliError::File { path, error }),
    }
}

fn anew(
    checker: &Checker,
    compared: &[Compared],
    left_out: usize,
    (path, text): (&Path, &str),
) -> Result<String, CliError> {
    let name = checker.with().part();
    let part = table(checker.with(), compared, left_out);
    generated::replace(text, name, &part).ok_or_else(|| CliError::NoMarkers {
        path: path.to_path_buf(),
        name,
    })
}

/// Writes the part.
pub(super) fn write(
    checker: &Checker,
    compared: &[Compared],
    left_out: usize,
    root: &Path,
) -> Result<(), CliError> {
    let (path, text) = page(root)?;
    let text = anew(checker, compared, left_out, (&path, &text))?;
    output::write_file(&path, text)
}

/// The page, if its part differs from what this run came to.
pub(super) fn stale(
    checker: &Checker,
    compared: &[Compared],
    left_out: usize,
    root: &Path,
) -> Result<Option<PathBuf>, CliError> {
    let (path, text) = page(root)?;
    Ok((anew(checker, compared, left_out, (&path, &text))? != text).then_some(path))
}

fn table(with: With, compared: &[Compared], left_out: usize) -> String {
    let name = with.name();
    let mut text = String::from(match with {
        With::Spin => "| cell | violated, by both | states | transitions |\n|---|---|--:|--:|\n",
        With::Tlc => {
            "| cell | violated, by both | `progress`, by both | states | transitions |\n\
             |---|---|---|--:|--:|\n"
        }
    });
    for c in compared {
        let both = |same: bool, ours: String, theirs: String| match same {
            true => ours,
            false => format!("**{ours}; {name}: {theirs}**"),
        };
        let (check, other) = (&c.check, &c.other);
        let progress = match with {
            With::Spin => String::new(),
            With::Tlc => {
                let word = |violated| match violated {
                    None => "".to_string(),
                    Some(true) => "violated".into(),
                    Some(false) => "not violated".into(),
                };
                let (ours, theirs) = (check.progress_violated, other.progress_violated);
                format!(" {} |", both(ours == theirs, word(ours), word(theirs)))
            }
        };
        let _ = writeln!(
            text,
            "| `{}` | {} |{progress} {} | {} |",
            cell_name(&c.cell),
            both(
                check.violated == other.violated,
                verdicts(&check.violated),
                verdicts(&other.violated)
            ),
            both(
                check.states == other.states,
                output::count(check.states),
                output::count(other.states)
            ),
            both(
                check.transitions == other.transitions,
                output::count(check.transitions),
                output::count(other.transitions)
            ),
        );
    }
    let agreed = compared.iter().filter(|c| c.differences.is_empty()).count();
    let states: u64 = compared.iter().map(|c| c.other.states).sum();
    let _ = writeln!(
        text,
        "\n{agreed} of {} cells agree in every verdict and in both numbers; {} states in all.",
        compared.len(),
        output::count(states)
    );
    if let (true, Some(most)) = (left_out > 0, with.most()) {
        let _ = writeln!(
            text,
            "{left_out} more have over {} states each, too many for {name} here; the table above has them.",
            output::count(most)
        );
    }
    text
}
