//! The generated part of docs/second-opinion.md. Nothing that changes from run to run: no times.

use super::Compared;
use super::table::{name, verdicts};
use crate::cli::error::CliError;
use crate::cli::{generated, output};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const PART: &str = "spin";

fn page(root: &Path) -> Result<(PathBuf, String), CliError> {
    let path = root.join("docs/second-opinion.md");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) => Err(CliError::File { path, error }),
    }
}

fn anew(compared: &[Compared], path: &Path, text: &str) -> Result<String, CliError> {
    generated::replace(text, PART, &table(compared)).ok_or_else(|| CliError::NoMarkers {
        path: path.to_path_buf(),
        name: PART,
    })
}

/// Writes the part.
pub(super) fn write(compared: &[Compared], root: &Path) -> Result<(), CliError> {
    let (path, text) = page(root)?;
    let text = anew(compared, &path, &text)?;
    std::fs::write(&path, text).map_err(|error| CliError::File { path, error })
}

/// The page, if its part differs from what this run came to.
pub(super) fn stale(compared: &[Compared], root: &Path) -> Result<Option<PathBuf>, CliError> {
    let (path, text) = page(root)?;
    Ok((anew(compared, &path, &text)? != text).then_some(path))
}

fn table(compared: &[Compared]) -> String {
    let mut text =
        String::from("| cell | violated, by both | states | transitions |\n|---|---|--:|--:|\n");
    for c in compared {
        let both = |same: bool, ours: String, theirs: String| match same {
            true => ours,
            false => format!("**{ours}; Spin: {theirs}**"),
        };
        let (check, spin) = (&c.check, &c.spin);
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            name(&c.cell),
            both(
                check.violated == spin.violated,
                verdicts(&check.violated),
                verdicts(&spin.violated)
            ),
            both(
                check.states == spin.states,
                output::count(check.states),
                output::count(spin.states)
            ),
            both(
                check.transitions == spin.transitions,
                output::count(check.transitions),
                output::count(spin.transitions)
            ),
        );
    }
    let agreed = compared.iter().filter(|c| c.differences.is_empty()).count();
    let states: u64 = compared.iter().map(|c| c.spin.states).sum();
    let _ = writeln!(
        text,
        "\n{agreed} of {} cells agree in every verdict and in both numbers; {} states in all.",
        compared.len(),
        output::count(states)
    );
    text
}
